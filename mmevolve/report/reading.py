"""What the critics said: how far their step scores can be believed, and groups worth reading with every mark."""

from __future__ import annotations

from itertools import groupby

from mmevolve.report.folder import RunFolder
from mmevolve.report.groups import Attempt, Worth
from mmevolve.report.honesty import StepTest, step_tests
from mmevolve.report.marks import Mark, step_marks, whole_marks
from mmevolve.report.markup import esc, picture, section, table
from mmevolve.report.numbers import Point
from mmevolve.report.words import percent, several

TITLE = "Can the step scores be believed?"


def honesty(folder: RunFolder, points: list[Point]) -> str:
    """The learned step scores against the oracle."""
    tests = step_tests(folder)
    curves = [(p, k, v) for p in points for k, v in p.numbers.items() if "step_auroc" in k and v is not None]
    if not tests and not curves:
        nothing = "No attempts of this run were judged both by a learned step score and by the oracle, which knows."
        return section(TITLE, f'<p class="note">{nothing}</p>')
    body = (
        "<p>A <b>step-reward model</b> is a critic that has learned to score every step of an attempt. The "
        "<b>oracle</b> knows the picture exactly and says whether a step is right. Here the one is held against the "
        "other, on attempts of the training rounds.</p>"
    )
    if curves:
        body += _by_point(curves)
        body += (
            '<p class="caption">Step AUROC: the chance that a right step is scored above a wrong one. 0.5 is guessing, '
            "1 is never mistaken.</p>"
        )
    if tests:
        heads = ["round", "critic", "right steps accepted", "wrong steps rejected", "steps"]
        body += table(heads, [_test_row(t) for t in tests])
        body += '<p class="caption">A step counts as accepted when its score is at least one half.</p>'
        body += _bins(tests[-1])
    return section(TITLE, body)


def _by_point(curves: list[tuple[Point, str, float]]) -> str:
    """A line a critic and kind of step, a column a measured point."""
    places = list(dict.fromkeys(p.where for p, _, _ in curves))
    said = {(k.rpartition("step_auroc_")[2], p.where): f"{v:.3f}" for p, k, v in curves}
    rows = [
        [esc(name.replace("_", " ")), *(said.get((name, where), "–") for where in places)]
        for name in dict.fromkeys(name for name, _ in said)
    ]
    return table(["step AUROC", *map(esc, places)], rows)


def _test_row(t: StepTest) -> list[str]:
    return [
        esc(f"{t.loop} round {t.round}"),
        esc(t.critic),
        percent(t.accepted / t.right) if t.right else "–",
        percent(t.rejected / t.wrong) if t.wrong else "–",
        f"{t.right + t.wrong:,}",
    ]


def _bins(t: StepTest) -> str:
    rows = [
        [f"{i / 10:.1f} to {(i + 1) / 10:.1f}", f"{n:,}", _meter(share) if n else "–"]
        for i, (n, share) in enumerate(t.bins)
    ]
    said = table(["score", "steps", "of them right"], rows)
    name = f"{esc(t.critic)}, {esc(t.loop)} round {t.round}"
    return (
        f"<details><summary>By score: {name}</summary>{said}"
        '<p class="caption">A score can be read as a probability when the share that is right is about the score.</p>'
        "</details>"
    )


def _meter(share: float) -> str:
    return f'<span class="meter"><i style="width:{100 * share:.0f}%"></i></span> {100 * share:.0f} %'


def groups(found: list[Worth]) -> str:
    """The groups, by kind, each with picture, question and marked attempts."""
    if not found:
        nothing = "No judged attempts are kept in this run yet: there is nothing to read."
        return section("Groups worth reading", f'<p class="note">{nothing}</p>')
    body = (
        f"<p>{several(len(found), 'question')} with the model's attempts, chosen by rule and not at random. Every step "
        "carries the marks of the critics that score steps: ✓ and ✗ are verdicts, numbers are learned scores between "
        "0 and 1 (green from one half, red below).</p>"
    )
    return section("Groups worth reading", body + articles(found), kind="reading")


def articles(found: list[Worth]) -> str:
    """Groups under the headings of their kinds."""
    body = ""
    for kind, members in groupby(found, key=lambda g: g.kind):
        alike = list(members)
        body += f'<h3>{esc(kind)}</h3><p class="caption">{esc(alike[0].rule)}</p>'
        body += "".join(_group(g) for g in alike)
    return body


def _group(group: Worth) -> str:
    s = group.sample
    question = esc(s.question) if s.question else "The question itself was not kept in this run's folder."
    options = "".join(f"<li>{esc(c)}</li>" for c in s.choices)
    reference = f'<p>Reference answer: <b class="answer">{esc(s.answer)}</b></p>' if s.answer is not None else ""
    family = f" · {esc(s.meta['family'])}" if s.meta.get("family") else ""
    pictures = "".join(picture(ref) for ref in s.images[:4])
    return (
        f'<article id="{esc(s.id)}"><header>{f"<div class=pictures>{pictures}</div>" if pictures else ""}'
        f'<div><p class="question">{question}</p>{f"<ol type=A>{options}</ol>" if options else ""}{reference}'
        f'<p class="where">{esc(s.id)}{family}</p></div></header>'
        f'<div class="attempts">{"".join(_attempt(a) for a in group.attempts)}</div></article>'
    )


def _attempt(attempt: Attempt) -> str:
    t = attempt.trajectory
    sign = {True: "✓ right", False: "✗ wrong", None: "not judged"}[attempt.right]
    tone = {True: "good", False: "bad", None: ""}[attempt.right]
    answer = "no answer" if t.answer is None else f"answer {esc(t.answer)}"
    kept = '<span class="kept">trained on</span>' if attempt.kept else ""
    whole = "".join(_mark(m) for m in whole_marks(attempt))
    rows = [
        f'<li><span class="step">{esc(step.text)}</span><span class="marks">{"".join(_mark(m) for m in marks)}</span>'
        + "".join(f'<span class="said">{esc(m.critic)}: {esc(m.words)}</span>' for m in marks if m.words)
        + "</li>"
        for step, marks in zip(t.steps, step_marks(attempt), strict=True)
    ]
    cut = '<p class="note">Cut off at the length limit.</p>' if t.stop_reason == "length" else ""
    steps = f"<ol class=steps>{''.join(rows)}</ol>" if rows else '<p class="note">The model wrote nothing.</p>'
    head = f'<b>{esc(attempt.where)}</b><span class="{tone}">{answer}: {sign}</span>{kept}'
    return (
        f'<div class="attempt"><p class="head">{head}</p>'
        f'{steps}{cut}<p class="whole">as a whole {whole or "no critic said anything"}</p></div>'
    )


def _mark(mark: Mark) -> str:
    tone = "good" if mark.good else "bad"
    words = f' title="{esc(mark.words)}"' if mark.words else ""
    return f'<span class="mark {tone}"{words}>{esc(mark.critic)} <b>{esc(mark.shown)}</b></span>'
