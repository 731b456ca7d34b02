import importlib
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from mmevolve.config.parts import parts
from mmevolve.contracts import attempts, check_part, kind_of, main, samples
from mmevolve.critics.alignment import Alignment
from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.answer_plus_step import AnswerPlusStep
from mmevolve.critics.blend import Blend
from mmevolve.critics.checklist import Checklist
from mmevolve.critics.critique_judges import CritiqueRubric
from mmevolve.critics.critique_reward import CritiqueReward
from mmevolve.critics.each_prefix import EachPrefix
from mmevolve.critics.forward_backward import ForwardBackward
from mmevolve.critics.implicit_reward import ImplicitReward
from mmevolve.critics.judge import Judge
from mmevolve.critics.look_back import LookBack
from mmevolve.critics.p_ik import PIK
from mmevolve.critics.p_true import PTrue
from mmevolve.critics.pairwise_judge import PairwiseJudge
from mmevolve.critics.parm import PARM
from mmevolve.critics.parm_labels import ClarityLabels, PotentialLabels
from mmevolve.critics.rollout_value import RolloutValue
from mmevolve.critics.self_check_vote import SelfCheckVote
from mmevolve.critics.self_reference import SelfReference
from mmevolve.critics.step_reward import StepReward
from mmevolve.critics.weighted_vote import PseudoAnswer, WeightedVote
from mmevolve.critics.written import Written
from mmevolve.critics.yes_no import YesNo
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.losses.scir import SCIR
from mmevolve.metrics.best_of_n import BestOfN
from mmevolve.metrics.pairwise import PairwiseAccuracy
from mmevolve.models.scripted import Scripted
from mmevolve.protocols import VLM
from mmevolve.samplers.best_turns import BestTurns
from mmevolve.samplers.checklist_refine import ChecklistRefine
from mmevolve.samplers.critique_in_the_loop import CritiqueInTheLoop
from mmevolve.samplers.critique_revise import CritiqueRevise
from mmevolve.samplers.feedback import Feedback
from mmevolve.samplers.independent import Independent
from mmevolve.samplers.pruned_paths import PrunedPaths
from mmevolve.samplers.rationalized_turns import RationalizedTurns
from mmevolve.samplers.reflect import Reflect
from mmevolve.samplers.resampled import Resampled
from mmevolve.samplers.review import Review
from mmevolve.samplers.rollouts import Rollouts
from mmevolve.selectors.random_pairs import RandomPairs
from mmevolve.selectors.ranked_pairs import RankedPairs
from mmevolve.text import split_steps, stable_seed
from mmevolve.types import Critique, Demonstration, Group, Sample, Trajectory

ROOMS = {"samplers": "sampler", "critics": "critic", "selectors": "selector", "losses": "loss", "metrics": "metric"}


class Rewards:
    """A step-reward model without weights."""

    def score_steps(self, chats, completions):
        return [tuple(stable_seed(s) % 5 / 4 for s in split_steps(text)) for text in completions]

    def similarity(self, images, texts):
        return [stable_seed(i, t) % 200 / 100 - 1 for i, t in zip(images, texts, strict=True)]


class Critiqued(Scripted):
    """A critique-based reward model without weights."""

    def score(self, chats, critiques):
        return [stable_seed(text or "") % 5 - 2.0 for text in critiques]


def guess(said, seed, index):
    return f"answer : {(seed + index) % 3}"


def checks(said, seed, index):
    """Writes three items, and says no to some of what it is asked."""
    if "Write a checklist" in said:
        return "1. Does it count?\n2. Does it add?\n3. Does it answer?"
    return "NO" if stable_seed(said) % 3 == 0 else "YES"


def judges(said, seed, index):
    """Numbers and verdicts by what it is shown."""
    return f"Score: {1 + stable_seed(said) % 10}" if "Score: X" in said else f"Better: {'AB'[stable_seed(said) % 2]}"


