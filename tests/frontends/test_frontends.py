"""Frontends are found by suffix, by object, by name and by entry point."""

import sys
from importlib.metadata import EntryPoint, EntryPoints

import onnx
import pytest

from ranvier import frontends
from ranvier.frontends import find_frontend, frontend, frontend_names
from ranvier.frontends.onnx import OnnxFrontend
from ranvier.ir import plugins
from ranvier.ir.diagnostics import RanvierError


def code(wrapped):
    return wrapped.value.diagnostics[0].code


def test_by_suffix_and_by_object():
    assert isinstance(find_frontend("some/net.onnx"), OnnxFrontend)
    assert isinstance(find_frontend("some/NET.ONNX"), OnnxFrontend)
    assert isinstance(find_frontend(onnx.ModelProto()), OnnxFrontend)
    assert isinstance(frontend("onnx"), OnnxFrontend)


def test_unknown_suffix_names_the_near_miss():
    with pytest.raises(RanvierError, match=r"did you mean `.onnx`") as wrapped:
        find_frontend("net.onx")
    assert code(wrapped) == "unknown-format"


def test_unknown_object():
    with pytest.raises(RanvierError, match=r"builtins\.int") as wrapped:
        find_frontend(3)
    assert code(wrapped) == "unknown-format"


def test_unknown_name():
    with pytest.raises(RanvierError, match="did you mean `onnx`") as wrapped:
        frontend("onx")
    assert code(wrapped) == "unknown-name"


class Csv:
    """A third party's frontend."""

    suffixes = (".csv",)

    def accepts(self, model):
        return str(model).endswith(".csv")

    def load(self, model, example=None):
        raise NotImplementedError


def test_by_entry_point(monkeypatch):
    point = EntryPoint("csv", f"{__name__}:Csv", frontends.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda **query: EntryPoints([point]).select(**query))
    monkeypatch.setitem(
        sys.modules, __name__, sys.modules.get(__name__) or sys.modules["tests.frontends.test_frontends"]
    )
    assert frontend_names()[-1] == "csv"
    assert type(find_frontend("table.csv")).__name__ == "Csv"
