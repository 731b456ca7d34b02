import pytest
from fake_run import EVIL, fake_run

from mmevolve.report.folder import open_run
from mmevolve.report.groups import Attempt, attempts_at, examples_worth_reading
from mmevolve.report.marks import step_marks, whole_marks
from mmevolve.types import Critique, Step, Trajectory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fake_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def groups(run):
    return examples_worth_reading(run, ["evolve"], k=10)


def kinds(groups):
    return {kind: [g for g in groups if g.kind == kind] for kind in dict.fromkeys(g.kind for g in groups)}


def test_ten_groups_of_every_kind_and_no_sample_twice(groups):
    found = kinds(groups)
    assert list(found) == [
        "Fixed by training", "Broken by training", "Right answer, wrong step", "Critics disagree", "Kept for training",
    ]  # fmt: skip
    assert len(groups) == 10 == len({g.sample.id for g in groups})


def test_fixed_and_broken_questions_show_before_and_after(groups):
    found = kinds(groups)
    assert {int(g.sample.id[-6:]) for g in found["Fixed by training"]} <= {1, 4, 7}
    assert [int(g.sample.id[-6:]) for g in found["Broken by training"]] == [0]
    for group in found["Fixed by training"]:
        before, after = group.attempts
        assert (before.where, before.right, after.where, after.right) == (
            "before training",
            False,
            "evolve round 1",
            True,
        )
        assert group.sample.images


def test_right_answers_with_a_wrong_step_were_trained_on_first(groups):
    for group in kinds(groups)["Right answer, wrong step"]:
        first = group.attempts[0]
        assert first.right and first.kept and first.trajectory.id.endswith("/1/1")  # lucky, of the last round
        assert len(group.attempts) == 4


def test_disagreement_is_where_the_learned_score_is_furthest_from_the_truth(groups):
    for group in kinds(groups)["Critics disagree"]:
        said = {c.critic: c.score for c in group.attempts[0].critiques}
        assert (said["prm"], said["oracle"]) == (0.8, 0.0)


def test_kept_groups_open_with_what_was_kept(groups):
    for group in kinds(groups)["Kept for training"]:
        assert group.attempts[0].kept and group.attempts[0].trajectory.id.endswith("/0")


def test_fewer_groups_may_be_asked_for(run):
    assert len(examples_worth_reading(run, k=3)) == 3
    assert examples_worth_reading(run, k=0) == []


def test_a_run_without_kept_questions_still_gives_groups(tmp_path):
    groups = examples_worth_reading(fake_run(tmp_path, samples=False))
    fixed = [g for g in groups if g.kind == "Fixed by training"]
    assert fixed and all(g.sample.question == "" and len(g.attempts) == 2 for g in fixed)


def test_a_run_that_has_just_begun_has_no_groups(tmp_path):
    (tmp_path / "evolve/before").mkdir(parents=True)
    assert examples_worth_reading(str(tmp_path)) == []


def test_every_attempt_at_one_sample_is_found_in_order(run):
    folder = open_run(run)
    places = attempts_at(folder, "shapes-test-0-000004")
    assert [p.kind for p in places] == [
        "evolve before, held_out",
        "evolve round 0, held_out",
        "evolve round 1, held_out",
    ]
    assert [len(p.attempts) for p in attempts_at(folder, "shapes-train-0-000013")] == [4]
    assert attempts_at(folder, "nothing") == []


def attempt(*critiques: Critique) -> Attempt:
    return Attempt("w", Trajectory("t", "s", "m", (Step("a"), Step(EVIL))), critiques, True)


def test_marks_are_signs_for_verdicts_and_numbers_for_learned_scores():
    shown = attempt(
        Critique("t", "oracle", 0.0, (1.0, 0.0), "right\nwrong (logic): 1 + 1 is 2"),
        Critique("t", "prm", 0.31, (0.9, 0.31)),
    )
    first, second = step_marks(shown)
    assert [(m.critic, m.shown, m.good, m.words) for m in first] == [
        ("oracle", "✓", True, ""),
        ("prm", "0.90", True, ""),
    ]
    assert [(m.shown, m.good) for m in second] == [("✗", False), ("0.31", False)]
    assert second[0].words == "does not follow: 1 + 1 is 2"
    assert [m.shown for m in whole_marks(shown)] == ["✗", "0.31"]


def test_scores_that_do_not_fit_the_steps_and_missing_scores_make_no_number():
    shown = attempt(Critique("t", "prm", 0.5, (0.5,)), Critique("t", "judge", None, error="no verdict in the reply"))
    assert step_marks(shown) == [[], []]
    assert [(m.shown, m.words) for m in whole_marks(shown)] == [("0.50", ""), ("no score", "no verdict in the reply")]
