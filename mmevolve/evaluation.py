"""Evaluation: held-out questions and benchmarks in a loop, and `mmevolve eval`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from mmevolve import verbs
from mmevolve.benchmarks.ask import asking
from mmevolve.benchmarks.evaluate import evaluate
from mmevolve.benchmarks.figures import Figures
from mmevolve.benchmarks.load import NotHere, load_samples
from mmevolve.benchmarks.score import Rules
from mmevolve.benchmarks.spec import find, load_spec
from mmevolve.config.errors import ConfigError
from mmevolve.config.ranges import Range
from mmevolve.data.images import image_digest
from mmevolve.metrics.accuracy import Accuracy, PassAtK
from mmevolve.protocols import VLM, Critic, Metric, Sampler
from mmevolve.store import RunStore
from mmevolve.types import Group, ImageRef, Sample


@dataclass(frozen=True)
class HeldOut:
    """Samples, how to answer them, who judges, what to count.

    Attributes:
        name: names its tables and prefixes its numbers.
        data: the held-out samples.
        sampler: how they are answered; greedy for accuracy, several samples for pass@k.
        critics: who judges.
        metrics: what is counted.
    """

    name: str
    data: Sequence[Sample]
    sampler: Sampler
    critics: Sequence[Critic]
    metrics: Sequence[Metric]

    def __call__(self, policy: VLM, store: RunStore, *, at: int | str) -> dict[str, float]:
        """Numbers of this evaluation, names prefixed by its own."""
        numbers = verbs.measure(self.metrics, self.groups(policy, store, at=at))
        return {f"{self.name}/{k}": v for k, v in numbers.items()}

    def groups(self, policy: VLM, store: RunStore, *, at: int | str) -> list[Group]:
        """Attempts and critiques, made or read.

        Draws do not depend on the round, so rounds are paired by question, and weights that another loop of the run
        measured already are not measured again.
        """
        store.once(at, f"{self.name}_samples", list, self.data)
        attempts = store.once_a_run(
            at, f"{self.name}_trajectories", verbs.sample, policy, self.sampler, self.data, round=0
        )
        said = store.once_a_run(at, f"{self.name}_critiques", verbs.critique, self.critics, attempts, self.data)
        return verbs.group(self.data, attempts, said)


@dataclass(frozen=True)
class Gap:
    """What sampling finds and the greedy answer misses: pass@k less greedy accuracy, on the same questions.

    While it is wide there is something to learn from; M-STaR watches it close while pass@k stays or falls.

    Paper: M-STaR, arXiv:2412.17451 (pass@k and greedy accuracy on a held-out monitor set).

    Attributes:
        sampled: the evaluation with k or more attempts a question; its tables are read again, nothing is drawn anew.
        greedy: the evaluation with the greedy answer to the same questions.
        k: attempts allowed.
        critic: the verifier.
        name: stands before the number.

    Raises:
        ValueError: when the two do not hold the same questions.
    """

    sampled: HeldOut
    greedy: HeldOut
    k: Annotated[int, Range(1)] = 8
    critic: str = "answer"
    name: str = "gap"

    def __post_init__(self) -> None:
        one, other = ({s.id for s in side.data} for side in (self.sampled, self.greedy))
        if one != other:
            raise ValueError(
                f"{self.name}: '{self.sampled.name}' and '{self.greedy.name}' share {len(one & other)} of "
                f"{len(one | other)} questions, expected the same questions in both"
            )

    @property
    def data(self) -> Sequence[Sample]:
        return self.sampled.data

    def __call__(self, policy: VLM, store: RunStore, *, at: int | str) -> dict[str, float]:
        """The one number, `<name>/pass@k-greedy`."""
        (tries,) = PassAtK(self.k, self.critic)(self.sampled.groups(policy, store, at=at)).values()
        once = Accuracy(self.critic)(self.greedy.groups(policy, store, at=at))["accuracy"]
        return {f"{self.name}/pass@{self.k}-greedy": tries - once}


def benchmark(
    *,
    path: str,
    data: str | None = None,
    limit: Annotated[int, Range(1)] | None = None,
    n: int = 1,
    temperature: float = 0.0,
    max_tokens: int | None = None,
    seed: int = 0,
) -> HeldOut:
    """A benchmark as a held-out evaluation; of a subset the name says so.

    Args:
        path: its spec, such as `eval/benchmarks/nlvr1.yaml`, or its name.
        data: the data folder; by default `./data` and `./eval/data`.
        limit: only the first so many questions.
        n: attempts a question.
        temperature: 0 is greedy.
        max_tokens: longest response; by default what the spec says.
        seed: of the draws, which do not depend on the round.

    Raises:
        ValueError: when the spec or the data have problems, with all of them, or the data are not here.
    """
    loaded = load_samples(load_spec(find(path)), data=data, limit=limit)
    sampler = asking(loaded.spec, max_tokens=max_tokens, n=n, temperature=temperature, seed=seed)
    return HeldOut(loaded.slug, loaded.samples, sampler, (Rules(loaded.spec),), (Figures(loaded.spec),))


def preflight(*, path: object = None, data: object = None, limit: object = None) -> Iterator[str]:
    """One sentence a problem of `benchmark(path, data, limit)`; images are looked for, not opened."""
    if not isinstance(path, str) or not isinstance(data, str | None) or not isinstance(limit, int | None):
        return
    try:
        load_samples(load_spec(find(path)), data=data, limit=limit, opened=False)
    except ConfigError as error:
        yield from (p.what if p.place.file == "--benchmark" else str(p) for p in error.problems)
    except NotHere as error:
        yield str(error)
    except ValueError as error:
        yield from getattr(error, "problems", (str(error),))


main = evaluate


def refuse_overlap(train: Sequence[Sample], held_out: Sequence[HeldOut]) -> None:
    """Stop before any work when a held-out question is also trained on: the same id, or the same words and pictures.

    Pictures are the same when their encoded bytes are, given as bytes or as a path. Nothing is decoded, and only those
    are read that have the same question and size in both sets; re-encoded pictures and near questions are for
    `mmevolve eval --overlap`.

    Raises:
        ValueError: naming the first such sample and how many there are.
    """
    ids = {s.id for s in train}
    size, content = cache(_size), cache(_content)  # one picture may go with many questions

    def alike(sample: Sample) -> tuple[object, ...]:
        return sample.question, *(size(ref) for ref in sample.images)

    def same(sample: Sample) -> tuple[object, ...]:
        return sample.question, *(content(ref) for ref in sample.images)

    words = {s.question for evaluation in held_out for s in evaluation.data}
    wanted = {alike(s) for evaluation in held_out for s in evaluation.data}
    near = [s for s in train if s.question in words and alike(s) in wanted]
    sized, trained = {alike(s) for s in near}, {same(s) for s in near}
    for evaluation in held_out:
        both = [s.id for s in evaluation.data if s.id in ids or (alike(s) in sized and same(s) in trained)]
        if both:
            raise ValueError(
                f"{len(both)} samples of the held-out set '{evaluation.name}' are also trained on, '{both[0]}' first: "
                "hold out other samples"
            )


def _size(ref: ImageRef) -> int | str:
    """The length of an image in bytes; a file that is not there is known by its name."""
    try:
        return len(ref) if isinstance(ref, bytes) else Path(ref).stat().st_size
    except (OSError, ValueError):
        return str(ref)


def _content(ref: ImageRef) -> str:
    """The digest of an image's bytes; a file that cannot be read is known by its name."""
    try:
        return image_digest(ref)
    except (OSError, ValueError):  # whoever opens the picture says what is wrong with it
        return str(ref)
