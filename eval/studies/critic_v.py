"""Critic-V in miniature: what a trained critic is worth to a reasoner, and what ranked pairs are worth to a critic.

The critic learns the form of a critique (`untrained`), then more from gold critiques (`SFT only`), then from pairs of
its own, ranked by the rule-based reward (`Critic-V`). In the place of these pairs stand as many of the same critiques
whose sides are drawn (`random pairs`), and as many steps on gold critiques of the same answers (`more SFT`). All
critics of a seed talk to the same reasoner, whose first answers are the same; Self-Refine is that reasoner on critiques
of its own.

    python eval/studies/critic_v.py --seeds 5 --jobs 2        (resumes)
    python eval/studies/critic_v.py --seeds 1 --out runs/try --more held_out.n=24 loop.3.train.steps=2    (a rehearsal)
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from arms import Right, cells, decided, difference, head, last_round, points, run_arms, run_folder, stored

from mmevolve.metrics.feedback_effect import chains
from mmevolve.prompts.error_list import errors_of, parse
from mmevolve.results import record
from mmevolve.statistics import Interval, function_interval
from mmevolve.types import Group

RECIPE = "recipes/shapes/critic_v.yaml"
STEPS = 60  # of the recipe's stage on pairs
PAIRS = 5  # where that stage stands in the recipe; the measurements before it, 2 and 4, are the same in all arms
ONCE = ["loop.2.evaluations=[]", "loop.4.evaluations=[]", "loop.6.evaluations=[$own_errors, $heeded]"]
DRAWN = "{_target_: selectors.RandomPairs, like: {_target_: selectors.RankedPairs, rank_by: rbr, most: 2}, seed: $seed}"
FURTHER = (
    "{_target_: loops.finetune, name: critic_dpo, store: $store, policy: $critic, rows: {_target_: "
    "data.critique_lessons, samples: $critiquing}, train: {_target_: training.Fit, loss: {_target_: losses.SFT}, "
    f"optimizer: $adam, trainer: $trainer, module: $module, batch_size: 16, bucket: 8, steps: {STEPS}, seed: $seed}}, "
    "evaluations: $finds_inserted}"
)
# What the words of a critique add to its verdicts is small: it is asked of more questions.
MANY = "{_target_: data.shapes, n: 1200, split: test, seed: 1, families: $families}"
ASKED = [
    f"controlled.data={MANY}", f"controlled.sampler.donors={MANY}", "loop.2.evaluations=[]", "loop.4.evaluations=[]",
    "loop.6.evaluations=[$controlled]",
]  # fmt: skip
ARMS = {
    "Critic-V": (RECIPE, []),
    "random pairs": (RECIPE, [f"loop.{PAIRS}.selector={DRAWN}", *ONCE]),
    "more SFT": (RECIPE, [f"loop.{PAIRS}={FURTHER}", *ONCE]),
    "more questions": (RECIPE, ASKED),
}
SAME = ("reasoner_sft", "critic_form", "critic_sft", "images")
SHARED = {arm: ("Critic-V", SAME) for arm in ("random pairs", "more SFT")}
SHARED["more questions"] = ("Critic-V", (*SAME, "critic_dpo"))
# A critic -> the arm whose run holds it, the loop that trained it and the one that measured the reasoner beside it.
CRITICS = {
    "untrained": ("Critic-V", "critic_form", "untrained"),
    "SFT only": ("Critic-V", "critic_sft", "sft"),
    "Critic-V": ("Critic-V", "critic_dpo", "trained"),
    "random pairs": ("random pairs", "critic_dpo", "trained"),
    "more SFT": ("more SFT", "critic_dpo", "trained"),
}
RIVALS = [critic for critic in CRITICS if critic != "Critic-V"]
# What answers are compared with, and the paper's figures of it and of Critic-V: Qwen2-VL-7B on MathVista.
PAPER = {"first answer": "61.4 to 73.2", "Self-Refine": "63.4 to 73.2", "untrained": "61.8 to 73.2"}
GREEDY, RESAMPLED = "Critic-V, nothing drawn", "drawn again where an error is found"
CONTROLLED = {"all_wrong": "Critic-V", "resample": RESAMPLED, "shuffled": "another's critique"}
SAYS = (
    "Paper: arXiv:2411.18203. Two rounds at most, temperature 0.7; a chain ends where no error is found or an answer "
    "repeated. Where nothing is drawn the first answer is the greedy one. "
    "Untrained: the critic after 30 steps on gold critiques, which teach it their form; before them nothing that it "
    "writes can be read. Self-Refine: the reasoner's own critiques, which it learned to write beside heeding them. "
    "Drawn again: where the trained critic says, without its words. `what follows` also counts steps that are wrong "
    "because an earlier one is. Points of step F1 are hundredths. Intervals: 95 %, paired by question, the seeds of a "
    "question resampled together."
)


@dataclass(frozen=True)
class Told:
    """What one way of answering again did to every question of one seed.

    Attributes:
        first: right at first.
        last: right in the end.
        more: further attempts.
    """

    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    more: dict[str, float] = field(default_factory=dict)

    @property
    def harmed(self) -> Right:
        """Right at first and wrong in the end."""
        return {q: right * (1 - self.last[q]) for q, right in self.first.items()}

    @property
    def mended(self) -> Right:
        """Wrong at first and right in the end."""
        return {q: (1 - right) * self.last[q] for q, right in self.first.items()}


@dataclass(frozen=True)
class Found:
    """What a critique finds in one answer: counts of steps.

    Attributes:
        hits: wrong steps called wrong.
        said: steps called wrong.
        wrong: wrong steps.
    """

    hits: int
    said: int
    wrong: int

    @property
    def row(self) -> tuple[int, int, int]:
        return self.hits, self.said, self.wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, help="seeds run side by side, one thread each")
    parser.add_argument("--out", default="runs/critic_v_study")
    parser.add_argument("--more", nargs="*", default=[], help="overrides of every arm: nothing is recorded")
    args = parser.parse_args()
    out = Path(args.out)
    run_arms({k: (recipe, [*own, *args.more]) for k, (recipe, own) in ARMS.items()}, out, args.seeds, args.jobs, SHARED)
    lines = page(out, args.seeds)
    print("\n".join(lines))
    if not args.more:
        record("Critic-V in miniature", lines, command=f"python eval/studies/critic_v.py --seeds {args.seeds}")


def told(groups: Sequence[Group]) -> dict[str, Told]:
    """What each arm of `samplers.CritiqueRevise` did, question by question; one chain a question."""
    made: dict[str, Told] = {}
    for group in groups:
        verdict = dict(zip((t.id for t in group.trajectories), group.scores("answer"), strict=True))
        (chain,) = chains(group)
        for arm, later in chain.later.items():
            one, question = made.setdefault(arm, Told()), group.sample.id
            one.first[question] = float((verdict[chain.first.id] or 0) > 0)
            one.last[question] = float((verdict[chain.last(arm).id] or 0) > 0)
            one.more[question] = float(len(later))
    return made


def voted(groups: Sequence[Group], first: Right) -> Told:
    """The commonest answer of a question's attempts; of equally common ones the earliest."""
    one = Told(dict(first))
    for group in groups:
        counted = Counter(t.answer for t in group.trajectories if t.answer is not None)
        best = max(counted, key=lambda answer: counted[answer]) if counted else None
        both = zip(group.trajectories, group.scores("answer"), strict=True)
        one.last[group.sample.id] = next((float((score or 0) > 0) for t, score in both if t.answer == best), 0.0)
        one.more[group.sample.id] = len(group.trajectories) - 1.0
    return one


