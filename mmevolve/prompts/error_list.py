"""How a critique lists the errors of a solution: what a prompt shows, what is read back, and how both are matched.

Read are lines that begin with a step, `Step 2 (perception): the bar is blue` or `step 2 : red circles : a1 = 1 ; wrong`
(one that ends in `; right` finds no error; before it may stand what the step came to: `... = 1 ; 2 ; wrong`), numbered
lines without a step, `wrong steps : 2 4`, and a sentence that there is no error. `look 2 : red circles : a1 b3 = 2`
writes step 2 as the critic sees it, and finds an error where that is not what the step says: a small model sees better
than it compares. Anything else is no critique.

Paper: Zhang et al. 2024, "Critic-V", arXiv:2411.18203 (critiques are numbered detections; Jaccard of detected and
inserted errors). Differs: the forms are ours; the overlap is counted by matching, where the makers' code has a model
estimate it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mmevolve.types import Step

ErrorKind = Literal["perception", "logic", "arithmetic", "hallucinated object", "region"]
StepForm = Literal["looks", "verdicts", "beside"]
KINDS: tuple[ErrorKind, ...] = ("perception", "logic", "arithmetic", "hallucinated object", "region")
ERRORS = "errors"  # the key of a sample's `meta` under which its known errors stand
_LONGEST = 20_000  # characters of a critique; what follows is not read
_STEP = re.compile(r"\W{0,4}(?:\d{1,3}[.)]\s{1,4})?\W{0,4}step\s{0,3}(\d{1,3})\b\W{0,3}(.*)", re.IGNORECASE)
_LOOK = re.compile(r"\W{0,4}look\s{0,3}(\d{1,3})\s{0,3}:\s{0,3}(\S.*)", re.IGNORECASE)
_STEPS = re.compile(r"\W{0,4}wrong steps?\s{0,3}:\s{0,3}((?:step)?\s{0,3}\d[\d\s,;and.]{0,200})", re.IGNORECASE)
_ITEM = re.compile(r"\s{0,8}(?:\d{1,3}[.)]|[-*\u2022])\s{1,4}(\S.*)")
_CLEAN = re.compile(
    r"\b(?:no (?:errors?|mistakes?|wrong steps?)\b|nothing is wrong\b|(?:all|every|each) (?:the )?steps? "
    r"(?:is |are )?(?:right|correct)\b|wrong steps? : none\b)",
    re.IGNORECASE,
)
_VERDICT = re.compile(r"(.*?)(?:\s;\s\S{1,20}\s)?;\s{0,3}(right|correct|wrong|incorrect)\W{0,3}", re.IGNORECASE)
_FIRST = re.compile(r"(right|correct|wrong|incorrect)\b[\s:.,;-]{0,4}(.*)", re.IGNORECASE)
_KIND = re.compile(rf"({'|'.join(KINDS)})(?:\s(?:error|mistake))?\W{{0,4}}(.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Error:
    """A known error of a solution.

    Attributes:
        step: index of the step, from 0.
        kind: what is wrong with it.
        original: what the step should say.
        changed: what it says; of a region, the boxes.
    """

    step: int
    kind: ErrorKind
    original: str
    changed: str


@dataclass(frozen=True)
class Detection:
    """An error that a critique lists; what it leaves out is None.

    Attributes:
        step: index of the step, from 0.
        kind: what it says is wrong.
        words: how it says it.
    """

    step: int | None
    kind: str | None = None
    words: str = ""


def listed(steps: Sequence[Step], *, regions: bool = False) -> str:
    """The steps of a solution as a prompt shows them, numbered from 1; with their boxes where these are wanted.

    >>> listed([Step("2 + 2 = 4")])
    'step 1 : 2 + 2 = 4'
    """
    lines = []
    for k, step in enumerate(steps, start=1):
        boxes = f" {boxes_of(step)}" if regions and step.region else ""
        lines.append(f"step {k} : {' '.join(step.text.split())}{boxes}")
    return "\n".join(lines)


def stepwise(form: StepForm, steps: Sequence[str], originals: Sequence[str]) -> str:
    """A critique that writes every step as it should be.

    `looks` is that alone, `verdicts` has beside each whether it is what the step says, and `beside` first what the step
    came to, its last word: a small model compares what stands side by side.

    >>> stepwise("looks", ["2 + 2 = 5"], ["2 + 2 = 4"])
    'look 1 : 2 + 2 = 4'
    >>> stepwise("verdicts", ["2 + 2 = 5"], ["2 + 2 = 4"])
    'step 1 : 2 + 2 = 4 ; wrong'
    >>> stepwise("beside", ["2 + 2 = 5"], ["2 + 2 = 4"])
    'step 1 : 2 + 2 = 4 ; 5 ; wrong'
    """
    lines = []
    for k, (said, text) in enumerate(zip(steps, originals, strict=True), start=1):
        words = said.split()
        verdict = "right" if " ".join(words) == text else "wrong"
        came_to = f" ; {words[-1]}" if form == "beside" and words else ""
        lines.append(f"look {k} : {text}" if form == "looks" else f"step {k} : {text}{came_to} ; {verdict}")
    return "\n".join(lines)


def boxes_of(step: Step) -> str:
    """A step's boxes as text: x0, y0, x1, y1 in fractions of the picture."""
    return " ".join("[" + " ".join(f"{x:.2f}" for x in box) + "]" for box in step.region)


