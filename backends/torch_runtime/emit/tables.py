"""The tables of emitters, filled: importing this imports every family."""

import ranvier.backends.torch_runtime.emit.activations
import ranvier.backends.torch_runtime.emit.arith
import ranvier.backends.torch_runtime.emit.code_value
import ranvier.backends.torch_runtime.emit.control
import ranvier.backends.torch_runtime.emit.fake_quant
import ranvier.backends.torch_runtime.emit.integer
import ranvier.backends.torch_runtime.emit.layers
import ranvier.backends.torch_runtime.emit.loss
import ranvier.backends.torch_runtime.emit.neurons
import ranvier.backends.torch_runtime.emit.noise
import ranvier.backends.torch_runtime.emit.q
import ranvier.backends.torch_runtime.emit.reduce
import ranvier.backends.torch_runtime.emit.shape
import ranvier.backends.torch_runtime.emit.snn
import ranvier.backends.torch_runtime.emit.time  # noqa: F401
from ranvier.backends.torch_runtime.emit.registry import PURE, SPECIAL, STEPPED

__all__ = ["PURE", "SPECIAL", "STEPPED"]
