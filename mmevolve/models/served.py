"""VLMs behind OpenAI-compatible servers (vLLM, SGLang, `transformers serve`, gateways), behind the `VLM` protocol."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from mmevolve.config.nearest import hint
from mmevolve.config.ranges import Range
from mmevolve.models.draw import row_keys
from mmevolve.models.served_chat import messages, prompt_length, prompt_scores, replies, same_model
from mmevolve.models.served_dialects import DIALECTS
from mmevolve.models.served_http import Passing, Patience, ServerError, insist
from mmevolve.models.served_preflight import base_url, preflight
from mmevolve.protocols import TokenScores
from mmevolve.types import Chat, Reply

T = TypeVar("T")
SEED_BITS = 31  # every server takes such a seed; vLLM adds the choice's index to it


class ServedVLM:
    """A VLM that servers on the network hold; it samples and, where the server can, scores. It cannot be trained.

    Reply j of a chat has a seed of its own, made of the chat's seed and j as the local model makes the key of its
    draws. It depends on neither batch, order, the number in flight nor which server answered, as far as the servers
    compute the same for the same request. The draws are the server's, not those of the local model with the same seed;
    and unlike the local model, a server may draw special tokens.

    Args:
        model: the name under which the servers serve it; checked at `/v1/models` before the first request (where that
            lists what is served), and on every answer.
        urls: base URLs, with or without `/v1`; requests go to them in turn, and a failed one to the next.
        server: what serves it: `vllm`, `sglang`, `transformers` (`transformers serve`) or `openai` for any other.
            Only vllm can score; transformers and openai cannot continue a prefix; transformers cannot stop at strings;
            openai cannot set top_k and cuts stop strings off.
        version: of the weights behind the name; change it when they change, as nothing else can tell.
        key_variable: name of the environment variable that holds the API key; None sends none.
        in_flight: requests under way at once, over all servers.
        replies_per_request: replies asked for at once (`n`); above 1 the server spreads the request's seed over them
            in its own way, which saves reading the prompt again where it keeps no prefixes.
        timeout: seconds one try may take.
        retries: further tries of a request that met an overloaded, broken or silent server.
        first_wait: seconds before the first of them; doubled each time, unless the server says how long.
        longest_wait: seconds that no pause exceeds.

    Raises:
        ValueError: for an empty or malformed list of URLs, an unknown kind of server or a number out of range.
    """

    def __init__(
        self,
        model: str,
        urls: Sequence[str],
        *,
        server: Literal["vllm", "sglang", "transformers", "openai"] = "vllm",
        version: str = "base",
        key_variable: str | None = None,
        in_flight: Annotated[int, Range(1)] = 32,
        replies_per_request: Annotated[int, Range(1)] = 1,
        timeout: Annotated[float, Range(0.0)] = 600.0,
        retries: Annotated[int, Range(0)] = 5,
        first_wait: Annotated[float, Range(0.0)] = 0.5,
        longest_wait: Annotated[float, Range(0.0)] = 60.0,
    ):
        for sentence in preflight(urls=urls, model=model):
            raise ValueError(f"ServedVLM: {sentence}")
        if server not in DIALECTS:
            raise ValueError(f"ServedVLM: no kind of server '{server}'{hint(server, DIALECTS)}")
        if min(in_flight, replies_per_request) < 1 or retries < 0 or timeout <= 0:
            raise ValueError("ServedVLM: in_flight and replies_per_request are at least 1, retries 0, timeout above 0")
        self.served, self.server, self.version = model, server, version
        self.urls = tuple(base_url(url) for url in urls)
        self.key_variable = key_variable
        self.in_flight = in_flight
        self.replies_per_request = replies_per_request
        self.patience = Patience(timeout, retries, first_wait, longest_wait)
        self._checked = False

    @property
    def name(self) -> str:
        """Model and weights version; the author of what it writes."""
        return f"{self.served}@{self.version}"

    def describe(self) -> dict[str, Any]:
        """What decides its replies, for the store's keys: not where it is served, nor how patiently it is asked."""
        about = {"served": self.served, "version": self.version, "server": self.server}
        return {**about, "replies_per_request": self.replies_per_request}

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
        """Draw `n` replies a chat; with `prefixes`, continuations of what the assistant has said so far.

        Greedy replies to a chat are asked for once and repeated. Token ids and log-probabilities are there only where
        the server gives both, untempered.

        Raises:
            ValueError: when seeds or prefixes are not one a chat, or are asked of a server that cannot.
            ServerError: when a server serves another model, refuses, or fails for longer than the patience lasts.
        """
        for given, what in ((seeds, "seeds"), (prefixes, "prefixes")):
            if given and len(given) != len(chats):
                raise ValueError(f"{len(given)} {what} for {len(chats)} chats: expected one each")
        dialect = DIALECTS[self.server]
        if any(prefixes) and dialect.go_on is None:
            raise ValueError(
                f"a '{self.server}' server cannot continue a prefix: serve '{self.served}' by vLLM or SGLang"
            )
        if stop and not dialect.stops:
            raise ValueError(
                f"a '{self.server}' server cannot stop at strings: serve '{self.served}' by vLLM or SGLang"
            )
        if top_k and dialect.all_tokens is None and not dialect.nested:
            raise ValueError(f"top_k {top_k}: a request to a '{self.server}' server cannot set it, expected 0")
        draws = n if temperature > 0 else 1
        many = self.replies_per_request if dialect.many else 1
        keys = row_keys(list(seeds) or [0] * len(chats), draws).reshape(len(chats), draws)
        fields = {
            "model": self.served,
            **dialect.sampling(temperature=temperature, top_k=top_k, top_p=top_p, max_tokens=max_tokens),
            **(dialect.ask_tokens or {}),
            **({"stop": list(stop), **(dialect.keep_stop or {})} if stop else {}),
        }

        def draw(place: tuple[int, int], line: _Line) -> list[Reply]:
            i, first = place
            said = prefixes[i] if prefixes and prefixes[i] else None
            count = min(many, draws - first)
            body = {**fields, "messages": messages(chats[i], said), "seed": int(keys[i, first] >> (64 - SEED_BITS))}
            body |= {"n": count} if dialect.many else {}
            body |= (dialect.go_on or {}) if said is not None else {}
            read = partial(replies, author=self.name, n=count, untempered=dialect.untempered(temperature))
            return line.ask(body, read)

        places = [(i, first) for i in range(len(chats)) for first in range(0, draws, many)]
        drawn: list[list[Reply]] = [[] for _ in chats]
        for (i, _), some in zip(places, self._each(draw, places), strict=True):
            drawn[i] += some
        return [some * n if draws < n else some for some in drawn]

    def logprobs(self, chats: Sequence[Chat], completions: Sequence[str]) -> list[TokenScores]:
        """Log-probabilities of given completions, end-of-turn token included, from the server's `prompt_logprobs`.

        Entropies are NaN: a server does not give the whole distribution. A completion takes three requests: the chat
        up to the assistant's turn and up to the end of its text, for their lengths, and the closed turn.

        Raises:
            ValueError: when the server cannot score.
            ServerError: as for `generate`.
        """
        dialect = DIALECTS[self.server]
        if not dialect.scores:
            raise ValueError(
                f"a '{self.server}' server cannot score given completions: serve '{self.served}' by vLLM, "
                "or score with a local model"
            )

        def score(place: tuple[Chat, str], line: _Line) -> TokenScores:
            chat, text = place
            common = {"model": self.served, "max_tokens": 1, "temperature": 0.0}
            closed = {**common, "add_generation_prompt": False}
            start = line.ask({**common, "messages": messages(chat)}, prompt_length)
            turn = messages(chat, text)
            end = line.ask({**common, "messages": turn, **(dialect.go_on or {})}, prompt_length) if text else start
            whole = {**closed, "messages": turn, "prompt_logprobs": 0, "return_token_ids": True}
            return line.ask(whole, partial(prompt_scores, start=start, stop=end + 1))

        return self._each(score, list(zip(chats, completions, strict=True)))

    def check(self) -> None:
        """Ask every server what it serves, where it can say so.

        Raises:
            ServerError: when one cannot be reached, or serves another model.
        """
        for base in self.urls if DIALECTS[self.server].lists_served else ():
            names = insist([base], "models", None, read=_listed, patience=self.patience, key=self._key())
            if self.served not in names:
                theirs = ", ".join(f"'{name}'" for name in names) or "nothing"
                raise ServerError(f"server {base} serves {theirs}, not '{self.served}'{hint(self.served, names)}")
        self._checked = True

    def _each(self, work: Callable[[Any, _Line], T], places: Sequence[Any]) -> list[T]:
        """Results in the order of the places, some in flight at once; the first failure ends all."""
        if not places:
            return []
        if not self._checked:
            self.check()
        halt = threading.Event()
        gates = {url: threading.Lock() for url in self.urls} if DIALECTS[self.server].one_at_a_time else None
        lines = [_Line(self, k, self._key(), halt, gates) for k in range(len(places))]
        pool = ThreadPoolExecutor(min(self.in_flight, len(places)), thread_name_prefix="served")
        try:
            return list(pool.map(work, places, lines))
        except BaseException:
            halt.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            pool.shutdown(wait=not halt.is_set())

    def _key(self) -> str:
        if self.key_variable is None:
            return ""
        if not os.environ.get(self.key_variable):
            raise ServerError(f"the environment variable '{self.key_variable}', named by key_variable, is not set")
        return os.environ[self.key_variable]

    def _untrainable(self, *_: Any, **__: Any) -> NoReturn:
        raise ServerError(
            f"'{self.name}' is served and cannot be trained: its weights are on the server; name a local model as "
            "models.TransformersVLM"
        )

    # What a loop or a training step asks of a model that learns, or whose weights are taken over.
    mark_home = go_home = train_mode = eval_mode = named_weights = weights_digest = save = load = _untrainable
    model = processor = encoder = property(_untrainable)


class _Line:
    """How one piece of work reaches the servers: its own server first, then the others in turn."""

    def __init__(
        self, vlm: ServedVLM, k: int, key: str, halt: threading.Event, gates: dict[str, threading.Lock] | None
    ):
        at = k % len(vlm.urls)
        self.bases = vlm.urls[at:] + vlm.urls[:at]
        self.served, self.patience = vlm.served, vlm.patience
        self.key, self.halt, self.gates = key, halt, gates

    def ask(self, body: dict[str, Any], read: Callable[[Any], T]) -> T:
        """One chat completion, by whichever server gives it."""

        def checked(base: str, answer: Any) -> T:
            said = answer.get("model", self.served) if isinstance(answer, dict) else self.served
            if not same_model(said, self.served):
                raise ServerError(f"server {base} answered as '{said}', not as '{self.served}'")
            return read(answer)

        return insist(
            self.bases, "chat/completions", body, read=checked, patience=self.patience, key=self.key,
            halt=self.halt, gates=self.gates,
        )  # fmt: skip


def _listed(_: str, answer: Any) -> list[str]:
    entries = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise Passing(f"its list of models is none: {str(answer)[:200]}")
    return [str(e.get("id")) for e in entries]
