"""Modules run on PyTorch as they run by the meaning of their ops."""

import shutil

import numpy as np
import pytest
import torch

from ranvier.backends.torch_runtime import TorchRuntime, TorchTarget
from ranvier.ir.core import Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.interpret import evaluate
from ranvier.ir.ops import activations, arith, nn, reduce, shape
from ranvier.ir.types import tensor


def small_ann(seed: int = 0) -> Module:
    r = np.random.default_rng(seed)
    module = Module("ann")
    graph = module.new_graph()
    b = Builder(graph)
    x = graph.argument("x", tensor("N", 3, 8, 8))
    w = b.constant(r.normal(size=(4, 3, 3, 3)).astype("f4") / 4, "w")
    bias = b.constant(r.normal(size=4).astype("f4"), "b")
    h = b(activations.Relu, b(nn.Conv, x, w, bias, padding=(1, 1, 1, 1)))
    p = b(nn.MaxPool, h, kernel=(2, 2), strides=(2, 2))
    f = b(shape.Reshape, p, shape=("N", 64))
    y = b(nn.Linear, f, b.constant(r.normal(size=(10, 64)).astype("f4") / 8, "w2"))
    b.returns(y, names=["logits"])
    return module.verify().freeze()


def images(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3, 8, 8)).astype("f4")


@pytest.mark.parametrize("n", [1, 7])
def test_ann_runs_as_by_meaning(n: int) -> None:
    module, x = small_ann(), images(n)
    (want,), taps = evaluate(module, [x], taps=("conv", "relu"))
    got = TorchRuntime().run(module, [x], taps=("conv", "relu"))
    assert np.abs(got.outputs[0] - want).max() <= 1e-5 * np.abs(want).max()
    for name, array in taps.items():
        np.testing.assert_allclose(got.taps[name], array, atol=1e-5)


def test_batches_tiles_and_order_change_nothing() -> None:
    module, x = small_ann(), images(7)
    want = TorchRuntime().run(module, [x]).outputs[0]
    permutation = np.random.default_rng(2).permutation(7)
    for runtime in (TorchRuntime(tile=1), TorchRuntime(tile=3), TorchRuntime()):
        np.testing.assert_allclose(runtime.run(module, [x], batch=2).outputs[0], want, atol=1e-5)
        np.testing.assert_allclose(runtime.run(module, [x[permutation]]).outputs[0], want[permutation], atol=1e-5)


def test_running_twice_is_identical_and_inputs_stay() -> None:
    module, x = small_ann(), images(3)
    before = x.copy()
    program = TorchTarget().lower(module)
    assert np.array_equal(program.run([x]).outputs[0], program.run([x]).outputs[0])
    assert np.array_equal(x, before)


def test_plan_is_the_source() -> None:
    plan = TorchTarget().lower(small_ann()).plan()
    assert "F.conv2d" in plan
    assert "tiles" in plan


def test_outputs_never_share_memory_with_inputs() -> None:
    module = Module("identity")
    graph = module.new_graph()
    Builder(graph).returns(graph.argument("x", tensor("N", 3)))
    x = np.ones((2, 3), "f4")
    out = TorchRuntime().run(module.verify(), [x]).outputs[0]
    assert not np.shares_memory(out, x)


def test_wrong_inputs_are_refused() -> None:
    program = TorchTarget().lower(small_ann())
    for inputs in ([images(2)[:, :2]], [], [images(2).reshape(-1)]):
        with pytest.raises(RanvierError, match="bad-input"):
            program.run(inputs)
    with pytest.raises(RanvierError, match="sample ids"):
        program.run([images(2)], sample_ids=[1, 2, 3])
    with pytest.raises(RanvierError, match="no value"):
        program.run([images(2)], taps=["cnv"])


def test_a_long_module_is_lowered_in_one_go() -> None:
    module = Module("long")
    graph = module.new_graph()
    b = Builder(graph)
    x = h = graph.argument("x", tensor("N", 3))
    for _ in range(2000):
        h = b(arith.Add, b(activations.Relu, h), x)
    b.returns(h)
    out = TorchRuntime().run(module, [np.full((2, 3), 2.0, "f4")]).outputs[0]
    np.testing.assert_array_equal(out, np.full((2, 3), 4002.0, "f4"))


def test_graphs_whose_samples_meet_stay_whole() -> None:
    module = Module("norm")
    graph = module.new_graph()
    b = Builder(graph)
    x = graph.argument("x", tensor("N", 3))
    b.returns(b(arith.Sub, x, b(reduce.Mean, x, axes=(0,), keep=True)))
    x_values = np.arange(21, dtype="f4").reshape(7, 3)
    for tile in (1, 2, None):
        out = TorchRuntime(tile=tile).run(module, [x_values]).outputs[0]
        np.testing.assert_allclose(out, x_values - x_values.mean(0), atol=1e-6)


def test_outputs_without_samples_cannot_be_joined() -> None:
    module = Module("sum")
    graph = module.new_graph()
    b = Builder(graph)
    b.returns(b(reduce.Sum, graph.argument("x", tensor("N", 3))))
    with pytest.raises(RanvierError, match="does not count samples"):
        TorchRuntime().run(module, [np.ones((4, 3), "f4")], batch=2)


def test_options_are_checked_by_name() -> None:
    assert str(TorchTarget(tile=8, threads=1)) == "torch{threads=1 tile=8}"
    with pytest.raises(RanvierError, match="bad-value"):
        TorchTarget(device="tpu")
    with pytest.raises(RanvierError, match="bad-value"):
        TorchTarget(tile=0)
    if not torch.cuda.is_available():
        with pytest.raises(RanvierError, match="no CUDA device"):
            TorchTarget(device="cuda").lower(small_ann())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_runs_alike() -> None:
    module, x = small_ann(), images(7)
    want = TorchRuntime().run(module, [x]).outputs[0]
    np.testing.assert_allclose(TorchRuntime(device="cuda").run(module, [x]).outputs[0], want, atol=1e-4)


def test_an_unknown_op_runs_by_its_meaning_and_the_plan_says_so() -> None:
    module = Module("divided")
    graph = module.new_graph()
    b = Builder(graph)
    x = graph.argument("x", tensor("N", 3, dtype="i32"))
    b.returns(b(arith.Div, x, x))
    program = TorchTarget().lower(module.verify())
    assert "by meaning" in program.plan()
    np.testing.assert_array_equal(program.run([np.array([[4, 0, -3]], "i4")]).outputs[0], [[1, 0, 1]])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")
def test_torch_compile_changes_nothing() -> None:
    module, x = small_ann(), images(3)
    want = TorchTarget().lower(module).run([x]).outputs[0]
    np.testing.assert_allclose(TorchTarget(compile=True).lower(module).run([x]).outputs[0], want, atol=1e-5)
