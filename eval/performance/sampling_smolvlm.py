"""16 rationales of a question about a picture, beside `generate(num_return_sequences=16)` and TRL's GRPO path.

The geometry is SmolVLM's (`smolvlm.py`): 17 tiles, some 1,200 prompt tokens. It is the smallest published VLM that
people fine-tune at home, it runs on a CPU, and it is where the picture weighs most: nine tenths of reading a prompt is
the tower. 48 new tokens a reply, as the rationales of small visual sets have, and 16 and 128 beside them. Every side
starts from the picture's bytes and draws the same tokens (`peers.py`); nobody may stop early, so that dropping finished
rows gives us nothing here.

Ours twice: `first` has never seen the picture; `again` is a later round, or another question about the picture, where
the features of the frozen eye are kept (all that a loop of several rounds does after its first). Peers keep nothing.

    PYTHONPATH=FOLDER_WITH_TRL python eval/performance/sampling_smolvlm.py [repetitions]       (5 unless told)

Seconds of processor time, one thread, float32, all sides in turn. The last lines are JSON, one a measure.
"""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
import warnings
from collections import defaultdict
from unittest import mock

import torch
from peers import line, say, seconds, transformers_generate, trl_generate
from smolvlm import make, picture

from mmevolve.models.encode import Row, collate
from mmevolve.models.vision import VisionFeatures
from mmevolve.models.vlm import TransformersVLM
from mmevolve.results import record
from mmevolve.text import user

N, TOKENS, OTHERS = 16, 48, (16, 128)
SIDES = ("first", "again", "generate", "TRL 1.16")
QUESTION = "how many red blocks are left of the blue one , and how many are green ?"


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        vlm = TransformersVLM(make(folder))
        never = vlm.model.config.get_text_config().vocab_size  # no token's id, so nobody stops early
        with mock.patch.object(TransformersVLM, "_end", frozenset({never})):
            check = agreement(vlm, never)
            times = timed(vlm, never, repetitions)
            parts = where(vlm, repetitions)
    lines, table = [], []
    for tokens in sorted({TOKENS, *OTHERS}):
        told = []
        for peer in ("generate", "TRL 1.16"):
            for when in ("first", "again"):
                if (peer, tokens) not in times:
                    told.append("not measured")
                    continue
                measure = f"16 samples, SmolVLM geometry, {tokens} new tokens, picture {when}, against {peer}"
                figures = line(measure, times[when, tokens], times[peer, tokens], **check)
                lines.append(figures)
                told.append(f"{figures['ratio']} ({figures['min']} to {figures['max']})")
        spent = [times.get((side, tokens)) for side in SIDES]
        cells = ["-" if s is None else f"{statistics.median(s):.2f}" for s in spent]
        table.append(f"| {tokens} | {' | '.join([*cells, *told])} |")
    seen = parts["processor"] + parts["tower"]
    ceiling = statistics.median(times["generate", TOKENS]) / seen
    head = ["new tokens", "ours, first", "ours, again", "generate", "TRL 1.16"]
    head += [f"{peer} / ours, {when}" for peer in ("generate", "TRL") for when in ("first", "again")]
    text = [
        f"Seconds of processor time, medians of {repetitions}; ratios of repetitions that ran in turn, least to most.",
        "",
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
        *table,
        "",
        "A first look and `generate` (transformers 5.23 encodes a picture before it repeats the prompt) both spend",
        f"{seen:.2f} s in image processor ({parts['processor']:.2f}) and tower ({parts['tower']:.2f}), once; TRL 16",
        f"times. Reading the prompt after that takes {parts['prompt']:.2f} s: once for us, 16 times for both peers.",
        f"Were all but processor and tower free, a first look would be {ceiling:.1f} times as fast as `generate` at",
        f"{TOKENS} tokens: that is its ceiling.",
        f"Greedy tokens equal to `generate`'s: {check['greedy_tokens_equal']}; log-probabilities of sampled tokens",
        f"differ from a plain pass by {check['logprobs_differ_by']:.1e} at most.",
    ]
    record(
        "Sampling beside generate and TRL, SmolVLM geometry",
        text,
        command="python eval/performance/sampling_smolvlm.py",
    )
    print("\n".join(text))
    say(lines)


def chat(seed: int) -> tuple:
    return (user(QUESTION, (picture(seed),)),)


