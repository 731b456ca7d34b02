"""What is said of an evaluation: printed lines, `results.jsonl`, `scores.json`, and a log in lmms-eval's form."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmevolve.benchmarks.figures import Figure, chance, shares
from mmevolve.benchmarks.load import Loaded
from mmevolve.benchmarks.read import shown
from mmevolve.benchmarks.score import Scored
from mmevolve.benchmarks.spec import Benchmark
from mmevolve.durable import put_text
from mmevolve.statistics import minimum_detectable_effect

LONGEST = 24  # lines of accuracy by column
CHANGED = 0.3  # share of verdicts that differ between two models, for the smallest difference that can be found


def lines(loaded: Loaded, author: str, scored: Sequence[Scored], found: Sequence[Figure]) -> list[str]:
    """The evaluation in words, a line a figure."""
    spec, said = loaded.spec, shares(scored)
    guess = chance(spec, scored)
    width = min(44, max(len(figure.name) for figure in found))
    more = len(found) - len(spec.figures) - LONGEST
    shown_ = [*found[: len(spec.figures) + LONGEST]]
    out = [loaded.label, f"  {author}; data: {loaded.place}"]
    out += [f"  {figure.name:<{width}}  {figure_words(figure)}" for figure in shown_]
    out += [f"  and {more} more lines in scores.json"] if more > 0 else []
    out.append(
        f"  unparsed {said['unparsed']:.1%}, errors {said['error']:.1%} of {len(scored):,} responses; chance "
        f"{'not defined' if guess is None else f'{guess:.3f}'}"
    )
    independent = next((figure.clusters for figure in found if figure.name == "accuracy"), 0)
    if independent > 1:
        least = minimum_detectable_effect(independent, discordant=CHANGED)
        seen = f"finds a difference of {least:.3f}" if math.isfinite(least) else "cannot find any difference"
        out.append(
            f"  a comparison on these questions {seen} with 80 % power (McNemar, {CHANGED:.0%} of verdicts changed)"
        )
    out.append(f"  licence {spec.licence}; version {spec.version}")
    if "leakage" in spec.figures and all(figure.name != "leakage" for figure in found):
        out.append("  leakage needs --base, what the model's language model alone scores without images")
    out += [f"  note: {note}" for note in spec.notes]
    out += [f"  unconfirmed: {fact}" for fact in spec.unconfirmed]
    if spec.published:
        rows = ", ".join(f"{row.model} {row.score:.3f}" for row in spec.published[:4])
        whole = "; a subset's score does not compare with it" if loaded.part else ""
        out.append(f"  published on {spec.title}: {rows}{whole}")
    return out


def figure_words(figure: Figure) -> str:
    """`0.510   95 % interval 0.420 to 0.600   bounds 0.510 to 0.530   n 100 (98 clusters)`."""
    ends = "no interval" if figure.low is None else f"95 % interval {figure.low:.3f} to {figure.high:.3f}"
    n = f"n {figure.n:,}" + (f" ({figure.clusters:,} clusters)" if figure.clusters != figure.n else "")
    value = f"{figure.value:.3f}" if math.isfinite(figure.value) else "not defined"
    bounds = f"bounds {figure.floor:.3f} to {figure.ceiling:.3f}" if math.isfinite(figure.floor) else "no bounds"
    return f"{value}   {ends}   {bounds}   {n}"


def result_rows(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """One row a response: what was said, what was read by which rule, and what became of it."""
    return [
        {
            "id": s.sample.id, "index": s.index, "response": s.response, "read": shown(s.read), "rule": s.rule,
            "reference": s.sample.answer, "outcome": s.outcome,
        }
        for s in scored
    ]  # fmt: skip


def scores(loaded: Loaded, author: str, scored: Sequence[Scored], found: Sequence[Figure]) -> dict[str, Any]:
    """All figures with what they rest on; numbers that cannot be counted are null."""
    spec = loaded.spec
    return {
        "benchmark": spec.name, "called": loaded.label, "subset": loaded.part or None, "model": author,
        "data": loaded.place, "responses": len(scored), **shares(scored), "chance": chance(spec, scored),
        "figures": {
            figure.name: {
                key: _finite(value)
                for key, value in vars(figure).items()
                if key != "name"
            }
            for figure in found
        },
        "licence": spec.licence, "version": spec.version, "paper": spec.paper, "extract": list(spec.extract),
        "score": spec.score,
    }  # fmt: skip


def write_results(folder: Path, rows: Sequence[Mapping[str, Any]], said: Mapping[str, Any]) -> None:
    """`results.jsonl` and `scores.json`, each whole or absent; the same results give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    put_text(folder / "results.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_json(folder / "scores.json", said)


def write_json(path: Path, said: Mapping[str, Any]) -> None:
    """A JSON file, whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    put_text(path, json.dumps(said, indent=1, ensure_ascii=False) + "\n")


def write_log(folder: Path, done: Sequence[tuple[Loaded, str, Sequence[Scored], Sequence[Figure]]]) -> list[Path]:
    """A results file and one file of samples a benchmark, with the names and keys that lmms-eval gives them.

    Differs: no date stands in the names, so that the same results give the same bytes; a subset's task is called so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole: dict[str, Any] = {
        "results": {},
        "configs": {},
        "versions": {},
        "n-shot": {},
        "n-samples": {},
        "task_hashes": {},
    }
    written = []
    for loaded, author, scored, found in done:
        rows = _log_rows(loaded.spec, scored)
        path = folder / f"samples_{loaded.slug}.jsonl"
        put_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        written.append(path)
        numbers: dict[str, Any] = {"alias": loaded.label}
        for figure in found:
            name = figure.name.replace(", ", "_").replace(" ", "_")
            numbers[f"{name},none"] = _finite(figure.value)
            spread = None if figure.low is None else _finite((float(figure.high or 0) - figure.low) / (2 * 1.959964))
            numbers[f"{name}_stderr,none"] = "N/A" if spread is None else spread
        said = shares(scored)
        numbers |= {"unparsed,none": said["unparsed"], "error,none": said["error"]}
        whole["results"][loaded.slug] = numbers
        whole["configs"][loaded.slug] = {
            "task": loaded.slug, "dataset_path": loaded.place, "output_type": "generate_until",
            "doc_to_text": loaded.spec.prompt, "metadata": {"version": loaded.spec.version},
        }  # fmt: skip
        whole["versions"][loaded.slug] = loaded.spec.version
        whole["n-shot"][loaded.slug] = 0
        questions = len({s.sample.id for s in scored})
        whole["n-samples"][loaded.slug] = {"original": loaded.spec.items or questions, "effective": questions}
        whole["task_hashes"][loaded.slug] = _hash("".join(f"sample_{i}{row['doc_hash']}" for i, row in enumerate(rows)))
        whole["model_source"], whole["model_name"] = "mmevolve", author
        whole["model_name_sanitized"] = author.replace("/", "__")
    put_text(folder / "results.json", json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
    return [folder / "results.json", *written]


def _log_rows(spec: Benchmark, scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """A row a question, all its attempts in `resps`."""
    questions: dict[str, list[Scored]] = {}
    for s in scored:
        questions.setdefault(s.sample.id, []).append(s)
    rows = []
    for number, (name, attempts) in enumerate(questions.items()):
        sample = attempts[0].sample
        rows.append(
            {
                "doc_id": number, "sample_id": name, "target": str(sample.answer), "input": sample.question,
                "resps": [[s.response for s in attempts]], "filtered_resps": [shown(s.read) for s in attempts],
                "doc_hash": _hash(json.dumps([sample.id, sample.question, sample.choices], ensure_ascii=False)),
                "acc": sum(s.outcome == "correct" for s in attempts) / len(attempts),
                "outcome": [s.outcome for s in attempts],
            }
        )  # fmt: skip
    return rows


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
