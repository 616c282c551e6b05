import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier import artifact
from ranvier.ir.locations import FileLoc
from tests.compiler.networks import SAMPLES, network


@pytest.fixture(scope="module")
def exe():
    passes = "fold-batchnorm, checkpoint{name=folded}, dce, cse, convert-snn{steps=4 threshold=p99.9}"
    return rv.compile(network(), passes, target="meaning", data=SAMPLES)


@pytest.fixture(scope="module")
def saved(exe, tmp_path_factory):
    return exe.save(tmp_path_factory.mktemp("saved") / "net.rvx")


def test_outputs_are_the_same_bits(exe, saved):
    again = rv.load_executable(saved)
    assert np.array_equal(again(SAMPLES), exe(SAMPLES))
    assert again.module == exe.module
    assert again.source == exe.source
    assert again.target == exe.target
    assert again.pipeline == exe.pipeline


def test_the_trace_is_kept(exe, saved):
    again = rv.load_executable(saved)
    assert [s.as_dict() for s in again.trace] == json.loads(json.dumps([s.as_dict() for s in exe.trace]))
    assert [s.module for s in again.trace] == [s.module for s in exe.trace]
    assert again.trace["folded"].name == "fold-batchnorm"
    assert again.trace.diff("source", "folded") == exe.trace.diff("source", "folded")
    assert str(again.trace) == str(exe.trace)
    assert next(iter(again.source.ops)).location == FileLoc("small.py", 3)


def test_an_executable_that_was_loaded_can_be_saved(exe, saved, tmp_path):
    again = rv.load_executable(saved)
    second = again.save(tmp_path / "again.rvx")
    assert np.array_equal(rv.load_executable(second)(SAMPLES), exe(SAMPLES))


def test_it_runs_on_torch(tmp_path):
    exe = rv.compile(network(), "fold-batchnorm", target="torch")
    again = rv.load_executable(exe.save(tmp_path / "t.rvx"))
    assert np.array_equal(again(SAMPLES), exe(SAMPLES))


def test_arrays_are_stored_once(exe, saved):
    with zipfile.ZipFile(saved) as archive:
        names = archive.namelist()
        weights = archive.getinfo("weights.safetensors").file_size
    assert {"manifest.json", "source.rv", "final.rv", "weights.safetensors"} <= set(names)
    distinct = {r.digest: r.array.nbytes for s in exe.trace if s.module for r in s.module.resources.values()}
    assert weights < sum(distinct.values()) + 200 * len(distinct)


def test_the_same_executable_gives_the_same_bytes(exe, saved, tmp_path):
    assert exe.save(tmp_path / "b.rvx").read_bytes() == saved.read_bytes()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_is_found(saved, tmp_path_factory, data):
    content = bytearray(saved.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flipped") / "net.rvx"
    path.write_bytes(content)
    with pytest.raises(rv.RanvierError) as caught:
        rv.load_executable(path)
    assert caught.value.diagnostics[0].code == "damaged-file"


@pytest.mark.parametrize("part", [0, 1, 10, 0.5, 0.999])
def test_a_truncated_file_is_refused(saved, tmp_path, part):
    content = saved.read_bytes()
    path = tmp_path / "net.rvx"
    path.write_bytes(content[: int(part * len(content)) if isinstance(part, float) else part])
    with pytest.raises(rv.RanvierError, match="damaged-file"):
        rv.load_executable(path)


def test_other_files_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.rvx", "w") as archive:
        archive.writestr("a", "b")
    (tmp_path / "b.rvx").write_text("ranvier v1")
    for name in ("a.rvx", "b.rvx"):
        with pytest.raises(rv.RanvierError, match=r"damaged-file.*no executable of Ranvier"):
            rv.load_executable(tmp_path / name)
    with pytest.raises(rv.RanvierError, match="missing-file"):
        rv.load_executable(tmp_path / "c.rvx")


def rewritten(saved, change):
    with zipfile.ZipFile(io.BytesIO(saved.read_bytes())) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    change(manifest, members)
    members["manifest.json"] = json.dumps(manifest).encode()
    return artifact._seal(members)


def test_a_newer_format_is_refused(saved, tmp_path):
    def newer(manifest, members):
        manifest["format"], manifest["ranvier"] = 99, "9.9"

    path = tmp_path / "new.rvx"
    path.write_bytes(rewritten(saved, newer))
    with pytest.raises(rv.RanvierError, match=r"newer-file.*format 99, written by Ranvier 9.9[\s\S]*update Ranvier"):
        rv.load_executable(path)


def test_members_that_are_missing_or_exchanged_are_found(saved, tmp_path):
    path = tmp_path / "x.rvx"
    path.write_bytes(rewritten(saved, lambda manifest, members: members.pop("source.rv")))
    with pytest.raises(rv.RanvierError, match=r"member source.rv is missing or changed"):
        rv.load_executable(path)
    path.write_bytes(rewritten(saved, lambda manifest, members: manifest.pop("format")))
    with pytest.raises(rv.RanvierError, match=r"no readable manifest"):
        rv.load_executable(path)
    path.write_bytes(rewritten(saved, lambda manifest, members: manifest.update(target="nowhere")))
    with pytest.raises(rv.RanvierError, match=r"unknown-target"):
        rv.load_executable(path)


def test_a_refused_write_leaves_nothing(exe, tmp_path):
    with pytest.raises(rv.RanvierError, match="cannot-write"):
        exe.save(tmp_path / "no" / "net.rvx")
    assert not list(tmp_path.iterdir())
