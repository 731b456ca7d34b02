"""LookBack against the same critic without a look: wrong steps found, answers mended, calls spent.

The embedded model that reads conversations answers questions of all seven families, is its own critic, and answers
again where the critic calls its answer wrong, told the steps that it calls wrong (`samplers.Feedback`). Both critics
have the same model, the same rules and the same fresh solution; one looks up each step's own question on the picture
alone, the other holds the steps against the fresh solution; a third one spends as many calls as the looks cost on two
further fresh answers, which vote. The scene's oracle as critic is the ceiling. No model is trained: intervals are over
questions, and all critics judge the same first attempts.

    python eval/studies/look_back.py [--questions 1400] [--out runs/look_back]     (resumes critic by critic)
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.look_back import LookBack
from mmevolve.critics.oracle import Oracle
from mmevolve.data.shapes.dataset import shapes
from mmevolve.metrics.reward import auroc
from mmevolve.models.vlm import TransformersVLM
from mmevolve.results import record
from mmevolve.samplers.feedback import Feedback
from mmevolve.samplers.independent import Independent
from mmevolve.statistics import Interval, function_interval
from mmevolve.types import Sample, Trajectory

MODEL = "mmevolve:tiny_vlm_dialogue"
PERCEPTION = ("count", "place", "spatial")
KINDS = ("all", "perception", "reasoning", "answer")
SKILLS = ("all", "perception", "reasoning")
TOKENS, WARM, CHUNK = 72, 0.7, 175
CRITICS = ("look_back", "no_look", "no_look_3", "oracle")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=1400)
    parser.add_argument("--out", default="runs/look_back")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    for name in CRITICS:
        file = folder / f"{name}-{args.questions}.json"
        if not file.exists():
            file.write_text(json.dumps(one_critic(name, args.questions)))
    found = {name: json.loads((folder / f"{name}-{args.questions}.json").read_text()) for name in CRITICS}
    text = page(found, args.questions)
    print("\n".join(text))
    command = f"python eval/studies/look_back.py --questions {args.questions}"
    record("LookBack against the same critic without a look", text, command=command)


def one_critic(name: str, questions: int) -> dict[str, Any]:
    """By question: what the critic says of the first attempt beside the truth, and what becomes of the answer."""
    begin = time.process_time()
    vlm = TransformersVLM(MODEL)
    more = {"candidates": 3, "temperature": WARM} if name == "no_look_3" else {}
    looks = LookBack(vlm, name=name, by="rule", look=name == "look_back", max_tokens=TOKENS, **more)
    critic: Any = Oracle(name) if name == "oracle" else looks
    sampler = Feedback(
        critic,
        critic,
        arms=("all_wrong", "resample"),
        words="world",
        satisfied=0.5,
        temperature=WARM,
        max_tokens=TOKENS,
    )
    batch = shapes(n=questions, split="test", seed=11)
    first = list(Independent(n=1, temperature=WARM, max_tokens=TOKENS)(vlm, batch, round=0))
    said, judging = [], time.process_time()
    for at in range(0, questions, CHUNK):
        said += list(critic(list(zip(batch[at : at + CHUNK], first[at : at + CHUNK], strict=True))))
    judging = time.process_time() - judging
    calls = {kind: [looks.calls.asked[kind], looks.calls.saved[kind]] for kind in looks.calls.asked}
    rows = []
    truth = list(Oracle()(list(zip(batch, first, strict=True))))
    for at in range(0, questions, CHUNK):
        part = batch[at : at + CHUNK]
        tried = list(sampler(vlm, part, round=0))
        for k, sample in enumerate(part, start=at):
            own = [t for t in tried if t.sample_id == sample.id]
            assert own[0].text == first[k].text, "the critics do not judge the same attempts"
            rows.append(row(sample, first[k], said[k], truth[k], own))
        print(f"{name}: {at + len(part)} of {questions}", flush=True)
    seconds = {"all": time.process_time() - begin, "judging": judging}
    return {"rows": rows, "calls": calls, "seconds": seconds}


def row(sample: Sample, first: Trajectory, said: Any, truth: Any, own: Sequence[Trajectory]) -> dict[str, Any]:
    """One question: (called wrong, is wrong, kind) of each step; the score; right before, told, and drawn anew."""
    steps = [
        (score < 0.5, label < 1, step.kind)
        for score, label, step in zip(said.step_scores, truth.step_scores, first.steps, strict=True)
    ]
    last = {arm: next((t for t in own if t.sampling.get("arm") == arm), own[0]) for arm in ("all_wrong", "resample")}
    verdicts = AnswerMatch()([(sample, t) for t in (first, last["all_wrong"], last["resample"])])
    before, told, anew = (bool(c.score) for c in verdicts)
    skill = "perception" if sample.meta["family"] in PERCEPTION else "reasoning"
    score = -1.0 if said.score is None else said.score
    return {"skill": skill, "steps": steps, "score": score, "before": before, "told": told, "anew": anew}


def f1_columns(rows: Sequence[Mapping[str, Any]], kind: str) -> list[list[float]]:
    """Of each question: hits, steps called wrong, steps that are wrong."""
    kept = [[s for s in r["steps"] if kind in ("all", s[2])] for r in rows]
    return [[sum(c and w for c, w, _ in s), sum(c for c, _, _ in s), sum(w for _, w, _ in s)] for s in kept]


def gain_columns(rows: Sequence[Mapping[str, Any]], arm: str, skill: str) -> list[list[float]]:
    """Of each question: fixed, wrong before, broken, right before; all 0 for a question of another skill."""
    made = []
    for r in rows:
        here, before, after = skill in ("all", r["skill"]), r["before"], r[arm]
        made.append(
            [here and not before and after, here and not before, here and before and not after, here and before]
        )
    return [[float(x) for x in one] for one in made]


def f1(x: Sequence[float]) -> float:
    return 2 * x[0] / (x[1] + x[2]) if x[1] + x[2] else float("nan")


def gain(x: Sequence[float]) -> float:
    """VISCO's correction score: P(right after | wrong before) - P(wrong after | right before)."""
    return x[0] / x[1] - x[2] / x[3] if x[1] and x[3] else float("nan")


