"""The crossbar: an in-memory-computing emulator with a cost model."""
