"""Passes of the crossbar: mapping, physics, calibration and cost."""
