"""How much hangs on the wording of the prompt: accuracy over templates.

Paper: Lee et al. 2024, "TRAIT", arXiv:2406.14703. Differs: beside the share of changed answers, the spread of accuracy,
held against a null in which the wording makes no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmevolve.controls.link import KEY, pair
from mmevolve.controls.resampling import DEFAULT, Resampling
from mmevolve.controls.said import labels
from mmevolve.controls.wordings import OWN
from mmevolve.metrics.accuracy import share_right
from mmevolve.statistics import Interval
from mmevolve.types import Group


@dataclass(frozen=True)
class PromptSensitivity:
    """One set of questions under several prompt templates.

    Attributes:
        accuracy: of each template.
        spread: accuracy of the best template minus that of the worst, paired. Best and worst are chosen on these very
            samples, so the spread is never below 0 and its interval leans up: judge it by the null.
        deviation: standard deviation of the accuracies over templates.
        null_mean: mean spread if templates made no difference.
        p: chance of at least this spread if templates made no difference.
        changed: share of samples whose first attempts do not all agree: the prompt sensitivity of TRAIT.
    """

    accuracy: dict[str, Interval]
    spread: Interval
    deviation: float
    null_mean: float
    p: float
    changed: Interval


def prompt_sensitivity(
    by_template: Mapping[str, Sequence[Group]],
    *,
    critic: str = "answer",
    draws: int = 2_000,
    resampling: Resampling = DEFAULT,
) -> PromptSensitivity:
    """Spread of accuracy over prompt templates, and how many answers they change.

    If the template did not matter, a sample's results could as well stand under each other's templates: the null
    exchanges them within samples.

    Args:
        by_template: judged groups of the same samples, by template.
        critic: the verifier.
        draws: exchanges drawn for the null.
        resampling: how the intervals are drawn; its seed is also that of the exchanges.

    Raises:
        ValueError: when there are not two templates, or their samples differ.
    """
    names = list(by_template)
    if len(names) < 2:
        raise ValueError(f"prompt sensitivity is between templates: got {names}, expected two or more")
    asked = {name: {g.sample.id: g for g in by_template[name]} for name in names}
    ids = list(asked[names[0]])
    for name in names:
        odd = set(asked[name]) ^ set(ids)
        if odd or not ids or len(by_template[name]) != len(ids):
            apart = f", '{min(odd)}' for one" if odd else ""
            raise ValueError(
                f"templates '{names[0]}' and '{name}' have {len(by_template[names[0]])} and {len(by_template[name])} "
                f"groups, {len(odd)} samples under one only{apart}: expected the same samples, each once"
            )
    rows = [[asked[name][i] for name in names] for i in ids]
    samples = [row[0].sample for row in rows]
    shares = np.array([[share_right(g, critic) for g in row] for row in rows])
    means = shares.mean(axis=0)
    best, worst = int(means.argmax()), int(means.argmin())
    spread = float(means[best] - means[worst])
    null = _null(shares, draws, resampling.seed)
    changed = [float(len({x for first in labels(row) for x in first[:1]}) > 1) for row in rows]
    return PromptSensitivity(
        {name: resampling.share(samples, shares[:, j].tolist()) for j, name in enumerate(names)},
        _never_below(resampling.shift(samples, shares[:, worst].tolist(), shares[:, best].tolist())),
        float(means.std()),
        float(null.mean()),
        float((1 + (null >= spread - 1e-9).sum()) / (1 + draws)),
        resampling.share(samples, changed),
    )


def over_wordings(
    originals: Sequence[Group], variants: Sequence[Group], *, critic: str = "answer", resampling: Resampling = DEFAULT
) -> PromptSensitivity:
    """Prompt sensitivity over the benchmark's own prompt and the wordings of `reworded` variants.

    Raises:
        ValueError: when the groups do not pair, or a sample lacks a wording that another has.
    """
    by_template: dict[str, list[Group]] = {OWN: []}
    for p in pair(originals, variants):
        by_template[OWN].append(p.original)
        for group in p.variants:
            name = group.sample.meta[KEY]["wording"]
            by_template.setdefault(name, []).append(replace(group, sample=replace(group.sample, id=p.sample.id)))
    return prompt_sensitivity(by_template, critic=critic, resampling=resampling)


def _never_below(spread: Interval) -> Interval:
    return replace(spread, low=max(spread.low, 0.0)) if np.isfinite(spread.low) else spread


def _null(shares: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Spread after exchanging each sample's results between templates, drawn again and again."""
    generator = np.random.default_rng(seed)
    found = np.empty(draws)
    for i in range(draws):
        means = generator.permuted(shares, axis=1).mean(axis=0)
        found[i] = means.max() - means.min()
    return found
