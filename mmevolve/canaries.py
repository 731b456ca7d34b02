"""Canaries: cheap measurements of a round's own rows and weights that change when something is quietly wrong.

Each stands among a loop's `evaluations`, and a monitor (`schedules.Watch`) reads its number. They hold no samples: they
look at the rows that the round kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Annotated, Any, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.controls.pictures import grey
from mmevolve.models.fingerprint import checkpoint_digest
from mmevolve.protocols import VLM, TokenScores
from mmevolve.store import RunStore
from mmevolve.text import images_of, stable_seed
from mmevolve.types import Chat, Example, Preference, Rollout, Sample

Said = tuple[Chat, str]  # a prompt, and what is learned under it


@dataclass(frozen=True)
class BlindImage:
    """How much likelier the kept rows are with their picture than with an even grey one of its size, in nats a token.

    `gain` is the mean over rows of the difference of their log-probabilities, each over its tokens, under the policy
    that has just learned from them; `looks` is the share of the rows that are likelier with their picture. Both fall
    when training teaches words that need no picture. NaN in a round that kept no row with a picture.

    Papers: Chen et al. 2024, arXiv:2403.20330 (questions that need no image); Li et al. 2023, arXiv:2305.10355.
    Differs: they count answers of a finished model; this reads likelihoods of training rows, every round.

    Attributes:
        rows: so many of the round's rows are read, drawn by their source.
        name: stands before its numbers.
    """

    rows: Annotated[int, Range(1)] = 8
    name: str = "blind_image"
    data: ClassVar[Sequence[Sample]] = ()

    def __call__(self, policy: VLM, store: RunStore, *, at: int | str) -> dict[str, float]:
        """Its numbers at a measured point, made or read."""
        said = [row for row in few(store, at, self.rows) if images_of(row[0])]
        (row,) = store.once(at, self.name, blind_image, policy, [list(pair) for pair in said])
        return {f"{self.name}/{k}": v for k, v in row.items()}


def blind_image(policy: VLM, rows: Sequence[Said]) -> list[dict[str, float]]:
    """The two numbers of `BlindImage` as one row."""
    if not rows:
        return [{"gain": nan, "looks": nan}]
    words = [text for _, text in rows]
    seen = policy.logprobs([chat for chat, _ in rows], words)
    blind = policy.logprobs([without_picture(chat) for chat, _ in rows], words)
    gains = [mean_of(a) - mean_of(b) for a, b in zip(seen, blind, strict=True)]
    found = {"gain": sum(gains) / len(gains), "looks": sum(g > 0 for g in gains) / len(gains)}
    return [{name: round(value, 6) for name, value in found.items()}]


def without_picture(chat: Chat) -> Chat:
    """The chat with each picture replaced by an even grey one of its size."""
    (blank,) = grey([Sample("row", "", images_of(chat))])
    pictures = iter(blank.images)
    return tuple(
        {**m, "content": tuple({**p, "image": next(pictures)} if p["type"] == "image" else p for p in m["content"])}
        for m in chat
    )


@dataclass(frozen=True)
class LabelLeak:
    """Whether the prompts that are trained on say the answer.

    `answer_in_prompt` is the share of the kept rows whose prompt holds the reference answer of their question as a
    word, and `by_chance` the share that hold the answer of another of the round's rows; `leak` is the difference. A
    template's own words and numbers that stand in every question are in both, so they cancel; a hint that a selector
    forgot to take off, or an answer that a data set keeps in its question, does not. Options of a multiple-choice
    question are taken off before. NaN in a round that kept no row of a question with an answer.

    Attributes:
        name: stands before its numbers.
    """

    name: str = "label_leak"
    data: ClassVar[Sequence[Sample]] = ()

    def __call__(self, policy: VLM, store: RunStore, *, at: int | str) -> dict[str, float]:
        """Its numbers at a measured point."""
        by_id = {s.id: s for s in store.table(at, "samples")}
        pairs = []
        for row in store.table(at, "examples"):
            sample = by_id.get(row.source.rsplit("/", 2)[0])
            if sample is not None and sample.answer:
                pairs.append((words_of(row.prompt, sample), sample.answer))
        return {f"{self.name}/{k}": v for k, v in leak(pairs).items()}


def leak(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """The numbers of `LabelLeak` from each row's prompt and reference answer.

    By chance: the share of the rows of other answers that say an answer, over the answers, weighted by how often each
    is one; NaN where all rows have the same answer.
    """
    if not pairs:
        return {"answer_in_prompt": nan, "by_chance": nan, "leak": nan}
    answers = [answer for _, answer in pairs]
    own = sum(says(text, answer) for text, answer in pairs) / len(pairs)
    chances = []
    for answer in set(answers):
        others = [text for text, its in pairs if its.casefold() != answer.casefold()]
        if others:
            chances.append((sum(says(text, answer) for text in others) / len(others), answers.count(answer)))
    total = sum(count for _, count in chances)
    chance = sum(share * count for share, count in chances) / total if total else nan
    found = {"answer_in_prompt": own, "by_chance": chance, "leak": own - chance}
    return {name: round(value, 6) for name, value in found.items()}


def says(text: str, answer: str) -> bool:
    """Whether a text holds an answer as a word of its own, whatever the case."""
    return re.search(rf"(?<!\w){re.escape(answer.strip())}(?!\w)", text, re.IGNORECASE) is not None


def words_of(prompt: Chat, sample: Sample) -> str:
    """A prompt's words without the assistant's and without the options of its question."""
    said = (p["text"] for m in prompt if m["role"] != "assistant" for p in m["content"] if p["type"] == "text")
    text = "\n".join(said)
    for i, choice in enumerate(sample.choices):
        text = text.replace(f"({chr(65 + i)}) {choice}", "")
    return text


@dataclass(frozen=True)
class StaleWeights:
    """Whether the weights that are used are those that the round's training left.

    `differs` is 1 when the policy's weights have another digest than the round's checkpoint, else 0. With `served`, a
    model that should serve these weights, `apart` is the mean over rows of |difference| of their log-probabilities, a
    token, between the two: 0 up to rounding, and as large as a round's learning where an old adapter is served. NaN
    where nothing was trained, and for a policy that has no digest. It stands in loops that train their policy: in one
    that trains a student the checkpoint is the student's.

    Attributes:
        served: another model that should have the same weights.
        rows: so many of the round's rows are read by both.
        name: stands before its numbers.
    """

    served: Any = None
    rows: Annotated[int, Range(1)] = 8
    name: str = "stale_weights"
    data: ClassVar[Sequence[Sample]] = ()

    def __call__(self, policy: Any, store: RunStore, *, at: int | str) -> dict[str, float]:
        """Its numbers at a measured point."""
        found = {"differs": self._differs(policy, store, at)}
        if self.served is not None:
            said = few(store, at, self.rows)
            (row,) = store.once(at, self.name, apart, policy, self.served, [list(pair) for pair in said])
            found |= row
        return {f"{self.name}/{k}": v for k, v in found.items()}

    def _differs(self, policy: Any, store: RunStore, at: int | str) -> float:
        folder = store.checkpoint(at) if isinstance(at, int) else None
        if folder is None or not folder.exists() or not hasattr(policy, "weights_digest"):
            return nan
        return float(policy.weights_digest() != checkpoint_digest(policy.source, folder))


def apart(policy: VLM, served: VLM, rows: Sequence[Said]) -> list[dict[str, float]]:
    """How far two models are apart on rows, as one row."""
    if not rows:
        return [{"apart": nan}]
    chats, words = [chat for chat, _ in rows], [text for _, text in rows]
    both = zip(policy.logprobs(chats, words), served.logprobs(chats, words), strict=True)
    return [{"apart": round(sum(abs(mean_of(a) - mean_of(b)) for a, b in both) / len(rows), 6)}]


def few(store: RunStore, at: int | str, rows: int) -> list[Said]:
    """Prompt and words of a few of a round's rows, the same ones whatever their order."""
    kept: list[Example] = store.table(at, "examples")
    drawn = sorted(kept, key=lambda row: stable_seed("canary", row.source))[:rows]
    if any(isinstance(row, Rollout) for row in drawn):  # these hold tokens: their words are the attempt's
        texts = {t.id: t.text for t in store.table(at, "trajectories")}
        return [(row.prompt, texts[row.source]) for row in drawn if row.source in texts]
    return [(row.prompt, row.chosen if isinstance(row, Preference) else row.completion) for row in drawn]


def mean_of(scores: TokenScores) -> float:
    """Mean log-probability of a token."""
    return sum(scores.logprobs) / max(1, len(scores.logprobs))
