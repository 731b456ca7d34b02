"""What one prompt may hold: tokens of the context, images that the chat template places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmevolve.models.encode import Row
from mmevolve.protocols import TooLong
from mmevolve.text import images_of
from mmevolve.types import Chat

_SHOWN = 40  # characters of a question in an error
_MOST = 2**31


@dataclass(frozen=True)
class Limits:
    """Of one model.

    Attributes:
        context: tokens that prompt and reply have together.
        images: images a prompt, as far as the chat template says.
        ids: of the tokens that stand for images.
    """

    context: int = _MOST
    images: int = _MOST
    ids: frozenset[int] = frozenset()

    def count(self, chat: Chat, owner: str) -> None:
        """Refuse a chat with more images than the model takes.

        Raises:
            ValueError: naming the question.
        """
        given = len(images_of(chat))
        if given > self.images:
            raise ValueError(
                f"{given} images in the prompt '{_begin(chat)}': '{owner}' takes at most {self.images}, as its chat "
                "template places no more"
            )

    def room(self, chat: Chat, row: Row, owner: str) -> int:
        """Tokens that a reply may have.

        Raises:
            TooLong: when there is none left, naming the question.
        """
        length = len(row.prompt.ids) + len(row.completion)
        if length >= self.context:
            seen, given = sum(i in self.ids for i in row.prompt.ids), len(images_of(chat))
            share = f", {seen:,} of them for {given} image{'s' if given > 1 else ''}" if given else ""
            cure = "give fewer or smaller images" if 2 * seen > length else "shorten it"
            raise TooLong(
                f"the prompt '{_begin(chat)}' has {length:,} tokens{share}: '{owner}' has a context of "
                f"{self.context:,}, reply included; {cure}"
            )
        return self.context - length


def limits_of(processor: Any, model: Any, name: str) -> Limits:
    """What model and chat template say of themselves.

    Raises:
        ValueError: when the chat template leaves images out, or cannot render a question.
    """
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    keys = ("image_token_id", "image_token_index")
    ids = frozenset(i for key in keys if isinstance(i := getattr(model.config, key, None), int))
    return Limits(context if isinstance(context, int) and context > 0 else _MOST, placed_images(processor, name), ids)


def placed_images(processor: Any, name: str) -> int:
    """How many images the chat template places: found by rendering none, one and two.

    Raises:
        ValueError: when it places none, or cannot be rendered.
    """

    def rendered(count: int) -> str:
        content = [*({"type": "image"} for _ in range(count)), {"type": "text", "text": "what ?"}]
        return processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)

    try:
        none, one, two = (rendered(count) for count in range(3))
    except Exception as error:  # a template is a program of its own, and may raise what it likes
        raise ValueError(f"model '{name}': its chat template cannot render a question: {error}") from error
    if one == none:
        raise ValueError(
            f"model '{name}': its chat template leaves images out: expected that of a vision-language model"
        )
    return 1 if two == one else _MOST


def _begin(chat: Chat) -> str:
    text = " ".join(" ".join(p["text"] for m in chat for p in m["content"] if p["type"] == "text").split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
