"""Every command of the README is typed, in the README's order, and goes well, on runs of a few questions.

A run and an evaluation are typed with fewer questions than written, the explorer is written and not served.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from mmevolve.cli import main
from mmevolve.report.folder import open_run

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SMALL = ("warmup_data.n=16", "reward_data.n=12", "train_data.n=80", "held_out.n=12", "evaluations.1.data.n=8")
ROUNDS = ("loop.0.train.steps=2", "loop.2.rounds=2", "loop.2.fraction=0.5", "loop.2.train.steps=2")


def typed() -> list[str]:
    lines = [line for text in BLOCK.findall((ROOT / "README.md").read_text()) for line in text.splitlines()]
    return [line.partition("#")[0].strip() for line in lines if line.startswith("mmevolve ")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what a clone has, and the runs that the README speaks of."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("recipes", "eval"):
        (folder / name).symlink_to(ROOT / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["run", "recipes/quickstart.yaml", *SMALL, *ROUNDS]) == 0
        reviewed = ("train_data.n=48", "held_out.n=12", "store.path=runs/self_correction_dpo", "loop.0.train.steps=1")
        assert main(["run", "recipes/shapes/self_correction_dpo.yaml", *reviewed]) == 0
    shutil.copytree(folder / "runs/quickstart", folder / "runs/other")
    return folder


def words(line: str) -> list[str]:
    """The words of a command as a test can afford to type them."""
    found = shlex.split(line)[1:]
    if found[0] == "run" and "--dry-run" not in found:
        return [*found, *SMALL, *ROUNDS]
    if found[0] == "explore":  # it would serve until Ctrl-C
        return [*found, "--out", "explorer.html"]
    if found[0] == "eval" and "--limit" in found:
        found[found.index("--limit") + 1] = "4"
    if "IMAGE" in found:
        found[found.index("IMAGE")] = next(Path("runs/quickstart/images").iterdir()).name
    return found


def test_every_command_of_the_readme_goes_well(place, monkeypatch, capsys):
    """One test, so that the runs are made once."""
    monkeypatch.chdir(place)
    lines = typed()
    assert len(lines) > 20
    assert len(open_run("runs/quickstart").table("evolve", 1, "examples")) > 17  # of which the README traces row 17
    for line in lines:
        if "yes_no:MODEL" in line or "parity" in line:  # their benchmarks are not in a clone
            continue
        capsys.readouterr()
        assert main(words(line)) == 0, line
        said = capsys.readouterr().out
        assert said.strip() and "Traceback" not in said, line
