"""Files that are whole or absent, after a kill and after a power cut.

What is written goes aside first. Its bytes are flushed to the disk before it is given its name, and the name after, so
that a name never stands for half of a file. Where a disk says that it has flushed what it has not, no program can
promise as much.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

FOLDERS_CANNOT = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)  # some network disks flush files alone


def put(aside: Path, path: Path) -> None:
    """Give a finished file, or a folder of finished files, its name, in place of what had it.

    Raises:
        OSError: when the disk is full or cannot be written; what had the name is untouched.
    """
    for inside in [*aside.rglob("*"), aside]:
        flush(inside)
    os.replace(aside, path)
    flush(path.parent)


def put_files(write: Callable[[Path], object], folder: Path, *, last: str) -> None:
    """Have files written aside and put them into a folder one by one; what else it holds stays.

    Args:
        write: writes them into the folder that it is given.
        folder: where they go; made if need be.
        last: name of the file that comes last: where it is, all are.

    Raises:
        OSError: as `put`; files that came before are there.
    """
    aside = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(aside, ignore_errors=True)  # left by a kill
    aside.mkdir(parents=True)
    write(aside)
    for file in sorted((f for f in aside.rglob("*") if f.is_file()), key=lambda f: (f.name == last, f)):
        place = folder / file.relative_to(aside)
        place.parent.mkdir(parents=True, exist_ok=True)
        put(file, place)
    shutil.rmtree(aside)


def put_text(path: Path, text: str) -> Path:
    """Write a text, UTF-8, whole or not at all; its folder is made if need be.

    Raises:
        OSError: as `put`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(text, encoding="utf-8")
    put(aside, path)
    return path


def flush(path: Path) -> None:
    """Wait until the bytes of a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not path.is_dir() or error.errno not in FOLDERS_CANNOT:
            raise
    finally:
        os.close(handle)
