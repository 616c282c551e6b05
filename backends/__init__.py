"""Backends: lower a module into an executable that runs and says what it costs.

`BUILTIN` names the targets that ship with Ranvier, `PASSES` the passes that lie in their folders; a target's library
is imported when the target is first looked up.
"""

BUILTIN = {
    "torch": "ranvier.backends.torch_runtime:TorchTarget",
    "crossbar": "ranvier.backends.crossbar.target:CrossbarTarget",
}

# Passes that need a backend's own equations: word -> "module:class".
PASSES = {
    "cost": "ranvier.backends.crossbar.passes.cost:EstimateCost",
    "search-periphery": "ranvier.backends.crossbar.passes.search_periphery:SearchPeriphery",
    "level-spikes": "ranvier.backends.crossbar.passes.level_spikes:LevelSpikes",
    "map-crossbar": "ranvier.backends.crossbar.passes.map_crossbar:MapCrossbar",
    "prove-adc": "ranvier.backends.crossbar.passes.prove_adc:ProveAdc",
    "fuse-xbar": "ranvier.backends.crossbar.passes.fuse_xbar:FuseXbar",
    "program": "ranvier.backends.crossbar.passes.program:ProgramCells",
    "solve-parasitics": "ranvier.backends.crossbar.passes.solve_parasitics:SolveParasitics",
    "read-noise": "ranvier.backends.crossbar.passes.read_noise:ReadNoise",
    "calibrate-adc": "ranvier.backends.crossbar.passes.calibrate_adc:CalibrateAdc",
}
