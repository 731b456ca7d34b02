"""What a model has been asked and what it said: nothing is asked twice, and every call is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.protocols import VLM
from mmevolve.text import images_of, stable_seed, user
from mmevolve.types import Chat, ImageRef

KEPT = 2**16  # prompts whose replies are remembered, those asked last


@dataclass(frozen=True)
class Prompt:
    """A message to a model: images, then a text."""

    images: tuple[ImageRef, ...]
    text: str

    @classmethod
    def of(cls, chat: Chat) -> Prompt:
        """The prompt of a chat of one message."""
        return cls(images_of(chat), chat[0]["content"][-1]["text"])


@dataclass(frozen=True)
class Draw:
    """How replies are drawn.

    Attributes:
        n: replies a prompt.
        temperature: 0 is greedy.
        max_tokens: longest reply.
        seed: of the draws, with the kind, the text and the try.
        attempt: number of the try; another try is another draw.
    """

    n: int = 1
    temperature: float = 0.0
    max_tokens: int = 1024
    seed: int = 0
    attempt: int = 0


class Calls:
    """Asks a model, each prompt once, and counts by kind of call.

    Attributes:
        asked: replies that were drawn.
        saved: replies that were wanted again and were there.
        unread: replies that did not say what they were asked for.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.saved: Counter[str] = Counter()
        self.unread: Counter[str] = Counter()
        self._said: dict[tuple[object, ...], tuple[str, ...]] = {}

    def __str__(self) -> str:
        kinds = dict.fromkeys((*self.asked, *self.saved))
        parts = [f"{self.asked[kind]:,} {kind} ({self.saved[kind]:,} saved)" for kind in kinds]
        unread = "".join(f"; {n:,} {kind} could not be read" for kind, n in self.unread.items() if n)
        return f"{self.asked.total():,} calls, {self.saved.total():,} saved: {', '.join(parts)}{unread}"

    def replies(self, kind: str, model: VLM, prompts: Sequence[Prompt], draw: Draw) -> list[tuple[str, ...]]:
        """The replies' texts to every prompt, in order; none where the model failed, which is not remembered."""
        keys = [(kind, model.name, draw, prompt) for prompt in prompts]
        known = {key: self._said[key] for key in keys if key in self._said}
        todo = [key for key in dict.fromkeys(keys) if key not in known]
        if todo:
            drawn = model.generate(
                [(user(prompt.text, prompt.images),) for *_, prompt in todo], n=draw.n, temperature=draw.temperature,
                max_tokens=draw.max_tokens,
                seeds=[stable_seed(draw.seed, kind, prompt.text, draw.attempt) for *_, prompt in todo],
            )  # fmt: skip
            for key, replies in zip(todo, drawn, strict=True):
                whole = all(reply.stop_reason != "error" for reply in replies)
                known[key] = tuple(reply.text for reply in replies) if whole else ()
            self._said |= {key: known[key] for key in todo if known[key]}
            while len(self._said) > KEPT:
                del self._said[next(iter(self._said))]
        self.asked[kind] += len(todo) * draw.n
        self.saved[kind] += (len(keys) - len(todo)) * draw.n
        return [known[key] for key in keys]
