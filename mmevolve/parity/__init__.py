"""Parity with the official scorers: run every golden file of a folder and say where we agree.

A golden file holds published model outputs with what the official code made of them. Two questions a file: given the
official extraction, is our verdict the official one (scoring); and do our rules read the same answer out of the
response (extraction). A third column holds our own extractor, `answers.extract`, against the official reading.

    python -m mmevolve.parity --data ../shared/data
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmevolve.answers.aggregate import over_variants
from mmevolve.parity.checks import BENCHMARKS, NO_RULE, Check, load

# Share of rows on which the option extractors of lmms-eval 0.7 and VLMEvalKit (August 2026, rule stage) agree with the
# official reading, measured on the full published files.
HARNESSES = {
    "mmmu_pro/gpt-4o_standard10_options_cot": (0.958, 0.401),
    "mmmu_pro/gpt-4o_standard10_options_direct": (0.917, 0.861),
    "mmmu_pro/gpt-4o_vision_cot": (0.943, 0.123),
    "mmmu_pro/gpt-4o_vision_direct": (0.951, 0.786),
    "mmmu/qwen_vl": (0.832, 0.660),
    "mmmu/llava1.5_13b": (1.000, 0.996),
}
# Accuracy by the same two extractors on the same files.
HARNESS_TOTALS = {
    "mmmu_pro/gpt-4o_standard10_options_cot": (0.5347, 0.2566),
    "mmmu_pro/gpt-4o_standard10_options_direct": (0.4249, 0.3965),
    "mmmu_pro/gpt-4o_vision_cot": (0.4815, 0.0595),
    "mmmu_pro/gpt-4o_vision_direct": (0.4173, 0.3682),
    "m3cot/gpt4v_direct": (0.5302, 0.3020),
    "m3cot/llava-7b_cot": (0.3507, 0.3175),
}


# Disagreements that were looked into: (benchmark/file, row) -> reason.
KNOWN = {
    ("mathvision/Gemini-Pro", "3013"): "published as wrong, but 4/3 and \\frac{4}{3} are equal by the official code",
    (
        "mathvision/Qwen-VL-Max-CoT",
        "1787",
    ): "published answer is not that of the official code, which keeps `A)`",
    ("mathvision/Qwen-VL-Plus", "2394"): "published answer does not follow from the published response, which is `B`",
    (
        "scienceqa/test_sqa_llava_13b_v0",
        "3247",
    ): "D is stated where options are fewer: a random draw",
}


@dataclass(frozen=True)
class Disagreement:
    """One row on which we and the official code differ.

    Attributes:
        id: the row's.
        kind: scoring or extraction.
        ours: our verdict or reading.
        official: the official one.
        why: the reason; empty when it is not known.
    """

    id: str
    kind: str
    ours: str
    official: str
    why: str = ""


@dataclass(frozen=True)
class ParityRow:
    """One golden file; shares are in [0, 1] and None where there is nothing to compare.

    Attributes:
        file: path below the folder.
        rows: golden rows in it.
        scored: rows with an official verdict.
        scoring: share of them with our verdict the same.
        extracted: rows whose official extraction is by rule.
        extraction: share of them that our rules read the same.
        total: our accuracy in official mode.
        published: the published accuracy.
        own_compared: rows on which our own extractor is compared with the official reading.
        own: share of them on which they agree.
        own_answered: the same share, leaving out the responses that decline to answer, out of which official rules read
            an article or a pronoun as a letter.
        own_total: accuracy by our own extractor and equality.
        own_unparsed: share of all rows where it finds no answer.
        lmms_eval: what `own` is for lmms-eval; None where it was not measured.
        vlmevalkit: the same for VLMEvalKit.
        lmms_eval_total: what `own_total` is for lmms-eval.
        vlmevalkit_total: the same for VLMEvalKit.
        seconds: processor time taken.
        disagreements: every row on which we and the official code differ.
        notes: what a reader of the numbers must know.
        detail: further numbers.
    """

    file: str
    rows: int
    scored: int = 0
    scoring: float | None = None
    extracted: int = 0
    extraction: float | None = None
    total: float | None = None
    published: float | None = None
    own_compared: int = 0
    own: float | None = None
    own_answered: float | None = None
    own_total: float | None = None
    own_unparsed: float | None = None
    lmms_eval: float | None = None
    vlmevalkit: float | None = None
    lmms_eval_total: float | None = None
    vlmevalkit_total: float | None = None
    seconds: float = 0.0
    disagreements: tuple[Disagreement, ...] = ()
    notes: tuple[str, ...] = ()
    detail: Mapping[str, float] = field(default_factory=dict)


def compare(folder: str | Path) -> list[ParityRow]:
    """One row a golden file of the folder, in the order of their paths.

    Raises:
        FileNotFoundError: when the folder holds no golden file.
    """
    root = Path(folder)
    done = []
    for path in sorted((root / "goldens").glob("**/*.jsonl.gz")):
        benchmark = path.relative_to(root / "goldens").parts[0]
        if benchmark in BENCHMARKS and path.name != "testmini.jsonl.gz":
            done.append(_file(root, path, benchmark))
    responses = root / "visonlyqa" / "model_responses.jsonl.gz"
    if responses.exists():
        done.append(_file(root, responses, "visonlyqa"))
    if (root / "dynamath" / "test.jsonl").exists():
        done.append(_dynamath(root / "dynamath" / "test.jsonl"))
    if not done:
        raise FileNotFoundError(f"no golden files below '{root}': looked for goldens/*/*.jsonl.gz, visonlyqa, dynamath")
    return done


def _file(root: Path, path: Path, benchmark: str) -> ParityRow:
    start = time.process_time()
    rows = load(path)
    checks = list(BENCHMARKS[benchmark](rows, root))
    name = path.name.removesuffix(".jsonl.gz")
    notes = []
    correct, count = _published(root / "goldens" / benchmark / "official_scores.json", name)
    if correct is not None and count != len(rows):
        notes.append(f"the published total is of {count} rows, here are {len(rows)}: not compared")
        correct = None
    scored = [c for c in checks if c.correct is not None and c.official_correct is not None]
    read = [c for c in checks if c.official_read is not None]
    own = [c for c in checks if c.own_agrees is not None]
    known = [c for c in checks if c.correct is not None]
    if len(known) < len(rows):
        notes.append(f"{len(rows) - len(known)} rows cannot be scored: {_missing(checks)}")
    if len(read) < len(rows):
        notes.append(f"{len(rows) - len(read)} rows have no official extraction by rule: {NO_RULE[benchmark]}")
    whole = len(known) == len(rows)
    lmms, vlm = HARNESSES.get(f"{benchmark}/{name}", (None, None))
    lmms_total, vlm_total = HARNESS_TOTALS.get(f"{benchmark}/{name}", (None, None))
    return ParityRow(
        file=path.relative_to(root).as_posix(),
        rows=len(rows),
        scored=len(scored),
        scoring=_share(c.correct == c.official_correct for c in scored),
        extracted=len(read),
        extraction=_share(c.read == c.official_read for c in read),
        total=sum(bool(c.correct) for c in known) / len(rows) if whole else None,
        published=None if correct is None else correct / len(rows),
        own_compared=len(own),
        own=_share(bool(c.own_agrees) for c in own),
        own_answered=_share(bool(c.own_agrees) for c in own if not c.declined),
        own_total=_share(bool(c.own_correct) for c in checks)
        if all(c.own_correct is not None for c in checks)
        else None,
        own_unparsed=_share(c.own is None for c in checks),
        lmms_eval=lmms,
        vlmevalkit=vlm,
        lmms_eval_total=lmms_total,
        vlmevalkit_total=vlm_total,
        seconds=time.process_time() - start,
        disagreements=tuple(_disagreements(checks, f"{benchmark}/{name}")),
        notes=tuple(notes),
    )


def _disagreements(checks: Iterable[Check], file: str) -> Iterator[Disagreement]:
    for c in checks:
        why = KNOWN.get((file, c.id)) or c.why
        if c.correct is not None and c.official_correct is not None and c.correct != c.official_correct:
            yield Disagreement(c.id, "scoring", str(c.correct), str(c.official_correct), why)
        if c.official_read is not None and c.read != c.official_read:
            yield Disagreement(c.id, "extraction", _short(c.read), _short(c.official_read), why)


def _dynamath(path: Path) -> ParityRow:
    start = time.process_time()
    rows = load(path)
    models = sorted({m for row in rows for m in row["meta"]["official_model_correct"]})
    detail: dict[str, float] = {}
    for model in models:
        verdicts = [row["meta"]["official_model_correct"][model] == "correct" for row in rows]
        accuracy = over_variants(verdicts, [row["seed_id"] for row in rows])
        detail[f"{model} average"] = accuracy.average
        detail[f"{model} worst"] = accuracy.worst
    average = [detail[f"{model} average"] for model in models]
    return ParityRow(
        file=f"dynamath/{path.name}",
        rows=len(rows) * len(models),
        total=sum(average) / len(models),
        seconds=time.process_time() - start,
        notes=(f"{len(models)} models x {len(rows)} variants: verdicts only; the total is the mean average case",),
        detail=detail,
    )


def _published(path: Path, name: str) -> tuple[int | None, int]:
    """Published count of right answers, and of rows; None where no total is published."""
    entry = json.loads(path.read_text()).get(name) if path.exists() else None
    if entry is None:
        return None, 0
    if "official" in entry:
        return entry["official"]["correct"], entry["official"]["total"]
    if "official_all" in entry:
        right, _, count = entry["official_all"].partition("=")[0].partition("/")
        return int(right), int(count)
    if "correct" in entry:
        return entry["correct"], entry["count"]
    share = next(entry[key] for key in ("overall_acc_by_official_code", "acc_from_if_right", "acc") if key in entry)
    return round(share * entry["n"]), entry["n"]


def _share(flags: Iterable[bool]) -> float | None:
    listed = list(flags)
    return sum(listed) / len(listed) if listed else None


def _missing(checks: Iterable[Check]) -> str:
    return Counter(c.why for c in checks if c.correct is None).most_common(1)[0][0]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


COLUMNS = (
    ("scoring", "scoring"),
    ("extraction", "extraction"),
    ("ours", "total"),
    ("published", "published"),
    ("own total", "own_total"),
    ("own agrees", "own"),
    ("answered", "own_answered"),
    ("lmms-eval", "lmms_eval"),
    ("VLMEvalKit", "vlmevalkit"),
)
_LISTED = 20


def table(rows: Iterable[ParityRow], *, details: bool = True) -> str:
    """The comparison for people: one line a file, then what disagrees and why."""
    rows = list(rows)
    lines = [("file", "rows", *(title for title, _ in COLUMNS))]
    for row in rows:
        values = dataclasses.asdict(row)
        cells = (values[name] for _, name in COLUMNS)
        lines.append((row.file, str(row.rows), *("-" if c is None else f"{100 * c:.2f}" for c in cells)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    if details:
        for row in rows:
            text += [f"{row.file}: {note}" for note in row.notes]
            text += [
                f"{row.file}: row {d.id}: {d.kind} {d.ours}, official {d.official} ({d.why or 'unexplained'})"
                for d in row.disagreements[:_LISTED]
            ]
            if len(row.disagreements) > _LISTED:
                text.append(f"{row.file}: and {len(row.disagreements) - _LISTED} more (--json lists all)")
    text.append(f"{sum(r.rows for r in rows)} rows in {sum(r.seconds for r in rows):.1f} s of processor time")
    return "\n".join(text)


def main(data: str, as_json: bool) -> int:
    """Print the comparison.

    Returns:
        0 when every verdict given the official extraction is the official one, or the reason is known, and our rules
        read at least 99 percent of every file as the official ones do; 1 otherwise; 2 when there is nothing to compare.
    """
    try:
        rows = compare(data)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) if as_json else table(rows))
    return 0 if all(_meets_targets(row) for row in rows) else 1


def _meets_targets(row: ParityRow) -> bool:
    scored = not any(d.kind == "scoring" and not d.why for d in row.disagreements)
    return scored and (row.extraction is None or row.extraction >= 0.99)
