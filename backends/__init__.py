"""Backends: lower a module into an executable that runs and says what it costs.

`BUILTIN` names the targets that ship with Ranvier; a target's library is imported when the target is first looked up.
"""

BUILTIN = {"torch": "ranvier.backends.torch_runtime:TorchTarget"}
