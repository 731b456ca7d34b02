"""What README and CONTRIBUTING tell a reader to type, open and write is really there."""

import re
import shlex
from pathlib import Path

import pytest

from mmevolve.cli import _VERBS, main
from mmevolve.config import ConfigError
from mmevolve.config.check import check
from mmevolve.config.read_yaml import parse

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in BLOCK.findall(page.read_text()) if language in languages]


def commands() -> list[str]:
    """Every line of the shell blocks, without its comment."""
    lines = [line for page in PAGES for text in blocks(page, "bash") for line in text.splitlines()]
    return [line.partition("#")[0].strip() for line in lines if line.partition("#")[0].strip()]


@pytest.mark.parametrize("line", commands())
def test_a_command_names_what_is_there(line):
    for command in line.split("&&"):
        program, *words = shlex.split(command)
        if program == "make":
            assert f"\n{words[0]}:" in (ROOT / "Makefile").read_text()
        elif program == "mmevolve":
            assert words[0] in _VERBS
            for word in words[1:]:
                if word.endswith(".yaml"):
                    assert (ROOT / word).is_file()
        elif program != "pip":
            assert program in (".venv/bin/pytest", ".venv/bin/ruff")


@pytest.mark.parametrize(
    "line", [c for c in commands() if c.startswith(("mmevolve check", "mmevolve plan", "mmevolve ls"))]
)
def test_a_command_that_only_looks_goes_well(line, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(shlex.split(line)[1:]) == 0
    assert capsys.readouterr().out


@pages
def test_a_link_into_the_repository_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pages
def test_yaml_in_the_text_names_real_parts_and_settings(page, tmp_path):
    for i, text in enumerate(blocks(page, "yaml")):
        file = tmp_path / f"block{i}.yaml"
        file.write_text(text)
        problems = [str(p) for p in check(file) if not p.warning and "no 'loop'" not in str(p)]
        assert problems == []


@pages
def test_inline_yaml_parses(page):
    prose = BLOCK.sub("", page.read_text())
    for text in re.findall(r"`([^`]*_target_: [^`]*)`", prose):
        try:
            parse(" ".join(text.split()), page.name)
        except ConfigError as error:
            pytest.fail(f"{text}: {error}")


def test_the_method_of_contributing_works(tmp_path, monkeypatch):
    code = next(text for text in blocks(ROOT / "CONTRIBUTING.md", "python") if "class Shortest" in text)
    (tmp_path / "shortest.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    from shortest import Shortest

    from mmevolve.types import Critique, Group, Sample, Step, Trajectory

    attempts = [Trajectory(str(i), "s", "m", tuple(Step(f"{i}{k}") for k in range(n))) for i, n in enumerate((3, 1, 2))]
    said = [Critique(str(i), "answer", score) for i, score in enumerate((1.0, 0.0, 1.0))]
    (row,) = Shortest()([Group(Sample("s", "?"), tuple(attempts), tuple(said))])
    assert row.source == "2"
