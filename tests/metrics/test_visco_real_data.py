"""VISCO's measures on sentences that people labelled: CHOCOLATE's captions, as far as they are here."""

import os
from pathlib import Path

import pytest

from mmevolve.benchmarks.critic_named import solution
from mmevolve.benchmarks.load import load_samples
from mmevolve.benchmarks.spec import find, load_spec
from mmevolve.metrics.step_errors import FalseAlarm, FirstError, StepAUPRC
from mmevolve.metrics.visco import VISCO
from mmevolve.types import Critique, Group

SHARED = Path(os.environ.get("MMEVOLVE_DATA") or Path(__file__).parents[3] / "shared" / "data")
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"no data at {SHARED}: set MMEVOLVE_DATA to the folder"),
]


def captions(name, score):
    """Every caption as a group, with people's labels and a critic that scores the k-th step by a rule."""
    loaded = load_samples(load_spec(find(name)), data=str(SHARED), opened=False)
    groups = []
    for sample in loaded.samples:
        t = solution(sample)
        labels = tuple(map(float, sample.meta["step_labels"]))
        said = tuple(score(k, label) for k, label in enumerate(labels))
        critiques = (Critique(t.id, "oracle", min(labels), labels), Critique(t.id, "judge", min(said), said))
        groups.append(Group(sample, (t,), critiques))
    return groups


def test_calling_every_sentence_wrong_has_the_f1_of_the_base_rate():
    """Precision is the share of wrong sentences b, recall 1: F1 2b / (1 + b); nothing is right about the answers."""
    groups = captions("chocolate", lambda k, label: 0.0)
    base = StepAUPRC(rank_by="judge")(groups)["step_auprc_wrong_judge_base"]
    numbers = VISCO()(groups)
    assert 0.3 < base < 0.6
    assert numbers["step_f1_judge"] == pytest.approx(2 * base / (1 + base))
    assert numbers["answer_f1_judge"] != numbers["answer_f1_judge"]  # no labels of answers: not a number
    assert FalseAlarm(rank_by="judge")(groups)["false_alarm_judge"] == 1.0


def test_a_critic_that_says_what_people_said_is_perfect_but_for_its_reasons():
    groups = captions("chocolate", lambda k, label: label)
    numbers = VISCO()(groups) | FirstError(rank_by="judge")(groups)
    assert numbers["step_f1_judge"] == numbers["first_error_judge_f1"] == 1.0
    assert numbers["explanation_f1_judge"] != numbers["explanation_f1_judge"]  # people gave kinds of error, no reasons


def test_vlrmbench_has_right_twins_to_raise_false_alarms_over():
    groups = captions("vlrmbench_steps", lambda k, label: label)
    right = [g for g in groups if g.sample.meta["chain"] == "clean"]
    assert len(right) * 2 == len(groups)
    assert FalseAlarm(rank_by="judge")(groups)["false_alarm_judge"] == 0.0
    assert all(0 in g.sample.meta["step_labels"] for g in groups if g not in right)
