"""A VLM without weights that says what it was told to: for tests and rehearsals.

Imports neither torch nor transformers. It keeps what the protocol promises of a real one: reply j of a chat depends on
the chat, its seed and j only; at temperature 0 every reply is the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from mmevolve.protocols import TokenScores
from mmevolve.text import stable_seed
from mmevolve.types import Chat, Reply, StopReason

Script = Callable[[str, int, int], str]
END = 0
_PIECE = re.compile(r"\s*\S+")
_IDS = 50_000


@dataclass(frozen=True)
class Scripted:
    """Replies from a function of (text so far, seed, index), or from a table: text so far -> replies.

    The text so far is the chat's text parts joined by newlines, images left out; then, if the assistant has already
    said something, a newline and that. A token is a word with the white space before it.

    Attributes:
        replies: the function or the table; reply j of a table's list of m is number j modulo m, whatever the seed.
        name: model and weights version.
        logprob: of every token, as if all had been drawn from `exp(-logprob)` equally likely ones.
    """

    replies: Script | Mapping[str, Sequence[str]]
    name: str = "scripted@base"
    logprob: float = -1.0

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
        """`n` replies a chat; with `prefixes`, what follows them.

        Raises:
            ValueError: when seeds or prefixes are given and are not one a chat.
            KeyError: when the table has no replies to a text, naming the nearest that it has.
        """
        for given, what in ((seeds, "seeds"), (prefixes, "prefixes")):
            if given and len(given) != len(chats):
                raise ValueError(f"{len(given)} {what} for {len(chats)} chats: expected one each")
        drawn = []
        for i, chat in enumerate(chats):
            said = words_of(chat) + (f"\n{prefixes[i]}" if prefixes and prefixes[i] else "")
            seed = seeds[i] if seeds else 0
            # Greedy decoding has no chance in it: seed and index do not matter.
            places = [(seed, j) if temperature > 0 else (0, 0) for j in range(n)]
            drawn.append([self._reply(self._say(said, *place), max_tokens, stop) for place in places])
        return drawn

    def logprobs(self, chats: Sequence[Chat], completions: Sequence[str]) -> list[TokenScores]:
        """The constant log-probability for every token, end token included."""
        scores = []
        for _, text in zip(chats, completions, strict=True):
            ids = (*map(_id, _PIECE.findall(text)), END)
            scores.append(TokenScores(ids, (self.logprob,) * len(ids), (-self.logprob,) * len(ids)))
        return scores

    def describe(self) -> dict[str, Any]:
        """What decides its behaviour, for the store's keys."""
        if isinstance(self.replies, Mapping):
            script: Any = {text: list(said) for text, said in self.replies.items()}
        else:
            script = f"{self.replies.__module__}.{self.replies.__qualname__}"
        return {"scripted": script, "name": self.name, "logprob": self.logprob}

    def mark_home(self) -> None:
        """Nothing to remember: there are no weights."""

    def go_home(self) -> None:
        """Nothing to restore: there are no weights."""

    def _say(self, said: str, seed: int, index: int) -> str:
        if not isinstance(self.replies, Mapping):
            return self.replies(said, seed, index)
        if said not in self.replies:
            near = get_close_matches(said, self.replies, n=1, cutoff=0.0)
            raise KeyError(f"no replies to {said!r} in the script; the nearest text it has: {near}")
        return self.replies[said][index % len(self.replies[said])]

    def _reply(self, text: str, max_tokens: int, stop: Sequence[str]) -> Reply:
        ends = [text.index(s) + len(s) for s in stop if s in text]
        text = text[: min(ends, default=len(text))]
        pieces = _PIECE.findall(text)
        whole = len(pieces) < max_tokens  # the end token takes a place too
        reason: StopReason = "stop" if whole or ends else "length"
        pieces = pieces[:max_tokens]
        ids = (*map(_id, pieces), *([END] if whole and not ends else []))
        return Reply("".join(pieces).strip(), self.name, reason, ids, (self.logprob,) * len(ids))


def words_of(chat: Chat) -> str:
    """The text parts of a chat, joined by newlines."""
    return "\n".join(part["text"] for message in chat for part in message["content"] if part["type"] == "text")


def _id(piece: str) -> int:
    return 1 + stable_seed(piece.strip()) % _IDS
