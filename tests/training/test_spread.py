"""Two processes sample and judge what one does, byte for byte."""

from __future__ import annotations

import functools

import lightning
import pytest
import torch

from mmevolve import verbs
from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.step_reward import StepReward
from mmevolve.data.shapes.dataset import shapes
from mmevolve.models.reward import StepRewardModel
from mmevolve.samplers.independent import Independent
from mmevolve.store import RunStore
from mmevolve.training.modules import StepRewardModule
from mmevolve.training.spread import Spread

pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'predict_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*GPU available but not used"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def spread_over(devices, strategy, module=None):
    trainer = functools.partial(lightning.Trainer, accelerator="cpu", devices=devices, strategy=strategy)
    return Spread(trainer=trainer, **({} if module is None else {"module": module}))


def evolve(folder, policy, judge, spread, samples):
    """Sampling and judging of one round, as the loop does them."""
    store = RunStore(str(folder)).stage("evolve")
    critics = [AnswerMatch(), StepReward(judge)]
    sampler = Independent(n=2, max_tokens=10)
    batch = store.once(0, "samples", lambda data: data, samples)
    attempts = store.once(0, "trajectories", verbs.sample, policy, sampler, batch, spread, round=0)
    store.once(0, "critiques", verbs.critique, critics, attempts, batch, spread, policy)
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


@pytest.fixture(scope="module")
def judge(model_folder):
    model = StepRewardModel(model_folder)
    torch.manual_seed(2)
    torch.nn.init.normal_(model.head.weight, std=0.3)
    return model


@pytest.fixture(scope="module")
def small_units():
    """Several units out of few samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verbs, "UNIT", 3)
        yield


@pytest.fixture(scope="module")
def alone(model_folder, judge, tmp_path_factory, small_units):
    """What one process makes without any spreading."""
    from mmevolve.models.vlm import TransformersVLM

    samples = shapes(n=8, split="train", seed=6)
    return evolve(tmp_path_factory.mktemp("alone"), TransformersVLM(model_folder), judge, None, samples), samples


def test_two_processes_give_the_rows_of_one(fresh, judge, alone, tmp_path):
    """Forked, not spawned: a spawned process imports lightning first, which fails beside a torchvision without ops."""
    expected, samples = alone
    assert evolve(tmp_path, fresh(), judge, spread_over(2, "ddp_fork"), samples) == expected
    assert set(expected) == {"samples.parquet", "trajectories.parquet", "critiques.parquet"}


def test_one_device_gives_the_same_rows_too(fresh, judge, alone, tmp_path):
    expected, samples = alone
    assert evolve(tmp_path, fresh(), judge, spread_over(1, "auto"), samples) == expected


def test_the_step_reward_module_carries_its_own_work(judge, alone, small_units):
    """Judging by the module of the model that judges, as a recipe may ask."""
    _, samples = alone
    units = [[(s.question, "red : a1\n7")] for s in samples[:2]]
    rows = spread_over(1, "auto", StepRewardModule)(judge, judging(judge), units)
    assert [len(r) for r in rows] == [1, 1]
    assert rows == judging(judge)(units)


def judging(judge):
    from mmevolve.text import user

    def work(units):
        return [
            [{"scores": list(judge.score_steps([(user(question),)], [text])[0])} for question, text in unit]
            for unit in units
        ]

    return work


def test_a_failure_in_the_work_is_not_swallowed(fresh):
    def work(units):
        raise RuntimeError("no such thing")

    with pytest.raises(RuntimeError, match="no such thing"):
        spread_over(1, "auto")(fresh(), work, [[1]])
