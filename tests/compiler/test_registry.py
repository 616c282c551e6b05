from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from ranvier import backends, passes, registry
from ranvier.ir import plugins
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.fields import RecordOf
from ranvier.ir.interfaces import Pass
from ranvier.ir.records import _FAMILIES
from ranvier.pipeline import parse_pipeline


@pytest.fixture
def installed(monkeypatch):
    """Entry points as if packages had declared them: `installed(("word", "module:attribute"), ...)`."""

    def install(*points, group="ranvier.passes"):
        def entry_points(**wanted):
            found = EntryPoints(EntryPoint(name, value, group) for name, value in points)
            return found.select(**wanted)

        monkeypatch.setattr(plugins, "entry_points", entry_points)

    return install


def declare():
    @dataclass(frozen=True)
    class Foreign(Pass):
        """Of another package."""

        word = "test-foreign"

    # As if its module were not imported yet.
    _FAMILIES["pass"].pop("test-foreign", None)
    return Foreign


Foreign = declare()


@pytest.mark.parametrize("word", [*passes.BUILTIN, *backends.PASSES])
def test_every_listed_pass_is_there(word):
    found = registry.find_pass(word)
    assert found.word == word
    assert found.__doc__
    assert all("kind" in f.metadata for f in found.options())


@pytest.mark.parametrize("word", registry.target_names())
def test_every_listed_target_is_there(word):
    assert registry.find_target(word).word == word


def test_a_pass_of_another_package_is_found(installed):
    installed(("test-foreign", f"{__name__}:Foreign"))
    assert "test-foreign" in registry.pass_names()
    assert registry.find_pass("test-foreign").__name__ == "Foreign"
    assert str(parse_pipeline("test-foreign")) == "test-foreign"


def test_a_plugin_that_fails_says_so(installed):
    installed(("bad-import", "no_such_module:X"), ("no-pass", "math:pi"))
    with pytest.raises(RanvierError, match=r"plugin-failed.*no_such_module"):
        registry.find_pass("bad-import")
    with pytest.raises(RanvierError, match=r"plugin-failed.*is no pass called 'no-pass'"):
        registry.find_pass("no-pass")


def test_two_packages_with_one_word(installed):
    installed(("twice", "math:pi"), ("twice", "math:e"))
    with pytest.raises(RanvierError, match="duplicate-plugin"):
        registry.find_pass("twice")


def test_records_load_passes_and_targets_by_word():
    assert str(RecordOf("pass").read("dce")) == "dce"
    assert RecordOf("target").read("meaning").word == "meaning"
    with pytest.raises(RanvierError, match="unknown-name"):
        RecordOf("target").read("nowhere")


def test_names_are_sorted():
    assert registry.pass_names() == sorted(registry.pass_names())
    assert {"meaning", "torch"} <= set(registry.target_names())
