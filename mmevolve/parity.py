"""Parity with the official scorers: run every golden file of a folder and say where we agree.

A golden file holds published model outputs with what the official code made of them. Two questions a file: given the
official extraction, is our verdict the official one (scoring); and do our rules read the same answer out of the response
(extraction). A third column holds our own extractor, `answers.extract`, against the official reading.

    python -m mmevolve.parity --data ../shared/data
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmevolve import answers
from mmevolve.answers import m3cot, mathvision, mathvista, mmmu, mmmu_pro, refusal, scienceqa, tabmwp, visonlyqa
from mmevolve.answers.aggregate import over_variants

Row = Mapping[str, Any]

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


@dataclass(frozen=True)
class Check:
    """One golden row.

    Attributes:
        id: the row's.
        correct: our verdict, given the official extraction; None where the row cannot be scored.
        official_correct: the official verdict; None where the file holds none.
        read: what our official rules extract.
        official_read: the official extraction; None where it is a random draw, another model's word or absent.
        own: what our own extractor finds.
        own_agrees: whether that is the official reading; None where there is none.
        own_correct: whether it equals the reference answer, by our own equality.
        declined: the response says that it cannot answer, and our own extractor finds none.
        why: reason for a disagreement that is known.
    """

    id: str
    correct: bool | None = None
    official_correct: bool | None = None
    read: object = None
    official_read: object = None
    own: str | None = None
    own_agrees: bool | None = None
    own_correct: bool | None = None
    declined: bool = False
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
        lmms_eval: the same share for lmms-eval; None where it was not measured.
        vlmevalkit: the same for VLMEvalKit.
        seconds: time taken.
        disagreements: every row that is not official, with the reason.
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
    seconds: float = 0.0
    disagreements: tuple[str, ...] = ()
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
        if benchmark in _BENCHMARKS and path.name != "testmini.jsonl.gz":
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
    start = time.perf_counter()
    rows = _load(path)
    checks = list(_BENCHMARKS[benchmark](rows, root))
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
        notes.append(f"{len(rows) - len(read)} rows have no official extraction by rule: {_NO_RULE[benchmark]}")
    whole = len(known) == len(rows)
    lmms, vlm = HARNESSES.get(f"{benchmark}/{name}", (None, None))
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
        own_total=_share(bool(c.own_correct) for c in checks) if all(c.own_correct is not None for c in checks) else None,
        own_unparsed=_share(c.own is None for c in checks),
        lmms_eval=lmms,
        vlmevalkit=vlm,
        seconds=time.perf_counter() - start,
        disagreements=tuple(_disagreements(checks)),
        notes=tuple(notes),
    )


def _disagreements(checks: Iterable[Check]) -> Iterator[str]:
    for c in checks:
        if c.correct is not None and c.official_correct is not None and c.correct != c.official_correct:
            yield f"{c.id}: scoring says {c.correct}, official {c.official_correct} ({c.why or 'unexplained'})"
        if c.official_read is not None and c.read != c.official_read:
            yield f"{c.id}: extraction {_short(c.read)}, official {_short(c.official_read)} ({c.why or 'unexplained'})"


def _own(own: str | None, official: str | None, gold: object, response: str) -> dict[str, Any]:
    """The fields of a check that are about our own extractor on a question with letters."""
    return {
        "own": own,
        "own_agrees": None if official is None else own == official,
        "own_correct": own is not None and mmmu.choice_correct(own, gold),
        "declined": own is None and refusal.declines(response),
    }


# --- one function a benchmark: golden rows -> checks -------------------------------------------------------------------


def _mmmu(rows: Iterable[Row], root: Path) -> Iterator[Check]:
    for row in rows:
        official, verdict, response = row["parsed_pred"], row["judge"] == "Correct", row["response"]
        if row["question_type"] != "multiple-choice":
            correct = mmmu.open_correct(official, row["answer"])
            yield Check(row["id"], correct, verdict, mmmu.parse_open(response), frozenset(official))
            continue
        options = row["index2ans"]
        drawn = row["random_fallback"]
        own = answers.extract(response, choices=tuple(options.values()), strict=False)
        yield Check(
            row["id"],
            mmmu.choice_correct(official, row["answer"]),
            verdict,
            mmmu.parse_choice(response, options),
            None if drawn else official,
            **_own(own, None if drawn else official, row["answer"], response),
        )


def _mmmu_pro(rows: Iterable[Row], root: Path) -> Iterator[Check]:
    for row in rows:
        texts = [str(option) for option in ast.literal_eval(row["options"])]
        official, response = row["pred_indexs"], row["response"]
        read = mmmu_pro.parse_choice(response, mmmu_pro.options_of(texts))
        own = answers.extract(response, choices=texts, strict=False)
        yield Check(
            row["id"],
            official == row["answer"],
            row["if_right"],
            read,
            None if read is None else official,
            **_own(own, official, row["answer"], response),
        )


def _m3cot(rows: Iterable[Row], root: Path) -> Iterator[Check]:
    for row in rows:
        read = m3cot.parse_choice(row["response"], row["choices"])
        right, verdict = read == row["answer"], row["official_correct"]
        # the file holds verdicts only, so that the reading is known by what it leads to
        own = answers.extract(row["response"], choices=row["choices"], strict=False)
        yield Check(row["id"], right, verdict, right, verdict, **_own(own, read, row["answer"], row["response"]))


def _mathvision(rows: Iterable[Row], root: Path) -> Iterator[Check]:
    path = root / "mathvision" / "test_all_text_only.jsonl"
    questions = {q["id"].removeprefix("mathvision-"): q for q in _load(path)} if path.exists() else {}
    for row in rows:
        question = questions.get(row["id"].removeprefix("mathvision-"))
        read = mathvision.extract(row["response"])
        if question is None:
            yield Check(row["id"], None, row["correct"], read, row["model_answer"], why="its question is not here")
            continue
        gold, choices = question["answer"], question["choices"] or ()
        option = choices[ord(gold) - ord("A")] if choices else ""
        own = answers.extract(row["response"], choices=choices, strict=False)
        own_correct = own is not None and answers.equal(own, gold, choices=choices)
        correct = mathvision.correct(row["model_answer"], gold, option)
        yield Check(
            row["id"],
            correct,
            row["correct"],
            read,
            row["model_answer"],
            own=own,
            own_agrees=own_correct == row["correct"],
            own_correct=own_correct,
            declined=own is None and refusal.declines(row["response"]),
            why="" if correct == row["correct"] and read == row["model_answer"] else _MATHVISION_WHY,
        )


def _mathvista(rows: Sequence[Row], root: Path) -> Iterator[Check]:
    questions = {q["pid"]: q for q in _load(root / "goldens" / "mathvista" / "testmini.jsonl.gz")}

    def predict(row: Row, *, published: bool) -> str | None:
        q = questions[row["pid"]]
        return mathvista.normalise(
            row["extraction"],
            answer_type=q["answer_type"],
            choices=q["choices"] or (),
            precision=q["precision"],
            published=published,
        )

    # the published files come from two revisions of the scorer: the later one where it explains all predictions of a file
    later = all(predict(row, published=False) == row["prediction"] for row in rows)
    for row in rows:
        q = questions[row["pid"]]
        gold, choices = q["answer"], q["choices"] or ()
        then, now = predict(row, published=not later), predict(row, published=False)
        scored = row.get("true_false") is not None
        official = (row["prediction"], row["prediction_now"], row["true_false_now"]) if scored else None
        own = answers.extract(row["response"], choices=choices, strict=False)
        yield Check(
            row["pid"],
            then == gold if scored else False,
            row["true_false"] if scored else None,
            (then, now, now == gold),
            official,
            own=own,
            own_agrees=own is not None and answers.equal(own, row["extraction"], choices=choices)
            if row["extraction"]
            else None,
            own_correct=own is not None and answers.equal(own, gold, choices=choices),
            declined=own is None and refusal.declines(row["response"]),
        )


def _scienceqa(rows: Iterable[Row], root: Path) -> Iterator[Check]:
    path = root / "scienceqa_img" / "test.jsonl"
    questions = {q["meta"]["pid"]: q for q in _load(path)} if path.exists() else {}
    for row in rows:
        read = scienceqa.parse_index(row["output"])
        question = questions.get(row["qid"])
        choices = question["choices"] if question else _LETTERS_ONLY
        own = answers.extract(row["output"], choices=choices, strict=False)
        official = row["prediction_index"]
        gold = row.get("answer_index", question["answer_index"] if question else None)
        # a letter beyond the options ends in a random draw as well; without the options it shows only in the result
        drawn = read is None or (question is not None and read >= len(choices))
        yield Check(
            row["qid"],
            None if gold is None else official == gold,
            row.get("correct"),
            read,
            None if drawn else official,
            own=own,
            own_agrees=None if drawn else own == chr(ord("A") + official),
            why="the file holds no reference answers" if gold is None else "",
        )


def _tabmwp(rows: Iterable[Row], root: Path) -> Iterator[Check]:
    questions: dict[str, Row] = {}
    for path in sorted((root / "tabmwp").glob("*.jsonl")):
        questions.update({q["id"].rpartition("-")[2]: q for q in _load(path)})
    for row in rows:
        question = questions.get(row["pid"])
        official: str | None = row["prediction"]
        if question is not None:
            choices = question["choices"] or ()
            read = tabmwp.extract(row["output"], choices)
        elif tabmwp.is_number(row["answer"]):
            choices, read = (), tabmwp.extract(row["output"])
        else:  # multiple choice without its options: only a letter with its text beside it can be read
            choices, read = (), tabmwp.stated_option(row["output"])
            official = official.lower() if read is not None else None
        unit = row["prediction"].removeprefix(row["prediction_norm"]).strip() or None  # a part of the question, not given
        own = answers.extract(row["output"], choices=choices, strict=False)
        yield Check(
            row["pid"],
            tabmwp.normalise(row["prediction"], unit).lower() == tabmwp.normalise(row["answer"], unit).lower(),
            row["true_false"],
            read,
            official,
            own=own,
            own_agrees=own is not None and answers.equal(own, row["prediction"], choices=choices)
            if official is not None
            else None,
            own_correct=own is not None and answers.equal(own, row["answer"], choices=choices),
            why="" if question else "the options are not in the file",
        )


def _visonlyqa(rows: Iterable[Row], root: Path) -> Iterator[Check]:
    path = root / "visonlyqa" / "test.jsonl"
    questions = {q["id"]: q for q in _load(path)} if path.exists() else {}
    for row in rows:
        question = questions.get(row["id"])
        if question is None:
            yield Check(row["id"], None, why="its question is not here")
            continue
        several = question["answer_type"] == "multiple_answers"
        response = row["response"][0] if isinstance(row["response"], list) else row["response"]
        read = visonlyqa.parse_choice(response, question["choices"], several=several)
        own = visonlyqa.parse_own(response, question["choices"], several=several)
        official = row["y_pred"]
        yield Check(
            f"{row['id'][-12:]}/{row['model']}/{row['prompt']}",
            official == row["y_true"],
            row.get("correct"),
            read,
            None if read is None else official,
            own=own,
            own_agrees=own == official if official not in ("", "None") else None,
        )


def _dynamath(path: Path) -> ParityRow:
    start = time.perf_counter()
    rows = _load(path)
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
        seconds=time.perf_counter() - start,
        notes=(f"{len(models)} models x {len(rows)} variants: published verdicts, no responses; total is the mean of the average cases",),
        detail=detail,
    )


_LETTERS_ONLY = ("", "", "", "", "")
_MATHVISION_WHY = "the published row does not follow from the official code at its repository's head"
_BENCHMARKS: dict[str, Callable[[Iterable[Row], Path], Iterator[Check]]] = {
    "m3cot": _m3cot,
    "mathvision": _mathvision,
    "mathvista": _mathvista,
    "mmmu": _mmmu,
    "mmmu_pro": _mmmu_pro,
    "scienceqa": _scienceqa,
    "tabmwp": _tabmwp,
    "visonlyqa": _visonlyqa,
}
_NO_RULE = {
    "m3cot": "",
    "mathvision": "",
    "mathvista": "no extraction in the file",
    "mmmu": "the official code drew a random letter",
    "mmmu_pro": "the official code drew a random letter",
    "scienceqa": "the official code drew a random option",
    "tabmwp": "multiple choice whose options are not in the file",
    "visonlyqa": "the official code asked GPT-4o",
}


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


def _load(path: Path) -> list[dict[str, Any]]:
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")
    with opened as lines:
        return [json.loads(line) for line in lines if line.strip()]


def _share(flags: Iterable[bool]) -> float | None:
    listed = list(flags)
    return sum(listed) / len(listed) if listed else None


def _missing(checks: Iterable[Check]) -> str:
    return Counter(c.why for c in checks if c.correct is None).most_common(1)[0][0]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# --- printing ----------------------------------------------------------------------------------------------------------


def table(rows: Iterable[ParityRow], *, details: bool = True) -> str:
    """The comparison for people: one line a file, then what disagrees and why."""
    head = ("file", "rows", "scoring", "extraction", "ours", "published", "own total", "own agrees", "answered", "lmms-eval", "VLMEvalKit")
    rows = list(rows)
    lines = [head]
    for row in rows:
        cells = (row.scoring, row.extraction, row.total, row.published, row.own_total, row.own, row.own_answered, row.lmms_eval, row.vlmevalkit)
        lines.append((row.file, str(row.rows), *("-" if c is None else f"{100 * c:.2f}" for c in cells)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))) for line in lines]
    if details:
        for row in rows:
            text += [f"{row.file}: {note}" for note in row.notes]
            text += [f"{row.file}: {line}" for line in row.disagreements[:20]]
            if len(row.disagreements) > 20:
                text.append(f"{row.file}: and {len(row.disagreements) - 20} more disagreements (--json lists them)")
    text.append(f"{sum(r.rows for r in rows)} rows in {sum(r.seconds for r in rows):.1f} s")
    return "\n".join(text)


def main(data: str, as_json: bool) -> int:
    """Print the comparison; 0 when every file meets the targets, 1 otherwise, 2 when there is nothing to compare."""
    try:
        rows = compare(data)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) if as_json else table(rows))
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="mmevolve.parity", description="Agreement with the official scorers.")
    parser.add_argument("--data", default="../shared/data", help="folder with golden files")
    parser.add_argument("--json", action="store_true", dest="as_json", help="for programs")
    arguments = parser.parse_args()
    sys.exit(main(arguments.data, arguments.as_json))
