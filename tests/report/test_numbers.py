import math

import pytest
from fake_run import fake_run

from mmevolve.report.folder import is_run, open_run
from mmevolve.report.honesty import step_tests
from mmevolve.report.numbers import (
    Point,
    accuracy_critic,
    changed,
    charted,
    families,
    flows,
    gain_of,
    held_out,
    held_out_verdicts,
    points,
    verifier,
)
from mmevolve.store import RunStore
from mmevolve.types import Critique, Step, Trajectory


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return open_run(fake_run(tmp_path_factory.mktemp("run"), warm_up=True))


def test_loops_come_in_the_order_of_the_recipe_and_others_last(folder):
    assert folder.loops == ("warm_up", "evolve", "step_reward")


def test_every_point_is_listed_with_short_names_and_no_nan(folder):
    found = {p.where: p for p in points(folder)}
    assert list(found) == [
        "warm_up before", "warm_up round 0", "evolve before", "evolve round 0", "evolve round 1", "step_reward round 0",
    ]  # fmt: skip
    assert found["warm_up before"].number("accuracy") == pytest.approx(4 / 12)
    assert found["evolve round 1"].number("pass@1") == pytest.approx(7 / 12 - 0.05)
    assert found["step_reward round 0"].number("step_auroc_prm") == 0.8125
    assert found["step_reward round 0"].number("step_auroc_odd") is None
    assert not any(isinstance(v, float) and math.isnan(v) for p in found.values() for v in p.numbers.values())


def test_verdicts_fixed_and_broken_are_counted_by_question(folder):
    first, last = held_out(folder)[0], held_out(folder)[-1]
    assert (first, last) == (("warm_up", "before"), ("evolve", 1))
    assert sum(held_out_verdicts(folder, *first).values()) == 4  # 0 3 6 9
    assert sum(held_out_verdicts(folder, *last).values()) == 7  # 3 6 9, and 1 4 7 10 below 12 * 3 / 3
    assert changed(folder) == (4, 1)
    gain = gain_of(folder)
    assert gain.mean == pytest.approx(3 / 12) and gain.n == 12 and gain.low < gain.mean < gain.high


def test_rows_are_counted_on_their_way(folder):
    found = {(f.loop, f.round): f for f in flows(folder)}
    evolve, reward = found["evolve", 0], found["step_reward", 0]
    assert (evolve.samples, evolve.attempts, evolve.right, evolve.kept, evolve.labels) == (12, 48, 24, 15, False)
    assert (reward.kept, reward.labels) == (48, True)


def test_families_are_compared_first_against_last(folder):
    found = {f.name: f for f in families(folder)}
    assert len(found) == 7 and sum(f.n for f in found.values()) == 12
    assert found["count"].n == 2  # questions 0 and 7: one broken, one fixed
    assert (found["count"].before, found["count"].after) == (0.5, 0.5)


def test_step_scores_are_held_against_the_oracle(folder):
    test = next(t for t in step_tests(folder) if t.loop == "evolve" and t.round == 0)
    assert test.critic == "prm" and test.accepted == test.right
    # wrong steps: one in every lucky attempt (scored 0.8), two in every misread or mute one (scored 0.2)
    assert (test.wrong, test.rejected) == (12 + 24 + 24, 48)
    assert sum(n for n, _ in test.bins) == test.right + test.wrong
    assert test.bins[2] == (48, 0.0)


def test_an_attempt_without_steps_is_not_held_against_the_oracle(tmp_path):
    run = fake_run(tmp_path, rounds=1)
    store = RunStore(run, "evolve")
    said = store.table(0, "critiques")
    silent = [Critique("x/0/9", "prm", None, error="the attempt has no steps"), Critique("x/0/9", "oracle", 0.0)]
    store.write(store.round_folder(0) / "critiques.parquet", [*said, *silent])
    (test,) = step_tests(open_run(run))
    assert (test.wrong, test.rejected) == (60, 48)


def test_a_repeated_before_is_not_drawn_twice():
    shown = charted(
        [Point("a", "before", {"x": 0.1}), Point("a", 0, {"x": 0.2}), Point("b", "before", {"x": 0.2})], "x"
    )
    assert [p.where for p in shown] == ["a before", "a round 0"]
    apart = charted([Point("a", 0, {"x": 0.2}), Point("b", "before", {"x": 0.3}), Point("b", 0, {"y": 1.0})], "x")
    assert [p.where for p in apart] == ["a round 0", "b before"]


def test_the_verifier_is_the_answer_or_whoever_only_says_right_or_wrong():
    prm, rule, named = (Critique("t", n, s) for n, s in (("prm", 0.3), ("rule", 1.0), ("answer", None)))
    assert verifier([prm, rule, named]) == "answer"
    assert verifier([prm, rule]) == "rule"
    assert verifier([prm]) is None


def test_a_damaged_table_is_left_out_and_named(tmp_path):
    run = fake_run(tmp_path)
    (tmp_path / "quickstart/evolve/round=001/metrics.parquet").write_bytes(b"not a table")
    folder = open_run(run)
    assert [p.where for p in points(folder) if p.numbers] == ["evolve before", "evolve round 0"]
    assert len(folder.damaged) == 1 and "round=001" in folder.damaged[0]


def test_only_folders_with_a_recipe_or_rounds_are_runs(tmp_path):
    assert not is_run(str(tmp_path)) and not is_run(str(tmp_path / "nowhere"))
    (tmp_path / "evolve/before").mkdir(parents=True)
    assert is_run(str(tmp_path))


def test_the_gain_is_of_the_critic_that_the_accuracy_is_told_by(tmp_path):
    """Three critics say 0 or 1; the accuracy told is the second's: 1 and 2 of 4 right, so 1 of 4 is gained.

    The first says 1 more often at the end than at the beginning by 2 of 4, and the third agrees with the accuracy at
    the first place only.
    """
    says = {
        "before": {"given": (1, 0, 0, 0), "exact": (0, 0, 1, 0), "third": (1, 0, 0, 0)},
        0: {"given": (1, 1, 1, 0), "exact": (0, 1, 1, 0), "third": (1, 0, 0, 0)},
    }
    for at, scores in says.items():
        store = RunStore(str(tmp_path), "judges")
        tried = [Trajectory(f"s{i}/0/0", f"s{i}", "m", (Step("score : 1"),)) for i in range(4)]
        place = store.round_folder(at)
        store.write(place / "held_out_trajectories.parquet", tried)
        said = [Critique(t.id, name, float(x)) for name, own in scores.items() for t, x in zip(tried, own, strict=True)]
        store.write(place / "held_out_critiques.parquet", said)
        store.write(place / "metrics.parquet", [{"held_out/accuracy": sum(scores["exact"]) / 4}])
    folder = open_run(str(tmp_path))
    assert accuracy_critic(folder) == "exact"
    assert gain_of(folder).mean == 0.25 and changed(folder) == (1, 0)
    assert held_out_verdicts(folder, "judges", 0) == {"s0": 0.0, "s1": 1.0, "s2": 1.0, "s3": 0.0}
    said = folder.table("judges", 0, "held_out_critiques")
    assert verifier(said) == "given" and verifier(said, "exact") == "exact" and verifier(said, "other") == "given"
