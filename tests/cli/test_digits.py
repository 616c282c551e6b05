"""The main job: the recipe of the digits network, as `make demo` builds it."""

from pathlib import Path

import pytest

from ranvier.recipe import load_recipe

RECIPE = Path(__file__).resolve().parents[2] / "examples" / "digits.rvp"


def test_the_recipe_names_four_builds():
    recipe = load_recipe(RECIPE)
    assert [build.name for build in recipe.builds()] == [f"steps={steps}" for steps in (4, 8, 16, 32)]


@pytest.mark.slow
def test_the_demo_converts_without_loss(ranvier):
    outcome = ranvier("build", RECIPE)
    assert outcome.code == 0
    assert ranvier.written == {"report.html"}
    rows = {words[0]: words for line in outcome.out.splitlines() if (words := line.split())}
    for steps, least in ((4, 95.0), (32, 99.11 - 0.5)):
        _, target, t, accuracy, source, agreement, *_ = rows[f"steps={steps}"]
        assert (target, int(t), source) == ("torch", steps, "99.11%")
        assert float(accuracy.rstrip("%")) >= least
        assert float(agreement.rstrip("%")) >= least - 0.5
