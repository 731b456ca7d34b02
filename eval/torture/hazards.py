"""What else befalls a run folder: a full disk, a damaged file, a second process, a place where nothing may be written.

Each gives what went wrong in words, or nothing. A run may refuse, in one sentence that names the file, and must go on
to the same artefacts when what was wrong is mended.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from artefacts import artefacts, differing
from attempts import Ended, attempt

from mmevolve.store import RunStore, StoreError

ROOM = 1 << 30  # bytes: enough for any of these runs


def refused(ended: Ended, *words: str) -> list[str]:
    """What is wrong with a refusal: the exit code is 2, there is no traceback, and each of the words is said."""
    wrong = [f"exit code {ended.code}, expected 2"] if ended.code != 2 else []
    wrong += ["a traceback"] if "Traceback" in ended.said else []
    return wrong + [f"'{word}' was not said" for word in words if word not in ended.said]


def full_disk(target: Any, folder: Path, draw: random.Random) -> list[str]:
    """The disk fills up somewhere; with room made, the run goes on.

    A small tmpfs where this user may mount one; else no file may be larger than a limit.
    """
    target.prepare(folder)
    sizes = [f.stat().st_size for f in target.whole.rglob("*") if f.is_file()]
    with disk(folder, int(draw.uniform(0.1, 0.8) * sum(sizes))) as small:
        if small:
            target.prepare(folder)
        ended = attempt(target.work, folder, room=None if small else int(draw.uniform(0.2, 0.9) * max(sizes)))
        wrong = [] if ended.code in (0, target.codes[0]) else refused(ended, "run the same command again")
        if small:
            subprocess.run(["mount", "-o", f"remount,size={ROOM}", folder], check=True)
        return wrong + target.rest(folder)


@contextmanager
def disk(folder: Path, size: int) -> Iterator[bool]:
    """A small file system on a folder for a while; False where none may be mounted."""
    size = max(size, 1 << 15)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def damaged(target: Any, folder: Path, draw: random.Random) -> list[str]:
    """A byte of a table flips, or its end is missing: it is named, or, if a flip changed no row, nothing happens."""
    _copy(target.whole, folder)
    file = draw.choice(sorted(folder.rglob("*.parquet")))
    good = file.read_bytes()
    cut = draw.random() < 0.3
    at = draw.randrange(len(good))
    file.write_bytes(good[:at] if cut else good[:at] + bytes([good[at] ^ (1 << draw.randrange(8))]) + good[at + 1 :])
    store = RunStore(str(folder / "run"))
    try:
        changed = store.read(file) != RunStore(str(folder / "run")).read(_aside(file, good))
    except StoreError:
        changed = True
    finally:
        _aside(file, good).unlink(missing_ok=True)
    ended = attempt(target.work, folder)
    name = str(file.relative_to(folder))
    if ended.code == 2:
        wrong = refused(ended, name, "is damaged", "delete it and run again")
        file.unlink()
    else:
        wrong = [f"{name}, byte {at}: rows changed and nobody noticed"] if changed or cut else []
        file.write_bytes(good)
    return wrong + target.rest(folder)


def damaged_checkpoint(target: Any, folder: Path, draw: random.Random) -> list[str]:
    """A byte of a checkpoint flips: it is named; deleted, it is made again."""
    _copy(target.whole, folder)
    files = sorted(f for f in folder.rglob("checkpoint/*") if f.is_file())
    if not files:
        return []
    file = draw.choice(files)
    good = file.read_bytes()
    at = draw.randrange(len(good))
    file.write_bytes(good[:at] + bytes([good[at] ^ (1 << draw.randrange(8))]) + good[at + 1 :])
    ended = attempt(target.work, folder)
    wrong = refused(ended, str(file.parent.relative_to(folder)), "is damaged", "delete it and run again")
    shutil.rmtree(file.parent)
    return wrong + target.rest(folder)


def two_processes(target: Any, folder: Path, draw: random.Random) -> list[str]:
    """While one process has the folder, a second refuses in one sentence and touches nothing."""
    target.prepare(folder)
    target.tries(folder, draw, 1)
    lock = folder / "run" / ".lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = artefacts(folder)
        ended = attempt(target.work, folder)
        wrong = refused(ended, "in use by another process")
        wrong += ["more than one sentence"] if len(ended.said.strip().splitlines()) != 1 else []
        wrong += [f"{name} was touched" for name in differing(artefacts(folder), before)]
    return wrong + target.rest(folder)


def read_only(target: Any, folder: Path, draw: random.Random) -> list[str]:
    """A folder where nothing may be written: one sentence; then the run goes on where it may."""
    target.prepare(folder)
    with disk(folder, ROOM) as mounted:
        if not mounted and os.geteuid() == 0:
            return []  # root writes everywhere
        target.prepare(folder)
        target.tries(folder, draw, 1)
        _writable(folder, mounted, on=False)
        ended = attempt(target.work, folder)
        wrong = refused(ended, "cannot use run")
        wrong += ["more than one sentence"] if len(ended.said.strip().splitlines()) != 1 else []
        _writable(folder, mounted, on=True)
        return wrong + target.rest(folder)


def _writable(folder: Path, mounted: bool, *, on: bool) -> None:
    if mounted:
        subprocess.run(["mount", "-o", f"remount,{'rw' if on else 'ro'}", str(folder)], check=True)
    else:
        for place in (folder, *folder.rglob("*")):
            place.chmod((0o755 if place.is_dir() else 0o644) if on else (0o555 if place.is_dir() else 0o444))


def _copy(whole: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)


def _aside(file: Path, good: bytes) -> Path:
    """The undamaged table, beside the damaged one."""
    aside = file.with_name("as_it_was.parquet")
    aside.write_bytes(good)
    return aside


HAZARDS = {
    "disk full": full_disk,
    "table damaged": damaged,
    "checkpoint damaged": damaged_checkpoint,
    "two processes": two_processes,
    "read-only folder": read_only,
}