STEPS = StepReward(Rewards())
YES = YesNo(Scripted(lambda said, seed, index: "yes" if stable_seed(said) % 2 else "no"), reads="text")
READY = {
    "critics.Blend": Blend((STEPS, AnswerMatch()), (0.5, 2.0), normalise="group"),
    "critics.Checklist": Checklist(Scripted(checks)),
    "critics.ClarityLabels": ClarityLabels(rule="claim"),
    "critics.CritiqueReward": CritiqueReward(Critiqued(guess)),
    "critics.CritiqueRubric": CritiqueRubric(Scripted(guess)),
    "critics.EachPrefix": EachPrefix(YES),
    "critics.ForwardBackward": ForwardBackward(Scripted(guess), chains=3),
    "critics.ImplicitReward": ImplicitReward(Scripted(guess), Scripted(guess, logprob=-1.5)),
    "critics.Judge": Judge(Scripted(judges)),
    "critics.LookBack": LookBack(Scripted(guess), by="rule"),
    "critics.PARM": PARM(STEPS, STEPS, STEPS),
    "critics.PIK": PIK(
        Scripted(guess), [Sample("a", "how many ?"), Sample("b", "how many shapes ?")], outcomes={"a": [1], "b": [0, 1]}
    ),
    "critics.PTrue": PTrue(Scripted(guess), words="p_true_ideas", brainstorm=2),
    "critics.PairwiseJudge": PairwiseJudge(Scripted(judges)),
    "critics.PotentialLabels": PotentialLabels(STEPS, StepReward(Rewards(), fold="mean"), clear=-1.0),
    "critics.PseudoAnswer": PseudoAnswer(WeightedVote(STEPS), AnswerMatch()),
    "critics.SelfReference": SelfReference(PairwiseJudge(Scripted(judges), words="judge_pair_reference")),
    "critics.SelfCheckVote": SelfCheckVote(YES),
    "critics.WeightedVote": WeightedVote(STEPS),
    "critics.Written": Written(Scripted(lambda said, seed, index: f"wrong steps : {1 + stable_seed(said) % 3}")),
    "critics.YesNo": YES,
    "selectors.RandomPairs": RandomPairs(RankedPairs(rank_by="answer")),
    "samplers.ChecklistRefine": ChecklistRefine(Checklist(Scripted(checks)), n=2, temperature=0.5),
    "samplers.CritiqueInTheLoop": CritiqueInTheLoop(AnswerMatch(), Checklist(Scripted(checks)), n=3, most=4),
    "losses.SCIR": SCIR(judge="frozen"),
    "samplers.CritiqueRevise": CritiqueRevise(
        STEPS, arms=("all_wrong", "shuffled", "resample"), donors=samples(), n=2, temperature=0.5
    ),
    "samplers.Feedback": Feedback(AnswerMatch(), STEPS, donors=samples(), n=2, attempts=3),
    "samplers.PrunedPaths": PrunedPaths(STEPS, STEPS, n=3),
    "samplers.Reflect": Reflect(Independent(n=2), AnswerMatch()),
    "critics.Alignment": Alignment(Rewards()),
    "samplers.BestTurns": BestTurns(AnswerMatch(), k=3, revisions=2),
    "samplers.RationalizedTurns": RationalizedTurns(Review(n=2), AnswerMatch()),
    "samplers.Resampled": Resampled(Review(n=2), AnswerMatch(), k=2, of="wrong"),
    "metrics.BestOfN": BestOfN(ks=(1, 2)),
    "metrics.PairwiseAccuracy": PairwiseAccuracy(rank_by=("answer",)),
    "critics.AnswerPlusStep": AnswerPlusStep(StepReward(Rewards()), AnswerMatch()),
    "critics.RolloutValue": RolloutValue(Scripted(guess), Rollouts(k=2), AnswerMatch()),
    "critics.StepReward": StepReward(Rewards()),
}


def found(name):
    room, _, part = name.partition(".")
    package = importlib.import_module(f"mmevolve.{room}")
    modules = [importlib.import_module(f"{package.__name__}.{p.stem}") for p in files(package)]
    return next(vars(m)[part] for m in modules if part in vars(m) and vars(m)[part].__module__ == m.__name__)


