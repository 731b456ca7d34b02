"""At matched margin, what each preference loss does to the chosen and the rejected side, the entropy and the accuracy.

From the embedded model as it ships, attempts at training questions are drawn once a seed; a question's first right and
first wrong attempt are a pair. Each loss trains from the same weights on the same pairs in the same order, through
`training.Fit`, and is measured every few steps on half of the pairs that it learns, until their mean margin,
log pi(chosen) - log pi(rejected) less the start's, has grown by 2 nats: on the straight line between the weights before
and after that point everything is measured, on these pairs and on pairs of questions that it does not see. A loss that
is too slow starts again at a higher rate; one that never gets there is measured where it ends, and says so. Overlap is
1 - edit distance / longer text, in characters. The margin is matched on learned pairs because few losses move that of
unseen ones far: 300 pairs of so small a model are learned by heart first.

    python eval/studies/losses.py [--seeds 5] [--jobs 2] [--losses sigmoid,ipo]     (resumes loss by loss)
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any, get_args

from mmevolve.torchvision_ops import ensure_torchvision_imports

ensure_torchvision_imports()

# ruff: noqa: E402 lightning imports torchvision
import lightning
import torch
from losses_page import page

from mmevolve import verbs
from mmevolve.answers.edit import distance
from mmevolve.critics.answer import AnswerMatch
from mmevolve.data.shapes.dataset import shapes
from mmevolve.losses.cpo import CPO
from mmevolve.losses.dpo import DPO
from mmevolve.losses.dpo_terms import LossType
from mmevolve.losses.image_dpo import ImageDPO
from mmevolve.losses.kto import KTO
from mmevolve.losses.mix import Mix
from mmevolve.losses.mm_dpo import MMDPO
from mmevolve.losses.orpo import ORPO
from mmevolve.losses.simpo import SimPO
from mmevolve.losses.sppo import SPPO
from mmevolve.losses.step_dpo import StepDPO
from mmevolve.models.vlm import TransformersVLM
from mmevolve.prompts import template
from mmevolve.results import record
from mmevolve.samplers.independent import Independent
from mmevolve.store import RunStore
from mmevolve.text import ask, split_steps, stable_seed
from mmevolve.training.fit import Fit
from mmevolve.types import Example, Labelled, Preference, Sample, Trajectory

MODEL = "mmevolve:tiny_vlm"
FAMILIES = ("compare", "total", "removal", "two_hop")
QUESTIONS, ASKED, TOKENS = 600, 300, 72
TARGET, EVERY, STEPS, BATCH, RATES = 2.0, 4, 40, 16, (1e-4, 4e-4)
Pair = tuple[Sample, Trajectory, Trajectory]  # right attempt, wrong attempt


@dataclass(frozen=True)
class Entry:
    """A loss, and the rows that it reads in place of a pair."""

    loss: Any
    rows: Callable[[Pair, Pair], list[Example]]


def plain(pair: Pair, _: Pair) -> list[Example]:
    sample, chosen, rejected = pair
    return [Preference(asked(sample), chosen.text, rejected.text, margin=1.0, source=chosen.id)]


def apart(pair: Pair, _: Pair) -> list[Example]:
    return [Labelled(asked(pair[0]), t.text, (float(t is pair[1]),), source=t.id) for t in pair[1:]]


def first_step(pair: Pair, other: Pair) -> list[Example]:
    """The first step in which both differ, after those that they share."""
    (row,) = plain(pair, other)
    chosen, rejected = split_steps(pair[1].text), split_steps(pair[2].text)
    shared = next((i for i, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), None)
    if shared is None:
        return [row]
    prefix = "".join(f"{step}\n" for step in chosen[:shared])
    return [replace(row, prefix=prefix, chosen=chosen[shared], rejected=rejected[shared], scope="step")]


def with_picture(pair: Pair, other: Pair) -> list[Example]:
    """The pair, and its right attempt under its own picture and under another question's (mDPO)."""
    (row,) = plain(pair, other)
    elsewhere = asked(replace(pair[0], images=other[0].images))
    return [row, replace(row, rejected=row.chosen, rejected_prompt=elsewhere)]


def asked(sample: Sample) -> Any:
    return ask(sample, template("question"))


