"""One golden file compared: what is agreed on, what is not, and the totals with their bounds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmevolve.answers.aggregate import over_variants
from mmevolve.parity.checks import BENCHMARKS, NO_RULE, Check
from mmevolve.parity.files import UnusableFileError, load, plain_name, published
from mmevolve.parity.known import HARNESS_TOTALS, HARNESSES, KNOWN


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
        total: our accuracy in official mode, official random draws as published.
        published: the published accuracy.
        unparsed: share of rows in which our official rules find no answer.
        total_low: the total if all of these were wrong.
        total_high: the total if all of these were right.
        own_compared: rows on which our own extractor is compared with the official reading.
        own: share of them on which they agree.
        own_answered: the same share, leaving out the responses that decline to answer, out of which official rules read
            an article or a pronoun as a letter.
        own_total: accuracy by our own extractor and equality; unparsed rows count as wrong.
        own_high: the same if all unparsed rows were right.
        own_unparsed: share of all rows where it finds no answer.
        lmms_eval: what `own` is for lmms-eval; None where it was not measured.
        vlmevalkit: the same for VLMEvalKit.
        lmms_eval_total: what `own_total` is for lmms-eval.
        vlmevalkit_total: the same for VLMEvalKit.
        seconds: processor time taken.
        disagreements: every row on which we and the official code differ.
        notes: what a reader of the numbers must know.
        detail: further numbers.
        problem: why the file could not be compared; empty when it was.
    """

    file: str
    rows: int
    scored: int = 0
    scoring: float | None = None
    extracted: int = 0
    extraction: float | None = None
    total: float | None = None
    published: float | None = None
    unparsed: float | None = None
    total_low: float | None = None
    total_high: float | None = None
    own_compared: int = 0
    own: float | None = None
    own_answered: float | None = None
    own_total: float | None = None
    own_high: float | None = None
    own_unparsed: float | None = None
    lmms_eval: float | None = None
    vlmevalkit: float | None = None
    lmms_eval_total: float | None = None
    vlmevalkit_total: float | None = None
    seconds: float = 0.0
    disagreements: tuple[Disagreement, ...] = ()
    notes: tuple[str, ...] = ()
    detail: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""

    @property
    def meets_targets(self) -> bool:
        """Every verdict the official one or its difference known, every total hit but for these, extraction >= 99 %."""
        odd = [d for d in self.disagreements if d.kind == "scoring"]
        if self.problem or any(not d.why for d in odd):
            return False
        if self.total is not None and self.published is not None:
            known = sum((d.ours == "True") - (d.ours == "False") for d in odd)
            if round((self.total - self.published) * self.rows) != known:
                return False
        return self.extraction is None or self.extraction >= 0.99


def compare_file(root: Path, path: Path, benchmark: str, scores: Path) -> ParityRow:
    """One golden file against our rules; a file that cannot be compared says why."""
    start = time.process_time()
    file = path.relative_to(root).as_posix()
    rows: list = []
    try:
        rows = load(path)
        if not rows:
            return ParityRow(file, 0, notes=("the file holds no rows",))
        checks = _checked(rows, root, benchmark)
    except UnusableFileError as error:
        return ParityRow(file, len(rows), problem=str(error))
    notes = list(_notes(checks, benchmark))
    correct, count = None, 0
    try:
        correct, count = published(scores, plain_name(path))
    except UnusableFileError as error:
        notes.append(str(error))
    if correct is not None and count != len(rows):
        notes.append(f"the published total is of {count} rows, here are {len(rows)}: not compared")
    elif correct is None:
        notes.append("no total is published for it here")
    name = f"{benchmark}/{plain_name(path)}"
    scored = [c for c in checks if c.correct is not None and c.official_correct is not None]
    read = [c for c in checks if c.official_read is not None]
    own = [c for c in checks if c.own_agrees is not None]
    whole = all(c.correct is not None for c in checks)
    own_whole = all(c.own_correct is not None for c in checks)
    lmms, vlm = HARNESSES.get(name, (None, None))
    lmms_total, vlm_total = HARNESS_TOTALS.get(name, (None, None))
    return ParityRow(
        file=file,
        rows=len(rows),
        scored=len(scored),
        scoring=_share(c.correct == c.official_correct for c in scored),
        extracted=len(read),
        extraction=_share(c.read == c.official_read for c in read),
        total=_share(bool(c.correct) for c in checks) if whole else None,
        published=correct / count if correct is not None and count == len(rows) else None,
        unparsed=_share(c.unread for c in checks),
        total_low=_share(bool(c.correct) and not c.unread for c in checks) if whole else None,
        total_high=_share(bool(c.correct) or c.unread for c in checks) if whole else None,
        own_compared=len(own),
        own=_share(bool(c.own_agrees) for c in own),
        own_answered=_share(bool(c.own_agrees) for c in own if not c.declined),
        own_total=_share(bool(c.own_correct) for c in checks) if own_whole else None,
        own_high=_share(bool(c.own_correct) or c.own is None for c in checks) if own_whole else None,
        own_unparsed=_share(c.own is None for c in checks),
        lmms_eval=lmms,
        vlmevalkit=vlm,
        lmms_eval_total=lmms_total,
        vlmevalkit_total=vlm_total,
        seconds=time.process_time() - start,
        disagreements=tuple(_disagreements(checks, name)),
        notes=tuple(notes),
    )


