"""What is wrong with a text is said with its line, column, a caret, and what was meant.

The messages lie in `expected_errors.txt`. After a deliberate change run this file with `UPDATE_GOLDEN=1` in the
environment and read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.text.parser import parse_module
from tests.strategies import cases

EXPECTED = Path(__file__).parent / "expected_errors.txt"
NET = """ranvier v1 "net"

graph @main(%x: tensor<Nx4xf32>) -> (y: tensor<Nx3xf32>) {
  %h = nn.linear(%x, $w, $b) : tensor<Nx3xf32>
  %a = nn.leaky_relu(%h, slope=0.25) : tensor<Nx3xf32>
  return %a
}

resources {
  $w = splat(tensor<3x4xf32>, 0.5)
  $b = dense(tensor<3xf32>, [0.0, 1.0, 2.0])
}
"""
RECURRENT = """ranvier v1
graph @main(%x: tensor<Nx4xf32, T=8>) -> (y: tensor<Nx4xf32, T=8>) {
  %before = core.delay(%sum, $zero) : tensor<Nx4xf32, T=8>
  %sum = nn.add(%x, %before) : tensor<Nx4xf32, T=8>
  return %sum
}
resources {
  $zero = splat(tensor<f32>, 0.0)
}
"""
BRANCH = """ranvier v1
graph @yes(%x: tensor<Nx4xf32>) -> (y: tensor<Nx4xf32>) {
  return %x
}
graph @main(%c: tensor<i1>, %x: tensor<Nx4xf32>) -> (y: tensor<Nx4xf32>) {
  %y = core.if(%c, %x, then=@yes, otherwise=@yes, types=[tensor<Nx4xf32>]) : tensor<Nx4xf32>
  return %y
}
"""


def edit(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def net(*changes: tuple[str, str]) -> str:
    return edit(NET, *changes)


RELU = "nn.leaky_relu(%h, slope=0.25)"
WEIGHT = "$w = splat(tensor<3x4xf32>, 0.5)"
BIAS = "$b = dense(tensor<3xf32>, [0.0, 1.0, 2.0])"
YES = "@yes(%x: tensor<Nx4xf32>) -> (y: tensor<Nx4xf32>)"
CASES = {
    "empty": "",
    "another format": "onnx v7\n",
    "a newer version": "ranvier v2\n",
    "unknown op": net(("nn.leaky_relu", "nn.leakyrelu")),
    "unknown dialect": net(("nn.leaky_relu(%h, slope=0.25)", "torch.relu(%h)")),
    "unknown attribute": net(("slope=", "slop=")),
    "attribute twice": net(("slope=0.25", "slope=0.25, slope=0.5")),
    "attribute of another kind": net(("slope=0.25", "slope=steep")),
    "bad literal": net(("slope=0.25", "slope=0.2.5")),
    "attribute without value": net(("slope=0.25", "slope=")),
    "an attribute where operands stand": net(("(%h, slope=0.25)", "(0.25)")),
    "unknown graph": edit(BRANCH, ("otherwise=@yes", "otherwise=@yess")),
    "unknown resource": net(("$w, $b)", "$w, $bias)")),
    "unknown alias": net(("slope=0.25", "slope=#slope")),
    "unknown value": net(("leaky_relu(%h", "leaky_relu(%hh")),
    "unknown type": net(("$b) : tensor<Nx3xf32>", "$b) : tensr<Nx3xf32>")),
    "unknown element": net(("(%x: tensor<Nx4xf32>)", "(%x: tensor<Nx4xfloat>)")),
    "unknown code": net(("(%x: tensor<Nx4xf32>)", "(%x: spikes<Nx4xi1, rates, T=4>)")),
    "unknown fact": net(("0.25) : tensor<Nx3xf32>", "0.25) : tensor<Nx3xf32> facts [imported_nam(name=\"y\")]")),
    "a fact without its fields": net(("0.25) : tensor<Nx3xf32>", "0.25) : tensor<Nx3xf32> facts [imported_name]")),
    "unknown role": net(("-> (y: tensor<Nx3xf32>)", "-> (y: tensor<Nx3xf32> role=los)")),
    "missing parenthesis": net(("slope=0.25)", "slope=0.25")),
    "missing comma": net(("%x, $w", "%x $w")),
    "missing brace": net(("  return %a\n}\n", "  return %a\n")),
    "missing type": net((" : tensor<Nx3xf32>\n  %a", "\n  %a")),
    "missing equals": net(("%h = nn", "%h nn")),
    "missing graph name": net(("graph @main", "graph main")),
    "missing operand": net(("nn.linear(%x, $w, $b)", "nn.linear(%x)")),
    "too many operands": net(("leaky_relu(%h,", "leaky_relu(%h, %x,")),
    "too many results": net(("%a = ", "%a, %b = "), ("0.25) : tensor<N", "0.25) : tensor<Nx3xf32>, tensor<N")),
    "type written is not the one inferred": net(("slope=0.25) : tensor<Nx3xf32>", "slope=0.25) : tensor<Nx4xf32>")),
    "output declared as another type": net(("-> (y: tensor<Nx3xf32>)", "-> (y: tensor<Nx4xf32>)")),
    "fewer outputs declared than returned": net(("-> (y: tensor<Nx3xf32>)", "-> ()")),
    "shapes do not fit": net(("tensor<Nx4xf32>) ->", "tensor<Nx5xf32>) ->")),
    "two values of one name": net(("%a = ", "%h = "), ("return %a", "return %h")),
    "two arguments of one name": net(("(%x: tensor<Nx4xf32>)", "(%x: tensor<Nx4xf32>, %x: tensor<Nx4xf32>)")),
    "two graphs of one name": BRANCH + BRANCH.split("\n", 1)[1].split("graph @main")[0],
    "two resources of one name": net(("$b = dense", "$w = dense"), ("$w, $b)", "$w)")),
    "two aliases of one name": net(('"net"\n', '"net"\n#a = 1\n#a = 2\n')),
    "resources twice": NET + "resources {\n}\n",
    "use before definition": net(("nn.linear(%x, $w, $b)", "nn.linear(%a, $w, $b)")),
    "delay of nothing": edit(RECURRENT, ("core.delay(%sum", "core.delay(%sums")),
    "delay of another type": edit(RECURRENT, ("$zero) : tensor<Nx4xf32, T=8>", "$zero) : tensor<Nx5xf32, T=8>")),
    "only a delay looks ahead": edit(RECURRENT, ("core.delay(%sum, $zero)", "nn.relu(%sum)")),
    "callee takes something else": edit(BRANCH, (YES, YES.replace("4", "5"))),
    "no return": net(("  return %a\n", "")),
    "misspelt return": net(("return", "retrun")),
    "return in the middle": net(("  %a = nn", "  return %h\n  %a = nn"), ("\n  return %a", "")),
    "truncated in an op": NET[: NET.index("slope")],
    "truncated in a type": NET[: NET.index("f32>\n  %a")],
    "truncated in the resources": NET[: NET.index("$b = dense")],
    "truncated in a string": NET[:14],
    "resource without a type": net((WEIGHT, "$w = splat(0.5)")),
    "resource of unknown size": net((WEIGHT, "$w = splat(tensor<NxF32>, 0.5)".replace("NxF32", "Nx4xf32"))),
    "resource of an unknown form": net((WEIGHT, "$w = fill(tensor<3x4xf32>, 0.5)")),
    "splat of no number": net((WEIGHT, '$w = splat(tensor<3x4xf32>, "half")')),
    "splat beyond the element": net((WEIGHT, "$w = splat(tensor<3x4xu4>, 16)")),
    "dense of the wrong size": net((BIAS, "$b = dense(tensor<3xf32>, [0.0, 1.0])")),
    "dense of another element": net((BIAS, "$b = dense(tensor<3xi8>, [0.5, 1.0, 2.0])")),
    "dense beyond the element": net((BIAS, "$b = dense(tensor<3xi4>, [0, 1, 8])")),
    "blob with an unknown field": net((BIAS, '$b = blob(tensor<3xf32>, path="w.bin")')),
    "blob of another content": net((BIAS, '$b = blob(tensor<3xf32>, sha256="00")')),
    "words behind the module": NET + "the end\n",
}  # fmt: skip


def message(text: str) -> str:
    with pytest.raises(RanvierError) as caught:
        parse_module(text, "net.rv", {"b": np.zeros(3, np.float32)})
    return str(caught.value)


def expected() -> dict[str, str]:
    parts = EXPECTED.read_text(encoding="utf-8").split("\n== ")[1:]
    return {name: body.strip("\n") for name, body in (p.split("\n", 1) for p in parts)}


def test_texts_are_right_before_they_are_edited() -> None:
    for text in (NET, RECURRENT, BRANCH):
        parse_module(text)


@pytest.mark.skipif("UPDATE_GOLDEN" not in os.environ, reason="writes the expected messages")
def test_update() -> None:
    found = "".join(f"\n== {name}\n{message(text)}\n" for name, text in CASES.items())
    EXPECTED.write_text("What `test_errors.py` expects.\n" + found, encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_message(name: str) -> None:
    assert message(CASES[name]) == expected()[name]


def test_every_message_has_a_place() -> None:
    assert list(expected()) == list(CASES)
    for name, text in expected().items():
        assert "  --> net.rv:" in text, name


TEXTS = [str(c.module()) for c in cases()[::9]] + [NET, RECURRENT, BRANCH]
TOKENS = ["", " ", "(", ")", "<", ">", "[", "]", "{", "}", "%", "$", "@", "#a0", ",", "=", ":", "\n", '"', "-", "1",
          "x", "0x", "1..9", "1/0", "1e99", "none", "inf", "N", "?", "tensor<", "graph", "return", "resources {",
          "facts [", "place @", "loc(", "é", "\x00", "T=", "%x", "$w"]  # fmt: skip


few = settings(derandomize=True, deadline=None, max_examples=200)


@given(st.sampled_from(TEXTS), st.data())
@few
def test_damaged_texts_raise_nothing_else(text: str, data: st.DataObject) -> None:
    damage(text, data)


@pytest.mark.slow
@given(st.sampled_from(TEXTS), st.data())
@settings(few, max_examples=2000)
def test_many_damaged_texts_raise_nothing_else(text: str, data: st.DataObject) -> None:
    damage(text, data)


def damage(text: str, data: st.DataObject) -> None:
    """Overwrite a few places, and read what is left."""
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.sampled_from([start, start + 1, start + 5, len(text)]))
        other = data.draw(st.sampled_from(TOKENS))
        text = text[:start] + other + text[stop:]
    try:
        module = parse_module(text)
    except RanvierError:
        return
    assert str(parse_module(str(module))) == str(module)


@given(st.sampled_from(TEXTS), st.data())
@few
def test_shuffled_lines_raise_nothing_else(text: str, data: st.DataObject) -> None:
    lines = text.split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        i, j = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        lines[i], lines[j] = lines[j], data.draw(st.sampled_from([lines[i], lines[j]]))
    try:
        parse_module("\n".join(lines))
    except RanvierError:
        return
