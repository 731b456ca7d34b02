"""Tries of a run that die: each is a process forked from this one, killed at an instant or where a fault is placed.

The libraries are imported once, here, so that a try costs what the run costs and not what Python's imports cost. What
dies is a process of its own that the kernel ends with SIGKILL: no handler, no `finally`, no buffer is flushed.
"""

from __future__ import annotations

import mmap
import os
import random
import resource
import shutil
import signal
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mmevolve import console, launch
from mmevolve.store import RunStore

KINDS = (  # where a fault can be placed; the n-th time that a try comes there, it dies
    "before a rename",
    "after a rename",
    "half a table",
    "after a table",
    "half a checkpoint",
    "half a text",
    "half a picture",
    "in a deletion",
)
MODELS: list[type] = []  # classes that write checkpoints with a method `save`
WORDS = 96  # bytes for the name of the stage
BACK = 1e6  # seconds by which a clock that was set back is wrong


@dataclass(frozen=True)
class Fault:
    """A place to die: the `n`-th time, from 1, that the try comes there."""

    kind: str
    n: int


@dataclass
class Ended:
    """How a try ended.

    Attributes:
        code: the exit code; None when it was killed.
        stage: what it was doing.
        counts: how often it came by each kind of place.
        said: what it printed.
        seconds: how long it took.
    """

    code: int | None
    stage: str
    counts: dict[str, int]
    said: str
    seconds: float
    modules: list[str] = field(default_factory=list)


class Board:
    """A page of memory that both processes see: the stage, and a count of each kind of place."""

    def __init__(self) -> None:
        self.page = mmap.mmap(-1, WORDS + 4 * len(KINDS))
        self.stage = "start"

    @property
    def stage(self) -> str:
        return self.page[:WORDS].rstrip(b"\0").decode()

    @stage.setter
    def stage(self, what: str) -> None:
        self.page[:WORDS] = what.encode()[:WORDS].ljust(WORDS, b"\0")

    def count(self, kind: str) -> int:
        """One more of a kind; gives how many there are now."""
        at = WORDS + 4 * KINDS.index(kind)
        (n,) = struct.unpack("i", self.page[at : at + 4])
        self.page[at : at + 4] = struct.pack("i", n + 1)
        return n + 1

    def counts(self) -> dict[str, int]:
        return dict(zip(KINDS, struct.unpack(f"{len(KINDS)}i", self.page[WORDS:]), strict=True))


class Telling(console.Console):
    """A console that also says on the board what the run is doing."""

    board: Board

    def begin(self, what: str) -> None:
        super().begin(what)
        self.board.stage = stage_of(what)

    def end(self, rows: int) -> None:
        super().end(rows)
        self.board.stage = "between"


def stage_of(what: str) -> str:
    """The kind of a stage, from the console's words `<loop> <round> <table>`: held-out tables with their kind."""
    table = what.split()[-1]
    return table.rsplit("_", 1)[-1]


def attempt(
    work: Callable[[], int],
    folder: Path,
    *,
    after: float | None = None,
    fault: Fault | None = None,
    back: bool = False,
    room: int | None = None,
    user: int | None = None,
) -> Ended:
    """One try of `work` in a folder, in a process of its own.

    Args:
        work: what is done there; gives the exit code.
        folder: its working directory.
        after: seconds until it is killed, if it still runs.
        fault: where it dies.
        back: the clock is wrong, and was right before.
        room: largest file in bytes that it may write.
        user: whom it runs as.
    """
    board, log, start = Board(), folder.with_suffix(".log"), time.monotonic()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _die_or_work(work, folder, log, board, fault, back, room, user)
    status: int | None = None
    while status is None:
        done, found = os.waitpid(child, os.WNOHANG)
        if done:
            status = found
        elif after is not None and time.monotonic() - start > after:
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
        else:
            time.sleep(0.004)
    code = (
        None if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else os.waitstatus_to_exitcode(status)
    )
    names = log.with_suffix(".modules")
    modules = names.read_text().split() if names.exists() else []
    said = log.read_text(errors="replace")
    return Ended(code, board.stage, board.counts(), said, time.monotonic() - start, modules)


def _die_or_work(
    work: Callable[[], int],
    folder: Path,
    log: Path,
    board: Board,
    fault: Fault | None,
    back: bool,
    room: int | None,
    user: int | None,
) -> None:
    """The child: never returns."""
    code = 97
    try:
        out = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(folder)
        Telling.board = board
        launch.Console = Telling
        _place(board, fault)
        if back:
            right = time.time
            time.time = lambda: right() - BACK
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))  # Python ignores SIGXFSZ: writes fail with EFBIG
        if user is not None:
            os.setuid(user)
        code = work()
        if room is None and user is None:
            log.with_suffix(".modules").write_bytes(" ".join(sorted(sys.modules)).encode())
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _place(board: Board, fault: Fault | None) -> None:
    """Count the places where a try can die, and die at the one that is wanted."""

    def here(kind: str) -> bool:
        n = board.count(kind)
        return fault is not None and fault == Fault(kind, n)

    def die(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    replace, write_table, once, rmtree = os.replace, pq.write_table, RunStore.once, shutil.rmtree
    write_text, write_bytes, keep_times = Path.write_text, Path.write_bytes, launch.keep_times

    def replacing(old: Any, new: Any) -> None:
        if here("before a rename"):
            die()
        replace(old, new)
        if here("after a rename"):
            die()

    def writing(table: Any, where: Any, **words: Any) -> None:
        write_table(table, where, **words)
        if here("half a table"):
            os.truncate(where, os.path.getsize(where) // 2)
            die()

    def making(self: RunStore, *args: Any, **words: Any) -> Any:
        rows = once(self, *args, **words)
        if here("after a table"):
            die()
        return rows

    def deleting(path: Any, *args: Any, **words: Any) -> None:
        if os.path.isdir(path) and here("in a deletion"):
            file = next((f for f in Path(path).rglob("*") if f.is_file()), None)
            if file is not None:
                file.unlink()
            die()
        rmtree(path, *args, **words)

    def text(self: Path, data: str, *args: Any, **words: Any) -> int:
        if here("half a text"):
            write_text(self, data[: len(data) // 2], *args, **words)
            die()
        return write_text(self, data, *args, **words)

    def picture(self: Path, data: bytes) -> int:
        if here("half a picture"):
            write_bytes(self, data[: len(data) // 2])
            die()
        return write_bytes(self, data)

    def saving(kind: type) -> Callable[[Any, Path], None]:
        save = kind.save

        def checkpoint(self: Any, where: Path) -> None:
            save(self, where)
            if here("half a checkpoint"):
                file = max(Path(where).glob("*.safetensors"), key=lambda f: f.stat().st_size)
                os.truncate(file, file.stat().st_size // 2)
                die()

        return checkpoint

    def closing(*args: Any) -> None:
        board.stage = "closing"
        keep_times(*args)

    os.replace, pq.write_table, RunStore.once, shutil.rmtree = replacing, writing, making, deleting
    Path.write_text, Path.write_bytes = text, picture
    launch.keep_times = closing
    for kind in MODELS:
        kind.save = saving(kind)


def disturb_times(folder: Path, draw: random.Random) -> None:
    """Give every file a time of its own, years back or ahead: what a clock that was set wrong leaves."""
    for file in folder.rglob("*"):
        at = time.time() + draw.uniform(-1e8, 1e8)
        os.utime(file, (at, at), follow_symlinks=False)