def compare_dynamath(root: Path, path: Path) -> ParityRow:
    """Average and worst case of each model that has a verdict on every variant."""
    start = time.process_time()
    file = path.relative_to(root).as_posix()
    try:
        rows = load(path)
        verdicts = [row["meta"]["official_model_correct"] for row in rows]
        seeds = [row["seed_id"] for row in rows]
    except UnusableFileError as error:
        return ParityRow(file, 0, problem=str(error))
    except (KeyError, TypeError) as error:
        return ParityRow(file, len(rows), problem=f"no verdicts of models in it: {_said(error)}")
    if not rows:
        return ParityRow(file, 0, notes=("the file holds no rows",))
    named = sorted({model for row in verdicts for model in row})
    models = [model for model in named if all(model in row for row in verdicts)]
    detail: dict[str, float] = {}
    for model in models:
        accuracy = over_variants([row[model] == "correct" for row in verdicts], seeds)
        detail[f"{model} average"] = accuracy.average
        detail[f"{model} worst"] = accuracy.worst
    notes = [f"{len(models)} models x {len(rows)} variants: verdicts only; the total is the mean average case"]
    if len(models) < len(named):
        notes.append(f"left out, with no verdict on some variant: {', '.join(sorted(set(named) - set(models)))}")
    return ParityRow(
        file=file,
        rows=len(rows) * len(models),
        total=sum(detail[f"{model} average"] for model in models) / len(models) if models else None,
        seconds=time.process_time() - start,
        notes=tuple(notes),
        detail=detail,
    )


def _checked(rows: Sequence[dict], root: Path, benchmark: str) -> list[Check]:
    """Every row's check; a row whose values have another form than the published files is named."""
    done: list[Check] = []
    try:
        for check in BENCHMARKS[benchmark](rows, root):
            done.append(check)
    except UnusableFileError:
        raise
    except (AttributeError, IndexError, KeyError, SyntaxError, TypeError, ValueError) as error:
        raise UnusableFileError(f"row {len(done) + 1} is not as in the published files: {_said(error)}") from error
    return done


def _said(error: Exception) -> str:
    return f"no field {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"


def _notes(checks: Sequence[Check], benchmark: str) -> Iterator[str]:
    unscored = [c for c in checks if c.correct is None]
    if unscored:
        why = Counter(c.why for c in unscored).most_common(1)[0][0]
        yield f"{len(unscored)} rows cannot be scored: {why}"
    unread = sum(c.official_read is None for c in checks)
    if unread:
        yield f"{unread} rows have no official extraction by rule: {NO_RULE[benchmark]}"


def _disagreements(checks: Iterable[Check], file: str) -> Iterator[Disagreement]:
    for c in checks:
        if c.correct is not None and c.official_correct is not None and c.correct != c.official_correct:
            why = KNOWN.get((file, "scoring", c.id), "")
            yield Disagreement(c.id, "scoring", str(c.correct), str(c.official_correct), why)
        if c.official_read is not None and c.read != c.official_read:
            why = KNOWN.get((file, "extraction", c.id)) or c.why
            yield Disagreement(c.id, "extraction", _short(c.read), _short(c.official_read), why)


def _share(flags: Iterable[bool]) -> float | None:
    listed = list(flags)
    return sum(listed) / len(listed) if listed else None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