def timed(vlm: TransformersVLM, never: int, repetitions: int) -> dict[tuple[str, int], list[float]]:
    """Seconds of each side by number of new tokens, sides in turn."""
    times: dict[tuple[str, int], list[float]] = defaultdict(list)
    for k in range(repetitions):
        for tokens in (TOKENS, *OTHERS):
            asked = [chat(k)]
            draw = {"n": N, "temperature": 1.0, "max_tokens": tokens, "seeds": [k]}
            vlm.share(VisionFeatures())  # nothing is known of any picture
            gc.collect()
            spent, (replies,) = seconds(lambda a=asked, d=draw: vlm.generate(a, **d))
            times["first", tokens].append(spent)
            times["again", tokens].append(seconds(lambda a=asked, d=draw: vlm.generate(a, **d))[0])
            script = [reply.token_ids for reply in replies]
            told = {"n": N, "max_tokens": tokens, "end": [never]}
            for name, peer in (("generate", transformers_generate), ("TRL 1.16", trl_generate)):
                if name == "generate" or tokens == TOKENS:
                    spent, out = seconds(lambda p=peer, a=asked, s=script, t=told: p(vlm, a, s, **t))
                    times[name, tokens].append(spent)
                    assert [tuple(row) for row in out] == script, f"{name} drew other tokens"
        print(k, {key: round(spent[-1], 2) for key, spent in times.items()}, flush=True)
    return times


def where(vlm: TransformersVLM, repetitions: int) -> dict[str, float]:
    """Median seconds of the parts of reading one prompt."""
    spent = defaultdict(list)
    for k in range(repetitions):
        vlm.share(VisionFeatures())
        eye, vlm.encoder.eye = vlm.encoder.eye, None
        took, prompt = seconds(lambda k=k: vlm.encoder.prompt(chat(100 + k)))
        spent["processor"].append(took)
        inputs = collate([Row(prompt)], pad=vlm.pad, device=vlm.device, side="left")
        with torch.inference_mode():
            pixels = {name: x for name, x in inputs.items() if name.startswith("pixel")}
            took, seen = seconds(lambda p=pixels: vlm.model.get_image_features(**p))
            spent["tower"].append(took)
            rest = {name: x for name, x in inputs.items() if name not in pixels}
            run = lambda r=rest, s=seen: vlm.model(**r, mm_encoder_outputs={"image": s}, logits_to_keep=1)  # noqa: E731
            spent["prompt"].append(seconds(run)[0])
        vlm.encoder.eye = eye
    return {name: statistics.median(values) for name, values in spent.items()}


def agreement(vlm: TransformersVLM, never: int) -> dict[str, object]:
    """Greedy tokens beside `generate`'s, and log-probabilities of sampled tokens beside those of a plain pass."""
    asked = [chat(1)]
    greedy = vlm.generate(asked, max_tokens=TOKENS)[0][0].token_ids
    vlm.encoder.eye, eye = None, vlm.encoder.eye
    vlm.encoder.use(vlm.encoder.pictures)  # prompts with pixels
    plain = vlm.encoder.prompt(asked[0])
    vlm.encoder.eye = eye
    inputs = collate([Row(plain)], pad=vlm.pad, device=vlm.device, side="left")
    with torch.inference_mode():
        out = vlm.model.generate(
            **inputs, do_sample=False, max_new_tokens=TOKENS, suppress_tokens=list(vlm._banned), eos_token_id=[never]
        )
        peer = tuple(out[0, len(plain.ids) :].tolist())
        vlm.share(VisionFeatures())
        (replies,) = vlm.generate(asked, n=2, temperature=1.0, max_tokens=TOKENS, seeds=[5])
        apart = 0.0
        for reply in replies:
            whole = collate([Row(plain, reply.token_ids)], pad=vlm.pad, device=vlm.device, side="right")
            logits = vlm.model(**whole).logits[0, len(plain.ids) - 1 : -1].log_softmax(-1)
            said = logits.gather(-1, torch.tensor(reply.token_ids)[:, None])[:, 0]
            apart = max(apart, (said - torch.tensor(reply.logprobs)).abs().max().item())
    return {"greedy_tokens_equal": greedy == peer, "logprobs_differ_by": apart}


if __name__ == "__main__":
    main()
