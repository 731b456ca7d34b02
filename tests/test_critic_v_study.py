"""The arithmetic of the study of Critic-V: what a critique finds, what became of answers, votes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from mmevolve.types import Critique, Group, Sample, Step, Trajectory


@pytest.fixture(scope="module")
def study():
    """The script; it imports its neighbour from its folder."""
    folder = str(Path(__file__).parents[1] / "eval" / "studies")
    sys.path.insert(0, folder)
    yield importlib.import_module("critic_v")
    sys.path.remove(folder)


def judged(name, *rows, meta=None, **critics):
    """Attempts of a question by text, answer and score, and further critics' step scores."""
    attempts = tuple(
        Trajectory(
            f"{name}/{i}", name, "m", tuple(Step(x) for x in text.splitlines()), answer=answer, sampling=sampling
        )
        for i, (text, answer, _, sampling) in enumerate(rows)
    )
    said = [Critique(t.id, "answer", row[2]) for t, row in zip(attempts, rows, strict=True)]
    said += [Critique(attempts[0].id, critic, min(scores), scores) for critic, scores in critics.items() if scores]
    said += [Critique(attempts[0].id, critic, None, error="unread") for critic, scores in critics.items() if not scores]
    return Group(Sample(name, "?", meta=meta or {}), attempts, tuple(said))


def test_step_f1_is_pooled_and_alarms_are_of_answers_without_an_error(study):
    """Hits 1 + 0, said 3 + 1, wrong 2 + 0: F1 2 / 6; one of two faultless answers raises an alarm."""
    runs = [{"a": study.counts({0, 1, 4}, {1, 2})}, {"a": study.counts({3}, set()), "b": study.counts(set(), set())}]
    assert study.pooled(runs) == pytest.approx((2 / 6, 1 / 4, 1 / 2, 1 / 2))


def test_the_gap_of_step_f1_is_that_of_the_pooled_counts(study):
    before = [{"a": study.counts({0}, {0, 1}), "b": study.counts({2}, {1})}]
    after = [{"a": study.counts({0, 1}, {0, 1}), "b": study.counts({2}, {1})}]
    gap = study.f1_gap(before, after)
    assert gap.mean == pytest.approx(2 * 2 / 6 - 2 * 1 / 5)
    assert gap.low <= gap.mean <= gap.high


def test_what_is_found_of_errors_put_in_and_of_the_reasoners_own(study):
    meta = {
        "steps": ["a : 1", "b : 2"],
        "errors": [{"step": 1, "kind": "perception", "original": "b : 3", "changed": ""}],
    }
    said = ("look 1 : a : 1\nlook 2 : b : 3", None, None, {})
    assert study.inserted([judged("q", said, meta=meta)])["q"].row == (1, 1, 1)
    own = ("a : 1\nb : 2\nc : 3", None, 0.0, {})
    scores = {"errors": (1.0, 0.0, 1.0), "oracle": (1.0, 0.0, 0.0), "written": (0.0, 0.0, 0.0)}
    assert study.natural([judged("q", own, **scores)], "errors")["q"].row == (1, 3, 1)
    assert study.natural([judged("q", own, **scores)], "oracle")["q"].row == (2, 3, 2)
    assert study.natural([judged("q", own, **(scores | {"written": ()}))], "errors")["q"].row == (0, 0, 1)


def test_what_became_of_first_answers(study):
    first = {"arms": ["all_wrong", "resample"], "attempts": 3}
    chain = {"chain": "q/0", "attempts": 3}
    rows = [
        ("x", "1", 1.0, first),
        ("x", "2", 0.0, {**chain, "arm": "all_wrong", "turn": 1}),
        ("x", "1", 1.0, {**chain, "arm": "resample", "turn": 1}),
        ("x", "3", 0.0, {**chain, "arm": "resample", "turn": 2}),
    ]
    found = study.told([judged("q", *rows), judged("p", ("x", "1", 0.0, first))])
    assert found["all_wrong"].harmed == {"q": 1.0, "p": 0.0} and found["all_wrong"].mended == {"q": 0.0, "p": 0.0}
    assert found["resample"].last == {"q": 0.0, "p": 0.0} and found["resample"].more == {"q": 2.0, "p": 0.0}


def test_the_commonest_answer_is_voted_and_of_equals_the_earliest(study):
    most = judged("a", ("x", "1", 0.0, {}), ("x", "2", 1.0, {}), ("x", "2", 1.0, {}))
    tied = judged("b", ("x", None, 0.0, {}), ("x", "2", 1.0, {}), ("x", "3", 0.0, {}))
    none = judged("c", ("x", None, 0.0, {}))
    one = study.voted([most, tied, none], {"a": 0.0, "b": 0.0, "c": 0.0})
    assert one.last == {"a": 1.0, "b": 1.0, "c": 0.0} and one.mended == {"a": 1.0, "b": 1.0, "c": 0.0}


def test_critic_v_beside_its_controls_on_more_questions(study, monkeypatch):
    """Two questions right at first: its critiques keep one, another's break both, and drawing again keeps both."""
    first = {"arms": ["all_wrong", "resample", "shuffled"], "attempts": 2}
    later = {"chain": "q/0", "attempts": 2, "turn": 1}

    def asked(name, **last):
        told = [("x", "1", score, {**later, "arm": arm, "chain": f"{name}/0"}) for arm, score in last.items()]
        return judged(name, ("x", "1", 1.0, first), *told)

    groups = [
        asked("a", all_wrong=1.0, resample=1.0, shuffled=0.0),
        asked("b", all_wrong=0.0, resample=1.0, shuffled=0.0),
    ]
    monkeypatch.setattr(study, "stored", lambda *where: groups)
    rows = [line.split(" | ")[:3] for line in study.of_more_questions(["a run"])[2:]]
    assert rows == [
        ["| first answer", "100.0", ""],
        ["| Critic-V", "50.0", "50.0"],
        ["| drawn again where an error is found", "100.0", "0.0"],
        ["| another's critique", "0.0", "100.0"],
    ]
