"""What the shipped tiny VLM can do before any self-training, and whether it looks at the image.

Accuracy, pass@1 and pass@16 on the quickstart's held-out questions, by family, and greedy accuracy with the picture
replaced by an empty one: the room that self-training has, and the part of the accuracy that needs the image.

    python eval/studies/tiny_vlm_room.py          (about 2 minutes)
"""

from __future__ import annotations

import dataclasses

from mmevolve import verbs
from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.oracle import Oracle
from mmevolve.data.shapes.dataset import shapes
from mmevolve.data.shapes.families import FAMILIES
from mmevolve.data.shapes.render import render
from mmevolve.data.shapes.scene import Scene
from mmevolve.metrics.accuracy import Accuracy, PassAtK
from mmevolve.metrics.reward import RightAnswerWrongStep
from mmevolve.models.vlm import TransformersVLM
from mmevolve.results import record
from mmevolve.samplers.independent import Independent

QUICKSTART = ("compare", "total", "removal", "two_hop")
EACH = 120


def main() -> None:
    policy = TransformersVLM("mmevolve:tiny_vlm")
    greedy = Independent(n=1, temperature=0.0, max_tokens=72)
    several = Independent(n=16, temperature=1.0, max_tokens=72)
    empty = render(Scene(()))
    rows = {}
    for family in FAMILIES:
        samples = shapes(n=EACH, split="test", families=(family,))
        blank = [dataclasses.replace(s, images=(empty,)) for s in samples]
        critics = (AnswerMatch(), Oracle())
        drawn = groups(policy, several, samples, critics)
        rows[family] = {
            "greedy": Accuracy()(groups(policy, greedy, samples, critics[:1]))["accuracy"],
            "blank image": Accuracy()(groups(policy, greedy, blank, critics[:1]))["accuracy"],
            "pass@1": Accuracy()(drawn)["accuracy"],
            "pass@16": PassAtK(16)(drawn)["pass@16"],
            "right answer, wrong step": RightAnswerWrongStep()(drawn)["right_answer_wrong_step"],
        }
    rows["the quickstart's four"] = {k: sum(rows[f][k] for f in QUICKSTART) / len(QUICKSTART) for k in rows["count"]}
    names = list(rows["count"])
    lines = [f"{EACH} questions of each family of the test split.", "", "| family | " + " | ".join(names) + " |"]
    lines.append("|" + " --- |" * (len(names) + 1))
    lines += [f"| {family} | " + " | ".join(f"{row[n]:.3f}" for n in names) + " |" for family, row in rows.items()]
    print("\n".join(lines))
    record("Room to learn in the tiny VLM", lines, command="python eval/studies/tiny_vlm_room.py")


def groups(policy, sampler, samples, critics):
    """Attempts at samples, judged."""
    drawn = verbs.sample(policy, sampler, samples, round=0)
    attempts = [t for rows in drawn.work(drawn.items) for t in rows]
    judged = verbs.critique(critics, attempts, samples)
    said = [c for rows in judged.work(judged.items) for c in rows]
    return verbs.group(samples, attempts, said)


if __name__ == "__main__":
    main()
