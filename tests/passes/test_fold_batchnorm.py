"""Batch normalization disappears into the linear op beside it, and the network computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.ir.core import Builder, Module, Value
from ranvier.ir.facts import Mask, Note
from ranvier.ir.locations import FileLoc, roots
from ranvier.ir.ops import arith, control, nn, time
from ranvier.ir.resources import Resource
from ranvier.ir.types import tensor
from ranvier.passes.simplify.fold_batchnorm import FoldBatchNorm
from tests.passes.helpers import RNG, apply, close, meaning, names, real, start

few = settings(derandomize=True, deadline=None, max_examples=40)


def norm(make: Builder, x: Value, channels: int, seed: int, **extra: Any) -> Value:
    """A batch_norm with statistics of its own."""
    scale, shift, mean = (real(seed + i, channels) for i in range(3))
    var = RNG(seed + 3).uniform(0.1, 2, channels).astype(np.float32)
    parameters = [make.constant(a, f"bn.{n}") for a, n in zip((scale, shift, mean, var), "somv", strict=True)]
    out: Value = make(nn.BatchNorm, x, *parameters, epsilon=1e-3, **extra)
    return out


def linear(make: Builder, kind: Any, x: Value, inputs: int, outputs: int, groups: int, bias: bool, seed: int) -> Value:
    """A conv, transposed conv or linear from so many channels to so many."""
    b = make.constant(real(seed + 9, outputs), "layer.bias") if bias else None
    if kind is nn.Linear:
        return make(kind, x, make.constant(real(seed, outputs, inputs), "layer.weight"), b)
    spatial = (3,) * (x.type.rank - 2)
    first = (outputs, inputs // groups) if kind is nn.Conv else (inputs, outputs // groups)
    out: Value = make(kind, x, make.constant(real(seed, *first, *spatial), "layer.weight"), b, groups=groups)
    return out


@given(
    kind=st.sampled_from([nn.Conv, nn.ConvTranspose, nn.Linear]),
    groups=st.sampled_from([1, 2]),
    bias=st.booleans(),
    axes=st.integers(1, 2),
    seed=st.integers(0, 99),
)
@few
def test_after(kind: Any, groups: int, bias: bool, axes: int, seed: int) -> None:
    size = () if kind is nn.Linear else (5,) * axes
    module, make, x = start("N", 4, *size)
    h = linear(make, kind, x, 4, 6, groups, bias, seed)
    make.returns(make(arith.Relu, norm(make, h, 6, seed)))
    out, _ = apply(FoldBatchNorm(), module)
    assert names(out) == [kind.name, "nn.relu"]
    assert sorted(out.resources) == ["layer.bias", "layer.weight"]
    inputs = real(seed + 50, 3, 4, *size)
    close(meaning(out, inputs)[0], meaning(module, inputs)[0])


@given(
    kind=st.sampled_from([nn.Conv, nn.Linear]),
    groups=st.sampled_from([1, 2]),
    bias=st.booleans(),
    axes=st.integers(1, 2),
    seed=st.integers(0, 99),
)
@few
def test_before(kind: Any, groups: int, bias: bool, axes: int, seed: int) -> None:
    size = () if kind is nn.Linear else (5,) * axes
    module, make, x = start("N", 4, *size)
    make.returns(linear(make, kind, norm(make, x, 4, seed), 4, 6, groups, bias, seed))
    out, _ = apply(FoldBatchNorm(), module)
    assert names(out) == [kind.name]
    assert sorted(out.resources) == ["layer.bias", "layer.weight"]
    inputs = real(seed + 50, 3, 4, *size)
    close(meaning(out, inputs)[0], meaning(module, inputs)[0])


def test_the_exact_fold_on_dyadic_numbers() -> None:
    """Every product and sum is exact in float32 where all numbers are dyadic and s/sqrt(v) is: so are both networks."""
    module, make, x = start("N", 3, 6, 6)
    r = RNG(0)
    weight = (r.integers(-8, 9, (4, 3, 3, 3)) / 8).astype(np.float32)
    h = make(nn.Conv, x, make.constant(weight, "w"), make.constant((r.integers(-8, 9, 4) / 8).astype(np.float32), "b"))
    variance = np.array([0.25, 1.0, 4.0, 16.0], np.float32)
    others = [(r.integers(-8, 9, 4) / 4).astype(np.float32) for _ in range(3)]
    make.returns(make(nn.BatchNorm, h, *[make.constant(a, "p") for a in (*others, variance)], epsilon=0.0))
    out, _ = apply(FoldBatchNorm(), module)
    images = (r.integers(-8, 9, (5, 3, 6, 6)) / 8).astype(np.float32)
    np.testing.assert_array_equal(meaning(out, images)[0], meaning(module, images)[0])


def test_a_chain_of_norms_folds_away() -> None:
    module, make, x = start("N", 4, 5, 5)
    h = norm(make, linear(make, nn.Conv, norm(make, x, 4, 1), 4, 4, 1, True, 2), 4, 3)
    make.returns(norm(make, h, 4, 4))
    out, _ = apply(FoldBatchNorm(), module)
    assert names(out) == ["nn.conv"]
    inputs = real(5, 2, 4, 5, 5)
    close(meaning(out, inputs)[0], meaning(module, inputs)[0])


def test_dead_users_do_not_count() -> None:
    module, make, x = start("N", 4)
    w = make.constant(real(0, 4, 4), "w")
    h = make(nn.Linear, x, w)
    make(arith.Relu, h)
    make(nn.Linear, h, w)
    make.returns(norm(make, h, 4, 1))
    assert names(apply(FoldBatchNorm(), module)[0]) == ["nn.linear"]


def test_over_time() -> None:
    module, make, x = start("N", 4, 5, 5)
    h = linear(make, nn.Conv, make(time.Repeat, x, steps=3), 4, 6, 1, True, 0)
    make.returns(norm(make, h, 6, 1))
    out, _ = apply(FoldBatchNorm(), module)
    assert names(out) == ["core.repeat", "nn.conv"]
    inputs = real(5, 2, 4, 5, 5)
    close(meaning(out, inputs)[0], meaning(module, inputs)[0])


def test_where_it_comes_from_is_kept() -> None:
    module, make, x = start("N", 4, 5, 5)
    make.location = FileLoc("net.py", 3)
    h = linear(make, nn.Conv, x, 4, 6, 1, False, 0)
    h.op.place = "chip"
    make.location = FileLoc("net.py", 4)
    h = norm(make, h, 6, 1, name="normed")
    h.op.place, h.facts = "chip", (Note("measured here"),)
    make.returns(h)
    out, context = apply(FoldBatchNorm(), module)
    op = out.main.value("normed").op
    assert op is not None
    assert [r.line for r in roots(op.location)] == [4, 3]
    assert "by fold-batchnorm" in op.location.describe()
    assert (op.place, op.results[0].facts) == ("chip", (Note("measured here"),))
    (applied,) = context.rewrites[0].applied
    assert applied.rule == "after_conv"
    assert applied.algebra.startswith("batch_norm(conv(x, w, b), s, o, m, v) => conv(x, w*k, b*k + o - m*k)")


def test_masks_are_kept() -> None:
    module, make, x = start("N", 4)
    mask = module.add(RNG(0).random((6, 4)) < 0.5, "mask")
    pruned = np.where(module.resource(mask).array, real(0, 6, 4), 0).astype(np.float32)
    weight = module.main.constant(module.add(Resource.of(pruned, (Mask(mask),)), "w"))
    make.returns(norm(make, make(nn.Linear, x, weight), 6, 1))
    out, _ = apply(FoldBatchNorm(), module)
    assert out.resource("w").facts == (Mask("mask"),)
    assert not out.resource("w").array[~out.resource("mask").array].any()


# -- what is refused, and why ------------------------------------------------------------------------------------------
def refused(module: Module) -> str:
    out, context = apply(FoldBatchNorm(), module)
    assert out == module
    (note,) = context.notes
    return note


def test_shared_weights() -> None:
    module, make, x = start("N", 4)
    w = make.constant(real(0, 4, 4), "w")
    h = norm(make, make(nn.Linear, x, w), 4, 1, name="bn")
    make.returns(make(nn.Linear, h, w))
    assert refused(module) == (
        "<%bn = nn.batch_norm(%linear, $bn.s, $bn.o, $bn.m, $bn.v)> stays: "
        "weight $w is used elsewhere; folding would change that user too"
    )


def test_weights_shared_with_another_graph() -> None:
    module, make, x = start("N", 4)
    w = make.constant(real(0, 4, 4), "w")
    other = module.new_graph("other")
    y = other.argument("y", tensor("N", 4))
    Builder(other).returns(Builder(other)(nn.Linear, y, other.constant("w")))
    h = make(control.Call, x, graph_name="other", types=(x.type,))
    make.returns(norm(make, make(nn.Linear, h, w), 4, 1))
    assert "weight $w is used elsewhere" in refused(module)


def test_shared_bias() -> None:
    module, make, x = start("N", 4)
    b = make.constant(real(0, 4), "b")
    h = norm(make, make(nn.Linear, x, make.constant(real(1, 4, 4), "w"), b), 4, 1)
    make.returns(make(arith.Add, h, b))
    assert "bias $b is used elsewhere" in refused(module)


def test_a_result_with_another_user() -> None:
    module, make, x = start("N", 4)
    h = make(nn.Linear, x, make.constant(real(1, 4, 4), "w"), name="h")
    make.returns(norm(make, h, 4, 1), h)
    assert "%h has 2 uses; the rule allows 1" in refused(module)


def test_zeros_that_are_padded_are_not_normalized() -> None:
    module, make, x = start("N", 4, 5, 5)
    h = norm(make, x, 4, 1)
    make.returns(make(nn.Conv, h, make.constant(real(1, 4, 4, 3, 3), "w"), padding=(1, 1, 1, 1)))
    out, context = apply(FoldBatchNorm(), module)
    assert out == module
    misses = {m.rule: m.reason for m in context.rewrites[0].misses.values()}
    assert misses["before_conv"] == "the conv pads with zeros, which the batch_norm would shift"


def test_features_that_are_not_axis_1() -> None:
    module, make, x = start("N", 6, 4)
    make.returns(norm(make, make(nn.Linear, x, make.constant(real(1, 4, 4), "w")), 6, 1))
    assert "the features of %x are not on axis 1" in refused(module)


def test_statistics_of_each_step() -> None:
    module, make, x = start("N", 4, time=3)
    h = make(nn.Linear, x, make.constant(real(1, 4, 4), "w"))
    per_step = [make.constant(np.abs(real(i, 3, 4)) + 1, "p", type=tensor(4, time=3)) for i in range(4)]
    make.returns(make(nn.BatchNorm, h, *per_step))
    assert "differs from step to step" in refused(module)


def test_another_place() -> None:
    module, make, x = start("N", 4)
    h = make(nn.Linear, x, make.constant(real(1, 4, 4), "w"))
    h.op.place = "chip"
    make.returns(norm(make, h, 4, 1))
    assert "the ops are placed on different targets" in refused(module)


def test_weights_that_are_not_at_hand() -> None:
    module, make, x = start("N", 4)
    w = make.constant(Resource(tensor(4, 4), digest="00"), "w")
    make.returns(norm(make, make(nn.Linear, x, w), 4, 1))
    assert "the array of $w is not at hand" in refused(module)


def test_weights_that_are_computed() -> None:
    module, make, x = start("N", 4)
    w = make(arith.Neg, module.main.argument("w", tensor(4, 4)), name="minus")
    make.returns(norm(make, make(nn.Linear, x, w), 4, 1))
    assert "%minus, an operand of <%linear = nn.linear(%x, %minus)>, is no constant" in refused(module)
