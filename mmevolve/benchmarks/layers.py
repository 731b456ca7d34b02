"""Internal consistency of a running model: the probabilities that it gives to answers, and what its layers would say.

Paper: Liang et al. 2024, arXiv:2407.14507. The response layer is read from sampled attempts alone
(`controls.consistency`); here are the two that need the model itself. What may be answered is: of a question with
options their letters, or their texts where the question holds them; of any other the answers that were sampled, each in
the words in which it came first. Where that is one answer, there is nothing to disagree about: 0 bits at every layer.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mmevolve.answers import options
from mmevolve.benchmarks.ask import Ask
from mmevolve.controls.consistency import (
    agreement_with_last,
    decoding_consistency,
    higher,
    latent_consistency,
    response_consistency,
)
from mmevolve.controls.resampling import Resampling, numbers
from mmevolve.controls.said import labels
from mmevolve.protocols import VLM
from mmevolve.statistics import Interval
from mmevolve.store import Units
from mmevolve.types import Chat, Group, Sample, Trajectory

DIGITS = 4


class LayerByLayer:
    """A verb for the store: each question is a unit, kept when it is scored.

    Rows are dictionaries: `id`, `candidates`, `decoding` (a log-probability a candidate) and `latent` (such a list a
    layer), the last three as JSON; null where the model cannot say.
    """

    def __call__(self, policy: VLM, sampler: Ask, samples: Sequence[Sample], attempts: Sequence[Trajectory]) -> Units:
        made: dict[str, list[Trajectory]] = {}
        for t in attempts:
            made.setdefault(t.sample_id, []).append(t)
        asked = [(s, candidates(Group(s, tuple(made.get(s.id, ()))), sampler.show_choices)) for s in samples]
        return Units(asked, lambda todo: [[_row(policy, sampler.chat(s), s, said)] for s, said in todo])

    def describe(self) -> str:
        """It has no settings."""
        return "benchmarks.LayerByLayer"


def candidates(group: Group, lettered: bool) -> list[str]:
    """What may be answered to a question, in order; nothing where nobody said anything."""
    choices = group.sample.choices
    if choices:
        return list(options.letters(choices)) if lettered else list(choices)
    found: dict[Any, str] = {}
    for t, label in zip(group.trajectories, labels([group])[0] if group.trajectories else (), strict=True):
        if t.text.strip():
            found.setdefault(label, t.text)
    return list(found.values())


def layer_numbers(
    rows: Sequence[Mapping[str, Any]], groups: Sequence[Group], *, prefix: str, resampling: Resampling
) -> dict[str, float]:
    """Decoding and latent consistency as numbers, and how the layers compare: the survey's hourglass.

    Args:
        rows: what `LayerByLayer` made.
        groups: the sampled and judged attempts at the same questions, in any order.
        prefix: of the names.
        resampling: how the intervals are drawn.
    """
    by_id = {row["id"]: row for row in rows}
    found: dict[str, float] = {}
    of: dict[str, tuple[list[Group], list[Any]]] = {}
    for layer in ("decoding", "latent"):
        told = [g for g in groups if by_id[g.sample.id][layer] is not None]
        of[layer] = told, [json.loads(by_id[g.sample.id][layer]) for g in told]
    decoded, logprobs = of["decoding"]
    if decoded:
        said = [{str(i): x for i, x in enumerate(row)} for row in logprobs]
        decoding = decoding_consistency(decoded, said, resampling=resampling)
        response = response_consistency(decoded, resampling=resampling)
        found |= numbers(decoding, f"{prefix}decoding/")
        found |= _ends(f"{prefix}decoding/above_response", higher(decoding, response, resampling=resampling))
        found[f"{prefix}decoding/left_out"] = float(len(groups) - len(decoded))
    seen, vectors = of["latent"]
    if seen:
        found |= numbers(latent_consistency(seen, vectors, resampling=resampling), f"{prefix}latent/")
        if all(len(v) > 2 for v in vectors):
            early, late = agreement_with_last(seen, vectors, resampling=resampling)
            found |= _ends(f"{prefix}latent/lower_half_as_last", early)
            found |= _ends(f"{prefix}latent/upper_half_as_last", late)
        found[f"{prefix}latent/layers"] = float(len(vectors[0]))
        found[f"{prefix}latent/left_out"] = float(len(groups) - len(seen))
    return found


def cannot(policy: VLM) -> list[str]:
    """What of the layers a model cannot show, and why."""
    return [
        f"the {layer} layer is left out: {policy.name} {lacks}"
        for layer, can, lacks in (
            ("decoding", _scores(policy), "is served by what cannot score given answers, as vLLM or a local model can"),
            ("latent", _looks_inside(policy), "gives no hidden states; a model that is loaded here would"),
        )
        if not can
    ]


def _row(policy: VLM, chat: Chat, sample: Sample, said: Sequence[str]) -> dict[str, Any]:
    decoding = latent = None
    if said:
        end = not sample.choices  # of a whole response its end belongs to it; after a letter anything may follow
        if _scores(policy):
            scores = policy.logprobs([chat] * len(said), said)
            decoding = [round(sum(s.logprobs if end else s.logprobs[:-1]), DIGITS) for s in scores]
        if _looks_inside(policy):
            layers = importlib.import_module("mmevolve.models.lens").layer_logprobs(policy, chat, said, end=end)
            latent = [[round(x, DIGITS) for x in layer] for layer in layers]
    texts = {"candidates": list(said) or None, "decoding": decoding, "latent": latent}
    return {"id": sample.id, **{k: None if v is None else json.dumps(v) for k, v in texts.items()}}


def _looks_inside(policy: VLM) -> bool:
    """Whether the model is one of transformers that is loaded here."""
    return isinstance(policy, importlib.import_module("mmevolve.models.vlm").TransformersVLM)


def _scores(policy: VLM) -> bool:
    """Whether it gives log-probabilities of given answers; some servers do not."""
    served = importlib.import_module("mmevolve.models.served")
    return not isinstance(policy, served.ServedVLM) or served.DIALECTS[policy.server].scores


def _ends(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
