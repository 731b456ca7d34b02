"""A small run folder made by hand: attempts of known kinds, critiques with known scores, numbers that can be counted.

Held-out question i is right before when i % 3 == 0; after stage k also when i % 3 == 1 and i < n * k / 3, and question
0 is broken. With n = 12 that is 4, 4, 6 right of 12: fixed 1, 4 and 7, broken 0.
Every training question has four attempts, in this order: gold, lucky (right answer, wrong first step), misread (both
wrong), mute (no answer, and markup in it). The first is kept, and of every fourth question the second as well.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from mmevolve.data.shapes.dataset import gold, shapes
from mmevolve.store import RunStore
from mmevolve.types import Critique, Demonstration, Labelled, Sample, Step, Trajectory

EVIL = "<script>alert('x')</script> & \x1b[31mred"
ATTEMPTS = ("gold", "lucky", "misread", "mute")
RECIPE = """\
# Quickstart: the tiny model learns from its own judged answers.
# Run      mmevolve run recipes/quickstart.yaml
seed: 0
loop:
  - {_target_: loops.evolve, name: warm_up}
  - {_target_: loops.evolve, name: evolve}
note: <b>not bold</b>
"""


def fake_run(
    path: Path, *, n: int = 12, rounds: int = 2, warm_up: bool = False, finished: bool = True, samples: bool = True
) -> str:
    """Make the folder; gives its path."""
    run = str(path / "quickstart")
    Path(run).mkdir(parents=True)
    Path(run, "recipe.yaml").write_text(RECIPE)
    Path(run, "environment.json").write_text(json.dumps({"python": "3.11.9", "cores": 2, "torch": "2.9.0"}))
    held = shapes(n=n, split="test")
    stage = 0
    if warm_up:
        store = RunStore(run, "warm_up")
        measured(store, "before", held, n, stage, keep=samples)
        train_round(store, 0, shapes(n=n, first=5000), {}, demonstrations=True)
        measured(store, 0, held, n, stage := 1, rows=n + math.ceil(n / 4), keep=samples)
        labels = RunStore(run, "step_reward")
        train_round(
            labels,
            0,
            shapes(n=n, first=7000),
            {"step_auroc_prm": 0.8125, "step_auroc_odd": math.nan},
            demonstrations=False,
        )
    store = RunStore(run, "evolve")
    measured(store, "before", held, n, stage, keep=samples)
    for r in range(rounds):
        train_round(store, r, shapes(n=n, first=r * n), {}, demonstrations=True)
        measured(store, r, held, n, stage := stage + 1, rows=n + math.ceil(n / 4), keep=samples)
    if finished:
        Path(run, "summary.json").write_text(json.dumps({"seconds": 272.4, "peak_rss_bytes": 1_234_000_000}))
        spent = {
            "evolve before held_out_trajectories": 4.5,
            "evolve round=000 trajectories": 31.0,
            "evolve round=000 critiques": 2.0,
        }
        spent |= {
            "evolve round=000 examples": 0.2,
            "evolve round=000 train": 12.0,
            "evolve round=000 samples_trajectories": 20.0,
        }
        Path(run, "timings.json").write_text(json.dumps({**spent, "total": 272.4}))
    return run


def is_right(i: int, n: int, stage: int) -> bool:
    if stage == 0:
        return i % 3 == 0
    return (i % 3 == 0 and i != 0) or (i % 3 == 1 and i < n * stage / 3)


def measured(
    store: RunStore, at: int | str, held: list[Sample], n: int, stage: int, *, rows: int = 0, keep: bool = True
) -> None:
    """One measured point: greedy attempts, verdicts and the metrics table."""
    folder = store.round_folder(at)
    attempts = [written(s, "gold" if is_right(i, n, stage) else "misread", 0, 0) for i, s in enumerate(held)]
    if keep:
        store.write(folder / "held_out_samples.parquet", held)
    store.write(folder / "held_out_trajectories.parquet", attempts)
    store.write(
        folder / "held_out_critiques.parquet", [c for s, t in zip(held, attempts, strict=True) for c in judged(s, t)]
    )
    accuracy = sum(is_right(i, n, stage) for i in range(n)) / n
    numbers = {
        "held_out/accuracy": accuracy, "samples/accuracy": accuracy - 0.05, "samples/pass@8": 0.75 - 0.01 * stage,
        "samples/right_answer_wrong_step": 0.25 - 0.05 * stage, "held_out/accuracy_unparsed": 0.0,
    }  # fmt: skip
    store.write(folder / "metrics.parquet", [numbers | ({"rows": rows} if rows else {})])


def train_round(
    store: RunStore, r: int, samples: list[Sample], metrics: dict[str, float], *, demonstrations: bool
) -> None:
    """One round's tables, its metrics only when some are given."""
    folder = store.round_folder(r)
    attempts = [(s, written(s, kind, j, r)) for s in samples for j, kind in enumerate(ATTEMPTS)]
    store.write(folder / "samples.parquet", samples)
    store.write(folder / "trajectories.parquet", [t for _, t in attempts])
    store.write(folder / "critiques.parquet", [c for s, t in attempts for c in judged(s, t)])
    kept = [t for i, (_, t) in enumerate(attempts) if i % 4 == 0 or i % 16 == 1]
    if demonstrations:
        store.write(folder / "examples.parquet", [Demonstration((), t.text, source=t.id) for t in kept])
    else:
        store.write(folder / "examples.parquet", [Labelled((), t.text, (1.0,), source=t.id) for _, t in attempts])
    store.checkpoint(r).mkdir(parents=True)
    if metrics:
        store.write(folder / "metrics.parquet", [{"rows": len(attempts), **metrics}])


def written(sample: Sample, kind: str, j: int, r: int) -> Trajectory:
    """An attempt of a known kind."""
    lines = gold(sample).split("\n")
    answer = sample.answer
    if kind == "mute":
        lines, answer = [EVIL, "I do not know"], None
    elif kind in ("lucky", "misread"):
        lines[0] = "red circles : a1 a2 a3 = 3"
    if kind == "misread":
        answer = "no" if sample.answer == "yes" else "yes"
        lines[-1] = f"answer : {answer}"
    steps = tuple(Step(line, "answer" if i == len(lines) - 1 else "reasoning") for i, line in enumerate(lines))
    return Trajectory(f"{sample.id}/{r}/{j}", sample.id, "tiny@base", steps, answer, r, sampling={"temperature": 1.0})


def judged(sample: Sample, t: Trajectory) -> list[Critique]:
    """The answer's verdict, a learned score that is fooled by lucky attempts, and the oracle."""
    right = t.answer == sample.answer
    sound = [
        s.text != "red circles : a1 a2 a3 = 3" and "know" not in s.text and "script" not in s.text for s in t.steps
    ]
    sound[-1] = sound[-1] and right
    learned = tuple((0.9 if ok else 0.2) if not (right and not all(sound)) else 0.8 for ok in sound)
    text = "\n".join("right" if ok else "wrong (perception): missing: a4; not so: a1" for ok in sound)
    return [
        Critique(t.id, "answer", float(right)),
        Critique(t.id, "prm", min(learned), learned, sees_image=True),
        Critique(t.id, "oracle", float(all(sound)), tuple(map(float, sound)), text, sees_image=True),
    ]
