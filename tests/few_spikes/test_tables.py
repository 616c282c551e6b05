"""Tables that ship, and the cache of those that are fitted."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ranvier.ir.codes.few_spikes import activation
from ranvier.ir.diagnostics import RanvierError
from ranvier.passes.few_spikes import store, tables
from ranvier.passes.few_spikes.fit import VERSION, Recipe, fit, squared_error
from ranvier.passes.few_spikes.tables import entries, round_range, shipped, table_for

RECIPE = Recipe("tanh", 3, -2.0, 2.0, iterations=30, restarts=1, rounds=5)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def short(monkeypatch):
    """Fits of a moment, counted."""
    made = []

    def quick(function, K, low, high, seed, init, *rest):
        made.append((function, K, low, high, seed, init))
        return fit(function, K, low, high, seed, init, 30, 1, 5)

    monkeypatch.setattr(tables, "fit", quick)
    return made


def mean_squared_error(function, K, low, high):
    code = next(c for c in shipped() if (c.function, c.K, c.low, c.high) == (function, K, low, high))
    x = np.random.default_rng(0).uniform(low, high, 200_000)
    return float(((code.apply(x) - activation(function, x)) ** 2).mean())


# -- what ships --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("function", "K", "low", "high", "bound"),
    [
        ("silu", 16, -8, 12, 0.0012),  # the published table has .00345
        ("silu", 12, -8, 12, 0.0035),
        ("silu", 8, -8, 12, 0.012),
        ("gelu", 16, -8, 12, 0.0012),
        ("sigmoid", 12, -10, 10, 0.00014),  # the published table has .00014
        ("tanh", 16, -5, 5, 0.0005),
        ("exp", 16, -10, 0, 0.0001),
    ],
)
def test_shipped_tables_keep_their_bounds(function, K, low, high, bound):
    assert mean_squared_error(function, K, low, high) <= bound


def test_more_steps_are_better():
    errors = [mean_squared_error("silu", K, -8, 12) for K in (8, 12, 16)]
    assert errors == sorted(errors, reverse=True)


def test_shipped_text_is_what_is_written():
    path = Path(tables.__file__).with_name(tables.SHIPPED)
    assert store.write_entries(entries()) == path.read_text(encoding="utf-8")


# -- choice ------------------------------------------------------------------------------------------------------------
def test_a_shipped_table_serves_the_ranges_that_fill_most_of_it(cache, short):
    for low, high in ((-8, 12), (-6.5, 11.9)):
        assert (table_for("silu", 16, low, high).low, table_for("silu", 16, low, high).high) == (-8, 12)
    assert table_for("silu", 16, -3.9, 3.5).high == 4
    assert not short
    found = table_for("silu", 16, -0.4, 0.7)
    assert (found.low, found.high) == (-0.5, 0.75)
    assert len(short) == 1


def test_an_exact_range_is_not_widened(cache, short):
    assert table_for("silu", 16, -8, 12, exact=True).high == 12
    assert not short
    found = table_for("silu", 16, -7, 11, exact=True)
    assert (found.low, found.high) == (-7, 11)
    assert len(short) == 1


def test_another_seed_is_another_table(cache, short):
    table_for("silu", 16, -8, 12, seed=3)
    assert short == [("silu", 16, -8.0, 12.0, 3, "tbpi")]


def test_relus_are_not_fitted(cache, short):
    assert table_for("relu", 4, -3, 2.0).falls == (1.0, 0.5, 0.25, 0.125)
    assert table_for("relu", 4, -3, -1).high == 1.0
    assert not short


@pytest.mark.parametrize(
    ("given", "rounded"),
    [
        ((-7.9, 11), (-8, 12)),
        ((-8, 12), (-8, 12)),
        ((0, 5), (0, 6)),
        ((-5, 0), (-6, 0)),
        ((2.5, 2.6), (2, 3)),
        ((-2.6, -2.5), (-3, -2)),
        ((-1e-3, 1e3), (-(2.0**-10) * 1.5, 1024)),
    ],
)
def test_ranges_are_widened_to_round_bounds(given, rounded):
    assert round_range(*given) == rounded
    assert round_range(*rounded) == rounded


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("swish", 8, -1, 1), "no table is made for 'swish'"),
        (("gelo", 8, -1, 1), "did you mean `gelu`"),
        (("gelu", 30, -1, 1), "1 to 24 steps"),
        (("gelu", 8, 1, -1), "is empty"),
    ],
)
def test_no_table_for(arguments, said, cache):
    with pytest.raises(RanvierError, match=said):
        table_for(*arguments)
    assert not cache.exists()


# -- the cache ---------------------------------------------------------------------------------------------------------
def test_a_table_is_fitted_once(cache, short):
    notes = []
    one = table_for("tanh", 3, -1.7, 2, note=notes.append)
    again = table_for("tanh", 3, -1.9, 1.8, note=notes.append)
    assert one == again
    assert len(short) == 1
    assert [p.suffix for p in cache.rglob("*") if p.is_file()] == [".toml"]
    assert not notes


def test_what_is_kept_depends_on_the_whole_recipe(cache):
    others = [
        replace(RECIPE, **change)
        for change in (
            {"function": "silu"}, {"K": 4}, {"low": -3.0}, {"high": 3.0}, {"seed": 1}, {"init": "random"},
            {"iterations": 31}, {"restarts": 2}, {"rounds": 6},
        )
    ]  # fmt: skip
    assert len({store.cache_path(r) for r in (RECIPE, *others)}) == 1 + len(others)


def test_the_version_is_part_of_the_name(cache, monkeypatch):
    before = store.cache_path(RECIPE)
    monkeypatch.setattr(store, "VERSION", VERSION + 1)
    assert store.cache_path(RECIPE) != before


@pytest.mark.parametrize("damage", ["half", "empty", "digit", "version", "binary", "word", "other"])
def test_a_damaged_file_is_said_and_fitted_again(cache, short, damage):
    good = table_for("tanh", 3, -2, 2)
    (path,) = cache.rglob("*.toml")
    text = path.read_text()
    damaged = {
        "half": text[: len(text) // 2],
        "empty": "",
        "digit": text.replace("values=[", "values=[1").replace("values=[1-", "values=[-1"),
        "version": text.replace(f"version = {VERSION}", "version = 0"),
        "word": text.replace("fs_table", "fs"),
        "other": text.replace("seed = 0", "seed = 1"),
    }
    path.write_bytes(b"\xff\x00" if damage == "binary" else damaged[damage].encode())
    notes = []
    assert table_for("tanh", 3, -2, 2, note=notes.append) == good
    assert len(short) == 2
    assert len(notes) == 1
    assert str(path) in notes[0]
    assert table_for("tanh", 3, -2, 2, note=notes.append) == good
    assert len(short) == 2


def test_a_folder_that_cannot_be_written_is_said(tmp_path, short, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "file"))
    notes = []
    table_for("tanh", 3, -2, 2, note=notes.append)
    assert any("could not be kept" in n for n in notes)


def test_writers_at_one_time_leave_a_whole_file(cache):
    code = fit("tanh", 3, -2, 2, iterations=30, restarts=1, rounds=5)
    store.save(RECIPE, code, pytest.fail)
    stop, read = threading.Event(), []

    def reader():
        while not stop.is_set():
            read.append(store.load(RECIPE, pytest.fail))

    watching = threading.Thread(target=reader)
    writing = [
        threading.Thread(target=lambda: [store.save(RECIPE, code, pytest.fail) for _ in range(25)]) for _ in range(4)
    ]
    watching.start()
    for thread in writing:
        thread.start()
    for thread in writing:
        thread.join()
    stop.set()
    watching.join()
    assert read
    assert all(found == code for found in read)
    assert [p.name for p in cache.rglob("*") if p.is_file()] == [store.cache_path(RECIPE).name]


def test_the_folder_is_the_users(monkeypatch):
    monkeypatch.delenv("RANVIER_CACHE", raising=False)
    assert store.cache_folder() == Path.home() / ".cache" / "ranvier"


def test_the_error_that_is_kept_is_the_tables():
    for entry in entries():
        assert squared_error(entry.code) == pytest.approx(entry.error, rel=1e-6)
