"""Warm-up of judges: rows that show how an answer is judged, for models that were never taught to judge."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mmevolve.answers import extract
from mmevolve.prompts import template
from mmevolve.prompts.error_list import ERRORS
from mmevolve.prompts.judging import JUDGING, SOLUTION
from mmevolve.text import ask
from mmevolve.types import Demonstration, Sample

log = logging.getLogger(__name__)


def judgment_lessons(
    samples: Sequence[Sample], *, end: str = "attempt : {answer}\nscore : {score}"
) -> list[Demonstration]:
    """Each judging sample with its right solution as rationale, and then the score that the shown answer deserves.

    The judge so learns to solve the question by itself before it looks at what the answer says. Between the two the
    answer is said again: a small model compares what stands side by side much sooner than what stands far apart. A
    sample without a known solution is left out, and how many is logged.

    Paper: "Self-Rationalization Improves LLM as a Fine-grained Judge", arXiv:2410.05495 (its judge is first fine-tuned
    on rationales with scores).
    Differs: the rationale is the question's solution, it does not speak of the answer that is judged.

    Args:
        samples: what `data.judging` gives.
        end: the lines after the solution, with `{score}`, such that `critics.GivenScore` can read them, and `{answer}`,
            the answer that is judged; the tiny VLM knows the words of the default.

    Raises:
        ValueError: when the end has no place for the score, or no sample has a solution.
    """
    if "{score}" not in end:
        raise ValueError(f"end {end!r} has no field {{score}}: the judge would learn to give none")
    rows = []
    for s in samples:
        facts = s.meta.get(JUDGING, {})
        if facts.get(SOLUTION):
            last = end.replace("{answer}", facts["answer"]).replace("{score}", s.answer or "")
            rows.append(Demonstration(ask(s, "{question}"), f"{facts[SOLUTION]}\n{last}", source=s.id))
    if len(rows) < len(samples):
        log.warning("judgment_lessons: %d of %d samples have no solution", len(samples) - len(rows), len(samples))
    if samples and not rows:
        raise ValueError(
            f"none of {len(samples)} samples has a solution on record: give it what data.judging makes of questions "
            "with a column 'solution', or of data.shapes"
        )
    return rows


def comparison_lessons(
    samples: Sequence[Sample],
    *,
    words: str = "judge_pair_direct",
    solve: bool = False,
    first: bool = False,
    prompt: str = "question",
) -> list[Demonstration]:
    """A right solution beside one with known errors, in both orders, with the letter of the right one.

    Paper: Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", arXiv:2306.05685 (pairwise
    comparison in both orders).
    Differs: taught, from solutions whose errors are known; the paper's judges are asked as they are.

    Args:
        samples: what `data.critiquing` gives; a solution without an error makes no row.
        words: template of the request, with `{question}`, `{first}` and `{second}`.
        solve: write the right solution and both answers before the letter; pairs that end in the same answer, or in
            none, then make no row. Without it the letter comes at once, as `selectors.InternalPairs` asks for it.
        first: teach each right solution under the plain prompt as well, so that answering is not forgotten.
        prompt: template of the plain question.

    Raises:
        ValueError: when the template lacks one of the two.
    """
    text = template(words)
    for field in ("{first}", "{second}"):
        if field not in text:
            raise ValueError(f"prompt '{words}' has no field {field}: the judge would not see it")
    rows = []
    for s in samples:
        question = Sample(s.id, s.meta["question"], s.images)
        right, wrong = s.meta["solution"], "\n".join(s.meta["steps"])
        ends = {solution: extract(solution) for solution in (right, wrong)}
        told_apart = None not in ends.values() and ends[right] != ends[wrong]
        if s.meta[ERRORS] and (told_apart or not solve):
            for one, other, letter in ((right, wrong, "A"), (wrong, right, "B")):
                chat = ask(question, text, first=one, second=other)
                before = f"{right}\nA : {ends[one]}\nB : {ends[other]}\n" if solve else ""
                rows.append(Demonstration(chat, f"{before}better : {letter}", source=s.id))
            if first:
                rows.append(Demonstration(ask(question, template(prompt)), right, source=s.id))
    return rows