def files(package):
    from pathlib import Path

    return sorted(p for p in Path(package.__file__).parent.glob("*.py") if p.stem != "__init__")


NAMES = [name for room in ROOMS for name, _ in parts(room)]


@pytest.mark.parametrize("name", NAMES)
def test_every_part_of_the_package_keeps_the_contract(name):
    part = READY.get(name) or found(name)
    assert check_part(part) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_part_is_of_its_rooms_kind(name):
    expected = "other" if name == "samplers.Rollouts" else ROOMS[name.partition(".")[0]]
    assert kind_of(found(name)) == expected


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("critics.")])
def test_every_critic_declares_what_it_is_given_beside_the_attempt(name):
    part = READY.get(name) or found(name)()
    assert isinstance(part.sees_image, bool) and isinstance(part.sees_outcome, bool)
    said = part([(s, t) for s in samples() for t in attempts(s)])
    assert part.sees_image or not any(c.sees_image for c in said)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("critics.")])
def test_a_critic_that_does_not_see_the_outcome_judges_without_it(name):
    """Another reference answer and no scene: what it says must stay the same."""
    part = READY.get(name) or found(name)()
    items = [(s, t) for s in samples() for t in attempts(s)]
    if not part.sees_outcome:
        hidden = [(replace(s, answer="hidden", meta={}), t) for s, t in items]
        assert list(part(hidden)) == list(part(items))


def test_there_are_parts_of_every_kind():
    assert {name.partition(".")[0] for name in NAMES} == set(ROOMS)


def broken(part):
    return " | ".join(check_part(part))


def test_a_part_is_a_frozen_dataclass_with_a_call_of_its_own():
    class Plain:
        def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
            return {}

    @dataclass
    class Open:
        def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
            return {}

    @dataclass(frozen=True)
    class Idle:
        k: int = 1

    assert "Plain is not a dataclass" in broken(Plain)
    assert "Open can be changed" in broken(Open)
    assert "Idle has no `__call__`" in broken(Idle)


def test_a_class_that_needs_settings_says_which():
    assert check_part(RolloutValue) == ["RolloutValue needs policy, rollouts, verifier: give an instance"]


