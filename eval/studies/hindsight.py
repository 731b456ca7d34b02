"""Does a judge that reads the text alone drive its own score up and the truth down? RLHS's question in miniature.

Three rounds of DPO on a policy's own attempts, ranked by a judge. Two judges are the same reward model, trained on the
same attempts with the same verdicts; one is trained and asked with the picture, the other without: what it rates is how
an answer sounds, before anybody looks. The third arm ranks by the answer check itself, the fourth by chance: what the
training does whatever is preferred. All arms start from the same weights and get the same questions, at most as many
pairs of each, and as many gradient steps.

    nice -n 2 python eval/studies/hindsight.py --seeds 5          (resumes; `--only 0` runs one seed)
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import torch
from arms import cells, decided, difference, head, points, stored
from verifiers_page import within

from mmevolve import loops
from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.oracle import Oracle
from mmevolve.critics.step_reward import StepReward
from mmevolve.data.shapes.dataset import shapes
from mmevolve.evaluation import HeldOut
from mmevolve.losses.dpo import DPO
from mmevolve.losses.step import Step as StepLoss
from mmevolve.metrics.accuracy import Accuracy
from mmevolve.metrics.reward import auroc
from mmevolve.models.reward import StepRewardModel
from mmevolve.models.vlm import TransformersVLM
from mmevolve.results import record
from mmevolve.samplers.independent import Independent
from mmevolve.selectors.ranked_pairs import RankedPairs
from mmevolve.selectors.verdict_labels import VerdictLabels
from mmevolve.store import RunStore
from mmevolve.text import stable_seed
from mmevolve.training.fit import Fit
from mmevolve.training.modules import ReasonerModule, StepRewardModule
from mmevolve.types import Critique, Group, Sample, Trajectory
from mmevolve.verbs import group

MODEL = "mmevolve:tiny_vlm"
# Questions that hang on what is seen, drawn so that the eye slips; and those of the other studies, that hang on work.
WORLDS = {"looking": (("count", "total"), 1.5), "working": (("compare", "total", "removal", "two_hop"), 1.0)}
TOKENS, ROUNDS = 72, 3
JUDGED, JUDGE_STEPS, JUDGE_RATE = 500, 150, 0.01  # questions that the judges learn from, four attempts each
HELD, TRIED = 120, 4
ARMS = {
    "text": "reads the text alone", "image": "sees the picture", "answer": "the answer check", "chance": "chance"
}  # fmt: skip
PLACES = ("before", *(f"round={k:03d}" for k in range(ROUNDS)))
Figures = dict[str, dict[str, float]]  # a figure's name -> question -> its value


@dataclass(frozen=True)
class TextOnly:
    """Another critic, asked without the pictures."""

    sees_image: ClassVar[bool] = False
    sees_outcome: ClassVar[bool] = False
    critic: Any
    name: str = "text"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        for said in self.critic([(without(s), t) for s, t in items]):
            yield replace(said, critic=self.name, sees_image=False)


@dataclass(frozen=True)
class Chance:
    """A number that says nothing of the attempt."""

    sees_image: ClassVar[bool] = False
    sees_outcome: ClassVar[bool] = False
    seed: int
    name: str = "chance"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        for _, t in items:
            yield Critique(t.id, self.name, Random(stable_seed("chance", self.seed, t.id)).random())


def without(sample: Sample) -> Sample:
    return replace(sample, images=())


@dataclass(frozen=True)
class Pressure:
    """Where, and how hard, the policy is pushed.

    Attributes:
        world: one of `WORLDS`: its families, and the temperature of all attempts.
        questions: of a round.
        attempts: at each.
        pairs: of each, those that the judge holds farthest apart.
        steps: of a round, 16 pairs each.
        beta: of DPO.
        rate: of the optimizer.
    """

    world: str = "looking"
    questions: int = 120
    attempts: int = 8
    pairs: int = 4
    steps: int = 25
    beta: float = 0.1
    rate: float = 1e-4

    @property
    def families(self) -> tuple[str, ...]:
        return WORLDS[self.world][0]

    @property
    def folder(self) -> str:
        return "-".join(map(str, vars(self).values()))

    def draw(self, n: int, seed: int) -> Independent:
        return Independent(n=n, temperature=WORLDS[self.world][1], max_tokens=TOKENS, seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", type=int, nargs="*", help="run these seeds alone; nothing is recorded")
    parser.add_argument("--page", action="store_true", help="run nothing: record the arms that all seeds have finished")
    parser.add_argument("--out", default="runs/hindsight")
    for name, value in vars(Pressure()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    push = Pressure(**{name: getattr(args, name) for name in vars(Pressure())})
    out = Path(args.out) / push.folder
    seeds = range(args.seeds) if args.only is None else args.only
    for seed in () if args.page else seeds:
        one_seed(out, seed, push)
    if args.only is None:
        lines = page(out, args.seeds, push)
        print("\n".join(lines))
        settings = [f"--{k} {v}" for k, v in vars(push).items() if v != getattr(Pressure(), k)]
        title = "Hindsight: judges that read text alone, and judges that look"
        title += f" ({', '.join(settings).replace('--', '')})" if settings else ""
        record(title, lines, command=" ".join([f"python eval/studies/hindsight.py --seeds {args.seeds}", *settings]))


def one_seed(out: Path, seed: int, push: Pressure) -> None:
    """The judges and all arms of one seed in one run folder; what is finished is only read."""
    begun = time.process_time()
    store = RunStore(str(out / f"seed-{seed}"))
    judges = taught(store, seed, push)
    held_out = HeldOut(
        "sampled",
        shapes(n=HELD, split="test", seed=0, families=push.families),
        push.draw(TRIED, seed),
        [AnswerMatch(), Oracle(), *judges.values()],
        [Accuracy()],
    )
    rankers = {**judges, "chance": Chance(seed)}
    for arm in ARMS:
        critics = [AnswerMatch()] if arm == "answer" else [AnswerMatch(), rankers[arm]]
        loops.evolve(
            store=store,
            name=arm,
            policy=TransformersVLM(MODEL),
            data=shapes(n=ROUNDS * push.questions, split="train", seed=200 + seed, families=push.families),
            sampler=push.draw(push.attempts, seed),
            critics=critics,
            selector=RankedPairs(rank_by=arm, most=push.pairs),
            train=fitting(DPO(beta=push.beta), push.rate, 16, push.steps, seed, ReasonerModule),
            rounds=ROUNDS,
            fraction=1 / ROUNDS,
            evaluations=[held_out],
            seed=seed,
        )
        print(f"seed {seed}, {arm}: {time.process_time() - begun:.0f} s so far", flush=True)


def taught(store: RunStore, seed: int, push: Pressure) -> dict[str, Any]:
    """The two judges: a head on the frozen model, the same rows but for the picture; every step has the verdict."""
    samples = shapes(n=JUDGED, split="train", seed=100 + seed, families=push.families)
    tried = list(push.draw(4, seed)(TransformersVLM(MODEL), samples, round=0))
    by_id = {s.id: s for s in samples}
    verdicts = list(AnswerMatch()([(by_id[t.sample_id], t) for t in tried]))
    lines = {t.id: len(t.steps) for t in tried}
    judges: dict[str, Any] = {}
    for name, shown in (("image", samples), ("text", [without(s) for s in samples])):
        rows = [replace(r, labels=r.labels * lines[r.source]) for r in VerdictLabels()(group(shown, tried, verdicts))]
        fit = fitting(StepLoss(), JUDGE_RATE, 32, JUDGE_STEPS, seed, StepRewardModule)
        model = fit(StepRewardModel(MODEL, freeze="all"), rows, store.stage(f"judge_{name}"), round=0)
        critic = StepReward(model, name, fold="min")
        judges[name] = critic if name == "image" else TextOnly(critic)
    return judges


def fitting(loss: Any, rate: float, rows: int, steps: int, seed: int, module: Callable[..., Any]) -> Fit:
    import lightning  # after the models' room, which mends torchvision's imports

    adam = partial(torch.optim.AdamW, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    trainer = partial(lightning.Trainer, accelerator="cpu", devices=1)
    return Fit(loss, adam, trainer, batch_size=rows, steps=steps, module=module, seed=seed)


def figures(groups: Sequence[Group]) -> Figures:
    """Of each question, over its attempts: both judges' mean score, share right, share sound, and percepts.

    `false percepts` are the steps of an attempt that say what is seen, and by the oracle is not there; `sure` is the
    mean log-probability of the attempts' tokens.
    """
    found: Figures = {}
    for g in groups:
        n, truth = len(g.trajectories), g.by("oracle")
        false = sum(
            step.kind == "perception" and not score
            for t in g.trajectories
            for step, score in zip(t.steps, truth[t.id].step_scores, strict=True)
        )
        tokens = [p for t in g.trajectories for p in t.logprobs]
        numbers = {name: sum(s or 0.0 for s in g.scores(name)) / n for name in ("text", "image", "answer", "oracle")}
        numbers |= {"false percepts": false / n, "sure": sum(tokens) / max(1, len(tokens))}
        numbers |= {f"gap {arm}": numbers[arm] - numbers["answer"] for arm in ("text", "image")}
        for name, value in numbers.items():
            found.setdefault(name, {})[g.sample.id] = value
    return found


def page(out: Path, seeds: int, push: Pressure) -> list[str]:
    """Markdown: what the judges know, the figures after every round, and what RLHS would have."""
    last = f"{PLACES[-1]}/sampled_critiques.parquet"
    there = [arm for arm in ARMS if all((out / f"seed-{seed}" / arm / last).exists() for seed in range(seeds))]
    groups = {
        arm: [[stored(out / f"seed-{seed}", arm, at, "sampled") for at in PLACES] for seed in range(seeds)]
        for arm in there
    }
    found = {arm: [[figures(at) for at in run] for run in runs] for arm, runs in groups.items()}
    text = [*knowing(groups), "", *rounds(found), "", *claims(found)]
    pressure = ", ".join(f"{k} {v}" for k, v in vars(push).items())
    missing = "".join(f" Ranked by {ARMS[arm]}: not run with all seeds yet." for arm in ARMS if arm not in there)
    return [
        *text,
        "",
        f"{seeds} seeds; a round: {pressure}. {HELD} held-out questions, {TRIED} attempts each.{missing}",
    ]


def knowing(groups: Mapping[str, Sequence[Sequence[Sequence[Group]]]]) -> list[str]:
    """AUROC of right against wrong answers before training and at the end of the arm: all, and at the same question."""
    lines = head("judge", "AUROC before", "at the same question", "after, on its own arm", "at the same question")
    for judge in ("text", "image"):
        areas = [
            [read(run[k], judge) for run in groups[judge]] for k in (0, -1) for read in (area, at_the_same_question)
        ]
        lines.append(cells(ARMS[judge], *(f"{sum(own) / len(own):.3f} ({each(own)})" for own in areas)))
    return lines


def at_the_same_question(groups: Sequence[Group], judge: str) -> float:
    """Chance that a right attempt at a question outranks a wrong one at it: what pairs are made of."""
    return within([({name: said.score for name, said in g.by(judge).items()}, g) for g in groups])


def area(groups: Sequence[Group], judge: str) -> float:
    """Pooled over questions; an attempt without a score counts as 0."""
    return auroc(
        [(s or 0.0, bool(right)) for g in groups for s, right in zip(g.scores(judge), g.scores("answer"), strict=True)]
    )


def each(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


COLUMNS = {
    "text": "score by the text judge",
    "image": "score by the seeing judge",
    "answer": "right",
    "oracle": "sound chains",
    "false percepts": "false percepts an attempt",
    "sure": "log-probability a token",
}


def rounds(found: Mapping[str, Sequence[Sequence[Figures]]]) -> list[str]:
    lines = head("ranked by", "round", *COLUMNS.values(), "right, less before, points, 95 %")
    for arm, runs in found.items():
        for k in range(len(PLACES)):
            means = [mean([run[k][name] for run in runs]) for name in COLUMNS]
            gap = difference([run[0]["answer"] for run in runs], [run[k]["answer"] for run in runs])
            change = points(gap) if k else ""
            lines.append(cells(ARMS[arm], str(k) if k else "before", *(f"{m:.3f}" for m in means), change))
    return lines


def claims(found: Mapping[str, Sequence[Sequence[Figures]]]) -> list[str]:
    """What is expected after the last round, less before it; intervals over questions, seeds together."""
    lines = head("claim", "ours, points, 95 %", "")
    expected = [
        ("the text judge's own score rises in its arm", "text", "text", 1),
        ("and its arm's accuracy falls", "text", "answer", -1),
        ("and false percepts become more", "text", "false percepts", 1),
        ("the seeing judge's own score rises in its arm", "image", "image", 1),
        ("and its arm's accuracy rises", "image", "answer", 1),
        ("and false percepts become fewer", "image", "false percepts", -1),
        ("accuracy rises when the answer check ranks", "answer", "answer", 1),
    ]
    for says, arm, figure, sign in expected:
        if arm not in found:
            continue
        gap = difference([run[0][figure] for run in found[arm]], [run[-1][figure] for run in found[arm]])
        lines.append(cells(says, points(gap), decided(sign, gap)))
    compared = [
        ("score less truth grows more under the text judge than under the other", "gap text", "image", "gap image", 1),
        ("the text judge's arm ends less accurate than the other's", "answer", "image", "answer", -1),
        ("and less accurate than where chance ranks", "answer", "chance", "answer", -1),
    ]
    for says, figure, arm, other, sign in compared:
        if arm not in found:
            continue
        gap = difference(gained(found[arm], other), gained(found["text"], figure))
        lines.append(cells(says, points(gap), decided(sign, gap)))
    return lines


def gained(runs: Sequence[Sequence[Figures]], figure: str) -> list[dict[str, float]]:
    """Of each question: the figure after the last round less before the first."""
    return [{q: run[-1][figure][q] - before for q, before in run[0][figure].items()} for run in runs]


def mean(runs: Sequence[Mapping[str, float]]) -> float:
    values = [x for run in runs for x in run.values()]
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
