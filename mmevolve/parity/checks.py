"""Golden rows of each benchmark, checked against our rules: one function a benchmark.

Each takes the rows of one golden file and the data folder, which holds the questions that some files leave out.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmevolve import answers
from mmevolve.answers import m3cot, mathvision, mathvista, mmmu, mmmu_pro, refusal, scienceqa, tabmwp, visonlyqa
from mmevolve.parity.files import QUESTIONS, Row, UnusableFileError, needs, plain_name, table


@dataclass(frozen=True)
class Check:
    """One golden row.

    Attributes:
        id: the row's.
        correct: our verdict, given the official extraction; None where the row cannot be scored.
        official_correct: the official verdict; None where the file holds none.
        read: what our official rules extract.
        official_read: the official extraction; None where it is a random draw, another model's word or absent.
        unread: whether our official rules find no answer.
        own: what our own extractor finds.
        own_agrees: whether that is the official reading; None where there is none.
        own_correct: whether it equals the reference answer, by our own equality.
        declined: the response says that it cannot answer, and our own extractor finds none.
        why: why the row cannot be scored, or why another extraction is no surprise.
    """

    id: str
    correct: bool | None = None
    official_correct: bool | None = None
    read: object = None
    official_read: object = None
    unread: bool = False
    own: str | None = None
    own_agrees: bool | None = None
    own_correct: bool | None = None
    declined: bool = False
    why: str = ""


def _text(response: object) -> str:
    """A response as it was written; what is no text, as where a call failed, is an empty one."""
    if isinstance(response, list) and response:
        response = response[0]
    return response if isinstance(response, str) else ""


def _own(own: str | None, official: str | None, gold: object, response: str) -> dict[str, Any]:
    """The fields of a check that are about our own extractor on a question with letters."""
    return {
        "own": own,
        "own_agrees": None if official is None else own == official,
        "own_correct": own is not None and mmmu.choice_correct(own, gold),
        "declined": own is None and refusal.declines(response),
    }


def _mmmu(rows: Sequence[Row], root: Path) -> Iterator[Check]:
    needs(rows, ("id", "question_type", "answer", "response", "parsed_pred", "judge"))
    for row in rows:
        official, verdict, response = row["parsed_pred"], row["judge"] == "Correct", _text(row["response"])
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
        needs([row], ("index2ans",))
        options = row["index2ans"]
        read = mmmu.parse_choice(response, options)
        drawn = row.get("random_fallback", read is None)
        own = answers.extract(response, choices=tuple(options.values()), strict=False)
        yield Check(
            row["id"],
            mmmu.choice_correct(official, row["answer"]),
            verdict,
            read,
            None if drawn else official,
            unread=read is None,
            **_own(own, None if drawn else official, row["answer"], response),
        )


def _mmmu_pro(rows: Sequence[Row], root: Path) -> Iterator[Check]:
    needs(rows, ("id", "options", "answer", "response", "pred_indexs", "if_right"))
    for row in rows:
        texts = [str(option) for option in ast.literal_eval(str(row["options"]))]
        official, response = row["pred_indexs"], _text(row["response"])
        read = mmmu_pro.parse_choice(response, mmmu_pro.options_of(texts))
        own = answers.extract(response, choices=texts, strict=False)
        yield Check(
            row["id"],
            official == row["answer"],
            row["if_right"],
            read,
            None if read is None else official,
            unread=read is None,
            **_own(own, official, row["answer"], response),
        )


def _m3cot(rows: Sequence[Row], root: Path) -> Iterator[Check]:
    needs(rows, ("id", "choices", "answer", "response", "official_correct"))
    for row in rows:
        response, verdict = _text(row["response"]), row["official_correct"]
        gold = chr(ord("A") + row["answer"]) if isinstance(row["answer"], int) else row["answer"]
        read = m3cot.parse_choice(response, row["choices"])
        # the file holds verdicts only, so that the reading is known by what it leads to
        right = read == gold
        own = answers.extract(response, choices=row["choices"], strict=False)
        said = _own(own, read, gold, response)
        yield Check(row["id"], right, verdict, right, verdict, unread=read is None, **said)


def _mathvision(rows: Sequence[Row], root: Path) -> Iterator[Check]:
    needs(rows, ("id", "response", "model_answer", "correct"))
    listed = table(root / "mathvision", "test_all_text_only", "testmini", "test")
    needs(listed, ("id", "answer", "choices"))
    questions = {str(q["id"]).removeprefix("mathvision-"): q for q in listed}
    for row in rows:
        response = _text(row["response"])
        question = questions.get(str(row["id"]).removeprefix("mathvision-"))
        read = mathvision.extract(response)
        if question is None:
            yield Check(str(row["id"]), None, row["correct"], read, row["model_answer"], why=_NO_QUESTION)
            continue
        gold, choices = str(question["answer"]), question["choices"] or ()
        option = choices[ord(gold) - ord("A")] if choices else ""
        own = answers.extract(response, choices=choices, strict=False)
        own_correct = own is not None and answers.equal(own, gold, choices=choices)
        correct = mathvision.correct(row["model_answer"], gold, option)
        yield Check(
            str(row["id"]),
            correct,
            row["correct"],
            read,
            row["model_answer"],
            unread=not read,
            own=own,
            own_agrees=own_correct == row["correct"],
            own_correct=own_correct,
            declined=own is None and refusal.declines(response),
        )


def _mathvista(rows: Sequence[Row], root: Path) -> Iterator[Check]:
    needs(rows, ("pid", "response", "extraction", "prediction", "true_false"))
    listed = table(root / "goldens" / "mathvista", QUESTIONS) or table(root / "mathvista", QUESTIONS)
    if not listed:
        raise UnusableFileError(f"its questions are not here: looked for goldens/mathvista/{QUESTIONS}.jsonl.gz")
    needs(listed, ("pid", "answer", "answer_type", "choices", "precision"))
    questions = {q["pid"]: q for q in listed}

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
    there = [row for row in rows if row["pid"] in questions]
    later = all(predict(row, published=False) == row["prediction"] for row in there)
    for row in rows:
        q = questions.get(row["pid"])
        if q is None:
            yield Check(row["pid"], None, row["true_false"], why=_NO_QUESTION)
            continue
        gold, choices = q["answer"], q["choices"] or ()
        then, now = predict(row, published=not later), predict(row, published=False)
        scored, response = row["true_false"] is not None, _text(row["response"])
        official = None
        if scored:
            official = (row["prediction"], row.get("prediction_now", now), row.get("true_false_now", now == gold))
        own = answers.extract(response, choices=choices, strict=False)
        yield Check(
            row["pid"],
            then == gold if scored else False,
            row["true_false"] if scored else None,
            (then, now, now == gold),
            official,
            unread=row["extraction"] in (None, ""),
            own=own,
            own_agrees=own is not None and answers.equal(own, str(row["extraction"]), choices=choices)
            if row["extraction"] not in (None, "")
            else None,
            own_correct=own is not None and answers.equal(own, gold, choices=choices),
            declined=own is None and refusal.declines(response),
        )


def _scienceqa(rows: Sequence[Row], root: Path) -> Iterator[Check]:
    needs(rows, ("qid", "output", "prediction_index"))
    questions = {str(q.get("meta", {}).get("pid")): q for q in table(root / "scienceqa_img", "test")}
    options = [len(questions[row["qid"]]["choices"]) if row["qid"] in questions else 5 for row in rows]
    texts = [_text(row["output"]) for row in rows]
    # the evaluation of LLaVA takes more forms than that of GPT-3; a file follows the one that explains more of it
    by_rule = {
        plain: [scienceqa.parse_index(text, n, plain=plain) for text, n in zip(texts, options, strict=True)]
        for plain in (False, True)
    }
    officials = [row["prediction_index"] for row in rows]
    explained = {rule: sum(a == b for a, b in zip(reads, officials, strict=True)) for rule, reads in by_rule.items()}
    reads = by_rule[explained[True] > explained[False]]
    for row, text, official, read in zip(rows, texts, officials, reads, strict=True):
        question = questions.get(row["qid"])
        gold = row.get("answer_index", question["answer_index"] if question else None)
        own = answers.extract(text, choices=question["choices"] if question else _LETTERS_ONLY, strict=False)
        failed = read is None and official == _FAILED
        drawn = read is None and not failed
        yield Check(
            row["qid"],
            None if gold is None else official == gold,
            row.get("correct"),
            _FAILED if failed else read,
            None if drawn else official,
            unread=read is None,
            own=own,
            own_agrees=None if read is None else own == chr(ord("A") + official),
            own_correct=None if gold is None else own == chr(ord("A") + gold),
            why="the file holds no reference answers" if gold is None else "",
        )


def _tabmwp(rows: Sequence[Row], root: Path) -> Iterator[Check]:
    needs(rows, ("pid", "answer", "output", "prediction", "prediction_norm", "true_false"))
    names = {plain_name(path): None for path in sorted((root / "tabmwp").glob("*.jsonl*"))}
    questions = {str(q["id"]).rpartition("-")[2]: q for q in table(root / "tabmwp", *names)}
    for row in rows:
        question = questions.get(row["pid"])
        official: str | None = row["prediction"]
        output = _text(row["output"])
        if question is not None:
            choices = question["choices"] or ()
            read = tabmwp.extract(output, choices)
            official = None if read is None else official  # a letter beyond the last option: a random draw
        elif tabmwp.is_number(row["answer"]):
            choices, read = (), tabmwp.extract(output)
        else:  # multiple choice without its options: only a letter with its text beside it can be read
            choices, read = (), tabmwp.stated_option(output)
            official = row["prediction"].lower() if read is not None else None
        unit = row["prediction"].removeprefix(row["prediction_norm"]).strip() or None
        if question is not None and "unit" in question:
            unit = question["unit"]
        own = answers.extract(output, choices=choices, strict=False)
        yield Check(
            row["pid"],
            tabmwp.normalise(row["prediction"], unit).lower() == tabmwp.normalise(row["answer"], unit).lower(),
            row["true_false"],
            read,
            official,
            unread=question is not None and read is None,
            own=own,
            own_agrees=own is not None and answers.equal(own, row["prediction"], choices=choices)
            if official is not None
            else None,
            own_correct=own is not None and answers.equal(own, row["answer"], choices=choices),
            why="" if question else "the options are not in the file",
        )


def _visonlyqa(rows: Sequence[Row], root: Path) -> Iterator[Check]:
    needs(rows, ("id", "response", "y_pred", "y_true"))
    listed = table(root / "visonlyqa", "test")
    needs(listed, ("id", "choices", "answer_type"))
    questions = {q["id"]: q for q in listed}
    for row in rows:
        question = questions.get(row["id"])
        if question is None:
            yield Check(row["id"], None, why=_NO_QUESTION)
            continue
        several = question["answer_type"] == "multiple_answers"
        response = _text(row["response"])
        read = visonlyqa.parse_choice(response, question["choices"], several=several)
        own = visonlyqa.parse_own(response, question["choices"], several=several)
        official = row["y_pred"]
        yield Check(
            "/".join([row["id"][-12:], str(row.get("model", "")), str(row.get("prompt", ""))]),
            official == row["y_true"],
            row.get("correct"),
            read,
            None if read is None else official,
            unread=read is None,
            own=own,
            own_agrees=own == official if official not in ("", "None") else None,
            own_correct=own == row["y_true"],
        )


_LETTERS_ONLY = ("", "", "", "", "")
_FAILED = -1  # the index that LLaVA's evaluation writes where it finds none
_NO_QUESTION = "its question is not here"
BENCHMARKS: dict[str, Callable[[Sequence[Row], Path], Iterator[Check]]] = {
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
    "tabmwp": "multiple choice whose options are not in the file, or a random option",
    "visonlyqa": "the official code asked GPT-4o",
}
