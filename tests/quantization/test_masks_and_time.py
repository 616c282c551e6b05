"""What quantization meets beside reals: masks, inputs over time, shared weights, step graphs."""

from __future__ import annotations

import numpy as np

import ranvier as rv
from ranvier.ir.core import Builder, Module
from ranvier.ir.facts import Mask
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops import arith, fake_quant, nn
from ranvier.ir.ops.integer import QLinear
from ranvier.ir.resources import Resource
from ranvier.ir.types import TensorType, tensor
from tests.quantization.helpers import output

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)
W = np.arange(-9, 9, dtype=np.float32).reshape(3, 6) / 7


def test_masks_stay_and_pruned_weights_are_level_zero() -> None:
    module = Module()
    graph = module.new_graph("main")
    b = Builder(graph)
    bits = np.arange(18).reshape(3, 6) % 3 == 0
    mask = module.add(bits, "mask")
    kind = TensorType((3, 6), tensor(1).elem)
    w = b.constant(Resource(kind, W * bits, facts=(Mask(mask),)), "w")
    b.returns(b(nn.Linear, graph.argument("x", tensor("N", 6)), w))
    made = rv.opt(module.verify().freeze(), "quantize, freeze-quant, lower-integer", data=X)
    levels = made.resource("w.levels")
    found = [f for f in levels.facts if isinstance(f, Mask)]
    assert len(found) == 1
    assert np.array_equal(made.resource(found[0].mask).array, bits)
    assert (np.asarray(levels.array)[~bits] == 0).all()


def test_a_weight_with_two_users_is_quantized_once() -> None:
    module = Module()
    graph = module.new_graph("main")
    b = Builder(graph)
    x, w = graph.argument("x", tensor("N", 6)), b.constant(W, "w")
    b.returns(b(arith.Add, b(nn.Linear, x, w), b(nn.Linear, b(arith.Relu, x), w)))
    made = rv.opt(module.verify().freeze(), "quantize, freeze-quant, lower-integer", data=X)
    products = [op for op in made.main.ops if isinstance(op, QLinear)]
    assert len(products) == 2
    assert products[0].weight is products[1].weight
    assert np.abs(output(made, X) - output(module, X)).max() < 0.05


def test_reals_over_time_are_quantized_and_sums_are_taken_at_each_step() -> None:
    module = Module()
    graph = module.new_graph("main")
    b = Builder(graph)
    b.returns(b(nn.Linear, graph.argument("x", tensor("N", 6, time=3)), b.constant(W, "w")))
    x = np.stack([X, 2 * X, -X])
    made = rv.opt(module.verify().freeze(), "quantize, freeze-quant, lower-integer", data=x)
    product = next(op for op in made.main.ops if isinstance(op, QLinear))
    assert product.result.type.time == 3
    found = output(made, x)
    assert np.array_equal(found, evaluate(made, [x])[0][0])
    assert np.abs(found - x @ W.T).max() < 0.05


def test_noise_over_time_draws_anew_at_each_step() -> None:
    module = Module()
    graph = module.new_graph("main")
    b = Builder(graph)
    x = graph.argument("x", tensor("N", 6, time=4))
    sigma = b.constant(np.float32(1), "sigma")
    b.returns(b(fake_quant.OutputNoise, x, sigma, key="n"))
    module.verify().freeze()
    zeros = np.zeros((4, 2, 6), np.float32)
    found = output(module, zeros)
    assert len({tuple(row) for row in found.reshape(8, 6).tolist()}) == 8
    assert np.abs(found - evaluate(module, [zeros])[0][0]).max() < 1e-5
    step = rv.opt(module, "to-step")
    for t in range(4):
        arrays = {"x": zeros[t : t + 1], "step": np.asarray(t)}
        (row, *_), _ = evaluate(step, [arrays[a.name] for a in step.main.args])
        assert np.abs(row.reshape(2, 6) - found[t]).max() < 1e-5
