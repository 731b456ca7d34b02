"""What selectors share: which attempts pass, without repeats, as rows."""

from __future__ import annotations

from mmevolve.prompts import template
from mmevolve.text import ask
from mmevolve.types import Demonstration, Group, Trajectory


def passing(group: Group, require: str, *, dedup: bool = True, whole: bool = True) -> list[Trajectory]:
    """Attempts that the required critic scored above 0, in order; of those with the same text the first.

    With `whole`, an attempt that was cut at the token limit is left out: its row would teach an end where none was.
    """
    scores = group.scores(require)
    kept: dict[str, Trajectory] = {}
    for i, (trajectory, score) in enumerate(zip(group.trajectories, scores, strict=True)):
        if score is not None and score > 0 and not (whole and trajectory.stop_reason == "length"):
            kept.setdefault(trajectory.text if dedup else str(i), trajectory)
    return list(kept.values())


def demonstration(group: Group, trajectory: Trajectory, prompt: str, *, weight: float = 1.0) -> Demonstration:
    """The row that teaches an attempt under the plain prompt, whatever prompt it was sampled with."""
    chat = ask(group.sample, template(prompt))
    return Demonstration(chat, trajectory.text, weight, source=trajectory.id)
