"""Critics on benchmarks: scores as responses, figures of scores against the metrics and by hand, both orders."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from four import ROWS, png, put_spec, write_rows
from four import SPEC as FOUR

from mmevolve.benchmarks import critic_counts, critic_scores
from mmevolve.benchmarks.best_of import best_of
from mmevolve.benchmarks.critic_named import Judge, NamedCritic, is_critic, misfits, named_critic
from mmevolve.benchmarks.evaluate import evaluate
from mmevolve.benchmarks.figures import figures
from mmevolve.benchmarks.load import Loaded, load_samples
from mmevolve.benchmarks.resampled import weighted_interval
from mmevolve.benchmarks.score import judge, response_of
from mmevolve.benchmarks.spec import load_spec
from mmevolve.config.errors import ConfigError
from mmevolve.critics.step_reward import StepReward
from mmevolve.metrics.calibration import Calibration
from mmevolve.metrics.reward import StepAUROC
from mmevolve.metrics.step_errors import FalseAlarm, StepAUPRC
from mmevolve.protocols import TooLong
from mmevolve.store import RunStore
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

SPEC = """\
# Solutions with their steps labelled.
name: steps
title: Steps
items: 3
version: "1"
licence: CC0
paper: none
needs: nothing more
sources:
  - {path: steps/test.jsonl, answer: null, choices: null}
prompt: "{question}\\n{steps}"
extract: [step_scores, critique]
score: all_steps
figures: [f1, first_error, false_alarm, step_auroc, step_auprc, wrong_share, ece, brier, accuracy]
kind: critique
by: [kind]
cluster: image
"""
CHAINS = [
    {"id": "a", "image": "a.png", "question": "?", "steps": ["one", "two"], "step_labels": [1, 0], "kind": "x"},
    {"id": "b", "image": "a.png", "question": "?", "steps": ["three"], "step_labels": [1], "kind": "x"},
    {"id": "c", "image": "b.png", "question": "?", "steps": ["four", "five\nmore"], "step_labels": [0, 1], "kind": "y"},
]
SAID = {"one": 0.9, "two": 0.2, "three": 0.4, "four": 0.6, "five more": 0.8}
RANKED = [(["one", "two"], [0, 1]), (["two", "one"], [0, 1]), (["one", "one"], [0, 1])]
PAIRS = [
    {"id": f"p{i}", "image": "a.png", "query": "?", "response": pair, "rank": rank}
    for i, (pair, rank) in enumerate(RANKED)
]
PAIR_SPEC = """\
# Pairs of responses.
name: pairs
title: Pairs
items: 3
version: "1"
licence: CC0
paper: none
needs: nothing more
sources:
  - {path: pairs/test.jsonl, question: query, choices: response, answer: rank, answer_is: ranks, repeated_choices: keep}
prompt: "{question} {first} {second}"
extract: [pair_scores, preference]
score: letter
figures: [accuracy, circular]
kind: pairwise
repeat: rotations
"""


class Words:
    """A step-reward model that knows each step's score."""

    def describe(self):
        return SAID

    def score_steps(self, chats, completions):
        return [tuple(SAID[line] for line in text.splitlines()) for text in completions]


CRITIC = NamedCritic("words", StepReward(Words()), StepReward(Words()))


@pytest.fixture
def chains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put_spec(tmp_path, SPEC, "steps")
    put_spec(tmp_path, PAIR_SPEC, "pairs")
    write_rows(tmp_path / "data" / "steps" / "test.jsonl", CHAINS)
    write_rows(tmp_path / "data" / "pairs" / "test.jsonl", PAIRS)
    for folder in ("steps", "pairs"):
        for name in ("a.png", "b.png"):
            (tmp_path / "data" / folder / name).write_bytes(png())
    return tmp_path


def judged(name, critic=CRITIC):
    loaded = load_samples(load_spec(f"eval/benchmarks/{name}.yaml"))
    made = Judge(loaded.spec.kind).attempts(critic, [(s, 0) for s in loaded.samples])
    by_id = {s.id: s for s in loaded.samples}
    return loaded.spec, [judge(loaded.spec, by_id[t.sample_id], response_of(t)) for t in made]


def test_a_critics_figures_by_hand(chains):
    """Wrong steps score 0.2 and 0.6, right ones 0.9, 0.4 and 0.8: of six pairs one, 0.4 under 0.6, is the wrong way
    round. Called wrong are two and three: one hit of two called and two wrong. From the lowest: + - +: 1/2 + 1/3."""
    spec, scored = judged("steps")
    found = {f.name: f for f in figures(spec, scored)}
    assert found["step_auroc"].value == pytest.approx(5 / 6)
    assert found["step_auprc"].value == pytest.approx(5 / 6)
    assert found["wrong_share"].value == 0.4 and found["step_auroc"].n == 5
    assert found["f1"].value == 0.5
    assert found["false_alarm"].value == 1.0 and found["false_alarm"].n == 1
    assert found["first_error"].value == pytest.approx(1 / 3)
    assert found["brier"].value == pytest.approx((0.01 + 0.04 + 0.36 + 0.36 + 0.04) / 5)
    assert found["step_auroc, kind x"].value == 1.0


