"""What giving up hopeless attempts saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.metrics.mean import mean
from mmevolve.types import Group


@dataclass(frozen=True)
class Pruning:
    """Share of the attempts that were given up, tokens written, and tokens saved, of samplers that cut attempts.

    What a cut attempt would have taken is not known; it is set to the mean of the sample's finished attempts, or what
    was written if that is more. `tokens_saved` is the sum of the rest, `tokens_saved_share` its share of what all
    attempts would have taken. `fallback` is the share of samples whose attempts were all cut, so that one was taken up
    again. The judges' own tokens are not in it. A sample none of whose attempts is finished saves nothing.

    Paper: the saving that PARM, arXiv:2501.13926, promises.
    """

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        tried = [group.trajectories for group in groups if group.trajectories]
        cut = [[t.sampling.get("cut_at") is not None for t in attempts] for attempts in tried]
        written = [[len(t.token_ids) for t in attempts] for attempts in tried]
        saved = [saving(tokens, given_up) for tokens, given_up in zip(written, cut, strict=True)]
        total = sum(map(sum, written))
        return {
            "pruned": mean([mean(own) for own in cut]),
            "fallback": mean([any(t.sampling.get("fallback") for t in attempts) for attempts in tried]),
            "tokens_written": float(total),
            "tokens_saved": sum(saved),
            "tokens_saved_share": sum(saved) / (total + sum(saved)) if total else float("nan"),
        }


def saving(tokens: Sequence[int], given_up: Sequence[bool]) -> float:
    """Tokens that the attempts given up would still have taken, by the mean length of the finished ones."""
    whole = [n for n, cut in zip(tokens, given_up, strict=True) if not cut]
    if not whole:
        return 0.0
    return float(sum(max(0.0, mean(whole) - n) for n, cut in zip(tokens, given_up, strict=True) if cut))