SMOOTHED = {"exo_pair": 1e-3, "robust": 0.1}
LOSSES = {
    **{kind: Entry(DPO(kind, label_smoothing=SMOOTHED.get(kind, 0.0)), plain) for kind in get_args(LossType)},
    "SimPO": Entry(SimPO(), plain),
    "ORPO": Entry(ORPO(), plain),
    "CPO": Entry(CPO(), plain),
    "KTO": Entry(KTO(), apart),
    "SPPO": Entry(SPPO(), plain),
    "StepDPO": Entry(StepDPO(), first_step),
    "MMDPO": Entry(MMDPO(), plain),
    "MPO": Entry(Mix(), plain),
    "mDPO": Entry(ImageDPO(), with_picture),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, help="seeds run side by side, one thread each")
    parser.add_argument("--losses", default=",".join(LOSSES))
    parser.add_argument("--out", default="runs/losses")
    args = parser.parse_args()
    names, out = args.losses.split(","), Path(args.out)
    if odd := [name for name in names if name not in LOSSES]:
        parser.error(f"no loss '{odd[0]}', expected some of {', '.join(LOSSES)}")
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        list(pool.map(one_seed, range(args.seeds), [out] * args.seeds, [names] * args.seeds))
    found = {n: [json.loads((out / f"seed-{s}" / f"{n}.json").read_text()) for s in range(args.seeds)] for n in names}
    starts = [json.loads((out / f"seed-{s}" / "start.json").read_text()) for s in range(args.seeds)]
    lines = [*page(found, starts), "", *says(found)]
    print("\n".join(lines))
    only = "" if len(names) == len(LOSSES) else f" --losses {args.losses}"
    command = f"python eval/studies/losses.py --seeds {args.seeds}{only}"
    record("What each preference loss does at matched margin", lines, command=command)


def one_seed(seed: int, out: Path, names: Sequence[str]) -> None:
    """Every loss of one seed, each kept as JSON; a finished one is left alone."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    folder = out / f"seed-{seed}"
    policy = TransformersVLM(MODEL)
    policy.mark_home()
    learned, held = pairs(policy, RunStore(str(folder)).stage("pairs"), seed)
    inside = Meter(policy, [p for p in learned if stable_seed("measured", p[0].id) % 2])
    outside = Meter(policy, held)
    if not (file := folder / "start.json").exists():
        overlaps = {s.id: overlap(a.text, b.text) for s, a, b in inside.pairs}
        start = {"overlap": overlaps, "pairs": len(learned), "right": answered(policy)}
        kept(file, {**start, "sides": inside(), "held": outside()})
    for name in names:
        if not (file := folder / f"{name}.json").exists():
            begin = time.process_time()
            result = trained(name, policy, learned, inside, outside, folder / "training", seed)
            kept(file, {**result, "seconds": time.process_time() - begin})
            print(f"seed {seed} {name}: margin {result['margin']:.2f} at step {result['steps']:.1f}", flush=True)


def pairs(policy: TransformersVLM, store: RunStore, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Pairs to learn from in the seed's order, and pairs of the held-out third of the questions."""
    samples = shapes(n=QUESTIONS, split="train", seed=3, families=FAMILIES)
    sampler = Independent(n=8, temperature=1.0, max_tokens=TOKENS, seed=seed)
    attempts = store.once(0, "trajectories", verbs.sample, policy, sampler, samples, round=0)
    by_id = {s.id: s for s in samples}
    said = list(AnswerMatch()([(by_id[t.sample_id], t) for t in attempts]))
    made = [p for g in verbs.group(samples, attempts, said) if (p := first_pair(g)) is not None]
    held = [p for p in made if stable_seed("held out", p[0].id) % 3 == 0]
    learned = [p for p in made if stable_seed("held out", p[0].id) % 3]
    Random(stable_seed(seed, "order")).shuffle(learned)
    return learned, held


def first_pair(group: Any) -> Pair | None:
    whole = [(t, s) for t, s in zip(group.trajectories, group.scores("answer"), strict=True) if t.stop_reason == "stop"]
    good = next((t for t, score in whole if score), None)
    bad = next((t for t, score in whole if score == 0 and t.text), None)
    return None if good is None or bad is None else (group.sample, good, bad)


def overlap(a: str, b: str) -> float:
    """1 - edit distance / length of the longer text.

    >>> overlap("kitten", "sitting") == 1 - 3 / 7
    True
    """
    return 1 - distance(a, b) / max(len(a), len(b))


@dataclass(frozen=True)
class Meter:
    """By question of a pair: (log pi(chosen), log pi(rejected), mean entropy of all tokens of both), in nats."""

    policy: TransformersVLM
    pairs: Sequence[Pair]

    def __call__(self) -> dict[str, tuple[float, float, float]]:
        chats = [asked(s) for s, _, _ in self.pairs for _ in range(2)]
        found = self.policy.logprobs(chats, [t.text for _, *both in self.pairs for t in both])
        rows = {}
        for (sample, _, _), w, y in zip(self.pairs, found[::2], found[1::2], strict=True):
            spread = [*w.entropies, *y.entropies]
            rows[sample.id] = (sum(w.logprobs), sum(y.logprobs), sum(spread) / len(spread))
        return rows

    def margin(self) -> float:
        rows = list(self().values())
        return sum(w - y for w, y, _ in rows) / len(rows)


