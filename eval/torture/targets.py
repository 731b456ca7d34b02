"""Runs to be killed: a recipe made as small as it gets, and a scripted run without weights."""

from __future__ import annotations

import importlib
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from artefacts import artefacts, differing
from attempts import KINDS, Ended, Fault, attempt, disturb_times

from mmevolve import rehearse
from mmevolve.config import load, resolved

QUESTIONS = 4
PRELOAD = ("transformers", "peft", "tensorboard", "mmevolve", "matplotlib", "lightning", "torch", "safetensors", "PIL")


@dataclass
class Target:
    """A run that is made in a folder, killed and made again.

    Attributes:
        name: the recipe's, or `scripted`.
        home: where its folders lie.
        work: the run, in the folder where it is called; gives the exit code.
        text: its recipe.
        codes: exit codes of an uninterrupted run; more than one where a monitor pauses it.
        wanted: its artefacts.
        counts: how often a try comes by each place where it can die, at most.
        seconds: how long a try takes, at most.
    """

    name: str
    home: Path
    work: Callable[[], int]
    text: str = ""
    codes: list[int] = field(default_factory=list)
    wanted: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def whole(self) -> Path:
        return self.home / self.name / "whole"

    def prepare(self, folder: Path) -> None:
        """A folder with nothing in it but the recipe."""
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        if self.text:
            (folder / "recipe.yaml").write_text(self.text)

    def uninterrupted(self) -> Ended:
        """Run to the end, and remember what it leaves.

        Raises:
            RuntimeError: when it does not come to its end.
        """
        self.prepare(self.whole)
        first, self.codes = attempt(self.work, self.whole), []
        ended, self.counts, self.seconds = first, dict.fromkeys(KINDS, 0), 0.0
        while True:
            self.codes.append(ended.code if ended.code is not None else -9)
            self.counts = {kind: max(n, ended.counts[kind]) for kind, n in self.counts.items()}
            self.seconds = max(self.seconds, ended.seconds)
            if ended.code != 3 or len(self.codes) == 4:
                break
            ended = attempt(self.work, self.whole)
        if ended.code not in (0, 3):
            raise RuntimeError(f"{self.name} does not run: {ended.said[-2000:]}")
        self.wanted = artefacts(self.whole)
        for name in ended.modules:  # what a try imports on the way is imported once, here
            if name.split(".")[0] in PRELOAD:
                with suppress(Exception):
                    importlib.import_module(name)
        return first

    def tries(self, folder: Path, draw: random.Random, kills: int) -> list[dict]:
        """Tries that die, one after another, until so many were killed or one came to its end."""
        killed, left = [], dict(self.counts)
        for _ in range(2 * kills):  # a pause, after which the same command goes on, is no kill
            places = [kind for kind in KINDS if left[kind] > 0]
            back = draw.random() < 0.3
            after, fault = None, None
            if places and draw.random() < 0.6:
                kind = draw.choice(places)
                fault = Fault(kind, draw.randint(1, max(1, left[kind] // 2)))  # so that there is some left to kill
            else:
                after = draw.uniform(0.0, 0.6 * self.seconds)
            ended = attempt(self.work, folder, after=after, fault=fault, back=back)
            left = {kind: n - ended.counts[kind] for kind, n in left.items()}
            if ended.code is None:
                killed.append({"stage": ended.stage, "at": fault.kind if fault else "an instant", "back": back})
                if back:
                    disturb_times(folder, draw)
            elif ended.code != 3:
                break
            if len(killed) == kills:
                break
        return killed

    def rest(self, folder: Path) -> list[str]:
        """Run to the end, and say what is otherwise than in the uninterrupted run."""
        for _ in [*self.codes, 0]:
            ended = attempt(self.work, folder)
            if ended.code != 3:
                break
        if ended.code != self.codes[-1]:
            return [f"exit code {ended.code}: {ended.said[-2000:]}"]
        return differing(artefacts(folder), self.wanted)


def of_recipe(path: Path, home: Path, run: Callable[[str], int]) -> Target:
    """A recipe's rehearsal with fewer questions, written down so that every try runs the same."""
    rehearse.QUESTIONS = QUESTIONS
    rehearse.MOST["evaluation"]["limit"] = QUESTIONS
    rehearse.MOST["data"].update(n=QUESTIONS, descriptions=QUESTIONS)
    small = rehearse.rehearsal(load(path))
    plain = yaml.safe_load(resolved(small))
    where = plain["store"]["path"]
    folder = where[: where.index("/store/")]
    shutil.rmtree(folder, ignore_errors=True)
    text = resolved(small).replace(where, "run").replace(folder, ".")
    title = small.text.splitlines()[1] if small.text.startswith("# Rehearsal") else f"# {path.stem}"
    return Target(path.stem, home, lambda: run("recipe.yaml"), f"{title}\n{text}")
