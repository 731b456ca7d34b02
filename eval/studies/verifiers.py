"""All verifiers on one table: the same attempts, who ranks them how well, at what cost, and by looking or not.

The embedded model that reads conversations answers held-out questions several times; every critic of the package then
judges the same stored attempts, with the picture, with another question's picture, and with an even grey one. The model
was never taught to judge, so judges that are asked in words stand there twice: as it is, and after lessons on its own
attempts at other questions, of which it is told which are right.

    nice -n 2 python eval/studies/verifiers.py --seeds 5         (resumes verifier by verifier)
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import critique_reward as criticism
import torch
from verifiers_page import page, within

from mmevolve.controls.grounding import under
from mmevolve.controls.pictures import grey, swapped
from mmevolve.critics.alignment import Alignment
from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.blend import Blend
from mmevolve.critics.checklist import Checklist
from mmevolve.critics.critique_reward import CritiqueReward
from mmevolve.critics.forward_backward import ForwardBackward
from mmevolve.critics.judge import Judge
from mmevolve.critics.look_back import LookBack
from mmevolve.critics.oracle import Oracle
from mmevolve.critics.p_ik import PIK
from mmevolve.critics.p_true import PTrue
from mmevolve.critics.pairwise_judge import PairwiseJudge
from mmevolve.critics.parm import PARM
from mmevolve.critics.parm_labels import ClarityLabels, PotentialLabels
from mmevolve.critics.rollout_value import RolloutValue
from mmevolve.critics.self_check_vote import SelfCheckVote
from mmevolve.critics.self_reference import SelfReference
from mmevolve.critics.step_reward import StepReward
from mmevolve.critics.vote import Vote
from mmevolve.critics.weighted_vote import WeightedVote
from mmevolve.critics.written import Written
from mmevolve.data.critique_pairs import critique_pairs
from mmevolve.data.critiquing import critique_lessons, critiquing
from mmevolve.data.judging import judging
from mmevolve.data.judgment_lessons import judgment_lessons
from mmevolve.data.shapes.dataset import shapes
from mmevolve.losses.sft import SFT
from mmevolve.losses.step import Step as StepLoss
from mmevolve.models.clip import ClipEmbedder
from mmevolve.models.critique_reward import CritiqueRewardModel
from mmevolve.models.reward import StepRewardModel
from mmevolve.models.vlm import TransformersVLM
from mmevolve.prompts import template
from mmevolve.results import record
from mmevolve.samplers.independent import Independent
from mmevolve.samplers.rollouts import Rollouts
from mmevolve.selectors.step_labels import StepLabels
from mmevolve.selectors.verdict_labels import VerdictLabels
from mmevolve.store import RunStore
from mmevolve.text import ask, chunks, stable_seed
from mmevolve.training.fit import Fit
from mmevolve.training.modules import CriticModule, StepRewardModule
from mmevolve.types import Critique, Demonstration, Group, Sample, Trajectory, from_row, to_row
from mmevolve.verbs import group

MODEL = "mmevolve:tiny_vlm_dialogue"
FAMILIES = ("compare", "total", "removal", "two_hop")
ATTEMPTS, TOKENS, UNIT = 8, 72, 32
VALIDATION, TAUGHT, ROLLED, CRITICISED = 75, 600, 200, 4800
CONTROLLED = {"swapped": 100, "grey": 50}  # questions that are shown with another picture, the first ones
OPTIONS = {"true": "true", "false": "false"}  # words that this model has
CRITICISM = Path("runs/critique_reward")
WORDS = criticism.FORM["words"]
BEGINS = "circles squares triangles shapes red blue green yellow a1 b2 yes no 1 2 3"  # as in recipes/shapes/p_ik.yaml
PLACES = ("real", "swapped", "grey", "validation")
Items = Sequence[tuple[Sample, Trajectory]]


class Counted:
    """A model that counts what it is asked: replies drawn, texts scored, pairs embedded."""

    ASKING = ("generate", "logprobs", "score_steps", "score", "similarity")

    def __init__(self, model: Any):
        self.model, self.calls = model, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.model, name)
        if name not in self.ASKING:
            return found

        def counted(asked: Sequence[Any], *args: Any, **settings: Any) -> Any:
            self.calls += len(asked) * settings.get("n", 1)
            return found(asked, *args, **settings)

        return counted


@dataclass(frozen=True)
class ByRule:
    """A baseline that needs no model: a number of the attempt alone."""

    sees_image: ClassVar[bool] = False
    sees_outcome: ClassVar[bool] = False
    rule: Callable[[Trajectory], float]
    name: str = "rule"

    def __call__(self, items: Items) -> Iterator[Critique]:
        return (Critique(t.id, self.name, self.rule(t)) for _, t in items)


@dataclass(frozen=True)
class Likelihood:
    """Mean log-probability of the attempt's tokens: known since the attempt was drawn, and scored here again."""

    sees_image: ClassVar[bool] = True
    sees_outcome: ClassVar[bool] = False
    model: Any
    answer: bool = False  # of the answer line alone
    name: str = "likelihood"

    def __call__(self, items: Items) -> Iterator[Critique]:
        said = self.model.logprobs([ask(s, template("question")) for s, _ in items], [t.text for _, t in items])
        for (_, t), scored in zip(items, said, strict=True):
            own = scored.logprobs[-2:] if self.answer else scored.logprobs  # the answer's word, and the end
            yield Critique(t.id, self.name, sum(own) / len(own), sees_image=True)


