"""Read noise that is referred to the output: its variance, against cells that are drawn, and its streams."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.ir.hardware.noise import cell_variance, constant_variance, normals


@pytest.mark.parametrize("kind", ["constant", "proportional"])
def test_variance_is_that_of_cells_that_are_drawn(kind: str) -> None:
    rng = np.random.default_rng(0)
    g, sigma, reads = rng.integers(0, 4, (32, 5)) * 1.0, 0.1, 40000
    x = rng.integers(0, 4, 32) * 1.0
    each = sigma * (g if kind == "proportional" else np.ones_like(g))
    drawn = np.concatenate(
        [np.einsum("k,rko->ro", x, g + each * rng.standard_normal((4000, 32, 5))) for _ in range(reads // 4000)]
    )
    if kind == "constant":
        variance = np.broadcast_to(constant_variance(x[None], sigma), (1, 5))
    else:
        variance = cell_variance(x[None], each**2)
    noise = np.sqrt(variance) * normals(1, "op", 0, range(reads), 0, (reads, 5))
    np.testing.assert_allclose(drawn.var(0), variance[0], rtol=0.03)
    np.testing.assert_allclose(drawn.var(0).mean(), variance[0].mean(), rtol=0.02)
    np.testing.assert_allclose(noise.var(0).mean(), variance[0].mean(), rtol=0.02)
    assert abs(np.corrcoef(noise.T) - np.eye(5)).max() < 0.02


def test_numbers_are_normal() -> None:
    n = normals(0, "k", 0, range(50), 0, (50, 4000)).ravel().astype(np.float64)
    assert abs(n.mean()) < 0.01
    assert n.var() == pytest.approx(1, rel=0.01)
    assert (n**3).mean() == pytest.approx(0, abs=0.03)
    assert (n**4).mean() == pytest.approx(3, rel=0.02)


def test_a_sample_draws_the_same_in_every_batch() -> None:
    whole = normals(3, "k", 1, [7, 2, 9, 4], 5, (4, 3, 10))
    parts = [normals(3, "k", 1, ids, 5, (len(ids), 3, 10)) for ids in ([7], [2, 9], [4])]
    assert np.array_equal(whole, np.concatenate(parts))
    assert np.array_equal(normals(3, "k", 1, [4, 7], 5, (2, 3, 10)), whole[[3, 0]])


def test_every_part_of_the_key_counts() -> None:
    base = dict(seed=3, key="k", trial=1, sample_ids=[7], step=5, shape=(1, 64), part=0)
    first = normals(**base)  # type: ignore[arg-type]
    for name, value in dict(seed=4, key="l", trial=2, sample_ids=[8], step=6, part=1).items():
        other = normals(**(base | {name: value}))  # type: ignore[arg-type]
        assert not np.intersect1d(first, other).size