def compared(columns: Mapping[str, list[list[float]]], figure: Any) -> dict[str, Interval]:
    """A figure of every critic, and the first one's less each other's, with intervals over the same questions."""
    names, first = list(columns), next(iter(columns))
    width = len(columns[first][0])
    rows = [[x for one in both for x in one] for both in zip(*columns.values(), strict=True)]

    def read(x: Sequence[float]) -> dict[str, float]:
        each = {name: figure(x[k * width : (k + 1) * width]) for k, name in enumerate(names)}
        return each | {f"-{name}": each[first] - value for name, value in each.items() if name != first}

    return function_interval(rows, read, draws=2_000)


def page(found: Mapping[str, Any], questions: int) -> list[str]:
    """The tables."""
    rows = {name: one["rows"] for name, one in found.items()}
    ours = rows["look_back"]
    wrong, steps = sum(not r["before"] for r in ours), sum(s[1] for r in ours for s in r["steps"])
    whole = sum(len(r["steps"]) for r in ours)
    head = "| LookBack | without a look | and 3 fresh answers | LookBack - without, 95 % | - 3 fresh answers, 95 % |"
    text = [
        f"{questions} test questions, all seven families, first attempts at temperature {WARM}: {wrong} answers and "
        f"{steps} of {whole} steps are wrong.",
        "",
        f"| F1 of the wrong steps {head}",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    judges = [name for name in CRITICS if name != "oracle"]
    for kind in KINDS:
        x = compared({name: f1_columns(rows[name], kind) for name in judges}, f1)
        text.append(f"| {kind} | {' | '.join(f'{x[name].mean:.3f}' for name in judges)} | {differences(x, 1)} |")
    areas = [auroc([(r["score"], r["before"]) for r in rows[name]]) for name in judges]
    text.append(f"| AUROC of answers | {' | '.join(f'{area:.3f}' for area in areas)} | | |")
    text += ["", f"| correction gain, points {head} oracle |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for arm, what in (("told", "told the wrong steps"), ("anew", "drawn again where called wrong")):
        for skill in SKILLS:
            x = compared({name: gain_columns(rows[name], arm, skill) for name in (*judges, "oracle")}, gain)
            each = " | ".join(f"{100 * x[name].mean:+.1f}" for name in judges)
            text.append(f"| {what}, {skill} | {each} | {differences(x, 100)} | {100 * x['oracle'].mean:+.1f} |")
    text += [
        "",
        "| critic | right at first | told the wrong steps | drawn again | calls to judge | saved | processor s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    titles = ("LookBack", "without a look", "without, 3 fresh answers", "oracle")
    for name, what in zip(CRITICS, titles, strict=True):
        shares = [f"{100 * sum(r[when] for r in rows[name]) / questions:.1f} %" for when in ("before", "told", "anew")]
        calls, spent = found[name]["calls"], found[name]["seconds"]["judging"]
        kinds = ", ".join(f"{asked:,} {kind}" for kind, (asked, _) in calls.items()) or "none"
        saved = sum(s for _, s in calls.values())
        text.append(f"| {what} | {' | '.join(shares)} | {kinds} | {saved:,} | {spent:.1f} |")
    return text


def differences(x: Mapping[str, Interval], scale: float) -> str:
    return " | ".join(ends(x[f"-{name}"], scale) for name in ("no_look", "no_look_3"))


def ends(x: Interval, scale: float = 1) -> str:
    digits = 1 if scale > 1 else 3
    return f"{scale * x.mean:+.{digits}f} ({scale * x.low:+.{digits}f} to {scale * x.high:+.{digits}f})"


if __name__ == "__main__":
    main()
