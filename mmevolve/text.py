"""Seeds, chats and step splitting: the string work that every room shares."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mmevolve.types import Chat, ImageRef, Message, Sample


def stable_seed(*parts: object) -> int:
    """A 63-bit seed from any printable parts, the same on every machine and in every process."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def user(text: str, images: tuple[ImageRef, ...] = ()) -> Message:
    """A user message: images first, then the text."""
    content: list[dict[str, object]] = [{"type": "image", "image": ref} for ref in images]
    return {"role": "user", "content": (*content, {"type": "text", "text": text})}


def assistant(text: str) -> Message:
    """An assistant message."""
    return {"role": "assistant", "content": ({"type": "text", "text": text},)}


def ask(sample: Sample, template: str, **fields: str) -> Chat:
    """The chat that puts a sample to a policy.

    Args:
        sample: the question; its options are lettered and put under it.
        template: prompt text with `{question}` and any other named field.
        fields: values of the other fields.
    """
    question = sample.question
    if sample.choices:
        letters = "\n".join(f"({chr(65 + i)}) {choice}" for i, choice in enumerate(sample.choices))
        question = f"{question}\n{letters}"
    return (user(fill(template, question=question, **fields), sample.images),)


def conversation(sample: Sample, prompt: str, review: str, turns: Sequence[str], window: int | None = None) -> Chat:
    """The chat that asks for the next turn: the question, then each earlier turn with the review prompt after it.

    Args:
        sample: the question; its pictures stand in the first message only.
        prompt: template text of the question.
        review: template text that asks for a revision; `{question}` in it asks the question again.
        turns: what was answered so far, oldest first.
        window: most turns of the conversation, the one that is asked for included; None for all.
    """
    shown = turns if window is None else turns[max(0, len(turns) + 1 - window) :]
    again = ask(replace(sample, images=()), review)
    return (*ask(sample, prompt), *(message for turn in shown for message in (assistant(turn), *again)))


def fill(template: str, **fields: str) -> str:
    """Put named fields into a template; braces in the values are left alone.

    Raises:
        KeyError: when the template names a field that was not given.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in fields:
            raise KeyError(f"prompt field '{{{name}}}' has no value: given are {sorted(fields)}")
        return fields[name]

    return re.sub(r"\{([a-z_]+)\}", value, template)


def images_of(chat: Chat) -> tuple[ImageRef, ...]:
    """Image references of a chat, in reading order."""
    return tuple(part["image"] for message in chat for part in message["content"] if part["type"] == "image")


def split_steps(text: str) -> list[str]:
    """Steps of a rationale: its non-empty lines, stripped.

    One step a line is what every prompt of this package asks for; other layouts are re-joined before they come here.
    """
    return [line.strip() for line in text.splitlines() if line.strip()]


def chunks(items: list, size: int) -> Iterator[list]:
    """Consecutive slices of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
