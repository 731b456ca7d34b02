"""Canaries: what a round's own rows and weights say when something is quietly wrong; numbers worked by hand."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mmevolve.canaries import BlindImage, LabelLeak, StaleWeights, leak, says, without_picture
from mmevolve.config import build, load
from mmevolve.models.fingerprint import checkpoint_digest
from mmevolve.models.vlm import TransformersVLM
from mmevolve.protocols import TokenScores
from mmevolve.store import RunStore
from mmevolve.text import images_of, user
from mmevolve.types import Demonstration, Preference, Rollout, Sample, Step, Trajectory


def picture(colour):
    out = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(out, "PNG")
    return out.getvalue()


def shade(ref):
    with Image.open(ref if isinstance(ref, str) else io.BytesIO(ref)) as image:
        return image.convert("RGB").getpixel((0, 0)), image.size


@dataclass
class Looks:
    """Two tokens a completion: -0.5 each, and `less` without a colour in the picture."""

    less: float = 1.0
    name: str = "looks@base"

    def logprobs(self, chats, completions):
        scores = []
        for chat in chats:
            grey = all(shade(ref)[0] == (128, 128, 128) for ref in images_of(chat))
            each = -0.5 - (self.less if grey else 0.0)
            scores.append(TokenScores((1, 2), (each, each), (0.0, 0.0)))
        return scores

    def describe(self):
        return {"less": self.less}


def row(i, text="how many ?", answer="3", image="red"):
    images = (picture(image),) if image else ()
    return Demonstration((user(text, images),), f"so\nanswer : {answer}", source=f"s{i}/0/0")


def store_with(path, rows, samples=(), trajectories=()):
    store = RunStore(str(path), "evolve")
    for name, table in (("examples", rows), ("samples", samples), ("trajectories", trajectories)):
        if table:
            store.once(0, name, list, list(table))
    return store


@pytest.mark.parametrize("less, looks", [(1.0, 1.0), (0.0, 0.0), (-0.25, 0.0)])
def test_the_gain_of_the_picture_is_the_difference_of_mean_log_probabilities(tmp_path, less, looks):
    store = store_with(tmp_path, [row(i) for i in range(12)])
    found = BlindImage(rows=4)(Looks(less), store, at=0)
    assert found == {"blind_image/gain": less, "blind_image/looks": looks}
    assert len(store.table(0, "blind_image")) == 1


def test_rows_without_a_picture_and_rounds_without_rows_have_no_gain(tmp_path):
    for name, rows in (("a", [row(0, image=None)]), ("b", [])):
        found = BlindImage()(Looks(), store_with(tmp_path / name, rows), at=0)
        assert all(math.isnan(value) for value in found.values())
    assert math.isnan(BlindImage()(Looks(), RunStore(str(tmp_path), "evolve"), at="before")["blind_image/gain"])


def test_a_blanked_prompt_keeps_words_order_and_sizes():
    chat = (user("q", (picture("red"), picture("blue"))),)
    blank = without_picture(chat)
    assert [shade(ref) for ref in images_of(blank)] == [((128, 128, 128), (6, 4))] * 2
    assert blank[0]["content"][2] == chat[0]["content"][2]


def test_preferences_and_rollouts_are_read_as_what_was_chosen_and_what_was_said(tmp_path):
    pair = Preference((user("q", (picture("red"),)),), "good", "bad", source="s0/0/0")
    assert BlindImage()(Looks(), store_with(tmp_path / "a", [pair]), at=0)["blind_image/looks"] == 1.0
    rollout = Rollout((user("q", (picture("red"),)),), (5, 6), (-1.0, -1.0), (1.0,), source="s0/0/0")
    attempt = Trajectory("s0/0/0", "s0", "m@base", (Step("good"),))
    assert BlindImage()(Looks(), store_with(tmp_path / "b", [rollout], (), [attempt]), at=0)["blind_image/looks"] == 1.0


def test_a_hint_in_the_prompt_is_a_leak_and_a_templates_words_are_not():
    answers = ["2", "3", "4", "2"]
    hinted = [(f"how many ? hint : the answer is {a} .", a) for a in answers]
    assert leak(hinted) == {"answer_in_prompt": 1.0, "by_chance": 0.0, "leak": 1.0}
    template = [("how many ? say 2 , 3 or 4", a) for a in answers]
    assert leak(template) == {"answer_in_prompt": 1.0, "by_chance": 1.0, "leak": 0.0}
    # One of four says its own; of the two rows that answer 2, 3 and 4, none says another's.
    assert leak([("row 2 ?", "2"), ("x", "3"), ("x", "4"), ("x", "2")])["answer_in_prompt"] == 0.25
    # "2" stands in one of the two rows of other answers, "3" and "4" in none: chance (0.5 * 2 + 0 + 0) / 4.
    assert leak([("x", "2"), ("2 ?", "3"), ("x", "4"), ("x", "2")]) == {
        "answer_in_prompt": 0.0, "by_chance": 0.25, "leak": -0.25,
    }  # fmt: skip
    assert math.isnan(leak([("yes", "yes"), ("yes", "yes")])["leak"]), "with one answer nothing can be compared"


def test_an_answer_is_said_as_a_word():
    assert says("the answer is Yes.", "yes") and not says("yesterday", "yes") and not says("12", "2")


def test_options_are_no_leak_and_a_hint_beside_them_is(tmp_path):
    samples = [Sample(f"s{i}", "which ?", answer=a, choices=("red", "blue")) for i, a in enumerate(("red", "blue"))]
    options = "which ?\n(A) red\n(B) blue"
    plain = store_with(tmp_path / "a", [row(i, options) for i in range(2)], samples)
    assert LabelLeak()(None, plain, at=0)["label_leak/answer_in_prompt"] == 0.0
    hinted = [row(i, f"{options}\nhint : {s.answer}") for i, s in enumerate(samples)]
    assert LabelLeak()(None, store_with(tmp_path / "b", hinted, samples), at=0)["label_leak/leak"] == 1.0
    assert math.isnan(LabelLeak()(None, RunStore(str(tmp_path), "evolve"), at="before")["label_leak/leak"])


class Weights:
    """As much of a model as a digest needs."""

    source, weights_digest = "m", TransformersVLM.weights_digest

    def __init__(self, value):
        self.value = value

    def named_weights(self):
        return [("b", torch.nn.Parameter(torch.full((2, 3), self.value))), ("a", torch.nn.Parameter(torch.ones(2)))]


def test_weights_that_are_not_the_checkpoints_are_stale(tmp_path):
    store = RunStore(str(tmp_path), "evolve")
    fresh, old = Weights(2.0), Weights(1.0)
    folder = store.checkpoint(0)
    folder.mkdir(parents=True)
    save_file({name: weight.detach() for name, weight in fresh.named_weights()}, folder / "trained.safetensors")
    assert checkpoint_digest("m", folder) == fresh.weights_digest() != old.weights_digest()
    assert StaleWeights()(fresh, store, at=0) == {"stale_weights/differs": 0.0}
    assert StaleWeights()(old, store, at=0) == {"stale_weights/differs": 1.0}
    for at in ("before", 1):
        assert math.isnan(StaleWeights()(fresh, store, at=at)["stale_weights/differs"])
    with pytest.raises(ValueError, match="holds no weights to compare with"):
        checkpoint_digest("m", tmp_path)


def test_a_server_with_old_weights_is_apart_from_the_policy(tmp_path):
    store = store_with(tmp_path, [row(i, image="gray") for i in range(3)])
    found = StaleWeights(served=Looks(0.25))(Looks(1.0), store, at=0)
    assert found["stale_weights/apart"] == 0.75
    same = StaleWeights(served=Looks(1.0), name="same")(Looks(1.0), store, at=0)
    assert same["same/apart"] == 0.0


def test_a_recipe_names_them(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text("loop: [{_target_: canaries.BlindImage, rows: 4}, {_target_: canaries.LabelLeak}]\n")
    build(load(file))
