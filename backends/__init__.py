"""Backends: lower a module into an executable that runs and says what it costs.

`BUILTIN` names the targets that ship with Ranvier, `PASSES` the passes that lie in their folders; a target's library
is imported when the target is first looked up.
"""

BUILTIN = {"torch": "ranvier.backends.torch_runtime:TorchTarget"}

# Passes that need a backend's own equations: word -> "module:class".
PASSES = {
    "cost": "ranvier.backends.crossbar.passes.cost:EstimateCost",
    "search-periphery": "ranvier.backends.crossbar.passes.search_periphery:SearchPeriphery",
    "program": "ranvier.backends.crossbar.passes.program:ProgramCells",
    "solve-parasitics": "ranvier.backends.crossbar.passes.solve_parasitics:SolveParasitics",
    "read-noise": "ranvier.backends.crossbar.passes.read_noise:ReadNoise",
    "calibrate-adc": "ranvier.backends.crossbar.passes.calibrate_adc:CalibrateAdc",
}
