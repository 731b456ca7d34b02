"""Whatever a recipe's text is, the answer is a list of problems: never a traceback, never an import."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from mmevolve.config import check
from mmevolve.config.targets import UnknownTarget

PIECES = (
    *(
        "$",
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        "- ",
        "\n",
        "  ",
        "_target_",
        "_partial_",
        "&a ",
        "*a",
        "!!",
        "<<: ",
        "'",
        '"',
    ),
    *(
        "#",
        "null",
        "true",
        "1e400",
        "-0x",
        ".nan",
        "\t",
        "\x00",
        "\ud83d",
        "é",
        "%",
        "|",
        ">",
        "@",
        "`",
        "loop",
        "$loop",
    ),
    *("..", "🙂", "\u2028", "=", "0"),
)


def broken(text: str, draw: random.Random) -> str:
    """A few random cuts, copies and insertions."""
    for _ in range(draw.randint(1, 5)):
        at = draw.randrange(len(text) + 1)
        end = min(len(text), at + draw.randint(0, 30))
        kind = draw.choice(("cut", "copy", "piece", "piece"))
        if kind == "cut":
            text = text[:at] + text[end:]
        elif kind == "copy":
            other = draw.randrange(len(text) + 1)
            text = text[:other] + text[at:end] + text[other:]
        else:
            text = text[:at] + draw.choice(PIECES) + text[at:]
    return text


def unread(names: Iterable[str]) -> dict[str, UnknownTarget]:
    """Foreign code as if none of it could be imported: this test is about the recipe's text."""
    return {name: UnknownTarget(f"unknown target '{name}'") for name in names}


@pytest.mark.parametrize("seed", range(4))
def test_broken_recipes_give_problems_and_no_traceback(seed, write, house, recipe_text, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "mmevolve.config.survey.foreign_signatures", lambda names: {name: ValueError(name) for name in names}
    )
    draw = random.Random(seed)
    write(recipe_text)
    for _ in range(60):
        text = broken(recipe_text, draw)
        (tmp_path / "fuzz.yaml").write_bytes(text.encode("utf-8", errors="surrogatepass"))
        for problem in check("fuzz.yaml"):
            line = str(problem)
            assert "\n" not in line and line.startswith("fuzz.yaml"), line


@pytest.mark.parametrize("seed", range(2))
def test_broken_overrides_give_problems_and_no_traceback(seed, write, house, recipe_text, monkeypatch):
    monkeypatch.setattr(
        "mmevolve.config.survey.foreign_signatures", lambda names: {name: ValueError(name) for name in names}
    )
    draw, path = random.Random(seed), write(recipe_text)
    for _ in range(60):
        assert isinstance(check(path, [broken("loop.critics.0.name=x", draw)]), list)
