"""500 stored attempts of the embedded model judged by LookBack, as a run judges them and one by one.

Attempts of the shipped tiny VLM at 250 questions of all families, two each, lie in a run's tables; `verbs.critique`
judges and keeps them in units of 32 questions, every picture's question asked once. The peer judges each attempt by
itself with a critic that remembers nothing (the first 50 attempts, times ten); both must say the same.

    python eval/performance/look_back.py [repetitions]           (3 unless told)

Processor seconds and wall seconds, one thread, float32. The last line is JSON.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from functools import partial

import torch
from peers import line, say, seconds

from mmevolve import verbs
from mmevolve.critics.look_back import LookBack
from mmevolve.data.shapes.dataset import shapes
from mmevolve.models.vision import VisionFeatures
from mmevolve.models.vlm import TransformersVLM
from mmevolve.results import record
from mmevolve.samplers.independent import Independent
from mmevolve.store import RunStore
from mmevolve.types import Critique, Sample, Trajectory

QUESTIONS, EACH, PEER, TARGET = 250, 2, 50, 60.0


def one_by_one(vlm: TransformersVLM, items: Sequence[tuple[Sample, Trajectory]]) -> list[Critique]:
    """Each attempt by a critic of its own."""
    return [said for item in items for said in LookBack(vlm, by="rule", max_tokens=96)([item])]


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    vlm = TransformersVLM("mmevolve:tiny_vlm")
    batch = shapes(n=QUESTIONS, split="test", seed=0)
    attempts = list(Independent(n=EACH, temperature=0.7, max_tokens=72)(vlm, batch, round=0))
    by_id = {s.id: s for s in batch}
    ours, peer, wall = [], [], []
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as folder:
            store = RunStore(folder, "evolve")
            store.write(store.round_folder(0) / "trajectories.parquet", attempts)
            vlm.share(VisionFeatures())  # both start without features
            critic = LookBack(vlm, by="rule", max_tokens=96)
            begin = time.monotonic()
            stored = store.table(0, "trajectories")
            judge = partial(store.once, 0, "score_look_back", verbs.critique, [critic], stored, batch)
            spent, said = seconds(judge)
            ours.append(spent)
            wall.append(time.monotonic() - begin)
        vlm.share(VisionFeatures())
        some = [(by_id[t.sample_id], t) for t in attempts[:PEER]]
        spent, alone = seconds(partial(one_by_one, vlm, some))
        peer.append(spent * len(attempts) / PEER)
        assert alone == said[:PEER], "what it says hangs on the batch"
        print(round(ours[-1], 2), round(wall[-1], 2), round(peer[-1], 2), flush=True)
    what = "500 stored attempts judged by LookBack, processor seconds, against one by one"
    figures = line(what, ours, peer, wall=round(statistics.median(wall), 1), target=TARGET, threads=1)
    rows = [
        "| 500 stored attempts, tiny VLM | processor s | wall s | target, s |",
        "| --- | --- | --- | --- |",
        f"| in units of 32 questions, nothing asked twice | {figures['ours']:.1f} | {figures['wall']} | {TARGET:.0f} |",
        f"| one by one, remembering nothing ({PEER} measured) | {figures['peer']:.1f} | | |",
        "",
        f"{critic.calls}. One thread, median of {repetitions}, on a machine that other programs used, too. Both "
        f"ways say the same of the {PEER}.",
    ]
    record("How long LookBack takes", rows, command="python eval/performance/look_back.py")
    print("\n".join(rows))
    say([figures])


if __name__ == "__main__":
    main()
