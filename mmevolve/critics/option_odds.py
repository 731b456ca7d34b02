"""How likely a model finds one of two options that it is given, whatever it would have written itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.protocols import VLM
from mmevolve.types import Chat


@dataclass(frozen=True)
class Odds:
    """Natural log-probabilities of two options as the reply's beginning.

    Attributes:
        one: of the first option.
        other: of the second.
    """

    one: float
    other: float

    @property
    def log_odds(self) -> float:
        """In nats; NaN where the model holds neither for possible."""
        return math.nan if math.isinf(self.one) and math.isinf(self.other) else self.one - self.other

    @property
    def chance(self) -> float:
        """Of the first option, renormalised over both, in [0, 1]; NaN where the model holds neither for possible."""
        odds = self.log_odds
        return 1 / (1 + math.exp(-odds)) if odds >= 0 or math.isnan(odds) else math.exp(odds) / (1 + math.exp(odds))

    @property
    def mass(self) -> float:
        """What both have together of all that the model could say."""
        return math.exp(self.one) + math.exp(self.other)


def odds_of(model: VLM, chats: Sequence[Chat], one: str, other: str) -> list[Odds | None]:
    """Odds of two options after each chat; None where the model's tokens cannot tell the options apart.

    All tokens of an option count but the end: options that begin alike, as `(A) True` and `(B) False` do, are told
    apart where they differ, and whether the model would stop there is not asked.
    """
    if not chats:
        return []
    scores = model.logprobs([*chats, *chats], [one] * len(chats) + [other] * len(chats))
    found: list[Odds | None] = []
    for a, b in zip(scores[: len(chats)], scores[len(chats) :], strict=True):
        alike = a.token_ids == b.token_ids
        found.append(None if alike else Odds(math.fsum(a.logprobs[:-1]), math.fsum(b.logprobs[:-1])))
    return found
