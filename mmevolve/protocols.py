"""What each kind of part must do. A part is a frozen dataclass of its own settings with one `__call__`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from mmevolve.types import Chat, Critique, Example, Group, Reply, Sample, Trajectory


@dataclass(frozen=True)
class TokenScores:
    """Per-token view of one completion under a model.

    Attributes:
        token_ids: tokens of the completion, end token included.
        logprobs: natural log-probability of each.
        entropies: entropy in nats of the distribution each was drawn from.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    entropies: tuple[float, ...]


@dataclass(frozen=True)
class RoundState:
    """What a schedule may look at before a round.

    Attributes:
        round: the round about to start, from 0.
        history: metrics of the finished rounds, oldest first.
        probe: tries knob values on held-out samples: `probe({"temperature": 0.7})` samples with them, judges with the
            loop's critics and gives the groups; `probe.sampler` is the present sampler.
    """

    round: int
    history: tuple[Mapping[str, float], ...]
    probe: Any


class TooLong(ValueError):
    """A prompt that does not fit into a model's context; the sentence says by how much."""


class VLM(Protocol):
    """A vision-language model: the only mutable object of the house."""

    name: str

    def generate(
        self,
        chats: Sequence[Chat],
        *,
        n: int = 1,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        max_tokens: int = 1024,
        seeds: Sequence[int] = (),
        stop: Sequence[str] = (),
        prefixes: Sequence[str] = (),
    ) -> list[list[Reply]]:
        """`n` replies a chat; reply j of chat i depends on `seeds[i]` and j only, never on the rest of the batch."""
        ...

    def logprobs(self, chats: Sequence[Chat], completions: Sequence[str]) -> list[TokenScores]:
        """Log-probabilities and entropies of given completions, end token included."""
        ...


class Sampler(Protocol):
    """Policy and samples in, trajectories out; search included."""

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]: ...


class Critic(Protocol):
    """Anything that judges a trajectory: verifiers, judges, reward models. `name` is the column others refer to.

    A critic of the package also declares what it is given beside the attempt: `sees_image`, and `sees_outcome`, the
    reference answer or what else knows the truth. Those that ask other critics declare what these do.
    """

    name: str

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]: ...


class Selector(Protocol):
    """Groups in, training rows out: filters, pair builders, replay, curricula."""

    example: ClassVar[type[Example]]

    def __call__(self, groups: Iterable[Group]) -> Iterator[Example]: ...


class Loss(Protocol):
    """Tensors in, loss and metrics out (`mmevolve.losses.inputs`)."""

    example: ClassVar[type[Example]]
    needs_reference: ClassVar[bool]

    def __call__(self, x: Any) -> Any: ...


class Schedule(Protocol):
    """Round and history in; out new fields of sampler, selector and training, and a trace (`schedules.knobs`)."""

    def __call__(self, state: RoundState) -> dict[str, Any]: ...


class Metric(Protocol):
    """Groups in, named numbers out; a benchmark metric and a training monitor are the same thing."""

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]: ...


class TrainStep(Protocol):
    """Policy and rows in, trained policy out."""

    def __call__(self, policy: VLM, examples: Sequence[Example], store: Any, *, round: int) -> VLM: ...
