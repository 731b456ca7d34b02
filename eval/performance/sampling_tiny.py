"""16 rationales of each of 32 questions from the shipped tiny VLM, beside `generate` and TRL's GRPO path.

The four families of the quickstart, temperature 1, replies end by themselves. All sides draw the same tokens
(`peers.py`) and start from pictures and words; ours begins without any features. `generate` is called with 8 and 32
questions at a time, and the faster of them is the peer; TRL's path with as many as were faster.

    PYTHONPATH=FOLDER_WITH_TRL python eval/performance/sampling_tiny.py [repetitions]          (5 unless told)

Seconds of processor time, one thread, float32, all sides in turn. The last lines are JSON, one a measure.
"""

from __future__ import annotations

import statistics
import sys
import warnings
from collections import defaultdict
from functools import partial

import torch
from peers import line, say, seconds, transformers_generate, trl_generate

from mmevolve.data.shapes.dataset import shapes
from mmevolve.models.vision import VisionFeatures
from mmevolve.models.vlm import TransformersVLM
from mmevolve.prompts import template
from mmevolve.results import record
from mmevolve.text import ask

N, TOKENS, QUESTIONS, AT_A_TIME = 16, 72, 32, (8, 32)


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    vlm = TransformersVLM("mmevolve:tiny_vlm")
    data = shapes(n=QUESTIONS, split="test", families=("count", "compare", "total", "removal"))
    chats = [ask(sample, template("question")) for sample in data]
    draw = {"n": N, "temperature": 1.0, "max_tokens": TOKENS, "seeds": list(range(QUESTIONS))}
    script = [reply.token_ids for group in vlm.generate(chats, **draw) for reply in group]
    lengths = [len(tokens) for tokens in script]

    def ours() -> float:
        vlm.share(VisionFeatures())
        return seconds(lambda: vlm.generate(chats, **draw))[0]

    def peer(path, size: int) -> float:
        spent = 0.0
        for start in range(0, QUESTIONS, size):
            part = script[start * N : (start + size) * N]
            run = partial(path, vlm, chats[start : start + size], part, n=N, max_tokens=TOKENS, end=sorted(vlm._end))
            took, out = seconds(run)
            spent += took
            for drawn, said in zip(out, part, strict=True):
                assert tuple(drawn[: len(said)]) == said, f"{path.__name__} drew other tokens"
        return spent

    times: dict[str, list[float]] = defaultdict(list)
    for k in range(repetitions):
        times["ours"].append(ours())
        for size in AT_A_TIME:
            times[f"generate, {size} questions at a time"].append(peer(transformers_generate, size))
        fastest = min(AT_A_TIME, key=lambda s: statistics.median(times[f"generate, {s} questions at a time"]))
        times["TRL 1.16"].append(peer(trl_generate, fastest))
        print(k, {name: round(spent[-1], 2) for name, spent in times.items()}, flush=True)
    best = f"generate, {fastest} questions at a time"
    greedy = greedy_agreement(vlm, chats[:16])
    what = f"16 samples of {QUESTIONS} questions, shipped tiny VLM, against"
    lines = [
        line(f"{what} {best}", times["ours"], times[best], greedy_tokens_equal=greedy),
        line(f"{what} TRL 1.16", times["ours"], times["TRL 1.16"], greedy_tokens_equal=greedy),
    ]
    rows = []
    for name, spent in times.items():
        figures = line(name, times["ours"], spent)
        ratio = "1" if name == "ours" else f"{figures['ratio']} ({figures['min']} to {figures['max']})"
        rows.append(f"| {name} | {figures['peer']:.2f} | {ratio} |")
    text = [
        f"{QUESTIONS} questions, 16 replies each of {min(lengths)} to {max(lengths)} tokens, "
        f"{statistics.mean(lengths):.1f} on average; {repetitions} repetitions. Greedy tokens equal to `generate`'s: "
        f"{greedy}.",
        "",
        "| who draws | processor seconds, median | times ours (least to most) |",
        "| --- | --- | --- |",
        *rows,
    ]
    title = "Sampling beside generate and TRL, shipped tiny VLM"
    record(title, text, command="python eval/performance/sampling_tiny.py")
    print("\n".join(text))
    say(lines)


def greedy_agreement(vlm: TransformersVLM, chats: list) -> bool:
    """Whether greedy tokens are those of `generate`, prompt by prompt."""
    ours = [group[0].token_ids for group in vlm.generate(chats, max_tokens=TOKENS)]
    for chat, said in zip(chats, ours, strict=True):
        prompt = vlm.encoder.prompt(chat)
        inputs = {"input_ids": torch.tensor([prompt.ids]), "pixel_values": prompt.per_image["pixel_values"]}
        stop = {"suppress_tokens": list(vlm._banned), "eos_token_id": sorted(vlm._end)}
        out = vlm.model.generate(**inputs, do_sample=False, max_new_tokens=TOKENS, **stop)
        if tuple(out[0, len(prompt.ids) :].tolist()) != said:
            return False
    return True


if __name__ == "__main__":
    main()