@dataclass(frozen=True)
class Forgetful:
    """Leaves out a sample, counts ids by place in the batch and forgets the round."""

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        for i, s in enumerate(samples[:-1]):
            yield Trajectory(str(i // 2), s.id, policy.name, ())


def test_a_sampler_that_depends_on_its_batch_is_found_out():
    said = broken(Forgetful)
    assert "Forgetful depends on the order of the samples" in said
    assert "Forgetful depends on which samples are in a batch" in said
    assert "Forgetful gives id '0' to 2 trajectories" in said
    assert f"Forgetful gives no trajectory for sample '{samples()[-1].id}'" in said
    assert "round 0, expected 3" in said


@dataclass(frozen=True)
class Sloppy:
    """Signs wrongly, gives one step score whatever the steps, and a score with an error."""

    name: str = "sloppy"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        for i, (_, t) in enumerate(items):
            yield Critique(t.id, "other", float("nan") if i else None, (0.5,))


def test_a_sloppy_critic_is_found_out():
    said = broken(Sloppy())
    assert "Sloppy signs as 'other', its name is 'sloppy'" in said
    assert "Sloppy depends on the order of the items" in said
    assert "Sloppy gives 1 step scores for " in said
    assert "Sloppy gives score None and error None" in said
    assert "Sloppy gives a score that is not a finite number" in said


@dataclass(frozen=True)
class Short:
    """Skips what it does not like."""

    name: str = "short"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        yield from (Critique(t.id, self.name, 1.0) for _, t in items if t.answer)


def test_a_critic_that_skips_is_found_out():
    assert check_part(Short) == [
        "Short does not give one critique an item, in the items' order, under the trajectories' ids"
    ]


@dataclass(frozen=True)
class Chancy:
    """Picks by the global generator, and gives rows of another type than it declares."""

    example: ClassVar[type[Demonstration]] = Demonstration

    def __call__(self, groups: Iterable[Group]) -> Iterator[Demonstration]:
        for group in groups:
            yield random.choice(group.trajectories)


def test_a_selector_by_chance_is_found_out():
    said = broken(Chancy)
    assert "Chancy gives" in said or "Chancy fails on valid input" in said
    assert "Chancy draws from the global random state" in said


@dataclass(frozen=True)
class Undeclared:
    """A selector that does not say what it gives."""

    def __call__(self, groups: Iterable[Group]) -> Iterator[Demonstration]:
        yield from ()


def test_a_selector_must_declare_its_rows():
    assert check_part(Undeclared) == ["Undeclared does not declare `example`: the type of the rows it gives"]


@dataclass(frozen=True)
class Leaky:
    """Learns from padding, row by row in another measure."""

    example: ClassVar[type[Demonstration]] = Demonstration
    needs_reference: ClassVar[bool] = False

    def __call__(self, x: LossInput) -> LossOutput:
        loss = -(x.logps * x.logps.new_tensor([[1.0], [2.0], [3.0], [4.0]])).mean()
        return LossOutput(loss, {"nll": loss})


def test_a_leaky_loss_is_found_out():
    said = broken(Leaky)
    assert "Leaky learns from what is masked" in said
    assert "Leaky depends on the order of the rows" in said
    assert "Leaky gives metrics that hold on to the graph" in said


@dataclass(frozen=True)
class Silent:
    """A metric without a number."""

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        return {}


def test_a_metric_without_numbers_is_found_out():
    assert check_part(Silent) == ["Silent does not give a dictionary of named numbers"]


def test_what_a_part_gives_must_be_annotated_or_said():
    @dataclass(frozen=True)
    class Untyped:
        def __call__(self, groups):
            return {"n": float(len(groups))}

    assert check_part(Untyped) == ["Untyped does not say what it gives: annotate what `__call__` returns"]
    assert check_part(Untyped, kind="metric") == []


OURS = '''
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
import random

from mmevolve.selectors.kept import demonstration
from mmevolve.types import Demonstration, Group


@dataclass(frozen=True)
class First:
    """The first attempt of each sample."""

    example = Demonstration

    def __call__(self, groups: Iterable[Group]) -> Iterator[Demonstration]:
        for group in groups:
            yield demonstration(group, group.trajectories[ATTEMPT], "question")


@dataclass(frozen=True)
class Needs:
    critic: object

    def __call__(self, groups: Iterable[Group]) -> Iterator[Demonstration]:
        yield from ()
'''


@pytest.mark.parametrize(
    ("attempt", "code", "said"),
    [
        ("0", 0, "First: keeps the contract of a selector"),
        ("random.randrange(len(group.trajectories))", 2, "draws from the global random state"),
    ],
)
def test_a_modules_parts_are_checked_from_the_command_line(tmp_path, capsys, monkeypatch, attempt, code, said):
    monkeypatch.delitem(sys.modules, "first", raising=False)
    (tmp_path / "first.py").write_text(OURS.replace("ATTEMPT", attempt))
    assert main(str(tmp_path / "first.py")) == code
    out = capsys.readouterr().out
    assert said in out
    assert "Needs: not checked, it needs critic" in out


def test_a_module_without_parts_or_that_is_not_there_is_one_sentence(tmp_path, capsys):
    (tmp_path / "empty.py").write_text("x = 1\n")
    assert main(str(tmp_path / "empty.py")) == 2
    assert main("no_such_module") == 2
    assert main(str(tmp_path / "gone.py")) == 2
    empty, missing, gone = capsys.readouterr().err.splitlines()
    assert "has no part" in empty
    assert missing.startswith("no_such_module cannot be imported: ModuleNotFoundError")
    assert "gone.py cannot be imported: FileNotFoundError" in gone
