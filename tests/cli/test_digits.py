"""The main job: the recipe of the digits network, as `make demo` builds it."""

from pathlib import Path

import pytest

from ranvier.recipe import load_recipe

RECIPE = Path(__file__).resolve().parents[2] / "examples" / "digits.rvp"


TARGETS = ("torch", "crossbar{adc_bits=8}")


def test_the_recipe_names_four_builds_for_each_target():
    recipe = load_recipe(RECIPE)
    names = [f"{target} steps={steps}" for target in TARGETS for steps in (4, 8, 16, 32)]
    assert [build.name for build in recipe.builds()] == names


@pytest.mark.slow
def test_the_demo_converts_without_loss(ranvier):
    outcome = ranvier("build", RECIPE)
    assert outcome.code == 0
    assert ranvier.written == {"report.html"}
    rows = {tuple(words[:2]): words for line in outcome.out.splitlines() if len(words := line.split()) > 2}
    for target in TARGETS:
        for steps, least in ((4, 95.0), (32, 99.11 - 0.5)):
            t, accuracy, source, agreement, *_ = rows[target, f"steps={steps}"][2:]
            assert (int(t), source) == (steps, "99.11%")
            assert float(accuracy.rstrip("%")) >= least
            assert float(agreement.rstrip("%")) >= least - 0.5
    assert "isaac-128" in outcome.out
