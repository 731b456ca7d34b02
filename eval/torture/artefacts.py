"""What a run leaves that must not depend on how often it was killed: everything but times."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

# Files and folders, by name, that two runs of the same recipe never share; each with the reason.
LEFT_OUT = {
    "timings.json": "seconds of each stage",
    "environment.json": "versions of the machine that ran last: nothing that the run made",
    "tensorboard": "wall times in records and file names; the same numbers lie in logs/, which is compared",
    "report.html": "drawn from the tables, which are compared, and tells the seconds that the run took",
}
TIMES = ("seconds", "peak_rss_bytes")  # of summary.json


def artefacts(folder: Path) -> dict[str, str]:
    """SHA-256 of every file beneath a folder, by its path, without times; a file that should not be left counts too."""
    found = {}
    for file in sorted(f for f in folder.rglob("*") if f.is_file()):
        name = file.relative_to(folder)
        if not set(LEFT_OUT) & set(name.parts):
            found[str(name)] = hashlib.sha256(content(file)).hexdigest()
    return found


def content(file: Path) -> bytes:
    """A file's bytes; of the summary what is not time."""
    data = file.read_bytes()
    if file.name != "summary.json":
        return data
    summary = json.loads(data)
    return json.dumps({k: v for k, v in summary.items() if k not in TIMES}, sort_keys=True).encode()


def differing(ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """Names that one has and the other has not, or has otherwise."""
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
