"""How long one round takes: 2,000 questions, 8 attempts each, on the embedded world with the shipped tiny VLM.

All stages of a round: take, sample, judge (answer rule and step reward), select the two best, train, measure. Processor
time leaves out what other programs take; divided by two it is what two cores that nothing else uses would need at best.

    python eval/performance/round_speed.py [repetitions [questions]]          (1 and 2,000 unless told; minutes)

One thread. Every unit is judged by the step reward three times: as shipped, with `trees: true`, and so with right
attempts alone; the latter two are not part of the round's time. The figures go into eval/results.md.

The last line is JSON: `ours` is the median of the round's processor seconds over two, `peer` the 90 s that a round may
take, `ratio` the median of peer to ours, `min` and `max` the least and largest of the `n` ratios. `step_reward_share`
is the step reward's time over that of sampling, which may be 0.2; `trees_share` is that with `trees: true`,
`right_share` that with `given: $answer` as well.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from mmevolve.console import Console, shown_on
from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.step_reward import StepReward
from mmevolve.data.shapes.dataset import shapes
from mmevolve.evaluation import HeldOut
from mmevolve.loops import evolve
from mmevolve.losses.sft import SFT
from mmevolve.metrics.accuracy import Accuracy
from mmevolve.models.reward import StepRewardModel
from mmevolve.models.vlm import TransformersVLM
from mmevolve.results import record
from mmevolve.samplers.independent import Independent
from mmevolve.selectors.top_k import TopK
from mmevolve.store import RunStore
from mmevolve.training.fit import Fit
from mmevolve.types import Critique, Sample, Trajectory

TINY = "mmevolve:tiny_vlm"
FAMILIES = ("compare", "total", "removal", "two_hop")
QUESTIONS, ATTEMPTS, STEPS, TARGET = 2000, 8, 45, 90.0


class Watch(Console):
    """Processor seconds by stage."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.spent: dict[str, float] = {}
        self._from = 0.0

    def begin(self, what: str) -> None:
        super().begin(what)
        self._from = time.process_time()

    def end(self, rows: int) -> None:
        super().end(rows)
        self.spent[self._what.removeprefix("evolve round=000 ")] = time.process_time() - self._from


@dataclass(frozen=True)
class Timed:
    """A critic whose processor seconds are added up."""

    critic: Any
    spent: list[float]
    name: str = "prm"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        start = time.process_time()
        said = list(self.critic(items))
        self.spent.append(time.process_time() - start)
        yield from said

    def describe(self) -> Any:
        return self.critic


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    questions = int(sys.argv[2]) if len(sys.argv) > 2 else QUESTIONS
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    rounds = [one_round(questions) for _ in range(repetitions)]
    for stages, wall, *_ in rounds:
        print(f"processor seconds { ({k: round(v, 2) for k, v in stages.items()}) }, wall {wall:.1f} s")
    halves = [sum(stages.values()) / 2 for stages, *_ in rounds]
    shares, trees, right = ([ways[i] / stages["trajectories"] for stages, _, *ways in rounds] for i in range(3))
    ratios = [TARGET / half for half in halves]
    line = {
        "measure": f"one round of {questions} questions x {ATTEMPTS} attempts, all stages, processor seconds over two",
        "ours": round(statistics.median(halves), 2),
        "peer": TARGET,
        "ratio": round(statistics.median(ratios), 3),
        "min": round(min(ratios), 3),
        "max": round(max(ratios), 3),
        "n": repetitions,
        "wall_seconds": round(statistics.median(wall for _, wall, *_ in rounds), 1),
        "threads": torch.get_num_threads(),
        "step_reward_share": round(statistics.median(shares), 3),
        "trees_share": round(statistics.median(trees), 3),
        "right_share": round(statistics.median(right), 3),
    }
    sampling = statistics.median(stages["trajectories"] for stages, *_ in rounds)
    said = [
        f"{questions:,} questions x {ATTEMPTS} attempts, tiny VLM, one thread, median of {repetitions} round(s), on a "
        "machine that other programs used, too: processor seconds are comparable, wall seconds are not.",
        "",
        "| step reward of a round | processor seconds | share of the sampling's | target |",
        "| --- | --- | --- | --- |",
        f"| as shipped | {line['step_reward_share'] * sampling:.1f} | {line['step_reward_share']} | 0.2 |",
        f"| `trees: true` | {line['trees_share'] * sampling:.1f} | {line['trees_share']} | 0.2 |",
        f"| and `given: $answer` | {line['right_share'] * sampling:.1f} | {line['right_share']} | 0.2 |",
        "",
        f"Sampling took {sampling:.1f} processor seconds; the whole round {line['wall_seconds']} s of wall clock, the "
        "second and third judging included. With `given` only right attempts are read; a wrong one's reward is 0.",
        "",
        f"`{json.dumps(line)}`",
    ]
    record("How long a round takes", said, command=f"python eval/performance/round_speed.py {repetitions} {questions}")
    print(json.dumps(line))


def one_round(questions: int) -> tuple[dict[str, float], float, float, float, float]:
    """Processor seconds by stage, wall seconds of the whole, processor seconds of the three ways to judge."""
    policy = TransformersVLM(TINY)
    prm = StepRewardModel(TINY, freeze="all", reads="likelihood")
    trees = StepRewardModel(TINY, freeze="all", reads="likelihood", trees=True)
    prm.start_from(policy)
    trees.start_from(policy)
    data = shapes(n=questions, split="train", families=FAMILIES)
    held = shapes(n=max(1, questions // 10), split="test", families=FAMILIES)
    greedy = Independent(n=1, temperature=0.0, max_tokens=72)
    judging: list[float] = []
    by_trees: list[float] = []
    of_right: list[float] = []
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder, shown_on(watch):
        start = time.perf_counter()
        evolve(
            store=RunStore(folder),
            policy=policy,
            data=data,
            rounds=1,
            sampler=Independent(n=ATTEMPTS, temperature=1.0, max_tokens=72),
            critics=[
                AnswerMatch(),
                Timed(StepReward(prm), judging),
                Timed(StepReward(trees, name="prm_trees"), by_trees, "prm_trees"),
                Timed(StepReward(trees, name="prm_given", given=AnswerMatch()), of_right, "prm_given"),
            ],
            selector=TopK(k=2),
            train=Fit(loss=SFT(), optimizer=partial(torch.optim.AdamW, lr=3e-4), steps=STEPS, carry="optimizer"),
            metrics=[Accuracy(name="sampled_accuracy")],
            evaluations=[HeldOut("held_out", held, greedy, [AnswerMatch()], [Accuracy()])],
        )
        wall = time.perf_counter() - start
    stages = {k: v for k, v in watch.spent.items() if not k.startswith("evolve before")}
    stages["critiques"] -= sum(by_trees) + sum(of_right)
    return stages, wall, sum(judging), sum(by_trees), sum(of_right)


if __name__ == "__main__":
    main()
