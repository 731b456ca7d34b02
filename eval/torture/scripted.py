"""A run without weights, in a fraction of a second: every stage of a loop, a pause and a roll-back."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from mmevolve import launch
from mmevolve.console import shown_on
from mmevolve.critics.answer import AnswerMatch
from mmevolve.evaluation import HeldOut
from mmevolve.loops import evolve
from mmevolve.metrics.accuracy import Accuracy, PassAtK
from mmevolve.models.scripted import Scripted
from mmevolve.samplers.independent import Independent
from mmevolve.schedules.temperature import Temperature
from mmevolve.schedules.watch import Watch
from mmevolve.selectors.correct import Correct
from mmevolve.store import RunStore, StoreError, refuse_broken, seal
from mmevolve.types import Sample
from mmevolve.watched import Halted

FALLS = (0.5, 0.6, 0.3, 0.7)  # before the first round, then after each: round 1 is undone and pauses


def say(said: str, seed: int, index: int) -> str:
    return f"{index} = {index}\nanswer : {(seed + index) % 3}"


class Learner:
    """Weights are the rounds that it learned from."""

    def __init__(self) -> None:
        self.policy, self.weights, self.version, self.home = Scripted(say), (), "base", ()
        self.generate = self.policy.generate

    @property
    def name(self) -> str:
        return f"learner@{self.version}"

    def describe(self) -> dict:
        return {"weights": list(self.weights)}

    def mark_home(self) -> None:
        self.home = self.weights

    def go_home(self) -> None:
        self.weights = self.home

    def save(self, folder: Path) -> None:
        (folder / "weights.safetensors").write_text(" ".join(map(str, self.weights)))

    def load(self, folder: Path, version: str) -> None:
        self.weights = tuple(map(int, (folder / "weights.safetensors").read_text().split()))
        self.version = version


@dataclass(frozen=True)
class Train:
    """Adds the round to the weights, in the order in which `training.Fit` writes."""

    def __call__(self, learner: Learner, examples: list, store: RunStore, *, round: int) -> Learner:
        folder = store.checkpoint(round)
        if not folder.exists():
            store.console.begin(f"{store.stage_name} round={round:03d} train")
            aside = folder.with_suffix(".tmp")
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            learner.weights = (*learner.weights, round)
            learner.save(aside)
            seal(aside)
            os.replace(aside, folder)
            store.console.end(1)
        refuse_broken(folder)
        learner.load(folder, f"evolve/round={round:03d}")
        return learner


@dataclass(frozen=True)
class Numbers:
    """A number a point, as given."""

    name: str = "said"
    data: tuple[Sample, ...] = ()

    def __call__(self, policy: Learner, store: RunStore, *, at: int | str) -> dict[str, float]:
        return {"said/x": FALLS[0 if at == "before" else int(at) + 1]}


def samples(name: str, n: int) -> list[Sample]:
    return [Sample(f"{name}{i}", f"{name} {i} ?", answer="1") for i in range(n)]


def main() -> int:
    """The run in the folder where it is called, with the exit codes of `mmevolve run`."""
    said = launch.Console()
    try:
        with launch.lock(Path("run")) as free, shown_on(said):
            if not free:
                print("run is in use by another process", file=sys.stderr)
                return 2
            held = samples("held", 4)
            evolve(
                store=RunStore("run"),
                policy=Learner(),
                data=samples("train", 68),
                rounds=3,
                fraction=0.5,
                sampler=Independent(n=3, temperature=0.6),
                critics=[AnswerMatch()],
                selector=Correct(),
                train=Train(),
                schedule=Temperature(PassAtK(k=1), low=0.1, high=0.5, step=0.4),
                probe_data=samples("probe", 4),
                metrics=[Accuracy()],
                evaluations=[Numbers(), HeldOut("held_out", held, Independent(n=1), [AnswerMatch()], [Accuracy()])],
                monitors=[
                    Watch("said/x", "exploration", fall=0.1, then="pause"),
                    Watch("said/x", "collapse", fall=0.2, then="roll back"),
                ],
            )
    except Halted as error:
        print(error)
        return 3
    except (StoreError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"cannot use {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0