def parse(text: str, steps: Sequence[str] | None = None) -> tuple[Detection, ...] | None:
    """The errors that a critique lists, each once; none where it says that there is none, None where it says neither.

    Detections of the same step and kind are one, with the words of the first. `steps` are those that are criticised;
    without them what is written anew cannot be read.

    >>> parse("step 1 : 2 + 2 = 4 ; right")
    ()
    """
    found: dict[tuple[int | None, str | None, str], Detection] = {}
    read = False
    for line in text[:_LONGEST].splitlines():
        if many := _STEPS.fullmatch(line.rstrip()):
            said = [Detection(int(k) - 1) for k in re.findall(r"\d{1,3}", many[1])]
        elif one := _STEP.fullmatch(line.rstrip()):
            said = _of_step(int(one[1]) - 1, one[2])
        elif (look := _LOOK.fullmatch(line.rstrip())) and steps is not None:
            said = _anew(int(look[1]) - 1, look[2], steps)
        elif _CLEAN.search(line):
            said = []
        elif item := _ITEM.fullmatch(line.rstrip()):
            kind, words = _kind(item[1])
            said = [Detection(None, kind, words)]
        else:
            continue
        read = True
        for d in said:
            found.setdefault((d.step, d.kind, "" if d.step is not None else d.words), d)
    return tuple(found.values()) if read else None


def _anew(step: int, words: str, steps: Sequence[str]) -> list[Detection]:
    """What a step that is written anew says of the one that stands there; nothing where it is the same."""
    if 0 <= step < len(steps) and steps[step].lower().split() == words.lower().split():
        return []
    return [Detection(step, None, " ".join(words.split()))]


def _of_step(step: int, rest: str) -> list[Detection]:
    """What a line says of a step; nothing where it calls it right."""
    last, first = _VERDICT.fullmatch(rest), _FIRST.fullmatch(rest)
    word = last[2] if last else first[1] if first else "wrong"
    if word.lower() in ("right", "correct"):
        return []
    kind, words = _kind(last[1] if last else first[2] if first else rest)
    return [Detection(step, kind, words)]


def _kind(rest: str) -> tuple[str | None, str]:
    named = _KIND.fullmatch(rest.strip())
    return (named[1].lower(), named[2].strip()) if named else (None, rest.strip())


def errors_of(meta: Mapping[str, Any]) -> tuple[Error, ...] | None:
    """The known errors of a sample; None where it has none on record, which is not the same as no error."""
    rows = meta.get(ERRORS)
    return None if rows is None else tuple(Error(**row) for row in rows)


def as_meta(errors: Sequence[Error]) -> list[dict[str, Any]]:
    """Errors as JSON."""
    return [asdict(e) for e in errors]


def matched(
    errors: Sequence[Error], said: Sequence[Detection], same: Callable[[Error, Detection], bool]
) -> list[tuple[int, int]]:
    """The largest one-to-one matching of errors and detections, as pairs of indices, errors in order.

    By augmenting paths in the order given, so that the same lists always give the same pairs.
    """
    taken: dict[int, int] = {}  # detection -> error

    def place(error: int, seen: set[int]) -> bool:
        for d in range(len(said)):
            if d in seen or not same(errors[error], said[d]):
                continue
            seen.add(d)
            if d not in taken or place(taken[d], seen):
                taken[d] = error
                return True
        return False

    for error in range(len(errors)):
        place(error, set())
    return sorted((error, d) for d, error in taken.items())


def jaccard(errors: int, said: int, both: int) -> float:
    """|G and C| / (|G| + |C| - |G and C|), in [0, 1]; 1 where nothing is wrong and nothing is said to be.

    >>> jaccard(3, 4, 2)
    0.4
    """
    return both / (errors + said - both) if errors + said else 1.0
