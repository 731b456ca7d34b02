"""A loop under its monitors: what they said of each round, and what was done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmevolve import ranks, verbs
from mmevolve.schedules import watch
from mmevolve.schedules.watch import BEFORE, Monitor, place
from mmevolve.store import RunStore

TABLE = "monitors"
PAUSED, RESUMED = "paused", "resumed"  # tables of a round that a monitor stopped: it was said; the command came again


class Halted(RuntimeError):
    """A loop stopped where it is; everything made so far stays on disk."""


class Paused(Halted):
    """A monitor stopped the run for a person to look; the same command goes on."""


@dataclass(frozen=True)
class StandingStore(RunStore):
    """The store of a loop some of whose rounds were undone: their checkpoints are not found.

    So training that carries the optimizer over takes it up where the learner was put back to.
    """

    undone: tuple[int, ...] = ()

    def checkpoint(self, round: int) -> Path:
        folder = super().checkpoint(round)
        return folder.with_name("checkpoint.undone") if round in self.undone else folder


class Watched:
    """Runs the monitors of a loop and does what they say; on a resume it does the same again from their tables."""

    def __init__(self, store: RunStore, learner: Any):
        self.store = StandingStore(store.path, store.stage_name)
        self.start = getattr(learner, "version", None)

    def obey(
        self, learner: Any, monitors: Sequence[Monitor], history: Sequence[Mapping[str, float]], round: int
    ) -> None:
        """Warn, roll back, pause, in this order.

        Raises:
            Paused: when a monitor pauses the run and this command has not been given again since.
        """
        rounds = {r: history[r + 1] for r in range(BEFORE, round + 1) if r not in self.store.undone}
        alarms = self.store.once(round, TABLE, verbs.watch, monitors, rounds, round=round)
        for alarm in alarms:
            self.store.console.say(f"  !! {self.store.stage_name} {place(round)}, {alarm['action']}: {alarm['why']}")
        back = [alarm["to"] for alarm in alarms if alarm["action"] == "roll back"]
        if back:
            self.roll_back(learner, round, min(back))
        pauses = [alarm["why"] for alarm in alarms if alarm["action"] == "pause"]
        if pauses:
            self.pause(pauses, round)

    def pause(self, why: Sequence[str], round: int) -> None:
        """Stop, or go on when the stop was carried out and the command has been given again.

        That a pause was said is a table of its own, written after the words and before the stop: a kill before it
        pauses the run again, one after it finds the words said. No clock is asked.

        Raises:
            Paused: the first time, and in processes that help the one that stops.
        """
        said = Paused(
            f"{self.store.stage_name}, {place(round)}: paused by a monitor. {'; '.join(why)}. Every table is kept; the "
            "same command goes on"
        )
        if ranks.helps():
            try:
                return ranks.wait_for(self.store.round_folder(round) / f"{RESUMED}.parquet")
            except ChildProcessError:
                raise said from None
        before = any(self.store.round_folder(round + 1).glob("*.parquet"))  # runs that kept no such table went on
        told = before or bool(self.store.table(round, PAUSED))
        self.store.once(round, RESUMED if told else PAUSED, list, [{"why": sentence} for sentence in why])
        if not told:
            raise said

    def roll_back(self, learner: Any, round: int, to: int) -> None:
        """Put the learner back to what it was after another round, or at the loop's start."""
        self.store = replace(self.store, undone=tuple(sorted({*self.store.undone, *range(to + 1, round + 1)})))
        standing = (r for r in reversed(range(to + 1)) if self.store.checkpoint(r).exists())
        trained = next(standing, None)  # a round may have trained nothing
        if trained is None:
            learner.go_home()
            if self.start is not None:
                learner.version = self.start
        else:
            learner.load(self.store.checkpoint(trained), f"{self.store.stage_name}/round={trained:03d}")
        self.store.console.say(f"  !! {self.store.stage_name}: the learner is that of {place(to)} again")


def undone(store: RunStore) -> tuple[int, ...]:
    """Rounds of a loop that monitors undid, by its tables."""
    rounds = sorted(int(f.parent.name.removeprefix("round=")) for f in store.folder.glob(f"round=*/{TABLE}.parquet"))
    return watch.undone({round: store.table(round, TABLE) for round in rounds})
