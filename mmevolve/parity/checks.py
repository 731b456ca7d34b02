"""Golden rows of each benchmark, checked against our rules: one function a benchmark.

Each takes the rows of one golden file and the data folder, which holds the questions that some files leave out.
"""

from __future__ import annotations

import ast
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmevolve import answers
from mmevolve.answers import m3cot, mathvision, mathvista, mmmu, mmmu_pro, refusal, scienceqa, tabmwp, visonlyqa

Row = Mapping[str, Any]


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


def load(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON-lines file, plain or gzip."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    # not splitlines(), which also splits at the separators that JSON leaves in strings
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _own(own: str | None, official: str | None, gold: object, response: str) -> dict[str, Any]:
    """The fields of a check that are about our own extractor on a question with letters."""
    return {
        "own": own,
        "own_agrees": None if official is None else own == official,
        "own_correct": own is not None and mmmu.choice_correct(own, gold),
        "declined": own is None and refusal.declines(response),
    }


def _mmmu(rows: Iterable[Row], root: Path) -> Iterator[Check]:
    for row in rows:
        official, verdict, response = row["parsed_pred"], row["judge"] == "Correct", row["response"]
        if row["question_type"] != "multiple-choice":
            correct = mmmu.open_correct(official, row["answer"])
            golds = [row["answer"]] if isinstance(row["answer"], str) else row["answer"]
            own = answers.extract(response, strict=False)
            yield Check(
                row["id"],
                correct,
                verdict,
                mmmu.parse_open(response),
                frozenset(official),
                own=own,
                own_correct=any(answers.equal(own, gold) for gold in golds),
            )
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
    questions = {q["id"].removeprefix("mathvision-"): q for q in load(path)} if path.exists() else {}
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
        )


def _mathvista(rows: Sequence[Row], root: Path) -> Iterator[Check]:
    questions = {q["pid"]: q for q in load(root / "goldens" / "mathvista" / "testmini.jsonl.gz")}

    def predict(row: Row, *, published: bool) -> str | None:
        q = questions[row["pid"]]
        return mathvista.normalise(
            row["extraction"],
            answer_type=q["answer_type"],
            choices=q["choices"] or (),
            precision=q["precision"],
            published=published,
        )

    # published files come from two revisions of the scorer: the later one where it explains all predictions of a file
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
    questions = {q["meta"]["pid"]: q for q in load(path)} if path.exists() else {}
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
        questions.update({q["id"].rpartition("-")[2]: q for q in load(path)})
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
        unit = (
            row["prediction"].removeprefix(row["prediction_norm"]).strip() or None
        )  # a part of the question, not given
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
    questions = {q["id"]: q for q in load(path)} if path.exists() else {}
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
            own_correct=own == row["y_true"],
        )


_LETTERS_ONLY = ("", "", "", "", "")
_NO_REFERENCE = "the file holds no reference answers"
BENCHMARKS: dict[str, Callable[[Iterable[Row], Path], Iterator[Check]]] = {
    "m3cot": _m3cot,
    "mathvision": _mathvision,
    "mathvista": _mathvista,
    "mmmu": _mmmu,
    "mmmu_pro": _mmmu_pro,
    "scienceqa": _scienceqa,
    "tabmwp": _tabmwp,
    "visonlyqa": _visonlyqa,
}
NO_RULE = {
    "m3cot": "",
    "mathvision": "",
    "mathvista": "no extraction in the file",
    "mmmu": "the official code drew a random letter",
    "mmmu_pro": "the official code drew a random letter",
    "scienceqa": "the official code drew a random option",
    "tabmwp": "multiple choice whose options are not in the file",
    "visonlyqa": "the official code asked GPT-4o",
}
