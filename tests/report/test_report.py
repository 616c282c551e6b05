"""The report: one file, nothing loaded, everything escaped, all stages and builds in it."""

import dataclasses
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

import ranvier as rv
from ranvier.report import write_report
from ranvier.report.chart import Series, line_chart
from ranvier.report.diffs import MOST_LINES, cut, diff, whole
from ranvier.report.highlight import highlight

NET = """ranvier v1 "tiny"
graph @main(%x: tensor<Nx4xf32>) -> (y: tensor<Nx4xf32>) {
  %a = nn.relu(%x) : tensor<Nx4xf32>
  %b = nn.relu(%x) : tensor<Nx4xf32>
  %d = nn.add(%a, %b) : tensor<Nx4xf32>
  return %d
}
"""
SAMPLES = np.linspace(-1, 1, 32, dtype=np.float32).reshape(8, 4)
EVIL = '<script>alert("1")</script> & <b>'
VOID = {"meta", "link", "br", "hr", "img", "input", "circle", "line", "polyline"}


class Page(HTMLParser):
    """Reads a page strictly: tags must close in order; keeps ids, links and what would be loaded."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.loads += [given[key] for key in ("src", "data", "srcset") if key in given]
        self.loads += [given["href"]] if tag == "link" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def build(steps: int = 0):
    executable = rv.compile(rv.parse(NET), "cse, dce", target="meaning", data=SAMPLES)
    evaluation = executable.evaluate(SAMPLES, np.arange(8) % 4)
    if steps:
        changes = {"timesteps": steps, "accuracy": 1 - 1 / steps, "agreement": 1 - 0.5 / steps, "source_accuracy": 1.0}
        evaluation = dataclasses.replace(evaluation, **changes)
    return SimpleNamespace(name=f"steps={steps}", target="meaning", executable=executable, evaluation=evaluation)


@pytest.fixture
def one(tmp_path):
    made = build()
    made.executable.report(tmp_path / "r.html", made.evaluation)
    return (tmp_path / "r.html").read_text()


@pytest.fixture
def several(tmp_path):
    write_report([build(steps) for steps in (4, 8, 16)], tmp_path / "r.html")
    return (tmp_path / "r.html").read_text()


@pytest.mark.parametrize("page", ["one", "several"])
def test_the_page_is_whole_and_loads_nothing(page, request):
    text = request.getfixturevalue(page)
    read = Page(text)
    assert text.startswith("<!doctype html>")
    assert read.loads == []
    assert all(link.startswith("#") for link in read.links)
    for word in ("http://", "https://", "@import", "url("):
        assert word not in text
    assert len(read.ids) == len(set(read.ids))
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)


def test_every_stage_is_there_with_its_changes(one):
    read = Page(one)
    assert {f"build-1-{n}" for n in range(4)} <= set(read.ids)
    assert 'class="l gone"' in one
    assert "nn.relu -1" in read.text
    assert "The lowered plan" in read.text
    assert "not modelled" in read.text.lower()


def test_one_build_has_neither_tabs_nor_chart(one):
    assert "tablist" not in one.split("<script>")[0]
    assert "<svg" not in one


def test_several_builds_have_tabs_and_a_chart(several):
    assert several.count('role="tab"') == 3 + several.split("<script>")[1].count('role="tab"')
    assert several.count("<svg") == 1
    assert "accuracy: 4 → 75.00%" in several


def test_what_comes_from_outside_is_escaped(tmp_path):
    made = build()
    stage = made.executable.trace[1]
    stage.notes.append(EVIL)
    stage.tables["coverage"] = [{EVIL: EVIL, "value": 0.5}]
    made.name = EVIL
    write_report([made], tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert EVIL not in text
    assert "<b>" not in text
    assert Page(text).tags.count("script") == 1
    assert EVIL in Page(text).text


def test_rewrites_and_the_reason_of_the_nearest_miss(tmp_path):
    made = build()
    miss = {"rule": "fold", "algebra": "a + b", "matched": 2, "at": "<op>", "reason": "%w is used elsewhere"}
    applied = {"rule": "merge", "algebra": "x + 0 => x", "at": "<op>", "made": []}
    made.executable.trace[1].rewrites.append({"applied": [applied, applied], "misses": {"a + b": miss}})
    write_report([made], tmp_path / "r.html")
    read = Page((tmp_path / "r.html").read_text())
    assert "%w is used elsewhere" in read.text
    assert "x + 0 => x" in read.text
    assert "2 rewrites" in read.text


def test_a_report_of_a_loaded_artifact_is_the_same(tmp_path):
    made = build()
    made.executable.save(tmp_path / "net.rvx")
    rv.load_executable(tmp_path / "net.rvx").report(tmp_path / "loaded.html", made.evaluation)
    made.executable.report(tmp_path / "made.html", made.evaluation)
    assert (tmp_path / "loaded.html").read_text() == (tmp_path / "made.html").read_text()


def test_no_partial_report(tmp_path, monkeypatch):
    made = build()
    (tmp_path / "r.html").write_text("an older one")
    monkeypatch.setattr("ranvier.report.page.render", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        made.executable.report(tmp_path / "r.html")
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
    monkeypatch.setattr("ranvier.report.page.render", lambda *_: "")
    with pytest.raises(rv.RanvierError, match="there is no folder"):
        made.executable.report(tmp_path / "nowhere" / "r.html")


def test_a_large_module_is_cut_with_a_note(tmp_path):
    lines = [f"  %v{n} = nn.relu(%x) : tensor<Nx4xf32>" for n in range(MOST_LINES + 10)]
    text = NET.replace("  return", "\n".join(lines) + "\n  return")
    executable = rv.compile(rv.parse(text), "cse", target="meaning")
    executable.report(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "Cut here: " in page
    assert f"%v{MOST_LINES + 9} =" not in page


# -- parts -------------------------------------------------------------------------------------------------------------
def applied(lines, before):
    """What a diff makes of `before`."""
    out, at = [], 0
    for line in lines:
        if line.kind == "gap":
            out += before[at : at + line.skipped]
            at += line.skipped
        else:
            out += [] if line.kind == "gone" else [line.text]
            at += line.kind != "new"
    return out


@pytest.mark.parametrize("seed", range(20))
def test_a_diff_turns_the_one_text_into_the_other(seed):
    draw = np.random.default_rng(seed)
    before = [f"%v{n} = {draw.integers(3)}" if n % 2 else f"line {n}" for n in draw.integers(0, 30, 60)]
    after = [line for line in before if draw.random() > 0.1]
    for _ in range(5):
        after.insert(int(draw.integers(0, len(after) + 1)), "new")
    assert applied(diff(before, after), before) == after


def test_a_value_stands_beside_what_became_of_it():
    before = ["%a = nn.relu(%x)", "%b = nn.relu(%a)"]
    after = ["%a.s = snn.neuron(%x)", "%a = snn.psp(%a.s)", "%b.s = snn.neuron(%a)", "%b = snn.psp(%b.s)"]
    lines = [(line.kind, line.text.split(" =")[0]) for line in diff(before, after)]
    assert lines == [("new", "%a.s"), ("gone", "%a"), ("new", "%a"), ("new", "%b.s"), ("gone", "%b"), ("new", "%b")]


def test_equal_texts_have_no_diff():
    assert diff(["a", "b"], ["a", "b"]) == []
    assert [line.text for line in whole(["a", "b"])] == ["a", "b"]


def test_cut_counts_what_it_leaves_out():
    assert cut("a\nb\nc", 2) == cut("a\nb\nc", 2)
    assert (cut("a\nb\nc", 2).lines, cut("a\nb\nc", 2).left_out) == (("a", "b"), 1)


@pytest.mark.parametrize("line", ['%a = nn.relu(%x) : tensor<N> loc(file("a<b>.py", 3))', '$w = "</pre>" & more', ""])
def test_highlighting_changes_no_letter(line):
    read = Page(f"<pre>{highlight(line)}</pre>")
    assert read.text == line
    assert set(read.tags) <= {"pre", "i"}


def test_a_chart_of_one_point_is_none():
    assert line_chart([Series("accuracy", ((4.0, 0.5),), "first")], "t", "x") == ""


@pytest.mark.parametrize("values", [(0.0, 0.0), (1.0, 1.0), (0.1, 0.97), (0.9911, 0.9911)])
def test_a_chart_keeps_its_points_inside(values):
    drawn = line_chart([Series("a", ((4.0, values[0]), (32.0, values[1])), "first")], EVIL, "T")
    read = Page(str(drawn))
    assert "script" not in read.tags
    for part in str(drawn).split('points="')[1].split('"')[0].split():
        across, down = map(float, part.split(","))
        assert 0 <= across <= 520
        assert 0 <= down <= 240