def inserted(groups: Sequence[Group]) -> dict[str, Found]:
    """What a written critique finds of the errors that were put in, answer by answer."""
    found = {}
    for group in groups:
        (t,) = group.trajectories
        read = None if t.stop_reason == "length" else parse(t.text, group.sample.meta["steps"])
        found[group.sample.id] = counts({d.step for d in read or ()}, {e.step for e in errors_of(group.sample.meta)})
    return found


def natural(groups: Sequence[Group], oracle: str) -> dict[str, Found]:
    """What the critic finds of the reasoner's own errors, as that oracle counts them."""
    found = {}
    for group in groups:
        (t,) = group.trajectories
        truth, said = group.by(oracle)[t.id].step_scores, group.by("written")[t.id].step_scores
        wrong = {k for k, score in enumerate(truth) if score <= 0}
        found[group.sample.id] = counts({k for k, score in enumerate(said) if score < 0.5}, wrong)
    return found


def counts(said: set, wrong: set) -> Found:
    """Found steps.

    >>> counts({0, 1, 4}, {1, 2}).row
    (1, 3, 2)
    """
    return Found(len(said & wrong), len(said), len(wrong))


def f1(hits: float, said: float, wrong: float) -> float:
    """Harmonic mean of precision and recall; NaN where nothing is said and nothing is wrong."""
    return 2 * hits / (said + wrong) if said + wrong else float("nan")


