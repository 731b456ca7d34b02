"""The pages of docs/: links lead somewhere, the tutorial runs from end to end, the reference leaves no module out."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

import mmevolve
from mmevolve.cli import main
from mmevolve.config.check import check

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`([\w.]+\.\w+)`:\s*\Z")  # `first.yaml`: and then the block


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings get, on GitHub and from myst."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_link_of_a_page_leads_somewhere(page):
    prose = BLOCK.sub("", page.read_text())
    broken = []
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


def test_every_page_is_in_a_table_of_contents():
    listed = re.findall(r"^([\w/]+)$", (DOCS / "index.md").read_text(), re.MULTILINE)
    assert {p.stem for p in PAGES} - {"index"} == set(listed) - {"reference/index"}


@pytest.mark.parametrize("name", ["scaling.md"])
def test_yaml_of_a_page_names_real_parts_and_settings(name, tmp_path):
    blocks = [text for language, text in BLOCK.findall((DOCS / name).read_text()) if language == "yaml"]
    assert len(blocks) == 4
    for i, text in enumerate(blocks):
        file = tmp_path / f"block{i}.yaml"
        file.write_text(text)
        silent = ("no 'loop'", "$trainer", "has no 'loss'", "needs ")
        problems = [str(p) for p in check(file) if not p.warning]
        assert [p for p in problems if not any(word in p for word in silent)] == []


def test_every_module_stands_in_the_reference():
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    pages = reference.pages()
    shown = re.findall(r"^\.\. automodule:: (.+)$", "\n".join(pages.values()), re.MULTILINE)
    files = [f.relative_to(ROOT).with_suffix("") for f in Path(mmevolve.__file__).parent.rglob("*.py")]
    names = {".".join(f.parts).removesuffix(".__init__") for f in files if f.stem != "__main__"}
    assert len(shown) == len(set(shown)) and set(shown) == names
    linked = set(re.findall(r"^   (\w+)$", pages["index"], re.MULTILINE))
    assert linked == set(pages) - {"index"}


def test_the_tutorial_runs_from_end_to_end(tmp_path, monkeypatch, capsys):
    """Files are written, Python is run, and commands are typed, in the page's order, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    text = (DOCS / "tutorial.md").read_text()
    names: dict[str, object] = {}
    typed, said = [], {}
    for block in BLOCK.finditer(text):
        language, body = block.groups()
        named = NAMED.search(text[: block.start()])
        if named:
            Path(named[1]).write_text(body)
        elif language == "python":
            exec(compile(body, f"tutorial.md:{text[: block.start()].count(chr(10))}", "exec"), names)
        elif language == "bash":
            for line in body.splitlines():
                program, *words = shlex.split(line)
                if program == "mmevolve":
                    assert main(words) == 0, line
                    typed.append(words[0])
                    said[line] = capsys.readouterr().out
                else:  # the test has an environment already
                    assert line in ("make install", ". .venv/bin/activate")
    assert {"ls", "explain", "check", "plan", "run", "status", "show", "report"} <= set(typed)
    assert "shapes/outcome_only.yaml" in said["mmevolve ls recipes"]
    assert "keeps the contract" in said["mmevolve check --contracts hard.py"]
    first, hard = ([row.source for row in mmevolve_rows(run)] for run in ("runs/first", "runs/hard"))
    assert len(hard) > 0 and set(hard) < set(first)
    assert (tmp_path / "runs/first/report.html").is_file()


def mmevolve_rows(run):
    from mmevolve.report.folder import open_run

    return open_run(run).table("evolve", 0, "examples")
