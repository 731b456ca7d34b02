"""The explorer as files: the page, its script and style, data in chunks, pictures. Served and exported alike."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from mmevolve.data.images import open_image
from mmevolve.explorer import cards
from mmevolve.explorer.book import Book
from mmevolve.explorer.shell import shell
from mmevolve.report.thumbnail import small

SCRIPTS = ("data.js", "list.js", "attempt.js", "main.js")
SCRIPT, STYLE, HTML = "text/javascript; charset=utf-8", "text/css; charset=utf-8", "text/html; charset=utf-8"
FOLDER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
)


class Site:
    """Everything that a browser may ask for, made when it is asked for."""

    def __init__(self, book: Book):
        self.book = book
        self.pictures = cards.Pictures(book)

    def names(self) -> Iterator[str]:
        """All files, the page first."""
        yield from ("index.html", "explorer.css", "explorer.js", "data/index.js")
        yield from (f"data/{kind}{i}.js" for kind, i in cards.chunks(self.book))
        yield from (f"pictures/{name}" for name in self.pictures.refs)

    def get(self, name: str) -> tuple[str, bytes] | None:
        """Media type and content of a file; None when there is no such file."""
        if name == "index.html":
            body = shell(self.book, style='<link rel="stylesheet" href="explorer.css">', policy=FOLDER_POLICY,
                         scripts='<script src="explorer.js"></script>')  # fmt: skip
            return HTML, body.encode()
        if name == "explorer.css":
            return STYLE, style().encode()
        if name == "explorer.js":
            return SCRIPT, script().encode()
        folder, _, rest = name.partition("/")
        if folder == "data" and rest.endswith(".js"):
            data = self.data(rest.removesuffix(".js"))
            return None if data is None else (SCRIPT, f'mmevolve.put("{rest.removesuffix(".js")}",{data});'.encode())
        return self.picture(rest) if folder == "pictures" and rest in self.pictures.refs else None

    def data(self, name: str) -> str | None:
        """A piece of data as JSON: `index`, cards `c0`, `c1`, ..., words `w0`, `w1`, ..."""
        if name == "index":
            return cards.dumps(cards.index(self.book))
        if (name[:1], name[1:]) not in {(kind, str(i)) for kind, i in cards.chunks(self.book)}:
            return None
        number = int(name[1:])
        if name[0] == "w":
            return cards.dumps(cards.words(self.book, number))
        return cards.dumps(cards.chunk(self.book, self.pictures, number))

    def picture(self, name: str) -> tuple[str, bytes] | None:
        """A picture as it lies in the run's folder, or as PNG when a browser may not know its form."""
        ref = self.pictures.refs[name]
        kind = cards.ENDINGS[Path(name).suffix]
        try:
            if isinstance(ref, str) and Path(ref).suffix.lower() in cards.ENDINGS:
                return kind, Path(ref).read_bytes()
            out = io.BytesIO()
            open_image(ref).save(out, "PNG")
        except (OSError, ValueError):
            return None
        return kind, out.getvalue()

    def one_file(self) -> str:
        """The whole explorer as one page that needs nothing else; pictures are made small."""
        parts = [("index", self.data("index"))]
        parts += [(f"{kind}{i}", self.data(f"{kind}{i}")) for kind, i in cards.chunks(self.book)]
        parts.append(("pictures", cards.dumps(self._thumbnails())))
        data = "".join(f'<script type="application/json" id="data-{name}">{text}</script>' for name, text in parts)
        policy = f"default-src 'none'; script-src {_hash(script())}; style-src {_hash(style())}; img-src data:"
        return shell(self.book, style=f"<style>{style()}</style>", policy=policy,
                     scripts=f"{data}<script>{script()}</script>")  # fmt: skip

    def _thumbnails(self) -> dict[str, str]:
        found = {}
        for name, ref in self.pictures.refs.items():
            try:
                data, kind, _ = small(open_image(ref))
            except (OSError, ValueError):
                continue  # the page says that it cannot be shown
            found[name] = f"data:image/{kind};base64,{data}"
        return found


def style() -> str:
    """The report's colours and the explorer's own rules."""
    colours = files("mmevolve.report").joinpath("report.css").read_text(encoding="utf-8").partition("\n\n")[0]
    return f"{colours}\n{files('mmevolve.explorer').joinpath('explorer.css').read_text(encoding='utf-8')}"


def script() -> str:
    """The page's script."""
    return "".join(files("mmevolve.explorer").joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
