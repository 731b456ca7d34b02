"""`mmevolve explore`: the explorer from a server on this machine only, or as files."""

from __future__ import annotations

import shutil
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from urllib.parse import unquote, urlsplit

from mmevolve.config.errors import ConfigError
from mmevolve.durable import put, put_text
from mmevolve.explorer.book import read_book
from mmevolve.explorer.site import Site
from mmevolve.report.folder import is_run, open_run
from mmevolve.report.words import memory, several

HOST = "127.0.0.1"
LARGE = 100_000_000  # bytes from which one file is a burden to a browser


def explore(run: str, out: str | None = None, port: int = 0) -> int:
    """Serve the explorer of a run until Ctrl-C, or write it to a file that ends in .html or to a folder.

    Raises:
        ConfigError: when the folder holds no run, the port is taken, or the place to write to is not free.
    """
    if not is_run(run):
        what = "is not a run folder: it has no recipe.yaml and no rounds" if Path(run).is_dir() else "does not exist"
        raise ConfigError(f"'{run}' {what}; runs are made by `mmevolve run RECIPE` and usually lie in runs/", "explore")
    if out is not None:
        return _write(Site(read_book(open_run(run))), Path(out))
    shelf = Shelf(run)
    try:
        server = ThreadingHTTPServer((HOST, port), handler(shelf))
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on port {port}: {error}; leave --port out to take a free one", "explore"
        ) from error
    print(f"{several(len(shelf.site().book.entries), 'attempt')} of {run}")
    print(f"http://{HOST}:{server.server_address[1]}/   (Ctrl-C ends it)", flush=True)
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


class Shelf:
    """The site of a run; made anew when the page is loaded after the run has written more."""

    def __init__(self, run: str):
        self.run = run
        self._lock = Lock()
        self._made: tuple[object, Site] | None = None

    def site(self, *, fresh: bool = True) -> Site:
        """The site; with `fresh`, of the tables as they are now."""
        with self._lock:
            tables = sorted((str(p), p.stat().st_mtime_ns) for p in Path(self.run).glob("*/*/*.parquet"))
            if self._made is None or (fresh and self._made[0] != tables):
                self._made = (tables, Site(read_book(open_run(self.run))))
            return self._made[1]


def handler(shelf: Shelf) -> type[BaseHTTPRequestHandler]:
    """Answers GET for the files of a shelf, to callers on this machine only."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if (self.headers.get("Host") or "").rpartition(":")[0] not in (HOST, "localhost"):
                return self._send(403, "text/plain", b"this server answers this machine only\n")
            name = unquote(urlsplit(self.path).path).lstrip("/") or "index.html"
            found = shelf.site(fresh=name == "index.html").get(name)
            return self._send(200, *found) if found else self._send(404, "text/plain", b"there is no such file\n")

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the terminal is the user's."""

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (ConnectionError, TimeoutError):  # the browser went away
                self.close_connection = True

    return Handler


def _write(site: Site, out: Path) -> int:
    if out.suffix == ".html":
        if out.is_dir():
            raise ConfigError(f"{out} is a folder; name a file, or a folder without .html", "explore --out")
        text = site.one_file()
        put_text(out, text)
        size = len(text.encode())
        print(f"{out} ({memory(size)})")
        if size > LARGE:
            print("a browser takes long over one file of this size: leave .html out to get a folder", file=sys.stderr)
        return 0
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "explorer.js").is_file())):
        raise ConfigError(f"{out} is there already and holds something else; name a new folder", "explore --out")
    aside = out.with_name(out.name + ".tmp")
    shutil.rmtree(aside, ignore_errors=True)
    size = 0
    for name in site.names():
        found = site.get(name)
        if found is not None:
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).write_bytes(found[1])
            size += len(found[1])
    shutil.rmtree(out, ignore_errors=True)
    put(aside, out)
    print(f"{out / 'index.html'} ({memory(size)} in the folder)")
    return 0
