"""DPO steps of a VLM, with an adapter and a frozen eye, beside TRL's `DPOTrainer` on the CPU: speed, memory, losses.

The model has the geometry of SmolVLM (Idefics3 classes): images of 17 tiles, 1,024 patches and 64 tokens each, so some
1,200 tokens a prompt, and SmolVLM's vocabulary; its tiles and patches have half the sides, its layers are fewer and
narrower (2 of 12 in the tower, 5 of 30 in the decoder, an eighth of the width each), and its weights are random. Both
sides load the same weights and adapter, read the same pairs in the same order, with the same rows a step, on one
thread, in float32, and each runs in a process of its own. TRL needs `trl` on the path; nothing is downloaded.

    PYTHONPATH=FOLDER_WITH_TRL python eval/performance/dpo_against_trl.py [repetitions]        (5 unless told)
    ... --only on | off | curve                  one part, printed only: with checkpointing, without it, the losses

Time is processor time of the whole training call: pictures are opened and processed, the reference is scored, weights
are stepped, and on our side the checkpoint is written. Memory is the most resident memory of the process over what it
held before its first training call. Both with gradient checkpointing on both sides (TRL's default) and on neither. The
losses are compared for these steps, and over 20 steps. The last lines are JSON, one a
measure: `ratio` is the median of the ratios, ours to peer, of paired repetitions; for losses `ours` and `peer` are the
last ones, and `min` and `max` the least and largest difference of a step.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from mmevolve.torchvision_ops import ensure_torchvision_imports

ensure_torchvision_imports()

# ruff: noqa: E402 transformers imports torchvision
import numpy as np
import peft
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

from mmevolve.results import record

TURNS = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKS = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>")
GRID = tuple(f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7))
BATCH, STEPS = 1, 20  # pairs a step; steps of the curve
LEARN = r".*text_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
RATE = 1e-3


def make(folder: Path) -> None:
    """The model and its processor, which scales pictures to 1,024 pixels and cuts them into 17 tiles of 256."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", *MARKS, *GRID]
    core.add_special_tokens(["<pad>", "<|im_end|>", *special])
    words = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<|im_end|>", additional_special_tokens=special
    )
    ids = words.convert_tokens_to_ids
    processor = Idefics3Processor(
        Idefics3ImageProcessor(size={"longest_edge": 1024}, max_image_size={"longest_edge": 256}),
        words,
        image_seq_len=64,
        chat_template=TURNS,
    )
    text = LlamaConfig(
        vocab_size=49280, hidden_size=72, intermediate_size=192, num_hidden_layers=5, num_attention_heads=3,
        num_key_value_heads=1, head_dim=24, max_position_embeddings=8192, tie_word_embeddings=True,
        bos_token_id=ids("<|im_start|>"), eos_token_id=ids("<|im_end|>"), pad_token_id=ids("<pad>"),
    )  # fmt: skip
    config = Idefics3Config(
        vision_config={
            "hidden_size": 96, "intermediate_size": 384, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 256, "patch_size": 8,
        },
        text_config=text.to_dict(), scale_factor=4, image_token_id=ids("<image>"), pad_token_id=ids("<pad>"),
        tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config.eos_token_id = ids("<|im_end|>")
    model.generation_config.pad_token_id = ids("<pad>")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def pairs(count: int) -> list[tuple[bytes, str, str, str]]:
    """Picture (PNG), question, chosen, rejected: one picture a pair, completions of 48 to 80 tokens."""
    made = []
    for i in range(count):
        dice = np.random.default_rng(i)
        blocks = Image.fromarray(dice.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        out = io.BytesIO()
        blocks.resize((640, 640), Image.Resampling.NEAREST).save(out, "PNG")
        sides = ["".join(dice.choice(list("abcdefgh 0123456789"), int(dice.integers(47, 80)))) for _ in range(2)]
        made.append((out.getvalue(), f"How many blocks of colour {i} are there?", f"a{sides[0]}", f"b{sides[1]}"))
    return made


def lora() -> peft.LoraConfig:
    return peft.LoraConfig(r=8, lora_alpha=16, target_modules=LEARN)


def first_adapter(named: Any) -> None:
    """The same adapter on both sides, whatever was drawn while it was made."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in sorted((n, p) for n, p in named if p.requires_grad):
            weight.zero_() if "lora_B" in name else weight.normal_(0.0, 0.05, generator=draw)


class Measured:
    """Processor seconds, and most resident memory over a base."""

    def __init__(self, base: int):
        self.base = base

    def __enter__(self) -> Measured:
        Path("/proc/self/clear_refs").write_text("5")  # begin the high-water mark anew
        self._begin = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.process_time() - self._begin
        self.bytes = resident("VmHWM") - self.base


def resident(what: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) * 1024


def ours(folder: str, count: int, base: int, *, checkpoint: bool) -> dict[str, Any]:
    import lightning

    from mmevolve.losses.dpo import DPO
    from mmevolve.models.vlm import TransformersVLM
    from mmevolve.store import RunStore
    from mmevolve.text import user
    from mmevolve.training.fit import Fit
    from mmevolve.training.passes import Passes
    from mmevolve.types import Preference

    losses: list[float] = []

    class Watch(lightning.Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            losses.append(outputs["loss"].item())

        def describe(self) -> None:
            """Nothing for the store's keys."""

    policy = TransformersVLM(folder, lora=lora())
    first_adapter(policy.model.named_parameters())
    rows = [
        Preference((user(question, (picture,)),), chosen, rejected, source=str(i))
        for i, (picture, question, chosen, rejected) in enumerate(pairs(count))
    ]
    train = Fit(
        loss=DPO(),
        optimizer=partial(torch.optim.AdamW, lr=RATE, weight_decay=0.0),
        trainer=partial(lightning.Trainer, accelerator="cpu", devices=1, callbacks=[Watch()]),
        batch_size=BATCH,
        reference="base",
        passes=Passes(checkpoint=checkpoint),
        shuffle=False,
    )
    with tempfile.TemporaryDirectory() as run, Measured(base or resident("VmRSS")) as spent:
        train(policy, rows, RunStore(run).stage("dpo"), round=0)
    return {"seconds": spent.seconds, "bytes": spent.bytes, "base": spent.base, "losses": losses}


def peer(folder: str, count: int, base: int, *, checkpoint: bool) -> dict[str, Any]:
    from datasets import Dataset, Features, Sequence, Value
    from datasets import Image as Picture
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import DPOConfig, DPOTrainer

    losses: list[float] = []
    looked = []

    class Watched(DPOTrainer):
        def compute_loss(self, *args: Any, **settings: Any) -> Any:
            loss = super().compute_loss(*args, **settings)
            losses.append(loss.item())
            return loss

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    model.model.vision_model.register_forward_hook(lambda *_: looked.append(1))
    made: dict[str, list[Any]] = {"images": [], "prompt": [], "chosen": [], "rejected": []}
    for picture, question, chosen, rejected in pairs(count):
        chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
        made["images"].append([{"bytes": picture, "path": None}])
        made["prompt"].append(processor.apply_chat_template(chat, add_generation_prompt=True))
        made["chosen"].append(f"{chosen}<|im_end|>")
        made["rejected"].append(f"{rejected}<|im_end|>")
    kinds = Features({"images": Sequence(Picture()), **{k: Value("string") for k in ("prompt", "chosen", "rejected")}})
    with tempfile.TemporaryDirectory() as run:
        settings = DPOConfig(
            run, use_cpu=True, bf16=False, gradient_checkpointing=checkpoint, max_length=None, learning_rate=RATE,
            lr_scheduler_type="constant", weight_decay=0.0, max_grad_norm=1.0, optim="adamw_torch",
            per_device_train_batch_size=BATCH, num_train_epochs=1, train_sampling_strategy="sequential",
            save_strategy="no", report_to=[], disable_tqdm=True, logging_steps=1000,
        )  # fmt: skip
        trainer = Watched(
            model, args=settings, train_dataset=Dataset.from_dict(made, kinds), processing_class=processor,
            peft_config=lora(),
        )  # fmt: skip
        first_adapter(trainer.model.named_parameters())
        with Measured(base or resident("VmRSS")) as spent:
            trainer.train()
    passes = {"losses": losses, "tower_passes": len(looked)}
    return {"seconds": spent.seconds, "bytes": spent.bytes, "base": spent.base, **passes}


class Side:
    """One side in a process of its own, which repeats a measurement when it is told to."""

    def __init__(self, side: str, folder: Path, count: int, *, checkpoint: bool):
        given = ["--side", side, "--folder", str(folder), "--count", str(count)]
        command = [sys.executable, __file__, *given, *(["--checkpoint"] if checkpoint else [])]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=environment
        )

    def again(self) -> dict[str, Any]:
        """What one training call took."""
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith('{"seconds"'):  # trainers print, too
                return json.loads(line)
        self._errors.seek(0)
        raise SystemExit(f"{' '.join(self._process.args)} failed:\n{self._errors.read()[-4000:]}")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def answer(side: str, folder: str, count: int, *, checkpoint: bool) -> None:
    """In the process of one side: a measurement for every line that comes in; memory over that before the first."""
    base = 0
    for _ in sys.stdin:
        found = {"ours": ours, "peer": peer}[side](folder, count, base, checkpoint=checkpoint)
        base = found["base"]
        print(json.dumps(found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("repetitions", nargs="?", type=int, default=5)
    parser.add_argument("--side", choices=("ours", "peer"))
    parser.add_argument("--only", choices=("on", "off", "curve"))
    parser.add_argument("--folder")
    parser.add_argument("--count", type=int, default=2)
    parser.add_argument("--checkpoint", action="store_true")
    said = parser.parse_args()
    warnings.filterwarnings("ignore")
    if said.side:
        torch.set_num_threads(1)
        answer(said.side, said.folder, said.count, checkpoint=said.checkpoint)
        return
    parts = (said.only,) if said.only else ("off", "on", "curve")
    with tempfile.TemporaryDirectory() as folder:
        lines = [line for part in parts for line in measured(part, Path(folder), said.count, said.repetitions)]
    for line in lines:
        print(json.dumps(line))
    if said.only:
        return
    record(
        "DPO of a VLM beside TRL's trainer, on the CPU",
        [
            "| measure | ours | TRL 1.16.0 | ratio | least and largest | n |",
            "| --- | --- | --- | --- | --- | --- |",
            *(row(line) for line in lines),
            "",
            "Idefics3 classes, random weights, 17 tiles of 1,024 patches and 64 tokens, vocabulary of 49,280; LoRA,",
            f"frozen eye, float32, one thread, {BATCH} pair a step, {said.count} pairs, each picture met once. Both",
            "sides measured from the start of the training call to its end, reference and pictures included.",
        ],
        command=f"python eval/performance/dpo_against_trl.py {said.repetitions}",
    )


def measured(part: str, folder: Path, count: int, repetitions: int) -> list[dict[str, Any]]:
    """Speed, memory and losses with gradient checkpointing on or off, or the long curve."""
    if part == "curve":
        make(folder / part)
        runs = repeated(folder / part, STEPS * BATCH, 1, checkpoint=False)
        return [curve(f"loss after {STEPS} steps, 17 tiles a picture", runs)]
    make(folder / part)
    runs = repeated(folder / part, count, repetitions, checkpoint=part == "on")
    speeds = {side: [count / run["seconds"] for run in done] for side, done in runs.items()}
    mebibytes = {side: [run["bytes"] / 2**20 for run in done] for side, done in runs.items()}
    return [
        compared(f"pairs a second, gradient checkpointing {part}", speeds),
        compared(f"peak memory over base in MiB, gradient checkpointing {part}", mebibytes),
        curve(f"loss after {count // BATCH} steps, 17 tiles a picture, gradient checkpointing {part}", runs),
    ]


def repeated(folder: Path, count: int, repetitions: int, *, checkpoint: bool) -> dict[str, list[dict[str, Any]]]:
    """Both sides in turn, so often."""
    sides = {name: Side(name, folder, count, checkpoint=checkpoint) for name in ("ours", "peer")}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    try:
        for _ in range(repetitions):
            for name, side in sides.items():
                runs[name].append(side.again())
                print(name, json.dumps(runs[name][-1]), flush=True)
    finally:
        for side in sides.values():
            side.close()
    return runs


def curve(measure: str, runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The losses of both sides, step by step."""
    ours, theirs = (runs[side][0]["losses"] for side in ("ours", "peer"))
    differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    return {
        "measure": f"{measure}; least and largest difference of a step",
        "ours": round(ours[-1], 6),
        "peer": round(theirs[-1], 6),
        "ratio": round(ours[-1] / theirs[-1], 6),
        "min": min(differences),
        "max": max(differences),
        "n": len(differences),
    }


def compared(measure: str, found: dict[str, list[float]]) -> dict[str, Any]:
    """Medians of both sides, and of the ratios of paired repetitions: ours to peer."""
    ratios = [a / b for a, b in zip(found["ours"], found["peer"], strict=True)]
    return {
        "measure": measure,
        "ours": round(statistics.median(found["ours"]), 4),
        "peer": round(statistics.median(found["peer"]), 4),
        "ratio": round(statistics.median(ratios), 4),
        "min": round(min(ratios), 4),
        "max": round(max(ratios), 4),
        "n": len(ratios),
    }


def row(line: dict[str, Any]) -> str:
    """One measure as a line of the results' table."""
    spread = f"{line['min']:.3g} to {line['max']:.3g}"
    return f"| {line['measure']} | {line['ours']} | {line['peer']} | {line['ratio']} | {spread} | {line['n']} |"


if __name__ == "__main__":
    main()
