"""What monitors said of a run, and what was done about it."""

from __future__ import annotations

from mmevolve.report.folder import RunFolder
from mmevolve.report.markup import esc, section, table

TABLE = "monitors"
DONE = {
    "warn": "said so",
    "pause": "stopped the run until its command was given again",
    "roll back": "put the learner back to {}",
}


def alarms(folder: RunFolder) -> str:
    """A table of alarms, a sentence where monitors watched and none sounded, nothing where none watched."""
    rows, watched = [], False
    for loop in folder.loops:
        for at in folder.points(loop):
            watched = watched or folder.has(loop, at, TABLE)
            for alarm in folder.table(loop, at, TABLE):
                to = int(alarm["to"])
                aim = "what it was before the first round" if to < 0 else f"that of round {to}"
                done = DONE.get(str(alarm["action"]), str(alarm["action"])).format(aim)
                rows.append([esc(f"{loop} round {at}"), esc(alarm["why"]), esc(done)])
    if not watched:
        return ""
    if not rows:
        return section("What the monitors said", '<p class="note">Monitors watched every round, and none sounded.</p>')
    words = "<p>A round whose learner was put back does not count: later rounds go on from the one named.</p>"
    undone = words if any("put the learner back" in row[2] for row in rows) else ""
    return section(
        "What the monitors said", table(["", "what was seen", "what was done"], rows) + undone, kind="plain words"
    )
