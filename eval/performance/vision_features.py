"""How often an image is looked at in a three-round run, and what that saves.

The whole loop on the embedded world with the shipped tiny VLM: sample, verify, score steps with a reward model that
started from the policy, train, measure held-out questions. Counted from outside, by a hook on the towers and a wrapper
around the image processor: images that went through each, by distinct image. Timed with features on and off in turn, in
processor time, which leaves out what other programs take; off, every pass of the model is given pixels.

    python eval/performance/vision_features.py [repetitions]          (5 unless told; some minutes)

The last line is JSON: `ours` and `peer` are the median seconds of processor time with features on and off, `ratio` is
the median of peer to ours, `min` and `max` are the least and largest of the `n` ratios.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import warnings
from collections import Counter
from functools import partial
from unittest import mock

import torch

from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.step_reward import StepReward
from mmevolve.data.images import image_digest
from mmevolve.data.shapes.dataset import shapes
from mmevolve.evaluation import HeldOut
from mmevolve.loops import evolve
from mmevolve.losses.sft import SFT
from mmevolve.metrics.accuracy import Accuracy
from mmevolve.models.reward import StepRewardModel
from mmevolve.models.vision import VisionFeatures
from mmevolve.models.vlm import TransformersVLM
from mmevolve.samplers.independent import Independent
from mmevolve.selectors.correct import Correct
from mmevolve.store import RunStore
from mmevolve.training.fit import Fit

TINY = "mmevolve:tiny_vlm"
QUESTIONS, HELD_OUT, ROUNDS, STEPS, BATCH = 48, 24, 3, 12, 16


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    warnings.filterwarnings("ignore")
    seconds: dict[bool, list[float]] = {True: [], False: []}
    counts = {}
    weights = {}
    for _ in range(repetitions):
        for on in (True, False):
            spent, counts[on], weights[on] = three_rounds(on)
            seconds[on].append(spent)
    for on in (True, False):
        print(f"features {'on' if on else 'off'}: {counts[on]}, seconds {[round(s, 2) for s in seconds[on]]}")
    ratios = [off / on for on, off in zip(seconds[True], seconds[False], strict=True)]
    line = {
        "measure": "three rounds of sampling, scoring and training, processor seconds with features on and off",
        "ours": round(statistics.median(seconds[True]), 3),
        "peer": round(statistics.median(seconds[False]), 3),
        "ratio": round(statistics.median(ratios), 3),
        "min": round(min(ratios), 3),
        "max": round(max(ratios), 3),
        "n": repetitions,
        "tower_forwards_per_image": counts[True]["tower forwards per image"],
        "processor_calls_per_image": counts[True]["processor calls per image"],
        "trained_weights_differ_by": max(
            (weights[True][name] - weight).abs().max().item() for name, weight in weights[False].items()
        ),
    }
    print(json.dumps(line))


def three_rounds(on: bool) -> tuple[float, dict[str, object], dict[str, torch.Tensor]]:
    """One run: its seconds of processor time, what was counted, and the weights that it ends with."""
    settings = {} if on else {"features": VisionFeatures(limit=0)}
    policy = TransformersVLM(TINY, **settings)
    prm = StepRewardModel(TINY, freeze="all", reads="likelihood", **settings)
    prm.start_from(policy)
    data = shapes(n=QUESTIONS, split="train", families=("count", "total"))
    held = shapes(n=HELD_OUT, split="test", families=("count", "total"))
    images = {image_digest(image) for sample in (*data, *held) for image in sample.images}
    seen: Counter[str] = Counter()
    for vlm in (policy, prm.trunk):
        vlm.model.model.vision_tower.register_forward_hook(
            lambda _, args, kwargs, out: seen.update({"tower": len((args or (kwargs["pixel_values"],))[0])}),
            with_kwargs=True,
        )
    kind = type(policy.processor.image_processor)
    process = kind.preprocess

    def counted(self, images, *args, **kwargs):
        seen["processor"] += sum(len(part) if isinstance(part, list | tuple) else 1 for part in images)
        return process(self, images, *args, **kwargs)

    adam = partial(torch.optim.AdamW, lr=3e-4)
    greedy = Independent(n=1, temperature=0.0, max_tokens=72)
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(kind, "preprocess", counted):
        begin = time.process_time()
        evolve(
            store=RunStore(folder),
            policy=policy,
            data=data,
            rounds=ROUNDS,
            sampler=Independent(n=4, temperature=1.0, max_tokens=72),
            critics=[AnswerMatch(), StepReward(prm)],
            selector=Correct(),
            train=Fit(loss=SFT(), optimizer=adam, steps=STEPS, batch_size=BATCH),
            evaluations=[HeldOut("held_out", held, greedy, [AnswerMatch()], [Accuracy()])],
        )
        spent = time.process_time() - begin
    counts = {
        "distinct images": len(images),
        "tower forwards per image": seen["tower"] / len(images),
        "processor calls per image": seen["processor"] / len(images),
    }
    return spent, counts, {name: weight.detach().clone() for name, weight in policy.named_weights()}


if __name__ == "__main__":
    main()
