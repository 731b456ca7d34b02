from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmevolve import cli
from mmevolve.cli import main
from mmevolve.commands.engine import NotThere, engine

EVAL = {
    "limit": 3, "data": None, "answers": None, "partial": False, "n": 1, "temperature": None, "max_tokens": None,
    "seed": 0, "batch": 1, "dtype": "float32", "url": None, "server": "vllm", "base": None, "against": None,
    "control": None, "overlap": None, "embedder": None, "cosine": None, "refuse": None, "judge": None, "html": None,
    "out": None, "log": None,
}  # fmt: skip
PARTS = """
def run(*, size: int, name: str = "x"):
    '''Run something.'''
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a part of the user's own and a recipe that names it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_cli_parts.py").write_text(PARTS)
    (tmp_path / "right.yaml").write_text("# What it is.\n# Run it.\nloop: {_target_: my_cli_parts.run, size: 3}\n")
    (tmp_path / "wrong.yaml").write_text("loop: {_target_: my_cli_parts.run, sise: 3}\n")
    return tmp_path


def in_a_new_interpreter(words: list[str]) -> tuple[subprocess.CompletedProcess[str], float]:
    started = time.perf_counter()
    code = "import sys; from mmevolve.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    return done, time.perf_counter() - started


def test_a_right_recipe_is_said_to_be_right(folder, capsys):
    assert main(["check", "right.yaml", "--allow", "my_cli_parts"]) == 0
    assert capsys.readouterr().out == "right.yaml: right\n"


def test_a_mistake_is_one_line_and_exit_code_2_without_a_traceback(folder, capsys):
    done, seconds = in_a_new_interpreter(["check", "wrong.yaml", "--allow", "my_cli_parts"])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "wrong.yaml:1:36: my_cli_parts.run has no setting 'sise': the nearest is 'size'\n"
    with capsys.disabled():
        print(f"\nmmevolve check, interpreter start included: {seconds:.2f} s")


def test_several_recipes_and_overrides_are_checked_together(folder, capsys):
    assert main(["check", "right.yaml", "wrong.yaml", "--allow", "my_cli_parts", "loop.size=big"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("override 'loop.size=big'") == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["check", "gone.yaml"], "gone.yaml: the recipe cannot be read: No such file or directory"),
        (["check", "right.yaml"], "add --allow my_cli_parts if you trust it"),
        (
            ["check", "right.yaml", "lop.size=3"],
            "override 'lop.size=3': the recipe has no 'lop': the nearest is 'loop'",
        ),
        (["check"], "name at least one recipe"),
        (["eval", "model"], "name a benchmark with --benchmark"),
    ],
)
def test_a_mistake_of_the_users_gives_a_sentence_and_2(words, says, folder, capsys):
    assert main(words) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["chek", "x.yaml"], "there is no verb 'chek': the nearest is 'check'"),
        (["run", "x.yaml", "--dry-rum"], "mmevolve run does not take --dry-rum"),
        (["status", "a", "b"], "mmevolve status does not take b"),
        ([], "required"),
    ],
)
def test_a_command_that_is_none_ends_with_2(words, says, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "called"),
    [
        (
            ["run", "r.yaml", "a=1", "--dry-run", "b=2"],
            ("mmevolve.launch.run", ("r.yaml", ["a=1", "b=2"]), {"dry_run": True, "allow": []}),
        ),
        (["plan", "r.yaml", "--allow", "p"], ("mmevolve.launch.plan", ("r.yaml", []), {"allow": ["p"]})),
        (["status", "runs/x"], ("mmevolve.browse.status", ("runs/x",), {})),
        (["show", "runs/x", "--sample", "s1", "-n", "2"], ("mmevolve.browse.show", ("runs/x", "s1", 2), {})),
        (["report", "runs/x"], ("mmevolve.report.page.write", ("runs/x",), {})),
        (["eval", "parity"], ("mmevolve.parity.main", (None, False), {})),
        (["eval", "parity", "--data", "d", "--json"], ("mmevolve.parity.main", ("d", True), {})),
        (["eval", "m", "--benchmark", "b,c", "--limit", "3"], ("mmevolve.evaluation.main", ("m", "b,c"), EVAL)),
    ],
)  # fmt: skip
def test_verbs_are_handed_to_their_engines(words, called, monkeypatch):
    calls = []

    def fake(module: str, function: str):
        return lambda *given, **named: calls.append((f"{module}.{function}", given, named)) or 0

    monkeypatch.setattr(cli, "engine", fake)
    assert main(words) == 0
    assert calls == [called]


def test_an_interrupt_prints_one_line(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "engine", interrupted)
    assert main(["status", "runs/x"]) == 130
    assert capsys.readouterr().err.strip().count("\n") == 0


def test_a_verb_whose_module_is_missing_says_so():
    with pytest.raises(NotThere, match="this installation does not have"):
        engine("mmevolve.no_such_engine", "run")


def test_recipes_are_found_in_deep_folders_with_their_opening_lines(folder, capsys):
    (folder / "recipes" / "deep").mkdir(parents=True)
    (folder / "right.yaml").rename(folder / "recipes" / "deep" / "right.yaml")
    assert main(["ls", "recipes"]) == 0
    assert capsys.readouterr().out == "recipes/deep/right.yaml\n    What it is.\n    Run it.\n"


def test_parts_are_listed_with_their_first_line(capsys):
    assert main(["ls", "parts"]) == 0
    assert "data.shapes  " in capsys.readouterr().out


def test_a_broken_benchmark_is_listed_with_its_first_mistake(folder, capsys):
    (folder / "eval" / "benchmarks").mkdir(parents=True)
    (folder / "eval" / "benchmarks" / "b.yaml").write_text("# A benchmark.\nname: bench\n")
    assert main(["ls", "benchmarks"]) == 0
    out = capsys.readouterr().out
    said = " ".join(out.rpartition("broken specs:")[2].split())
    assert said.startswith("b eval/benchmarks/b.yaml:2:1: a benchmark needs 'title'")


def test_help_names_every_verb(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(f"    {verb} " in out for verb in cli._VERBS)


def test_a_reader_that_closes_early_is_no_error(folder):
    script = f"{sys.executable} -c 'import sys; from mmevolve.cli import main; sys.exit(main())' ls parts | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script], capture_output=True, text=True, env=os.environ, check=False
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("own", "spins"),
    [({}, "20000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
    ids=["nothing said", "a count of the user's own", "a policy of the user's own"],
)
def test_openmp_is_told_before_torch_is_loaded_and_the_users_own_words_stand(own, spins):
    code = """
import os, sys
from mmevolve.cli import main
try:
    main(["--version"])
except SystemExit:
    pass
main(["plan", "no.yaml"])
print([os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules])
"""
    bare = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run([sys.executable, "-c", code], env=bare | own, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == str([spins, False])
