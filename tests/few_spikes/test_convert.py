"""Networks of smooth activations become spiking networks by fitted tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import ranvier as rv
from ranvier.passes.few_spikes.tables import table_for


def network(activation: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 32), activation, nn.Linear(32, 16), activation, nn.Linear(16, 4)).eval()


@pytest.mark.parametrize(("activation", "name"), [(nn.SiLU(), "silu"), (nn.GELU(), "gelu")])
def test_fitted_tables_stand_for_smooth_activations(activation: nn.Module, name: str) -> None:
    x = np.random.default_rng(0).normal(size=(256, 8)).astype(np.float32) * 3
    net = network(activation)
    exe = rv.compile(net, f"fs-fit{{function={name} K=16}}, convert-snn{{steps=16}}", data=x, example=x[:2])
    assert {row["became"] for row in exe.trace["convert-snn"].tables["coverage"]} == {"neuron"}
    with torch.no_grad():
        want = net(torch.from_numpy(x)).numpy()
    assert np.abs(exe(x) - want).max() <= 0.05 * np.abs(want).max()


def test_a_table_of_another_function_is_no_code_for_relu() -> None:
    code = table_for("silu", 16, -8.0, 12.0)
    x = np.zeros((4, 8), np.float32)
    with pytest.raises(rv.RanvierError, match="compute silu, not ReLU"):
        rv.compile(network(nn.ReLU()), f"convert-snn{{code={code}}}", data=x, example=x[:2])
