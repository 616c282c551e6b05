"""What other crossbar emulators take for the layers of `crossbar_speed`; a peer that cannot be imported is named.

CrossSim runs from its source tree on numpy (`CROSSSIM=/path/to/cross-sim`), aihwkit where it is installed. Each builder
returns a function of no arguments that runs one forward pass, ready to be timed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Forward = Callable[[], Any]
Array = np.ndarray[Any, Any]


def _crosssim() -> Any:
    """CrossSim's `simulator` package; raises ImportError with the remedy."""
    folder = os.environ.get("CROSSSIM")
    if not folder:
        raise ImportError("set CROSSSIM to CrossSim's source tree")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import simulator

    return simulator


def crosssim_bitsliced(weights: Array, inputs: Array, style: str, rows: int = 128, adc_bits: int = 8) -> Forward:
    """8-bit weights in four 2-bit slices (style OFFSET or BALANCED), 8 one-bit planes, an ADC for each of both.

    BALANCED subtracts the currents of a pair before the converter, which needs as many products as OFFSET.

    weights [K, O] and inputs [B, K] in [-1, 1]; rows of one array.
    """
    simulator = _crosssim()
    p = simulator.CrossSimParameters()
    core = sys.modules[type(p.core).__module__]
    xbar = sys.modules[type(p.xbar).__module__]
    p.core.rows_max = rows
    p.core.style = core.CoreStyle.BITSLICED
    p.core.weight_bits = 8
    p.core.bit_sliced.style = core.BitSlicedCoreStyle[style]
    p.core.bit_sliced.num_slices = 4
    p.xbar.device.cell_bits = 2
    p.xbar.device.infinite_on_off_ratio = True
    p.xbar.dac.mvm.model = "SignMagnitudeDAC"
    p.xbar.dac.mvm.bits = 8
    p.xbar.dac.mvm.input_bitslicing = True
    p.xbar.dac.mvm.slice_size = 1
    p.xbar.adc.mvm.model = "SignMagnitudeADC"
    p.xbar.adc.mvm.bits = adc_bits
    p.xbar.adc.mvm.adc_per_ibit = True
    p.xbar.adc.mvm.adc_range_option = xbar.ADCRangeLimits.GRANULAR
    return _crosssim_forward(simulator, p, weights, inputs)


def crosssim_read_noise(weights: Array, inputs: Array, sigma: float = 0.02) -> Forward:
    """A balanced core whose conductances are drawn anew for every vector; weights [K, O], inputs [B, K]."""
    simulator = _crosssim()
    p = simulator.CrossSimParameters()
    p.xbar.device.read_noise.enable = True
    p.xbar.device.read_noise.model = "NormalIndependentDevice"
    p.xbar.device.read_noise.magnitude = sigma
    return _crosssim_forward(simulator, p, weights, inputs)


def _crosssim_forward(simulator: Any, parameters: Any, weights: Array, inputs: Array) -> Forward:
    core = simulator.AnalogCore(np.ascontiguousarray(weights.T), parameters)
    columns = np.ascontiguousarray(inputs.T)
    return lambda: core.matmul(columns)


def aihwkit_preset(weights: Array, inputs: Array) -> Forward:
    """aihwkit's compiled tile with `StandardHWATrainingPreset` and IR drop; weights [K, O], inputs [B, K].

    Raises ImportError where aihwkit or its compiled extension is missing.
    """
    import torch

    try:
        from aihwkit.nn import AnalogLinear
        from aihwkit.simulator.presets import StandardHWATrainingPreset
    except Exception as why:  # a wheel built for another torch fails in many ways
        raise ImportError(f"aihwkit: {why}") from why
    config = StandardHWATrainingPreset()
    config.forward.ir_drop = 1.0
    return _aihwkit_forward(torch, AnalogLinear, config, weights, inputs)


def aihwkit_torch_tile(weights: Array, inputs: Array) -> Forward:
    """aihwkit's pure PyTorch tile with its default input and output noise; weights [K, O], inputs [B, K]."""
    import torch

    try:
        from aihwkit.nn import AnalogLinear
        from aihwkit.simulator.configs import TorchInferenceRPUConfig
    except Exception as why:
        raise ImportError(f"aihwkit: {why}") from why
    config = TorchInferenceRPUConfig()
    config.mapping.max_input_size, config.mapping.max_output_size = weights.shape
    return _aihwkit_forward(torch, AnalogLinear, config, weights, inputs)


def _aihwkit_forward(torch: Any, layer: Any, config: Any, weights: Array, inputs: Array) -> Forward:
    rows, columns = weights.shape
    config.mapping.max_input_size, config.mapping.max_output_size = rows, columns
    linear = layer(rows, columns, bias=False, rpu_config=config)
    linear.set_weights(torch.from_numpy(np.ascontiguousarray(weights.T, np.float32)), None)
    linear.eval()
    x = torch.from_numpy(np.ascontiguousarray(inputs, np.float32))

    def forward() -> Any:
        with torch.no_grad():
            return linear(x)

    return forward
