"""Chats as OpenAI messages with images as data URLs, and what comes back as replies and token scores."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mmevolve.data.images import open_image, verify_image
from mmevolve.models.served_http import Passing, ServerError
from mmevolve.protocols import TokenScores
from mmevolve.types import Chat, ImageRef, Reply, StopReason

_EXIF_ORIENTATION = 0x0112
_PLAIN = {"PNG": "image/png", "JPEG": "image/jpeg"}  # every server reads these


def messages(chat: Chat, said: str | None = None) -> list[dict[str, Any]]:
    """A chat in OpenAI's form, ended by what the assistant has said where that is given."""
    turns = [{"role": m["role"], "content": [_part(p) for p in m["content"]]} for m in chat]
    return turns if said is None else [*turns, {"role": "assistant", "content": said}]


def data_url(ref: ImageRef) -> str:
    """An image as a data URL, as the local model would see it.

    An upright RGB PNG or JPEG travels as it is; anything else as the PNG of what `open_image` makes of it.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no image, is cut off, or is too large.
    """
    verify_image(ref)
    encoded = ref if isinstance(ref, bytes) else Path(ref).read_bytes()
    with Image.open(io.BytesIO(encoded)) as image:
        upright = image.getexif().get(_EXIF_ORIENTATION, 1) == 1
        plain = image.mode == "RGB" and upright and "transparency" not in image.info
        kind = _PLAIN.get(image.format or "") if plain and getattr(image, "n_frames", 1) == 1 else None
    if kind is None:
        out = io.BytesIO()
        open_image(encoded).save(out, "PNG")
        kind, encoded = "image/png", out.getvalue()
    return f"data:{kind};base64,{base64.b64encode(encoded).decode()}"


def replies(answer: Any, *, author: str, n: int, untempered: bool) -> list[Reply]:
    """The `n` replies of one answer, in their order.

    Token ids and log-probabilities are kept only together, one log-probability a token, and only where they are the
    untempered policy's: a `Reply` promises no less.

    Raises:
        Passing: when the answer is not one to such a request.
        ServerError: when the server takes replies apart.
    """
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    if not isinstance(choices, list) or not all(isinstance(c, Mapping) for c in choices):
        raise Passing(f"the answer has no list of choices: {str(answer)[:200]}")
    if len(choices) != n:
        raise Passing(f"{len(choices)} choices for a request for {n}")
    return [_reply(c, author, untempered) for c in sorted(choices, key=lambda c: c.get("index") or 0)]


def prompt_length(answer: Any) -> int:
    """Tokens of a request's prompt, images included.

    Raises:
        Passing: when the answer does not say.
    """
    usage = answer.get("usage") if isinstance(answer, Mapping) else None
    length = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    if not isinstance(length, int):
        raise Passing(f"the answer does not count its prompt's tokens: {str(answer)[:200]}")
    return length


def prompt_scores(answer: Any, start: int, stop: int) -> TokenScores:
    """Token ids and log-probabilities of places `start` to `stop` of a prompt; entropies are NaN.

    Raises:
        Passing: when the answer lacks them.
    """
    said = answer.get("prompt_logprobs") if isinstance(answer, Mapping) else None
    known = answer.get("prompt_token_ids") if isinstance(answer, Mapping) else None
    if not isinstance(said, list) or len(said) < stop or not 0 < start < stop:
        count = len(said) if isinstance(said, list) else "no"
        raise Passing(f"{count} prompt_logprobs, expected those of places {start} to {stop}")
    ids, logprobs = [], []
    for place in range(start, stop):
        entry = said[place]
        token = str(known[place]) if isinstance(known, list) and place < len(known) else next(iter(entry or ()), None)
        if not isinstance(entry, Mapping) or token not in entry:
            raise Passing(f"prompt_logprobs at place {place} lack the prompt's own token: {str(entry)[:200]}")
        ids.append(int(token))
        logprobs.append(round(float(entry[token]["logprob"]), 5))
    return TokenScores(tuple(ids), tuple(logprobs), (math.nan,) * len(ids))


def same_model(said: object, asked: str) -> bool:
    """Whether a server's name for what answered is the model asked for: `org/model@main` is `org/model`."""
    return isinstance(said, str) and (said == asked or said.startswith(f"{asked}@"))


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "image":
        return {"type": "image_url", "image_url": {"url": data_url(part["image"])}}
    return {"type": "text", "text": part["text"]}


def _reply(choice: Mapping[str, Any], author: str, untempered: bool) -> Reply:
    message = choice.get("message")
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), str | None):
        raise Passing(f"a choice without a message: {str(choice)[:200]}")
    if message.get("reasoning_content") or message.get("reasoning"):
        raise ServerError(
            "the server takes each reply apart into reasoning and answer, which would lose its steps: "
            "start it without a reasoning parser"
        )
    ids, logprobs = _tokens(choice)
    if not untempered or len(ids) != len(logprobs):
        ids, logprobs = (), ()
    said = choice.get("finish_reason")
    reason: StopReason = said if said in ("stop", "length") else "error"
    return Reply(_whole(message.get("content") or "").strip(), author, reason, ids, logprobs)


def _whole(text: str) -> str:
    """A text that UTF-8 can hold: half of a character, where a reply was cut, becomes U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _tokens(choice: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    said = choice.get("logprobs")
    content: Sequence[Any] = (said.get("content") if isinstance(said, Mapping) else None) or ()
    try:
        return tuple(choice.get("token_ids") or ()), tuple(round(float(c["logprob"]), 5) for c in content)
    except (TypeError, KeyError, ValueError):
        raise Passing(f"log-probabilities that are no numbers: {str(said)[:200]}") from None
