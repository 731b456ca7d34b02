"""What a run says before it starts."""

from pathlib import Path

import pytest

from mmevolve.config import load
from mmevolve.launch import loop_name, loop_names, loops_of, plan_lines
from mmevolve.loops import measure
from mmevolve.store import RunStore

RECIPES = sorted((Path(__file__).parents[1] / "recipes").rglob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_can_be_told_in_words(path):
    recipe = load(path)
    lines = plan_lines(recipe)
    assert lines[0] == path.read_text().splitlines()[0].removeprefix("# ")
    for name in loop_names(recipe):
        assert any(line.startswith(f"  {name} ") for line in lines)


def test_shared_numbers_are_looked_up_for_the_plan():
    lines = plan_lines(load(RECIPES[0].parents[1] / "recipes/shapes/nlvr.yaml", ["train_questions=900"]))
    assert "4 rounds  225 questions x 8 attempts, 45 gradient steps" in "\n".join(lines)


def test_the_quickstarts_volume_is_what_the_readme_shows():
    lines = "\n".join(plan_lines(load(RECIPES[0].parents[1] / "recipes/quickstart.yaml")))
    assert "800 questions x 8 attempts, 45 gradient steps" in lines


def test_the_plan_says_what_the_held_out_questions_can_show():
    recipe = RECIPES[0].parents[1] / "recipes/quickstart.yaml"
    # Connor: d * sqrt(600) = 1.96 * sqrt(0.3) + 0.842 * sqrt(0.3 - d^2) at d = 0.0625
    assert "600 held-out questions can show a gain of 6.3 points" in "\n".join(plan_lines(load(recipe)))
    assert "can show" not in "\n".join(plan_lines(load(RECIPES[0].parents[1] / "recipes/mstar.yaml")))


def test_a_recipe_that_only_measures_is_planned_run_and_finished(tmp_path):
    recipe = load(Path(__file__).parents[1] / "recipes" / "shapes" / "self_refine.yaml")
    assert any("once" in line and "measured, nothing is trained" in line for line in plan_lines(recipe))
    assert [loop_name(loop) for loop in loops_of(recipe.plain())] == ["measure"]
    store, policy = RunStore(str(tmp_path)), Still()
    said = []

    def evaluation(policy, store, *, at):
        said.append(at)
        return {"held/accuracy": 0.5}

    assert measure(store=store, policy=policy, evaluations=[evaluation]) is policy
    assert said == ["before"] and not list(tmp_path.glob("measure/round=*"))
    (row,) = store.stage("measure").table("before", "metrics")
    assert row == {"rows": 0, "held/accuracy": 0.5}


class Still:
    """A policy that is only measured."""

    name = "still"

    def mark_home(self):
        pass