def pooled(runs: Iterable[Mapping[str, Found]]) -> tuple[float, float, float, float]:
    """Step F1, precision and recall over all answers, and the share of faultless ones in which an error is found."""
    every = [one for run in runs for one in run.values()]
    hits, said, wrong = (sum(column) for column in zip(*(one.row for one in every), strict=True))
    alarms = [float(one.said > 0) for one in every if not one.wrong]
    return f1(hits, said, wrong), share(hits, said), share(hits, wrong), share(sum(alarms), len(alarms))


def share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def f1_gap(before: Sequence[Mapping[str, Found]], after: Sequence[Mapping[str, Found]]) -> Interval:
    """Step F1 after less before, pooled; answers are resampled, the seeds of one question together."""
    rows, clusters = [], []
    for b, a in zip(before, after, strict=True):
        rows += [[*b[question].row, *a[question].row] for question in b]
        clusters += [*b]
    return function_interval(rows, lambda m: {"gap": f1(*m[3:]) - f1(*m[:3])}, clusters=clusters)["gap"]


def answered(runs: Mapping[str, Sequence[Path]]) -> dict[str, list[Told]]:
    """Every way of answering again, seed by seed."""
    ways: dict[str, list[Told]] = {}
    for critic, (arm, _, loop) in CRITICS.items():
        name = "controlled" if critic == "Critic-V" else "heeded"
        ways[critic] = [told(stored(run, loop, "before", name))["all_wrong"] for run in runs[arm]]
    for beside in (RESAMPLED, "another's critique", "Self-Refine", "majority of three", GREEDY):
        ways[beside] = []
    for run in runs["Critic-V"]:
        controlled = told(stored(run, "trained", "before", "controlled"))
        ways[RESAMPLED].append(controlled["resample"])
        ways["another's critique"].append(controlled["shuffled"])
        ways["Self-Refine"] += told(stored(run, "trained", "before", "self_refine")).values()
        ways[GREEDY] += told(stored(run, "trained", "before", "greedy")).values()
        three = stored(run, "trained", "before", "three_answers")
        ways["majority of three"].append(voted(three, controlled["resample"].first))
    return ways


def findings(runs: Mapping[str, Sequence[Path]]) -> dict[str, dict[str, list[dict[str, Found]]]]:
    """Of each kind of errors what every critic finds, seed by seed."""
    kinds: dict[str, dict[str, list[dict[str, Found]]]] = {
        "put in": {},
        "the reasoner's own": {},
        "and what follows": {},
    }
    for critic, (arm, trained, measured) in CRITICS.items():
        own = [stored(run, measured, "before", "own_errors") for run in runs[arm]]
        kinds["put in"][critic] = [
            inserted(stored(run, trained, last_round(run, trained), "inserted")) for run in runs[arm]
        ]
        kinds["the reasoner's own"][critic] = [natural(groups, "errors") for groups in own]
        kinds["and what follows"][critic] = [natural(groups, "oracle") for groups in own]
    return kinds


