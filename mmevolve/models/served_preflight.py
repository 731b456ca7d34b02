"""Base URLs of model servers, looked at before anything is asked of them; imports nothing but the standard library."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

SCHEMES = ("http", "https")


def preflight(*, urls: object = None, model: object = None, **_: object) -> Iterator[str]:
    """What is wrong with the settings of a `ServedVLM`, one sentence each."""
    if isinstance(model, str) and not model.strip():
        yield "model is empty: expected the name under which the servers serve it"
    if isinstance(urls, str):
        yield f"urls is the text '{urls}', expected a list of base URLs such as [{urls or 'http://localhost:8000'}]"
    elif isinstance(urls, list | tuple):
        if not urls:
            yield "urls is empty: expected at least one base URL, such as http://localhost:8000"
        yield from (sentence for url in urls for sentence in url_problems(url))
        known = [base_url(url) for url in urls if isinstance(url, str) and not list(url_problems(url))]
        yield from (f"urls names {url} twice" for url in sorted({u for u in known if known.count(u) > 1}))


def url_problems(url: object) -> Iterator[str]:
    """What is wrong with one base URL: at most one sentence."""
    if not isinstance(url, str):
        yield f"{url!r} is no URL: expected text such as http://localhost:8000"
        return
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:  # a port that is no number, a bracket that is not closed
        yield f"'{url}' is no URL: {error}"
        return
    if parts.scheme not in SCHEMES:
        near = f"http://{url.partition('://')[2] or url}"
        yield f"'{url}' does not begin with http:// or https://: did you mean '{near}'?"
    elif not host or any(c.isspace() for c in url) or port == 0:
        yield f"'{url}' names no server: expected a host, such as http://localhost:8000"
    elif parts.username is not None or parts.password is not None:
        yield f"the URL of '{host}' holds a user name or password: name an environment variable in key_variable instead"
    elif parts.query or parts.fragment:
        yield f"'{url}' has a query or fragment: expected a base URL, such as http://localhost:8000/v1"
    elif parts.path.rstrip("/").endswith(("/chat/completions", "/completions", "/models")):
        yield f"'{url}' is one of the server's endpoints: expected its base URL, such as http://localhost:8000/v1"


def base_url(url: str) -> str:
    """A base URL as it is used: without a slash at its end, and under `/v1` where it names a server alone."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") or "/v1", "", ""))