class Watch(lightning.Callback):
    """Measures the margin every few steps, stops training at the target, keeps the weights of the last two times."""

    def __init__(self, meter: Meter):
        self.meter, self.first = meter, meter.margin()
        self.margins, self.weights = [0.0], [snapshot(meter.policy)]

    def describe(self) -> str:
        return f"stops at {TARGET}, looked at every {EVERY} steps"

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (batch_idx + 1) % EVERY:
            return
        self.meter.policy.eval_mode()
        self.margins.append(self.meter.margin() - self.first)
        self.weights = [self.weights[-1], snapshot(self.meter.policy)]
        self.meter.policy.train_mode()
        slow = batch_idx + 1 == STEPS // 2 and self.margins[-1] < TARGET / 4
        trainer.should_stop = slow or self.margins[-1] >= TARGET


def trained(
    name: str,
    policy: TransformersVLM,
    learned: Sequence[Pair],
    inside: Meter,
    outside: Meter,
    folder: Path,
    seed: int,
) -> dict[str, Any]:
    """What a loss has made of all pairs where the margin is reached; else where it ends at the last rate."""
    entry = LOSSES[name]
    rows = [entry.rows(pair, learned[i - 1]) for i, pair in enumerate(learned)]
    for rate in RATES:
        policy.go_home()
        watch = Watch(inside)
        shutil.rmtree(folder, ignore_errors=True)
        fit = Fit(
            loss=entry.loss,
            optimizer=partial(torch.optim.AdamW, lr=rate, weight_decay=0.0),
            trainer=partial(lightning.Trainer, accelerator="cpu", callbacks=[watch]),
            batch_size=BATCH * len(rows[0]),
            steps=STEPS,
            shuffle=False,
            seed=seed,
        )
        fit(policy, [row for own in rows for row in own], RunStore(str(folder)).stage(name), round=0)
        at = crossing(watch.margins, TARGET)
        if at is not None:
            between(policy, *watch.weights, at[1])
            break
    shutil.rmtree(folder)
    steps = EVERY * (len(watch.margins) - 1 if at is None else sum(at))
    return {
        "rate": rate,
        "steps": steps,
        "reached": at is not None,
        "margin": inside.margin() - watch.first,
        "sides": inside(),
        "held": outside(),
        "right": answered(policy),
    }


def crossing(margins: Sequence[float], target: float) -> tuple[int, float] | None:
    """(i, t): the margin first reaches the target at share t of the way from measurement i to i + 1; None: never.

    >>> crossing([0.0, 0.5, 1.5, 2.5], 2.0)
    (2, 0.5)
    """
    for i, (a, b) in enumerate(itertools.pairwise(margins)):
        if a < target <= b:
            return i, (target - a) / (b - a)
    return None


def snapshot(policy: TransformersVLM) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in policy.named_weights()}


@torch.no_grad()
def between(policy: TransformersVLM, a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor], t: float) -> None:
    """Put the weights at share t of the way from a to b into the policy."""
    for name, weight in policy.named_weights():
        weight.copy_(torch.lerp(a[name], b[name], t))


def answered(policy: TransformersVLM) -> dict[str, float]:
    """Test question -> whether the greedy answer is right."""
    samples = shapes(n=ASKED, split="test", seed=0, families=FAMILIES)
    said = list(Independent(n=1, temperature=0.0, max_tokens=TOKENS)(policy, samples, round=0))
    return {
        t.sample_id: c.score or 0.0 for t, c in zip(said, AnswerMatch()(zip(samples, said, strict=True)), strict=True)
    }


def kept(file: Path, what: Any) -> None:
    aside = file.with_suffix(".tmp")
    aside.write_text(json.dumps(what))
    aside.rename(file)


def says(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """How the figures were made."""
    runs = [r for own in found.values() for r in own]
    slow = ", ".join(n for n, own in found.items() if any(r["rate"] > RATES[0] for r in own)) or "none"
    return [
        f"{BATCH} pairs a step, AdamW at {RATES[0]:g}; at {RATES[1]:g}, because they were too slow: {slow}. Target "
        f"{TARGET:g} nats, looked at every {EVERY} steps, at most {STEPS}; accuracy: greedy, {ASKED} test questions. "
        "Beta and the like are the defaults of each loss; label smoothing is "
        f"{', '.join(f'{e:g} for {n}' for n, e in SMOOTHED.items())}; MMDPO's margin is 1, SPPO's probability 1; "
        "StepDPO reads the first step that differs; mDPO reads each pair and its right side under another picture. "
        f"{sum(r['seconds'] for r in runs):,.0f} s of processor time for training and measuring."
    ]


if __name__ == "__main__":
    main()
