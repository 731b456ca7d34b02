"""Lineage at a million training rows: how long a question takes, and how long it takes to select them again.

A run is made up whose tables are written by the store itself: ten rounds of 20,000 questions, five attempts each, four
steps an attempt, a verdict and four step scores for every attempt; every picture belongs to four questions. Each
round's rows are selected by `selectors.StepLabels` from the stored tables, which keeps them all. Then, in a process of
its own, the index is made once and random rows, attempts, checkpoints and pictures are asked for; every answer is held
against the table that the run was made from.

    python eval/performance/lineage.py [rows]          (1,000,000 unless told; some minutes)

The last line is JSON: seconds of selecting and of making the index, milliseconds of each kind of question (median, 95th
percentile, worst), and the largest resident memory in bytes of either process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from mmevolve.lineage.groups import stored_groups
from mmevolve.lineage.index import FILE, open_index
from mmevolve.lineage.query import Lineage
from mmevolve.results import record
from mmevolve.selectors.step_labels import StepLabels
from mmevolve.store import RunStore
from mmevolve.types import Critique, Sample, Step, Trajectory

ATTEMPTS, QUESTIONS, ASKED = 5, 20_000, 200
RECIPE = "# Made up.\npolicy: {}\nloop: {_target_: loops.evolve, name: evolve, policy: $policy}\n"


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    if sys.argv[2:]:
        print(json.dumps({"make": make, "select": select, "ask": ask}[sys.argv[2]](sys.argv[3], rows)))
        return
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "million")
        again("make", run, rows)
        numbers = {"rows": rows, **again("select", run, rows), **again("ask", run, rows)}
        tables = sum(f.stat().st_size for f in Path(run).rglob("*.parquet"))
        numbers |= {"tables_bytes": tables, "index_bytes": (Path(run) / FILE).stat().st_size}
    write(numbers)
    print(json.dumps(numbers))


def make(run: str, rows: int) -> dict[str, float]:
    """The run's tables, without its rows."""
    store = RunStore(run, "evolve")
    Path(run).mkdir()
    Path(run, "recipe.yaml").write_text(RECIPE)
    for r in range(rows_of(rows)):
        draw = Random(r)
        folder = store.round_folder(r)
        samples = [
            Sample(f"made-{r}-{i:06d}", f"how many of the things in cell {i} are red ?", (picture(r, i),), str(i % 9))
            for i in range(questions(rows))
        ]
        author = "made@base" if r == 0 else f"made@evolve/round={r - 1:03d}"
        knobs = {"prompt": "question", "temperature": 1.0, "seed": 0}
        attempts = [
            Trajectory(f"{s.id}/{r}/{k}", s.id, author, steps(s, k), str(draw.randrange(9)), r, sampling=knobs,
                       token_ids=tuple(range(8)), logprobs=(-0.25,) * 8)
            for s in samples for k in range(ATTEMPTS)
        ]  # fmt: skip
        store.write(folder / "samples.parquet", samples)
        store.write(folder / "trajectories.parquet", attempts)
        critiques = [Critique(t.id, "answer", float(draw.random() < 0.5)) for t in attempts]
        values = [Critique(t.id, "value", 0.5, tuple(draw.randrange(9) / 8 for _ in t.steps)) for t in attempts]
        units = [c for i in range(0, len(attempts), 160) for said in (critiques, values) for c in said[i : i + 160]]
        store.write(folder / "critiques.parquet", units, {"critics": [{"name": "answer"}, {"name": "value"}]})
        store.checkpoint(r).mkdir()
    return {"make_s": round(time.process_time(), 1)}