@dataclass(frozen=True)
class Said:
    """What another verifier said of the same attempts, for those that only reckon with it."""

    sees_outcome: ClassVar[bool] = False
    scores: Mapping[str, float | None]
    name: str
    sees_image: bool = True

    def __call__(self, items: Items) -> Iterator[Critique]:
        return (Critique(t.id, self.name, self.scores[t.id]) for _, t in items)


class Room:
    """What the verifiers of one seed are made of; a model is trained when it is first wanted, and kept."""

    def __init__(self, out: Path, seed: int):
        self.runs, self.out, self.seed, self.used = out, out / f"seed-{seed}", seed, []

    def said(self, name: str, place: str, change: Callable[[float], float] = float) -> Said:
        """What another verifier said at a place."""
        scores = kept(self.runs, name, self.seed)["scores"][place]
        return Said({t: None if x is None else change(x) for t, x in scores.items()}, name)

    @cached_property
    def best(self) -> list[str]:
        """The two verifiers that rank the attempts at a validation question best; none that knows the answer.

        One that says the same as a better one adds nothing, and is passed over.
        """
        groups = attempts(self.runs, "validation")
        blind = [n for n, v in VERIFIERS.items() if not (v.reckons or v.most or v.says.startswith("sees"))]
        said = {n: self.said(n, "validation").scores for n in blind}
        areas = {n: within([(said[n], g) for g in groups]) for n in blind}
        found: list[str] = []
        for n in sorted(areas, key=lambda n: -areas[n]):
            if len(found) < 2 and all(said[n] != said[m] for m in found):
                found.append(n)
        return found

    def counted(self, model: Any) -> Any:
        self.used.append(Counted(model))
        return self.used[-1]

    @property
    def vlm(self) -> Any:
        return self.counted(TransformersVLM(MODEL))

    @cached_property
    def groups(self) -> list[Group]:
        """Attempts at training questions, with the verdicts."""
        return drawn(shapes(n=TAUGHT, split="train", seed=100 + self.seed, families=FAMILIES), 4, self.seed)

    @cached_property
    def values(self) -> RolloutValue:
        """Of steps of these attempts, by four continuations each."""
        rollouts = Rollouts(k=4, temperature=1.0, max_tokens=TOKENS, seed=self.seed)
        return RolloutValue(TransformersVLM(MODEL), rollouts, AnswerMatch())

    @cached_property
    def judge(self) -> TransformersVLM:
        """The model after lessons in judging its own attempts."""
        own = greedy([g.sample for g in self.groups])
        return self._trained(
            "judge", TransformersVLM(MODEL), lessons(self.groups, own, self.seed), SFT(), 1e-3, 250, CriticModule
        )

    @cached_property
    def written(self) -> TransformersVLM:
        """The model after lessons of critiques that write every step as it should be: answers with inserted errors."""
        samples = shapes(n=CRITICISED, split="train", seed=200 + self.seed, families=FAMILIES)
        rows = critique_lessons(critiquing(samples, words=WORDS, form="looks", clean=0.2))
        return self._trained("written", TransformersVLM(MODEL), rows, SFT(), 1e-3, 300, CriticModule)

    @cached_property
    def solver(self) -> TransformersVLM:
        """The model after lessons in solving a question before it scores an answer to it; no attempt is its own."""
        samples = shapes(n=CRITICISED, split="train", seed=300 + self.seed, families=FAMILIES)
        rows = judgment_lessons(judging(samples, wrong="near", words="world_judge"))
        return self._trained("solver", TransformersVLM(MODEL), rows, SFT(), 1e-3, 800, CriticModule)

    @cached_property
    def critique_reward(self) -> CritiqueRewardModel:
        """The reward model of `critique_reward.py` that writes a critique and scores after it."""
        samples = shapes(n=criticism.TAUGHT, split="train", seed=100 + self.seed, families=FAMILIES)
        rows = critique_pairs(samples, seed=self.seed, **criticism.FORM)
        return criticism.trained("critique", rows, CRITICISM, self.seed)

    def steps(self, name: str) -> Any:
        """A step reward: a head that reads likelihoods, the heads of PARM, or an outcome reward of whole weights."""
        kept = self.groups[:ROLLED]
        if name == "outcome":
            model = StepRewardModel(MODEL)
            return self.counted(self._reward(name, model, list(VerdictLabels()(self.groups)), 3e-4, 150))
        if name == "prm":
            rows, rate = self._labels(kept, self.values, "value", "kept"), 0.1
            model = StepRewardModel(MODEL, freeze="all", reads="likelihood")
        else:
            rows, rate = list(VerdictLabels()(kept)), 0.01
            clarity = ClarityLabels(values=self.values)
            labels = {"clarity": clarity, "potential": PotentialLabels(values=self.values, clarity=clarity)}
            if name in labels:
                rows = self._labels(kept, labels[name], name, "soft" if name == "clarity" else "hard")
            model = StepRewardModel(MODEL, freeze="all")
        return self.counted(self._reward(name, model, rows, rate, 80))

    def _labels(self, groups: Sequence[Group], critic: Any, name: str, kind: Any) -> list[Any]:
        said = list(critic([(g.sample, t) for g in groups for t in g.trajectories]))
        judged = group([g.sample for g in groups], [t for g in groups for t in g.trajectories], said)
        return list(StepLabels(critic=name, kind=kind)(judged))

    def _reward(self, name: str, model: Any, rows: Sequence[Any], rate: float, steps: int) -> Any:
        return self._trained(name, model, rows, StepLoss(), rate, steps, StepRewardModule)

    def _trained(
        self, name: str, model: Any, examples: Sequence[Any], loss: Any, rate: float, steps: int, module: Any
    ) -> Any:
        import lightning  # after the models' room, which mends torchvision's imports

        begun = time.process_time()
        fit = Fit(
            loss,
            partial(torch.optim.AdamW, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
            partial(lightning.Trainer, accelerator="cpu", devices=1),
            batch_size=32, steps=steps, module=module, seed=self.seed,
        )  # fmt: skip
        made = fit(model, examples, RunStore(str(self.out)).stage(name), round=0)
        print(f"seed {self.seed}, {name}: {len(examples)} rows, {time.process_time() - begun:.0f} s", flush=True)
        return made


@dataclass(frozen=True)
class Verifier:
    """A row of the table.

    Attributes:
        title: as the table has it.
        make: the critic, of a room and the place (real, swapped, ...) whose attempts it is to judge.
        says: what it was taught, or why it cannot judge.
        seeds: whether there is training, so that it differs by seed.
        reckons: verifiers whose scores it only reckons with; it costs what they cost.
        most: questions it is tried on, the first ones; 0 for all.
    """

    title: str
    make: Callable[[Room, str], Any]
    says: str = ""
    seeds: bool = False
    reckons: tuple[str, ...] = ()
    most: int = 0


TAUGHT_TO_JUDGE = "lessons on own attempts"
FEW = 50
UNREAD = "untaught: it cannot read the request"
short = partial(Judge, max_tokens=12, low=1, high=10)
two = partial(PairwiseJudge, words="judge_pair_direct", max_tokens=6, most=4)
reward = partial(StepReward, fold="last")

VERIFIERS: dict[str, Verifier] = {
    "random": Verifier("chance", lambda r, p: ByRule(lambda t: Random(stable_seed("chance", t.id)).random())),
    "length": Verifier("shortest", lambda r, p: ByRule(lambda t: -float(len(t.token_ids)))),
    "vote": Verifier("majority (Vote)", lambda r, p: Vote()),
    "forward_backward": Verifier(
        "ForwardBackward", lambda r, p: ForwardBackward(r.vlm, max_tokens=TOKENS),
        "no question has a number to mask: the forward vote alone",
    ),
    "likelihood": Verifier("mean log-probability", lambda r, p: Likelihood(r.vlm)),
    "answer_likelihood": Verifier("the answer's log-probability", lambda r, p: Likelihood(r.vlm, answer=True)),
    "likelihood_vote": Verifier(
        "WeightedVote, by likelihood",
        lambda r, p: WeightedVote(r.said("likelihood", p, math.exp)), reckons=("likelihood",),
    ),
    "look_back": Verifier("LookBack, by rule", lambda r, p: LookBack(r.vlm, by="rule", max_tokens=TOKENS)),
    "no_look": Verifier(
        "the same without a look", lambda r, p: LookBack(r.vlm, by="rule", look=False, max_tokens=TOKENS)
    ),
    "alignment": Verifier(
        "Alignment, tiny CLIP", lambda r, p: Alignment(r.counted(ClipEmbedder()), reads="perception", fold="mean"),
        "CLIP learned pictures, not judging",
    ),
    "p_true": Verifier("P(True)", lambda r, p: PTrue(r.vlm, **OPTIONS), UNREAD, most=FEW),
    "judge": Verifier("Judge", lambda r, p: short(r.vlm), UNREAD, most=FEW),
    "pairwise": Verifier("PairwiseJudge", lambda r, p: two(r.vlm), UNREAD, most=FEW),
    "self_reference": Verifier(
        "SelfReference", lambda r, p: SelfReference(short(r.vlm, words="judge_reference"), prompt="question"),
        UNREAD, most=FEW,
    ),
    "checklist": Verifier(
        "Checklist (TICK)", lambda r, p: Checklist(r.vlm, max_tokens=48), "untaught: it writes no questions", most=FEW
    ),
    "p_true_taught": Verifier(
        "P(True), taught", lambda r, p: PTrue(r.counted(r.judge), **OPTIONS), TAUGHT_TO_JUDGE, True
    ),
    "judge_taught": Verifier("Judge, taught", lambda r, p: short(r.counted(r.judge)), TAUGHT_TO_JUDGE, True),
    "pairwise_taught": Verifier("PairwiseJudge, taught", lambda r, p: two(r.counted(r.judge)), TAUGHT_TO_JUDGE, True),
    "self_reference_taught": Verifier(
        "SelfReference, taught",
        lambda r, p: SelfReference(short(r.counted(r.judge), words="judge_reference"), prompt="question"),
        TAUGHT_TO_JUDGE, True,
    ),
    "judge_solves": Verifier(
        "Judge, solves first",
        lambda r, p: short(r.counted(r.solver), words="world_judge", high=5, reads="answer", max_tokens=TOKENS),
        "right solutions with scores", True,
    ),
    "self_check": Verifier(
        "SelfCheckVote, by taught P(True)", lambda r, p: SelfCheckVote(r.said("p_true_taught", p)),
        TAUGHT_TO_JUDGE, True, ("p_true_taught",),
    ),
    "p_true_vote": Verifier(
        "WeightedVote, by taught P(True)", lambda r, p: WeightedVote(r.said("p_true_taught", p)),
        TAUGHT_TO_JUDGE, True, ("p_true_taught",),
    ),
    "p_ik": Verifier(
        "P(IK), a probe",
        lambda r, p: PIK(r.vlm, [g.sample for g in r.groups], outcomes=verdicts(r.groups), reads=tuple(BEGINS.split())),
        f"{TAUGHT} questions; one score a question", True,
    ),
    "step_reward": Verifier(
        "StepReward, likelihood head", lambda r, p: StepReward(r.steps("prm"), fold="min", so_far="product"),
        "rollout values", True,
    ),
    "outcome": Verifier("StepReward, outcome", lambda r, p: reward(r.steps("outcome")), "verdicts", True),
    "parm": Verifier(
        "PARM",
        lambda r, p: PARM(*(reward(r.steps(name)) for name in ("clarity", "potential", "ends")), hopeful=0.3),
        "rollout values and verdicts; three heads", True,
    ),
    "written": Verifier(
        "Written (Critic-V's critic)", lambda r, p: Written(r.counted(r.written), words=WORDS, max_tokens=128),
        "critiques of inserted errors", True,
    ),
    "critique_reward": Verifier(
        "CritiqueReward", lambda r, p: CritiqueReward(r.counted(r.critique_reward), words=WORDS, max_tokens=128),
        "critiques and pairs, inserted errors", True,
    ),
    "critique_reward_by_rule": Verifier(
        "CritiqueReward, what it writes compared by rule",
        lambda r, p: CritiqueReward(r.counted(r.critique_reward), words=WORDS, max_tokens=128, verdicts="rule"),
        "critiques and pairs, inserted errors", True,
    ),
    "blend": Verifier(
        "Blend of the two best", lambda r, p: Blend([r.said(n, p) for n in r.best], (1.0, 1.0), "group"),
        "", True, ("best",),
    ),
    "rollout_value": Verifier(
        "RolloutValue", lambda r, p: RolloutValue(
            r.vlm, Rollouts(k=2, temperature=0.3, max_tokens=TOKENS), AnswerMatch()),
        "sees the answer", most=FEW,
    ),
    "oracle": Verifier("the scene's oracle, all steps right", lambda r, p: Oracle(), "sees the scene"),
    "answer": Verifier("right or wrong (the ceiling)", lambda r, p: AnswerMatch(), "sees the answer"),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5, help="of the verifiers that are trained")
    parser.add_argument("--out", default="runs/verifiers")
    parser.add_argument("--only", nargs="*", choices=[*VERIFIERS], help="judge with these alone; nothing is recorded")
    parser.add_argument("--page", action="store_true", help="judge nothing: record the verifiers that are finished")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    out = Path(args.out)
    for place, n in (("real", args.questions), ("validation", VALIDATION)):
        if not (file := out / f"{place}.json").exists():
            groups = drawn(questions("test" if place == "real" else "validation", n), ATTEMPTS, 0)
            write(file, {"questions": n, "attempts": [to_row(t) for g in groups for t in g.trajectories]})
    for seed in () if args.page else range(args.seeds):
        room = Room(out, seed)
        for name in args.only or VERIFIERS:
            if VERIFIERS[name].seeds or seed == 0:
                judged(name, room)
    if not args.only:
        seeds = {name: range(args.seeds if v.seeds else 1) for name, v in VERIFIERS.items()}
        there = [name for name in VERIFIERS if all(place_of(out, name, seed).exists() for seed in seeds[name])]
        found = {name: [kept(out, name, seed) for seed in seeds[name]] for name in there}
        lines = page(VERIFIERS, found, attempts(out, "real"))
        print("\n".join(lines))
        command = f"python eval/studies/verifiers.py --questions {args.questions} --seeds {args.seeds}"
        record("All verifiers on one table", lines, command=command)


def judged(name: str, room: Room) -> None:
    """One verifier's scores of all attempts in all places, kept as JSON; a finished one is left alone."""
    verifier, file = VERIFIERS[name], room.out / "said" / f"{name}.json"
    if file.exists():
        return
    found: dict[str, Any] = {"scores": {}, "calls": 0, "seconds": 0.0, "errors": {}}
    if name == "blend":
        found["of"] = room.best
    for place in PLACES:
        groups = attempts(room.runs, "validation" if place == "validation" else "real")
        groups = groups[: min(verifier.most or len(groups), CONTROLLED.get(place, len(groups)))]
        items = [(g.sample, t) for g in groups for t in g.trajectories]
        if place in CONTROLS:
            items = under(groups, CONTROLS[place])
        mute = all(x is None for x in found["scores"].get("real", {"": 0}).values())
        room.used.clear()
        critic = None if mute else verifier.make(room, place)
        begun, said = time.process_time(), []
        if critic is not None:
            for part in chunks(items, UNIT * ATTEMPTS):
                said += list(critic(part))
        found["scores"][place] = {t.id: None for _, t in items} if mute else {c.trajectory_id: c.score for c in said}
        if place == "real":
            found["sees_image"] = bool(getattr(critic, "sees_image", False))
            found["errors"] = first_errors(said)
            found["seconds"] = time.process_time() - begun
            found["calls"] = sum(used.calls for used in room.used)
    write(file, found)
    print(f"seed {room.seed}, {name}: {found['calls']:,} calls, {found['seconds']:.1f} s", flush=True)


def first_errors(said: Sequence[Critique]) -> dict[str, Any]:
    """How many attempts have no score, and the first reason."""
    silent = [c for c in said if c.score is None]
    return {"n": len(silent), "first": silent[0].error if silent else ""}


def kept(out: Path, name: str, seed: int) -> dict[str, Any]:
    return json.loads(place_of(out, name, seed).read_text())


def place_of(out: Path, name: str, seed: int) -> Path:
    return out / f"seed-{seed if VERIFIERS[name].seeds else 0}" / "said" / f"{name}.json"


def write(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(".tmp")
    aside.write_text(json.dumps(content))
    aside.replace(file)


@cache
def attempts(out: Path, place: str) -> list[Group]:
    """The stored attempts with their verdicts; pictures are drawn again, as they are not stored."""
    stored = json.loads((out / f"{place}.json").read_text())
    samples = questions("test" if place == "real" else "validation", stored["questions"])
    return with_verdicts(samples, [from_row(Trajectory, row) for row in stored["attempts"]])


def questions(split: Any, n: int) -> list[Sample]:
    return shapes(n=n, split=split, seed=0, families=FAMILIES)


def drawn(samples: Sequence[Sample], n: int, seed: int) -> list[Group]:
    sampler = Independent(n=n, temperature=1.0, max_tokens=TOKENS, seed=seed)
    return with_verdicts(samples, list(sampler(TransformersVLM(MODEL), samples, round=0)))


def with_verdicts(samples: Sequence[Sample], tried: Sequence[Trajectory]) -> list[Group]:
    by_id = {s.id: s for s in samples}
    return group(samples, tried, list(AnswerMatch()([(by_id[t.sample_id], t) for t in tried])))


def greedy(samples: Sequence[Sample]) -> dict[str, str]:
    """The model's own greedy answer to each question."""
    sampler = Independent(n=1, temperature=0.0, max_tokens=TOKENS)
    return {t.sample_id: t.text for t in sampler(TransformersVLM(MODEL), samples, round=0)}


def verdicts(groups: Sequence[Group]) -> dict[str, list[float | None]]:
    return {g.sample.id: g.scores("answer") for g in groups}


def lessons(groups: Sequence[Group], own: Mapping[str, str], seed: int) -> list[Demonstration]:
    """What the judges ask, with what the verdicts would have them reply; and right attempts, so that answering stays.

    Each distinct attempt is asked about alone, by option and by score, and beside the model's own answer; of each
    question a right and a wrong attempt are compared in both orders.
    """
    rows = []
    for g in groups:
        s, draw = g.sample, Random(stable_seed("lessons", seed, g.sample.id))
        texts = {t.text: bool(x) for t, x in zip(g.trajectories, g.scores("answer"), strict=True) if t.text}
        for text, right in texts.items():
            scale = {"attempt": text, "low": "1", "high": "10"}
            said = "score : 10" if right else "score : 1"
            rows += [
                Demonstration(ask(s, template("p_true"), attempt=text), "true" if right else "false", source=s.id),
                Demonstration(ask(s, template("judge"), **scale), said, source=s.id),
                Demonstration(ask(s, template("judge_reference"), reference=own[s.id], **scale), said, source=s.id),
            ]
        good, bad = ([t for t, right in texts.items() if right is side] for side in (True, False))
        if good:
            rows.append(Demonstration(ask(s, template("question")), draw.choice(good), source=s.id))
        if good and bad:
            a, b = draw.choice(good), draw.choice(bad)
            for first, second, letter in ((a, b, "A"), (b, a, "B")):
                asked = ask(s, template("judge_pair_direct"), first=first, second=second)
                rows.append(Demonstration(asked, f"better : {letter}", source=s.id))
    return rows


CONTROLS: dict[str, Callable[[Sequence[Sample]], list[Sample]]] = {"swapped": partial(swapped, seed=0), "grey": grey}


if __name__ == "__main__":
    main()