def test_a_critics_scores_are_stored_as_words_and_read_again():
    said = Critique("t", "prm", 0.25, (0.5, 1e-7, 0.25))
    text = critic_scores.words(said)
    assert text == "step 1: 0.5\nstep 2: 1e-07\nstep 3: 0.25\nanswer: 0.25"
    assert critic_scores.steps(text, 3) == (0.5, 1e-7, 0.25) and critic_scores.steps(text, 2) is None
    assert critic_scores.verdicts(text, 3) == (False, True, True) and critic_scores.answer(text) == 0.25
    assert critic_scores.words(Critique("t", "prm", None, error="cannot")) is None


def test_pairs_are_judged_in_both_orders_and_a_tie_is_no_answer(chains):
    spec, scored = judged("pairs")
    assert [s.outcome for s in scored] == ["correct", "correct", "wrong", "wrong", "unparsed", "unparsed"]
    found = {f.name: f.value for f in figures(spec, scored)}
    assert found["accuracy"] == found["circular"] == pytest.approx(1 / 3)


def drawn(seed, chains=30):
    """Chains of a random critic, as scored responses and as a group."""
    draw, spec = random.Random(seed), load_spec("eval/benchmarks/steps.yaml")
    scored, trajectories, critiques = [], [], []
    for i in range(chains):
        size = draw.randrange(1, 5)
        labels, said = [draw.randrange(3) > 0 for _ in range(size)], [draw.randrange(9) / 8 for _ in range(size)]
        sample = Sample(f"s{i}", "?", meta={"steps": ["x"] * size, "step_labels": list(map(int, labels)), "kind": "x"})
        t = Trajectory(f"s{i}/0/0", "s", "m", (Step("x"),) * size)
        critic = Critique(t.id, "prm", min(said), tuple(said))
        scored.append(judge(spec, sample, critic_scores.words(critic)))
        trajectories.append(t)
        critiques += [critic, Critique(t.id, "oracle", 1.0, tuple(map(float, labels)))]
    return spec, scored, Group(Sample("s", "?"), tuple(trajectories), tuple(critiques))


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_the_metrics_of_the_same_name(chains, seed):
    spec, scored, group = drawn(seed)
    found = {f.name: f.value for f in figures(spec, scored)}
    steps = Calibration(truth="oracle", over="steps")([group])
    assert found["step_auroc"] == pytest.approx(StepAUROC()([group])["step_auroc_prm"])
    assert found["step_auprc"] == pytest.approx(StepAUPRC()([group])["step_auprc_wrong_prm"])
    assert found["wrong_share"] == pytest.approx(StepAUPRC()([group])["step_auprc_wrong_prm_base"])
    assert found["ece"] == pytest.approx(steps["ece_prm_steps"])
    assert found["brier"] == pytest.approx(steps["brier_prm_steps"])
    assert found["false_alarm"] == pytest.approx(FalseAlarm()([group])["false_alarm_prm"])


@pytest.mark.parametrize("name", critic_counts.FROM_SCORES)
def test_a_weight_of_two_is_the_step_twice(chains, name):
    _, scored, _ = drawn(3)
    steps = critic_counts.steps_of(scored)
    times = np.random.default_rng(0).integers(0, 4, size=len(steps.owner))
    again = np.repeat(np.arange(len(times)), times)
    repeated = critic_counts.Steps(steps.owner[again], steps.scores[again], steps.right[again])
    fast = critic_counts.weighted(name, steps)(times[None, :].astype(float))[0]
    slow = critic_counts.weighted(name, repeated)(np.ones((1, len(again))))[0]
    assert fast == pytest.approx(slow, abs=1e-12)


def test_an_interval_draws_clusters_whole():
    """Two clusters, all right and all wrong: the share is 0, 1/2 or 1, whatever their size."""
    mine = np.array([0, 0, 0, 1, 1, 1])
    right = np.array([1.0, 1, 1, 0, 0, 0])
    seen = set()

    def share(w):
        seen.update(np.round(w @ right / w.sum(1), 9).tolist())
        return w @ right / w.sum(1)

    assert weighted_interval(mine, 2, share, draws=200) == (0.0, 1.0)
    assert seen == {0.0, 0.5, 1.0}
    assert weighted_interval(mine, 2, share, draws=200) == weighted_interval(mine, 2, share, draws=200)


def test_scores_that_are_no_probabilities_are_ranked_and_not_calibrated(chains):
    spec, scored, _ = drawn(1)
    shifted = [
        replace(s, response="\n".join(f"step {k}: {k - 3}" for k in range(1, len(s.sample.meta["steps"]) + 1)))
        for s in scored
    ]
    found = {f.name: f for f in figures(spec, shifted)}
    assert math.isnan(found["ece"].value) and math.isnan(found["brier"].value)
    assert 0 <= found["step_auroc"].value <= 1


