"""What is counted of critics beyond right and wrong: their scores of steps, and VISCO's F1s of what they write.

Figures of scores are functions of how often each step is drawn, so that one resampling of clusters serves areas under
curves and calibration alike; with every weight 1 they are the metrics of the same name, which the tests hold them to.
Papers: VISCO, arXiv:2412.02172 (F1s, VISCore); Guo et al. 2017, arXiv:1706.04599 (ECE).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mmevolve.answers.same_point import same_point
from mmevolve.answers.written_critique import Said, parse
from mmevolve.benchmarks import critic_scores
from mmevolve.benchmarks.score import Scored
from mmevolve.benchmarks.spec import WRITTEN_FIGURES

BINS = 15
FROM_SCORES = ("step_auroc", "step_auprc", "wrong_share", "ece", "brier")
Weights = np.ndarray  # draws x steps
Same = Callable[[Scored, int, str, str], bool]  # response, step, explanation, reference: is the same error named?


def by_words(s: Scored, step: int, explanation: str, reference: str) -> bool:
    """The offline rule: enough words and numbers in common."""
    return same_point(explanation, reference)


@dataclass(frozen=True)
class Steps:
    """Labelled steps that a critic scored.

    Attributes:
        owner: index of the response that each step belongs to.
        scores: of each.
        right: the truth of each.
    """

    owner: np.ndarray
    scores: np.ndarray
    right: np.ndarray


def countable(names: Sequence[str], scored: Sequence[Scored]) -> list[str]:
    """Figures that the responses allow: areas and calibration of scores, explanations only of words."""
    found = [_scores(s) is not None for s in scored]
    without = () if any(found) else FROM_SCORES
    if found and all(found):
        without = tuple(name for name in WRITTEN_FIGURES if name != "answer_f1")
    return [name for name in names if name not in without]


def steps_of(scored: Sequence[Scored]) -> Steps:
    """All labelled steps with a score; a response without scores has none."""
    found = [
        (i, score, bool(label))
        for i, s in enumerate(scored)
        for score, label in zip(_scores(s) or (), s.sample.meta["step_labels"], strict=False)
    ]
    owner, scores, right = zip(*found, strict=True) if found else ((), (), ())
    return Steps(np.array(owner, dtype=int), np.array(scores, dtype=float), np.array(right, dtype=bool))


def _scores(s: Scored) -> tuple[float, ...] | None:
    return critic_scores.steps(s.response, len(s.sample.meta["steps"]))


def weighted(name: str, steps: Steps) -> Callable[[Weights], np.ndarray]:
    """The figure as a function of the steps' weights, (draws x steps) -> (draws); NaN where it is not defined."""
    right = steps.right.astype(float)
    if name == "wrong_share":
        return lambda w: _ratio(w @ (1 - right), w.sum(-1))
    if name in ("ece", "brier"):
        if not ((steps.scores >= 0) & (steps.scores <= 1)).all():  # no probabilities, nothing to calibrate
            return lambda w: np.full(len(w), np.nan)
        if name == "brier":
            return lambda w: _ratio(w @ (steps.scores - right) ** 2, w.sum(-1))
        place = (steps.scores[:, None] > np.arange(1, BINS) / BINS).sum(1)
        gaps = (place[:, None] == np.arange(BINS)) * (right - steps.scores)[:, None]
        return lambda w: _ratio(np.abs(w @ gaps).sum(-1), w.sum(-1))
    order = np.argsort(steps.scores, kind="stable")
    ranked = steps.scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else np.array([], dtype=int)

    def levels(w: Weights) -> tuple[np.ndarray, np.ndarray]:
        """Right and wrong weight at each distinct score, from the lowest."""
        drawn = w[:, order]
        good = np.add.reduceat(drawn * right[order], starts, axis=1)
        return good, np.add.reduceat(drawn, starts, axis=1) - good

    def auroc(w: Weights) -> np.ndarray:
        good, bad = levels(w)
        below = bad.cumsum(1) - bad
        return _ratio((good * (below + bad / 2)).sum(1), good.sum(1) * bad.sum(1))

    def auprc(w: Weights) -> np.ndarray:
        good, bad = levels(w)
        precision = _ratio(bad.cumsum(1), (good + bad).cumsum(1), nothing=0.0)
        return _ratio((bad * precision).sum(1), bad.sum(1))

    return {"step_auroc": auroc, "step_auprc": auprc}[name] if len(ranked) else lambda w: np.full(len(w), np.nan)


def _ratio(part: np.ndarray, whole: np.ndarray, nothing: float = math.nan) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), nothing), where=whole > 0)


def terms(name: str, s: Scored, same: Same = by_words) -> list[list[float]]:
    """(hits, said, true) of a figure as read; were an unread response all wrong; were it all right.

    For `viscore_local` the terms of answers, steps and explanations follow each other.
    """
    if name == "viscore_local":
        parts = [terms(part, s, same) for part in ("answer_f1", "step_f1", "explanation_f1")]
        return [[*a, *b, *c] for a, b, c in zip(*parts, strict=True)]
    meta, unread = s.sample.meta, s.read is None
    wrong = [not meta["answer_right"]] if name == "answer_f1" else [not label for label in meta["step_labels"]]
    found = said(s)
    called = [found.answer] if name == "answer_f1" else list(found.steps)
    credit = [1.0] * len(wrong)
    if name == "explanation_f1":
        credit = [
            _credit(s, k, found.why[k], meta["step_explanations"][k], same) if wrong[k] and called[k] else 0.0
            for k in range(len(wrong))
        ]
    read = _tally(called, wrong, credit)
    if not unread:
        return [read] * 3
    full = [1.0] * len(wrong)
    return [read, _tally([not w for w in wrong], wrong, full), _tally(wrong, wrong, full)]


def f1(x: np.ndarray) -> np.ndarray:
    """(... x 3) -> (...): 2 hits / (said + true)."""
    return _ratio(2 * x[..., 0], x[..., 1] + x[..., 2])


def viscore(x: np.ndarray) -> np.ndarray:
    """(... x 9) -> (...): cube root of the product of the three F1s."""
    return np.cbrt(f1(x[..., :3]) * f1(x[..., 3:6]) * f1(x[..., 6:]))


def alarm(s: Scored) -> list[list[float]] | None:
    """(alarm, 1), three times, for a solution without an error that was judged; None for others."""
    if s.read is None or not all(s.sample.meta["step_labels"]):
        return None
    return [[float(any(s.read)), 1.0]] * 3


def said(s: Scored) -> Said:
    """What a response says, by the form that it has."""
    count = len(s.sample.meta["steps"])
    if _scores(s) is not None:
        whole = critic_scores.answer(s.response)
        verdict = None if whole is None else whole < critic_scores.WRONG_BELOW
        return Said(verdict, critic_scores.verdicts(s.response or "", count) or (None,) * count, ("",) * count)
    return parse(s.response or "", count)


def _credit(s: Scored, step: int, why: str, references: Sequence[str], same: Same) -> float:
    """Share of a step's references whose point an explanation makes; 0 without one."""
    return sum(same(s, step, why, reference) for reference in references) / len(references) if references else 0.0


def _tally(called: Sequence[bool | None], wrong: Sequence[bool], credit: Sequence[float]) -> list[float]:
    hits = sum(c for one, w, c in zip(called, wrong, credit, strict=True) if one and w)
    return [hits, float(sum(map(bool, called))), float(sum(wrong))]
