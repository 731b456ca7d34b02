"""What looking once saves where the tower is most of the work, as in small open VLMs.

A random LLaVA: the tiny VLM's decoder behind a tower of 19 M parameters. Three rounds over the same questions: four
attempts each, scores of them, two training steps. Features on and off in turn, in processor time.

    python eval/performance/vision_features_large_tower.py [repetitions]          (5 unless told; some minutes)

The last line is JSON, as in vision_features.py.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from mmevolve.data.shapes.dataset import shapes
from mmevolve.losses.sft import SFT
from mmevolve.models.tiny import make_tiny
from mmevolve.models.vision import VisionFeatures
from mmevolve.models.vlm import TransformersVLM
from mmevolve.text import user
from mmevolve.training.modules import ReasonerModule
from mmevolve.types import Demonstration

QUESTIONS, ATTEMPTS, TOKENS, ROUNDS, BATCH = 16, 4, 32, 3, 8


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds: dict[bool, list[float]] = {True: [], False: []}
    forwards, said = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        large_tower(folder)
        for _ in range(repetitions):
            for on in (True, False):
                spent, forwards[on], said[on] = three_rounds(folder, on)
                seconds[on].append(spent)
    ratios = [off / on for on, off in zip(seconds[True], seconds[False], strict=True)]
    print(f"tower forwards per image: on {forwards[True]}, off {forwards[False]}")
    print(f"seconds: on {[round(s, 2) for s in seconds[True]]}, off {[round(s, 2) for s in seconds[False]]}")
    print(f"the same tokens: {said[True] == said[False]}")
    line = {
        "measure": "three rounds before a tower of 19 M parameters, processor seconds with features on and off",
        "ours": round(statistics.median(seconds[True]), 3),
        "peer": round(statistics.median(seconds[False]), 3),
        "ratio": round(statistics.median(ratios), 3),
        "min": round(min(ratios), 3),
        "max": round(max(ratios), 3),
        "n": repetitions,
    }
    print(json.dumps(line))


def large_tower(folder: str) -> None:
    """The tiny VLM as it is drawn, its tower six layers of width 512."""
    from transformers import AutoConfig, AutoModelForImageTextToText  # after mmevolve.models has seen to torchvision

    make_tiny(folder)
    config = AutoConfig.from_pretrained(folder)
    for name, value in {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 6}.items():
        setattr(config.vision_config, name, value)
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config)
    (Path(folder) / "model.safetensors").unlink()
    model.save_pretrained(folder)


def three_rounds(folder: str, on: bool) -> tuple[float, float, list[tuple[int, ...]]]:
    """Seconds of processor time, images through the tower by distinct image, and the tokens drawn last."""
    vlm = TransformersVLM(folder, features=VisionFeatures(limit=2**30 if on else 0))
    seen: list[int] = []
    vlm.model.model.vision_tower.register_forward_hook(
        lambda _, args, kwargs, out: seen.append(len((args or (kwargs["pixel_values"],))[0])), with_kwargs=True
    )
    samples = shapes(n=QUESTIONS, split="train", families=("count",))
    chats = [(user(s.question, s.images),) for s in samples]
    rows = [Demonstration(chat, "none") for chat in chats]
    module = ReasonerModule(vlm, loss=SFT())
    optimizer = torch.optim.AdamW(module.weights(), lr=1e-4)
    begin = time.process_time()
    for _ in range(ROUNDS):
        drawn = vlm.generate(chats, n=ATTEMPTS, temperature=1.0, max_tokens=TOKENS, seeds=list(range(QUESTIONS)))
        vlm.logprobs([c for c in chats for _ in range(ATTEMPTS)], [r.text for group in drawn for r in group])
        vlm.train_mode()
        for start in range(0, QUESTIONS, BATCH):
            module.loss(module.loss_input(rows[start : start + BATCH])).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        vlm.eval_mode()
    return time.process_time() - begin, sum(seen) / QUESTIONS, [r.token_ids for group in drawn for r in group]


if __name__ == "__main__":
    main()
