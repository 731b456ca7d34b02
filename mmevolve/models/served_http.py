"""JSON over HTTP with bounded patience: retries, backoff, Retry-After and deadlines; standard library only."""

from __future__ import annotations

import email.utils
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mmevolve.text import stable_seed

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})  # answers that another try may better
_HERE = ("localhost", "127.0.0.1", "::1")
_SHOWN = 300  # characters of a server's own words in an error


class ServerError(ValueError):
    """A server that did not do what was asked of it; the message says which, what it said and what was tried."""


class Passing(Exception):
    """A failure that another try may better; `wait` is the pause in seconds that the server asked for."""

    def __init__(self, said: str, wait: float | None = None):
        super().__init__(said)
        self.wait = wait


@dataclass(frozen=True)
class Patience:
    """How long a request is tried for.

    Attributes:
        timeout: seconds one try may take, from connecting to the last byte.
        retries: tries after the first.
        first_wait: seconds before the first retry; doubled for each later one.
        longest_wait: seconds that no pause exceeds, whatever the server asks for.
    """

    timeout: float = 600.0
    retries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 60.0

    def pause(self, tried: int, asked: float | None, *salt: object) -> float:
        """Seconds to wait after try `tried` (from 0).

        What the server asked for, or exponential backoff shortened by up to half, so that requests that failed
        together do not return together; by a hash of `salt`, not by chance.
        """
        if asked is not None:
            return min(max(asked, 0.0), self.longest_wait)
        full = min(self.first_wait * 2.0**tried, self.longest_wait)
        return full * (0.5 + 0.5 * (stable_seed(*salt, tried) % 1024) / 1024)


def insist(
    bases: Sequence[str],
    path: str,
    body: Mapping[str, Any] | None,
    *,
    read: Callable[[str, Any], Any],
    patience: Patience,
    key: str = "",
    halt: threading.Event | None = None,
    gates: Mapping[str, threading.Lock] | None = None,
) -> Any:
    """Ask servers in turn until one gives what `read` accepts.

    Args:
        bases: base URLs; try k goes to the k-th, cyclically.
        path: what is asked for, such as `chat/completions`.
        body: sent as JSON by POST; None asks by GET.
        read: makes the result of (base URL, decoded JSON); raises `Passing` for an answer that is none.
        patience: how long.
        key: API key, sent as a bearer token; empty sends none.
        halt: set by whoever no longer wants the answer.
        gates: servers that are to be asked one thing at a time, with the lock for each.

    Raises:
        ServerError: when the last try failed, or a try failed in a way that no other would better.
    """
    begun = time.monotonic()
    sent = None if body is None else json.dumps(body).encode()
    tried = 0
    while True:
        base = bases[tried % len(bases)]
        try:
            with gates[base] if gates else threading.Lock():
                answer = exchange(f"{base}/{path}", sent, timeout=patience.timeout, key=key)
            return read(base, answer)
        except Passing as failure:
            gone = halt is not None and halt.is_set()
            if tried >= patience.retries or gone:
                took = f"{tried + 1} {'try' if tried == 0 else 'tries'} in {time.monotonic() - begun:.1f} s"
                others = f", the last of {len(bases)} servers in turn" if len(bases) > 1 and tried else ""
                raise ServerError(f"server {base}{others}: {failure} ({took}, {path})") from failure
            pause = patience.pause(tried, failure.wait, sent, base)
        (halt or threading.Event()).wait(pause)
        tried += 1


def exchange(url: str, sent: bytes | None, *, timeout: float, key: str = "") -> Any:
    """One request, one decoded JSON answer.

    Raises:
        Passing: for an overloaded, broken or silent server, a cut connection, an answer that is no JSON.
        ServerError: for a request that the server refuses for good.
    """
    headers = {"Accept": "application/json", **({} if sent is None else {"Content-Type": "application/json"})}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, data=sent, headers=headers)
    deadline = time.monotonic() + timeout
    try:
        with _opener(url).open(request, timeout=timeout) as response:
            text = _body(response, deadline)
    except urllib.error.HTTPError as error:
        raise _refusal(url, error, deadline) from None
    except TimeoutError:
        raise Passing(f"no answer within {timeout:g} s") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise Passing(f"no answer within {timeout:g} s") from None
        raise Passing(f"cannot be reached: {error.reason}") from None
    except (http.client.HTTPException, OSError) as error:
        raise Passing(f"the connection was cut: {str(error) or type(error).__name__}") from None
    try:
        return json.loads(text)
    except ValueError:
        raise Passing(f"the answer is no JSON: {_short(text)}") from None


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for: a number of them, or a date; None when it says neither."""
    if header is None:
        return None
    try:
        return max(float(header), 0.0)
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(header).timestamp() - now, 0.0)
    except (TypeError, ValueError):
        return None


class _NoDetour(urllib.request.HTTPRedirectHandler):
    """A redirected POST would lose its body, and the key would go to whom it was not meant for."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener(url: str) -> urllib.request.OpenerDirector:
    # A server on this machine is never behind the proxy that the environment names.
    proxies = {} if urlsplit(url).hostname in _HERE else None
    return urllib.request.build_opener(_NoDetour(), urllib.request.ProxyHandler(proxies))


def _body(response: Any, deadline: float) -> bytes:
    """All bytes of an answer: a server that drips is as silent as one that says nothing."""
    parts = []
    while part := response.read1(1 << 16):
        parts.append(part)
        if time.monotonic() > deadline:
            raise TimeoutError
    if response.length:
        raise http.client.IncompleteRead(b"".join(parts), response.length)
    return b"".join(parts)


def _refusal(url: str, error: urllib.error.HTTPError, deadline: float) -> Exception:
    with error:
        try:
            said = _short(_body(error, deadline)) if error.fp is not None else ""
        except (OSError, http.client.HTTPException):
            said = ""
        what = f"HTTP {error.code} {error.reason}{': ' if said else ''}{said}"
        if error.code in PASSING:
            return Passing(what, retry_after(error.headers.get("Retry-After"), time.time()))
        if error.code in (401, 403):
            what += "; name the environment variable that holds the API key in key_variable"
        if 300 <= error.code < 400:
            what += f"; give the URL it redirects to, {error.headers.get('Location')}, as the base URL"
        return ServerError(f"server {url} refuses the request: {what}")


def _short(text: bytes) -> str:
    """A server's own message where its JSON has one, else the beginning of its answer."""
    words = text[: 64 * _SHOWN].decode("utf-8", "replace")
    try:
        data = json.loads(words)
        error = data.get("error", data) if isinstance(data, dict) else data
        words = str(error.get("message") or error.get("detail") or words) if isinstance(error, dict) else str(error)
    except ValueError:
        pass
    words = " ".join(words.split())
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}…"
