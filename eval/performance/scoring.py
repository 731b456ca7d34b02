"""16 samples a question scored in one pass of the prompt, beside one plain forward a sample and model.

What a round needs to know of its samples: per-token log-probabilities and entropies under the policy, and step scores
under a step-reward model that reads log-odds and hidden states. A peer gives every (sample, model) a forward pass of
picture, prompt and completion, as TRL, ms-swift and LLaMA-Factory do; here with the tokens of the completion cut out
before the vocabulary projection (TRL's `logits_to_keep`), which is the cheapest way of doing it. Ours reads the picture
once for both models (their eye is the same and frozen) and each prompt once a model. Two geometries: the shipped tiny
VLM (16 questions) and SmolVLM's (`smolvlm.py`, one question, 48 tokens a sample).

    python eval/performance/scoring.py [repetitions]           (5 unless told)

Seconds of processor time, one thread, float32, both sides in turn; both start without features, and the processor is
called beforehand for both. The last lines are JSON, one a measure.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from peers import line, say, seconds
from smolvlm import make, picture

from mmevolve.data.shapes.dataset import shapes
from mmevolve.models.encode import Row, collate
from mmevolve.models.reward import StepRewardModel
from mmevolve.models.vision import VisionFeatures
from mmevolve.models.vlm import TransformersVLM
from mmevolve.prompts import template
from mmevolve.results import record
from mmevolve.text import ask, user
from mmevolve.types import Chat

N = 16


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name, source in (("shipped tiny VLM", "mmevolve:tiny_vlm"), ("SmolVLM geometry", make(folder))):
            policy = TransformersVLM(source)
            prm = StepRewardModel(source)
            torch.nn.init.normal_(prm.head.weight, std=0.1)
            prm.start_from(policy)
            chats, said = asked(policy, tiny=source.startswith("mmevolve:"))
            measure = f"{name}, {len(said) // N} question(s) of 16 samples"
            lines.append(beside(measure, policy, prm, chats, said, repetitions))
    rows = [
        f"| {x['measure']} | {x['ours']} | {x['peer']} | {x['ratio']} ({x['min']} to {x['max']}) | "
        f"{x['differ_by']:.1e} |"
        for x in lines
    ]
    text = [
        f"Log-probabilities, entropies and step scores under two models; {repetitions} repetitions.",
        "",
        "| what is scored | ours, processor s | one forward a sample and model, s | ratio | largest difference |",
        "| --- | --- | --- | --- | --- |",
        *rows,
    ]
    record("Scoring samples in one pass of the prompt", text, command="python eval/performance/scoring.py")
    print("\n".join(text))
    say(lines)


def asked(policy: TransformersVLM, *, tiny: bool) -> tuple[list[Chat], list[str]]:
    """Chats, one a sample, and what the policy said; random weights say words of no meaning, in steps of 12."""
    if tiny:
        data = shapes(n=16, split="test", families=("count", "compare", "total", "removal"))
        chats = [ask(sample, template("question")) for sample in data]
        groups = policy.generate(chats, n=N, temperature=1.0, max_tokens=72, seeds=list(range(len(chats))))
        return [c for c in chats for _ in range(N)], [reply.text for group in groups for reply in group]
    chat = (user("how many red blocks are left of the blue one , and how many are green ?", (picture(0),)),)
    dice = torch.Generator().manual_seed(0)
    letters = torch.randint(97, 123, (N, 4, 11), generator=dice).tolist()
    return [chat] * N, ["\n".join("".join(map(chr, step)) for step in steps) for steps in letters]


def beside(
    measure: str, policy: TransformersVLM, prm: StepRewardModel, chats: list[Chat], said: list[str], repetitions: int
) -> dict[str, object]:
    """Both sides in turn, and how far apart their numbers are."""
    ours, peer, apart = [], [], 0.0
    for _ in range(repetitions):
        store = VisionFeatures()
        policy.share(store)
        prm.trunk.share(store)
        for vlm in (policy, prm.trunk):  # the image processor's part, which both sides need
            eye, vlm.encoder.eye = vlm.encoder.eye, None
            for chat in chats:
                vlm.encoder.prompt(chat)
            vlm.encoder.eye = eye
            vlm.encoder._kept = type(vlm.encoder._kept)(
                (key, replace(kept, eye=eye)) for key, kept in vlm.encoder._kept.items()
            )
        spent, (tokens, steps) = seconds(lambda: (policy.logprobs(chats, said), prm.score_steps(chats, said)))
        ours.append(spent)
        spent, (plain_tokens, plain_steps) = seconds(
            lambda: (plain(policy, chats, said), plain_scores(prm, chats, said))
        )
        peer.append(spent)
        for a, (logps, entropies), s, t in zip(tokens, plain_tokens, steps, plain_steps, strict=True):
            for mine, theirs in ((a.logprobs, logps), (a.entropies, entropies), (s, t)):
                apart = max(apart, *(abs(x - y) for x, y in zip(mine, theirs, strict=True)))
        print(measure, round(ours[-1], 3), round(peer[-1], 3), flush=True)
    return line(measure, ours, peer, differ_by=apart)


@torch.inference_mode()
def hidden(vlm: TransformersVLM, row: Row) -> torch.Tensor:
    """States (1 + T, D) of one row's completion, given pixels."""
    inputs = collate([Row(replace(row.prompt, eye=None), row.completion)], pad=vlm.pad, device=vlm.device, side="right")
    return vlm.model.model(**inputs, use_cache=False).last_hidden_state[0, len(row.prompt.ids) - 1 :]


@torch.inference_mode()
def plain(vlm: TransformersVLM, chats: Sequence[Chat], said: Sequence[str]) -> list[tuple[list[float], list[float]]]:
    """Log-probabilities and entropies, one forward a sample."""
    out = []
    for chat, text in zip(chats, said, strict=True):
        row = Row(vlm.encoder.prompt(chat), vlm.encoder.completion(text))
        logs = vlm.model.get_output_embeddings()(hidden(vlm, row)[:-1]).float().log_softmax(-1)
        logps = logs.gather(-1, torch.tensor(row.completion)[:, None])[:, 0]
        out.append((logps.tolist(), (-(logs.exp() * logs).sum(-1)).tolist()))
    return out


@torch.inference_mode()
def plain_scores(prm: StepRewardModel, chats: Sequence[Chat], said: Sequence[str]) -> list[tuple[float, ...]]:
    """Step scores, one forward a sample."""
    rows, ends = prm.rows(chats, said)
    out = []
    for row, at in zip(rows, ends, strict=True):
        states = hidden(prm.trunk, row)[None]
        scores = prm._read(states, [row], [0], [at], [[]]).sigmoid()
        out.append(tuple(scores[0, : len(at)].tolist()))
    return out


if __name__ == "__main__":
    main()
