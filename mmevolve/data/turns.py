"""Conversations of published sets as chats: LLaVA's and ShareGPT's turns, role and content messages, `<image>`.

A turn names its speaker under `from` or `role` and its words under `value`, `content` or `text`. A picture stands
where `<image>` stood in the text, or where a content part of type `image` stands; without either, all come before the
first user turn's words, as TRL does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmevolve.data.cells import is_empty, show
from mmevolve.types import Chat, ImageRef, Message

IMAGE = "<image>"
ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
_HOLE: Message = {"type": "image"}


@dataclass(frozen=True)
class Turn:
    """One turn.

    Attributes:
        role: system, user or assistant.
        parts: of its content; `{"type": "image"}` without an image is a place for one of the row's pictures.
    """

    role: str
    parts: tuple[Message, ...]

    @property
    def text(self) -> str:
        """Its words."""
        return "\n".join(part["text"] for part in self.parts if part["type"] == "text")

    @property
    def holes(self) -> int:
        """How many of the row's pictures belong here."""
        return sum(part == _HOLE for part in self.parts)


def turns_cell(cell: object, picture: Callable[[object], ImageRef]) -> tuple[Turn, ...]:
    """A conversation: a list of turns, or one turn alone. After an optional system turn, user and assistant alternate.

    Args:
        cell: as the table has it.
        picture: reads a picture that stands in the content itself.

    Raises:
        ValueError: with the turn and what is wrong with it.
    """
    if not isinstance(cell, list | dict):
        raise ValueError("is empty" if is_empty(cell) else f"is {show(cell)}, expected a list of turns")
    turns = tuple(_turn(one, i, picture) for i, one in enumerate(cell if isinstance(cell, list) else [cell], start=1))
    if not turns:
        raise ValueError("is an empty list, expected turns")
    spoken = turns[1:] if turns[0].role == "system" else turns
    for i, turn in enumerate(spoken):
        expected = "user" if i % 2 == 0 else "assistant"
        if turn.role != expected:
            at = i + 1 + len(turns) - len(spoken)
            raise ValueError(f"has a turn of the {turn.role} as turn {at}, expected one of the {expected}")
    return turns


def reply_cell(cell: object) -> str:
    """What is answered: a text, one turn of the assistant, or a list of just one."""
    if is_empty(cell):
        raise ValueError("is empty")
    if isinstance(cell, str):
        return cell.strip()
    if not isinstance(cell, list | dict):
        raise ValueError(f"is {show(cell)}, expected text or a message")
    turns = [_turn(one, i, _no_picture) for i, one in enumerate(cell if isinstance(cell, list) else [cell], start=1)]
    if len(turns) != 1 or turns[0].role != "assistant":
        raise ValueError(f"has the turns {', '.join(t.role for t in turns) or 'none'}, expected one of the assistant")
    return turns[0].text


def user_turn(text: str) -> Turn:
    """A text with its `<image>`s as a user turn.

    Raises:
        ValueError: when there is nothing but `<image>`.
    """
    turn = Turn("user", tuple(_parts(text)))
    if not turn.text:
        raise ValueError("has no words")
    return turn


def fill(turns: Sequence[Turn], pictures: Sequence[ImageRef]) -> Chat:
    """The chat with the pictures in their places.

    Raises:
        ValueError: when there are not as many pictures as places.
    """
    holes = sum(turn.holes for turn in turns)
    placed = any("image" in part for turn in turns for part in turn.parts)
    if holes != len(pictures) and (holes or placed):
        raise ValueError(f"has {holes} {IMAGE}, but the row's pictures are {len(pictures)}")
    left = list(pictures)
    chat: list[Message] = []
    for turn in turns:
        parts: list[Message] = []
        if holes == 0 and turn.role == "user":
            parts, left = [{"type": "image", "image": ref} for ref in left], []
        parts += [{"type": "image", "image": left.pop(0)} if part == _HOLE else part for part in turn.parts]
        chat.append({"role": turn.role, "content": tuple(parts)})
    return tuple(chat)


def _turn(cell: object, number: int, picture: Callable[[object], ImageRef]) -> Turn:
    if not isinstance(cell, dict):
        raise ValueError(f"has {show(cell)} as turn {number}, expected an object with from and value")
    speaker = next((cell[key] for key in ("from", "role") if cell.get(key) is not None), None)
    role = ROLES.get(speaker) if isinstance(speaker, str) else None
    if role is None:
        raise ValueError(f"has turn {number} by {show(speaker)}, expected one of {', '.join(ROLES)}")
    words = next((cell[key] for key in ("value", "content", "text") if cell.get(key) is not None), None)
    if isinstance(words, list):
        parts = [part for one in words for part in _content(one, number, picture)]
    elif isinstance(words, str):
        parts = _parts(words)
    else:
        raise ValueError(f"has {show(words)} as the words of turn {number}, expected text")
    if role != "user" and any(part["type"] == "image" for part in parts):
        raise ValueError(f"has a picture in turn {number}, which is the {role}'s: expected in the user's only")
    if not any(part["type"] == "text" for part in parts):
        raise ValueError(f"has no words in turn {number}")
    return Turn(role, tuple(parts))


def _content(cell: object, number: int, picture: Callable[[object], ImageRef]) -> list[Message]:
    kind = cell.get("type") if isinstance(cell, dict) else None
    if isinstance(cell, dict) and kind == "image":
        return [_HOLE if cell.get("image") is None else {"type": "image", "image": picture(cell["image"])}]
    if isinstance(cell, dict) and kind == "text" and isinstance(cell.get("text"), str):
        return _parts(cell["text"])
    raise ValueError(f"has the part {show(cell)} in turn {number}, expected one of type text or image")


def _parts(text: str) -> list[Message]:
    """Words and places for pictures; white space at the ends and line breaks next to a picture go."""
    pieces = text.strip().split(IMAGE)
    parts: list[Message] = []
    for i, piece in enumerate(pieces):
        parts += [_HOLE] if i else []
        words = piece.strip("\r\n") if len(pieces) > 1 else piece
        parts += [{"type": "text", "text": words}] if words.strip() else []
    return parts


def _no_picture(cell: object) -> Any:
    raise ValueError(f"holds the picture {show(cell)}, expected words only")
