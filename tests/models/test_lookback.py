"""Second looks: a step is read again as the answer to its own question."""

import pytest
import torch
from families import load, questions

from mmevolve.data.shapes.families import atomic_question
from mmevolve.models.lookback import second_looks
from mmevolve.models.reward import StepRewardModel
from mmevolve.text import images_of, user


def ask(step):
    return f"what of {step[0]} ?" if step[0] == "a" else None


SAID = ["a b c\n7", "none", "1\na x"]


def test_a_second_look_is_the_least_likely_token_under_the_steps_own_question(model_root):
    vlm = load("tiny", model_root / "tiny")
    chats = questions()[: len(SAID)]
    looks = second_looks(vlm, ask, chats, SAID)
    assert [[look is None for look in row] for row in looks] == [[False, True], [True], [True, False]]
    for chat, step, look in ((chats[0], "a b c", looks[0][0]), (chats[2], "a x", looks[2][1])):
        (scores,) = vlm.logprobs([(user("what of a ?", images_of(chat)),)], [step])
        least = min(scores.logprobs[:-1])  # without the end of the turn
        assert look == pytest.approx(torch.tensor(least).exp().item(), abs=2e-6)


def test_a_step_with_a_question_is_read_in_both_places_and_others_in_their_own(model_root):
    load("tiny", model_root / "tiny")
    plain = StepRewardModel(str(model_root / "tiny"), reads="likelihood")
    looking = StepRewardModel(str(model_root / "tiny"), reads="likelihood", ask=ask)
    here_weight, look_weight, asked_weight = 2.0, 0.5, -1.0
    with torch.no_grad():
        plain.head.weight.fill_(here_weight)
        looking.head.weight.copy_(torch.tensor([[here_weight, look_weight, asked_weight]]))
    chats = questions()[: len(SAID)]
    here, both = plain.score_steps(chats, SAID), looking.score_steps(chats, SAID)
    assert here[1] == both[1]
    assert here[0][1] == both[0][1]
    look = second_looks(looking.trunk, ask, chats, SAID)[0][0]
    odds = torch.tensor([here[0][0], max(look, 1e-3)]).logit()
    assert both[0][0] == pytest.approx((odds[0] + look_weight * odds[1] + asked_weight).sigmoid().item(), abs=5e-3)


@pytest.mark.parametrize(
    ("step", "question"),
    [
        ("red shapes : a2 b1 = 2", "how many red shapes are there ?"),
        ("circles : none = 0", "how many circles are there ?"),
        ("circles left of b2 : a1 = 1", None),
        ("the red square : b2", None),
        ("3 + 1 = 4", None),
        ("answer : 4", None),
    ],
)
def test_only_a_counting_step_has_a_question_of_its_own(step, question):
    assert atomic_question(step) == question


def test_a_reward_model_with_everything_frozen_trains_its_head_alone(model_root):
    load("tiny", model_root / "tiny")
    model = StepRewardModel(str(model_root / "tiny"), freeze="all", reads="likelihood")
    assert [name for name, _ in model.named_weights()] == ["step_reward_head.weight", "step_reward_head.bias"]