def page(out: Path, seeds: int) -> list[str]:
    """Markdown: what the critics find, what heeding them is worth, and how Critic-V compares."""
    runs = {arm: [run_folder(out, arm, seed) for seed in range(seeds)] for arm in ARMS}
    kinds, ways = findings(runs), answered(runs)
    lines = head("errors", "critic", "step F1", "precision", "recall", "false alarms", "step F1, seed by seed")
    for kind, critics in kinds.items():
        for critic, found in critics.items():
            each = ", ".join(f"{pooled([one])[0]:.3f}" for one in found)
            lines.append(cells(kind, critic, *(f"{x:.3f}" for x in pooled(found)), each))
    columns = "points over the first answer", "wrong to right, %", "right to wrong, %", "further attempts"
    lines += ["", *head("answers", "right, %", *columns, "right, seed by seed, %")]
    start = [one.first for one in ways["Critic-V"]]
    lines.append(cells("first answer", percent(start), "", "", "", "", seed_by_seed(start)))
    for way, found in ways.items():
        last = [one.last for one in found]
        moved = percent([one.mended for one in found]), percent([one.harmed for one in found])
        more = f"{mean([x for one in found for x in one.more.values()]):.2f}"
        gain = points(difference([one.first for one in found], last))
        lines.append(cells(way, percent(last), gain, *moved, more, seed_by_seed(last)))
    lines += ["", *head("Critic-V less", "in", "paper", "ours, points", "is it better?")]
    best = ways["Critic-V"]
    for way in ("first answer", *(way for way in ways if way not in ("Critic-V", GREEDY))):
        other = start if way == "first answer" else [one.last for one in ways[way]]
        gap = difference(other, [one.last for one in best])
        lines.append(cells(way, "right answers", PAPER.get(way, "not compared"), points(gap), decided(+1, gap)))
    for way in ("Self-Refine", RESAMPLED, "untrained", "SFT only"):
        gap = difference([one.harmed for one in ways[way]], [one.harmed for one in best])
        lines.append(cells(way, "right to wrong", "not compared", points(gap), decided(-1, gap)))
    for kind, critics in kinds.items():
        for rival in RIVALS:
            gap = f1_gap(critics[rival], critics["Critic-V"])
            lines.append(cells(rival, f"step F1, {kind}", "not compared", points(gap), decided(+1, gap)))
    return [*lines, "", *of_more_questions(runs["more questions"]), "", SAYS]


def of_more_questions(runs: Sequence[Path]) -> list[str]:
    """Critic-V beside its two controls, on questions that nothing else was measured on."""
    ways = {arm: [told(stored(run, "trained", "before", "controlled"))[arm] for run in runs] for arm in CONTROLLED}
    best = ways["all_wrong"]
    start = [one.first for one in best]
    asked = f"{len(start[0]):,} other questions"
    lines = head(asked, "right, %", "right to wrong, %", "Critic-V less it, points", "is it better?")
    for called, last, harmed in (
        ("first answer", start, None),
        *((CONTROLLED[arm], [one.last for one in found], [one.harmed for one in found]) for arm, found in ways.items()),
    ):
        gap = difference(last, [one.last for one in best])
        compared = ("", "") if called == "Critic-V" else (points(gap), decided(+1, gap))
        lines.append(cells(called, percent(last), percent(harmed) if harmed else "", *compared))
    return lines


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def percent(runs: Sequence[Right]) -> str:
    return f"{100 * mean([x for run in runs for x in run.values()]):.1f}"


def seed_by_seed(runs: Sequence[Right]) -> str:
    return ", ".join(percent([run]) for run in runs)


if __name__ == "__main__":
    main()