def rows_of(rows: int) -> int:
    return max(1, rows // (ATTEMPTS * QUESTIONS))


def questions(rows: int) -> int:
    return rows // rows_of(rows) // ATTEMPTS


def picture(r: int, i: int) -> str:
    return f"photos/round {r}/{i // 4:06d}.jpg"


def steps(sample: Sample, k: int) -> tuple[Step, ...]:
    return tuple(Step(f"attempt {k} at {sample.id}, line {j}: a{j} b{k} = {j + k}") for j in range(4))


def select(run: str, rows: int) -> dict[str, float]:
    """Select every round again from its tables, and write the rows."""
    store = RunStore(run, "evolve")
    selector = StepLabels()
    spent = {"select": 0.0, "select_wall": 0.0, "write": 0.0, "write_wall": 0.0}

    def timed(what: str, work: Callable[[], Any]) -> Any:
        wall, own = time.perf_counter(), time.process_time()
        made = work()
        spent[what] += time.process_time() - own
        spent[f"{what}_wall"] += time.perf_counter() - wall
        return made

    key = {"selector": {"_target_": "mmevolve.selectors.step_labels.StepLabels", "critic": "value"}}
    for r in range(rows_of(rows)):
        found = timed("select", lambda r=r: list(selector(stored_groups(store, r, tokens=False))))
        assert len(found) == rows // rows_of(rows)
        place = store.round_folder(r) / "examples.parquet"
        timed("write", lambda place=place, found=found: store.write(place, found, key))
    return {**{f"{k}_s": round(v, 1) for k, v in spent.items()}, "select_rss": peak()}


def ask(run: str, rows: int) -> dict[str, float]:
    """Make the index, then ask."""
    started, own = time.perf_counter(), time.process_time()
    open_index(run).close()
    numbers = {"index_s": round(time.process_time() - own, 1), "index_wall_s": round(time.perf_counter() - started, 1)}
    started = time.perf_counter()
    lineage = Lineage(run)
    numbers["open_ms"] = round(1000 * (time.perf_counter() - started), 1)
    draw = Random(0)
    rounds, each = rows_of(rows), rows // rows_of(rows)
    spent: dict[str, list[float]] = {}

    def timed(kind: str, question: str) -> dict:
        started = time.perf_counter()
        answer = lineage.forget(question) if kind == "forget" else lineage.trace(question)
        spent.setdefault(kind, []).append(1000 * (time.perf_counter() - started))
        return answer

    for _ in range(ASKED):
        r, n = draw.randrange(rounds), draw.randrange(each)
        i, k = divmod(n, ATTEMPTS)
        name = f"made-{r}-{i:06d}/{r}/{k}"
        row = timed("row", f"evolve/round={r:03d}/{n}")
        assert row["attempt"]["id"] == name and row["attempt"]["pictures"] == [picture(r, i)], row
        assert [c["critic"] for c in row["critiques"]] == ["answer", "value"]
        assert row["attempt"]["checkpoint"] == (f"evolve/round={r - 1:03d}" if r else None)
        assert timed("attempt", name)["rows"][0]["row"] == row["row"]
        gone = timed("forget", picture(r, i))
        first = i // 4 * 4 * ATTEMPTS
        assert gone["rows"] == [f"evolve/round={r:03d}/{m}" for m in range(first, min(each, first + 4 * ATTEMPTS))]
        assert gone["checkpoints"] == [f"evolve/round={q:03d}" for q in range(r, rounds)]
    for r in range(rounds):
        assert timed("checkpoint", f"evolve/round={r:03d}")["n"] == (r + 1) * each
    for kind, found in spent.items():
        found.sort()
        middle, most = found[len(found) // 2], found[min(len(found) - 1, int(0.95 * len(found)))]
        numbers |= {f"{kind}_ms": round(middle, 2), f"{kind}_p95": round(most, 2), f"{kind}_max": round(found[-1], 2)}
    return {**numbers, "ask_rss": peak()}


def again(what: str, run: str, rows: int) -> dict[str, float]:
    """A part in a process of its own, so that its memory is its own."""
    said = subprocess.run([sys.executable, __file__, str(rows), what, run], capture_output=True, text=True, check=False)
    if said.returncode:
        raise SystemExit(said.stderr)
    numbers = json.loads(said.stdout.splitlines()[-1])
    print(what, numbers, flush=True)
    return numbers


def peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def write(n: dict[str, float]) -> None:
    """The section in eval/results.md."""
    kinds = {"row": "what made a row", "attempt": "an attempt's rows", "checkpoint": "a checkpoint's rows",
             "forget": "what rests on a picture"}  # fmt: skip
    lines = [
        f"{n['rows']:,} training rows in {rows_of(int(n['rows']))} rounds, as many attempts, twice as many critiques; "
        f"tables {n['tables_bytes'] / 1e6:.0f} MB, index {n['index_bytes'] / 1e6:.0f} MB. Other programs kept both "
        "cores busy: questions are timed by the clock, work by processor time with the clock's in brackets.",
        "",
        "| question | median | 95th percentile | worst | aim |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {words} | {n[f'{k}_ms']:.1f} ms | {n[f'{k}_p95']:.1f} ms | {n[f'{k}_max']:.1f} ms | under 100 ms |"
            for k, words in kinds.items()
        ),
        "",
        "| work | time | largest memory | aim |",
        "| --- | --- | --- | --- |",
        f"| selecting all rows from stored tables | {n['select_s']:.1f} s ({n['select_wall_s']:.0f} s) | "
        f"{n['select_rss'] / 1e9:.2f} GB | under 60 s, under 2 GB |",
        f"| writing them | {n['write_s']:.1f} s ({n['write_wall_s']:.0f} s) | the same process | |",
        f"| making the index, once | {n['index_s']:.1f} s ({n['index_wall_s']:.0f} s) | {n['ask_rss'] / 1e9:.2f} GB | "
        "under 2 GB |",
        f"| opening it | {n['open_ms']:.0f} ms | | |",
    ]
    record("Lineage at a million rows", lines, command="python eval/performance/lineage.py")


if __name__ == "__main__":
    main()