def test_words_have_no_areas_and_scores_no_explanations(chains):
    spec, scored = judged("steps")
    names = ("f1", "answer_f1", "explanation_f1", "viscore_local", "step_auroc")
    assert critic_counts.countable(names, scored) == ["f1", "answer_f1", "step_auroc"]
    words = [judge(spec, s.sample, "1: correct\n2: incorrect, it is red") for s in scored]
    assert critic_counts.countable(names, words) == ["f1", "answer_f1", "explanation_f1", "viscore_local"]


def test_an_attempt_too_long_for_the_critic_is_an_error_and_the_others_are_judged(chains):
    class Short(Words):
        def score_steps(self, chats, completions):
            if any("four" in text for text in completions):
                raise TooLong("the prompt has 520 tokens")
            return super().score_steps(chats, completions)

    _, scored = judged("steps", NamedCritic("short", StepReward(Short()), StepReward(Short())))
    assert [s.outcome for s in scored] == ["correct", "wrong", "error"]
    made = Judge("critique").attempts(
        NamedCritic("s", StepReward(Short()), StepReward(Short())), [(scored[2].sample, 0)]
    )
    assert made[0].sampling["error"] == "the prompt has 520 tokens"


def test_what_a_critic_cannot_be_asked_is_said_before_anything_is_asked(chains, capsys):
    assert is_critic("yes_no:mmevolve:tiny_vlm") and is_critic("{_target_: critics.Vote}") and not is_critic("a/b")
    put_spec(chains, FOUR)
    write_rows(chains / "data" / "four" / "test.jsonl", ROWS)
    for name in ("a.png", "b.png"):
        (chains / "data" / "four" / name).write_bytes(png())
    loaded = load_samples(load_spec("eval/benchmarks/four.yaml"))
    assert list(misfits("yes_no:m", [loaded])) == [
        "four asks for an answer, which the critic 'yes_no:m' does not write: name a model"
    ]
    assert evaluate("yes_no:mmevolve:tiny_vml", "steps") == 2
    assert "the nearest is 'mmevolve:tiny_vlm'" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        named_critic("{_target_: critics.Votes}")


def test_a_critic_is_evaluated_and_its_scores_scored_again_without_it(chains, capsys, monkeypatch):
    monkeypatch.setattr("mmevolve.benchmarks.heavy.named_critic", lambda name, dtype: CRITIC)
    monkeypatch.setattr("mmevolve.benchmarks.evaluate.below", lambda name: None)
    assert evaluate("yes_no:words", "steps,pairs", out="out") == 0
    first = capsys.readouterr().out
    assert "step_auroc" in first and "circular" in first
    assert evaluate("out/steps", "steps", out="again") == 0
    whole = [json.loads((chains / place / "steps/scores.json").read_text()) for place in ("out", "again")]
    assert whole[0]["figures"] == whole[1]["figures"]
    assert whole[0]["figures"]["step_auroc"]["value"] == pytest.approx(5 / 6)


class Knows:
    """A step-reward model that scores an attempt by its number."""

    def describe(self):
        return "knows"

    def score_steps(self, chats, completions):
        return [tuple(float(line) / 10 for line in text.splitlines()) for text in completions]


def test_the_best_of_k_stored_answers_by_a_critic_by_majority_and_by_an_oracle(chains):
    """Answers 3 (right), 7, 7 and 1: scores .3 .7 .7 .1. Best of one: 1/4. Of two: the right one leads in 1 of 6 draws
    (with 1). Of four never. The vote: of four 7 wins; of two 3 wins alone or by half in draws with it: 3 * 1/2 / 6."""
    sample = Sample("q", "?", answer="3")
    put_spec(chains, FOUR)
    spec = load_spec("eval/benchmarks/four.yaml")
    loaded = Loaded(spec, (sample,), frozenset({"q"}), "", "here")
    scored = [judge(spec, sample, text, j) for j, text in enumerate(["3", "7", "7", "1"])]
    critic = NamedCritic("knows", StepReward(Knows()), StepReward(Knows()))
    found = {f.name: f for f in best_of(critic, loaded, scored, RunStore(str(chains), "ranked"), 2)}
    assert {name: found[f"{name}@4"].value for name in ("best_of", "majority", "oracle")} == {
        "best_of": 0.0, "majority": 0.0, "oracle": 1.0,
    }  # fmt: skip
    assert found["best_of@1"].value == found["majority@1"].value == found["oracle@1"].value == 0.25
    assert found["best_of@2"].value == pytest.approx(1 / 6)
    assert found["majority@2"].value == pytest.approx(1 / 4)
    assert found["oracle@2"].value == 0.5 and found["oracle@2"].low is None
    with pytest.raises(ValueError, match="four: one response a question, the best of several needs at least two"):
        best_of(critic, loaded, scored[:1], RunStore(str(chains), "one"), 1)
