"""`free-batch`: what it gives computes for each sample what the fixed model computes for it alone, or it is refused."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import ranvier as rv
from ranvier.ir.core import Builder, Module
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.ops import arith, control, nn, reduce, shape
from ranvier.ir.text.parser import parse_module
from ranvier.ir.types import tensor
from ranvier.module_files import write_module
from ranvier.passes.shape.free_batch import FreeBatch
from tests.passes.helpers import apply, close, meaning, real, start
from tests.random_networks import networks

SHARED = Path(__file__).resolve().parents[2] / "../shared/data"


def fixed(module: Module, size: int = 1) -> Module:
    """The same module for batches of a fixed size, as an exporter without open dims would have written it."""
    text = re.sub(r"(tensor<|shape=\[)N\b|(tensor<)N(?=x)", lambda m: f"{m[1] or m[2]}{size}", str(module))
    return parse_module(text, resources=module.resources)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks())
def test_random_networks_are_opened_to_what_they_were(drawn: tuple[Module, Any]) -> None:
    module, x = drawn
    closed = fixed(module)
    joins = any(op.name == "core.concat" and op.attributes["axis"] == 0 for op in module.main.ops)
    if joins:
        with pytest.raises(RanvierError, match=r"core\.concat.* mixes samples"):
            apply(FreeBatch(), closed)
        return
    opened, context = apply(FreeBatch(), closed)
    assert opened == module
    assert "1 in the model, is now N" in context.notes[0]
    rows = [meaning(closed, x[i : i + 1]) for i in range(len(x))]
    for at, out in enumerate(meaning(opened, x)):
        close(out, np.concatenate([row[at] for row in rows]))


def test_any_fixed_size_is_opened() -> None:
    module, make, x = start("N", 6)
    make.returns(make(shape.Reshape, make(arith.Relu, x), shape=("N", 2, 3)))
    assert apply(FreeBatch(), fixed(module, 8))[0] == module


def test_an_open_model_stays_as_it_is() -> None:
    module, make, x = start("N", 6)
    make.returns(make(arith.Relu, x))
    opened, context = apply(FreeBatch(), module)
    assert opened == module
    assert context.notes == []


def test_a_symbol_that_is_taken_is_not_used_again() -> None:
    module, make, x = start(1, "N", 4)
    make.returns(make(arith.Relu, x))
    opened, _ = apply(FreeBatch(), module)
    assert [str(a.type) for a in opened.main.args] == ["tensor<N0xNx4xf32>"]


def softmax(make: Builder, x: Any) -> Any:
    return make(reduce.Softmax, x, axis=0)


def mean(make: Builder, x: Any) -> Any:
    return make(reduce.Mean, x, axes=(0,), keep=True)


def into_rows(make: Builder, x: Any) -> Any:
    return make(arith.Relu, make(shape.Reshape, x, shape=(4, 3)))


def without_batch(make: Builder, x: Any) -> Any:
    return make(shape.Reshape, x, shape=(12,))


def gram(make: Builder, x: Any) -> Any:
    flat = make(shape.Reshape, x, shape=(1, 12))
    return make(nn.Matmul, make(shape.Transpose, flat, perm=(1, 0)), flat)


def token(make: Builder, x: Any) -> Any:
    return make(shape.Concat, make.constant(real(0, 1, 1, 3), "token"), x, axis=1)


@pytest.mark.parametrize("body", [softmax, mean, into_rows, without_batch, gram, token])
def test_what_mixes_samples_or_has_no_open_shape_is_refused(body: Any) -> None:
    module, make, x = start(1, 4, 3)
    make.returns(body(make, x))
    with pytest.raises(RanvierError) as caught:
        apply(FreeBatch(), module)
    assert {d.code for d in caught.value.diagnostics} == {"unsupported"}
    assert all("dynamic_axes" in d.help for d in caught.value.diagnostics)


def test_everything_that_mixes_is_named_at_once() -> None:
    module, make, x = start(1, 4)
    make.returns(softmax(make, x), mean(make, x))
    with pytest.raises(RanvierError) as caught:
        apply(FreeBatch(), module)
    named = [d.message for d in caught.value.diagnostics]
    assert ["nn.softmax" in named[0], "nn.mean" in named[1]] == [True, True]


def test_calls_and_inputs_without_a_common_dimension_are_refused() -> None:
    module, make, x = start(1, 4)
    helper = module.new_graph("helper")
    Builder(helper).returns(helper.argument("y", x.type))
    make.returns(make(control.Call, x, graph_name="helper", types=(x.type,)))
    with pytest.raises(RanvierError, match="runs another graph"):
        apply(FreeBatch(), module)
    module, make, x = start(1, 4)
    other = module.main.argument("other", tensor(2, 4))
    make.returns(make(arith.Relu, x), make(arith.Relu, other))
    with pytest.raises(RanvierError, match="share no first dimension"):
        apply(FreeBatch(), module)


# -- before the data are looked at -------------------------------------------------------------------------------------
def classifier() -> Module:
    """A network of batches of one."""
    module, make, x = start(1, 4)
    hidden = make(arith.Relu, make(nn.Linear, x, make.constant(real(1, 8, 4), "w")))
    make.returns(make(nn.Linear, hidden, make.constant(real(2, 3, 8), "u")), names=["logits"])
    return module.verify().freeze()


PASSES = "free-batch, convert-snn{steps=16 signed=true schedule=stepwise}"


def test_a_compilation_counts_the_opened_model_as_its_source(tmp_path: Path) -> None:
    module, x = classifier(), real(3, 20, 4)
    exe = rv.compile(module, PASSES, data=x)
    assert exe.trace["source"].module == module
    assert exe.source == exe.trace["free-batch"].module != module
    assert exe.trace["free-batch"].drift.max_abs == 0
    assert exe.trace["convert-snn"].drift.samples == 16
    found = exe.evaluate(x, meaning(exe.source, x)[0].argmax(1))
    assert (found.source_accuracy, found.agreement) == (1.0, found.accuracy)
    exe.save(tmp_path / "net.rvx")
    again = rv.load_executable(tmp_path / "net.rvx")
    assert again.source == exe.source
    assert again.evaluate(x).agreement == found.agreement


def test_without_it_the_error_names_it() -> None:
    one = rv.compile(classifier())
    for wrong in (lambda: rv.compile(classifier(), "calibrate", data=real(3, 20, 4)), lambda: one(real(3, 20, 4))):
        with pytest.raises(rv.RanvierError, match="takes 1 at a time: `free-batch` as the first pass"):
            wrong()
    with pytest.raises(rv.RanvierError) as caught:
        one(real(3, 20, 5))
    assert "free-batch" not in str(caught.value)


def test_not_first_it_changes_what_the_module_takes() -> None:
    exe = rv.compile(classifier(), "cse, free-batch", data=real(3, 1, 4))
    assert exe.source == classifier()
    assert exe(real(3, 20, 4)).shape == (20, 3)
    assert exe.evaluate(real(3, 20, 4)).agreement is None


def test_recipes_read_their_data_for_the_opened_model(tmp_path: Path) -> None:
    from ranvier.recipe import build_recipe

    module, x = classifier(), real(3, 20, 4)
    write_module(module, tmp_path / "net.rv")
    labels = np.concatenate([meaning(module, row[None])[0] for row in x]).argmax(1)
    np.savez(tmp_path / "data.npz", x=x, y=labels)
    (tmp_path / "net.rvp").write_text(f'model "net.rv"\ndata "data.npz" calibrate=12 evaluate=8\npasses {PASSES}\n')
    (built,) = build_recipe(tmp_path / "net.rvp")
    assert built.evaluation is not None
    assert built.evaluation.source_accuracy == 1.0


def test_the_mnist_network_of_the_onnx_zoo() -> None:
    path = SHARED / "onnx/mnist.onnx"
    if not path.exists():
        pytest.skip("the shared data are not beside the repository")
    spec = importlib.util.spec_from_file_location("shared_load", SHARED / "load.py")
    assert spec is not None
    assert spec.loader is not None
    reader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reader)
    images, labels = reader.mnist("test")
    x, y = images[:200, None].astype(np.float32), labels[:200].astype(np.int64)
    exe = rv.compile(path, "free-batch, fold-batchnorm, canonicalize, convert-snn{steps=32 signed=true}", data=x)
    one = rv.compile(path)
    close(rv.compile(path, "free-batch")(x[:20]), np.concatenate([one(x[i : i + 1]) for i in range(20)]))
    found = exe.evaluate(x, y)
    assert found.source_accuracy is not None
    assert found.agreement is not None
    assert found.source_accuracy > 0.95
    assert found.agreement > 0.95
