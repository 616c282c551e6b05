"""Backends: lower a module into an executable that runs and says what it costs.

Nothing is imported before it is asked for by name.
"""

# Target word -> "module:class".
TARGETS = {
    "torch": "ranvier.backends.torch_runtime:TorchTarget",
}

# Word of a pass that needs a backend's own equations -> "module:class".
PASSES: dict[str, str] = {}
