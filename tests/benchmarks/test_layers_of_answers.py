"""What a running model's probabilities and layers say of its answers, by hand and on the tiny VLM."""

from __future__ import annotations

import json
import math

import pytest

from mmevolve.benchmarks.ask import Ask
from mmevolve.benchmarks.layers import LayerByLayer, candidates, cannot, layer_numbers
from mmevolve.controls.resampling import Resampling
from mmevolve.data.shapes.dataset import shapes
from mmevolve.models.scripted import Scripted
from mmevolve.models.served import ServedVLM
from mmevolve.models.vlm import TransformersVLM
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

QUICK = Resampling(draws=50)


def group(sample, *said):
    made = tuple(
        Trajectory(f"{sample.id}/0/{i}", sample.id, "m", (Step(text),) if text else (), answer)
        for i, (text, answer) in enumerate(said)
    )
    return Group(sample, made, tuple(Critique(t.id, "answer", 1.0) for t in made))


def test_candidates_are_letters_option_texts_or_the_first_words_of_each_sampled_answer():
    choice, free = Sample("a", "?", choices=("cat", "dog")), Sample("b", "?")
    assert candidates(group(choice), True) == ["A", "B"] and candidates(group(choice), False) == ["cat", "dog"]
    said = group(free, ("It is 4", "4"), ("4.0 .", "4.0"), ("five", "5"), ("", None))
    assert candidates(said, True) == ["It is 4", "five"]
    assert candidates(group(free), True) == []


def test_numbers_of_the_layers_by_hand():
    """Shares 3/4 and 1/4 are -0.811 bits; of four layers one of the lower three says otherwise than the last."""
    groups = [group(Sample("a", "?", choices=("x", "y")), ("A", "A"), ("B", "B"))]
    layers = [[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    rows = [{"id": "a", "decoding": json.dumps([math.log(0.6), math.log(0.2)]), "latent": json.dumps(layers)}]
    found = layer_numbers(rows, groups, prefix="c/", resampling=QUICK)
    assert found["c/decoding/mean"] == pytest.approx(-0.8113, abs=1e-4)
    assert found["c/decoding/above_response"] == 1.0  # two answers drawn, one each: -1 bit
    assert found["c/latent/mean"] == pytest.approx(-0.7219, abs=1e-4)  # 4 of 5 and 1 of 5
    assert (found["c/latent/lower_half_as_last"], found["c/latent/upper_half_as_last"]) == (0.5, 1.0)
    assert (found["c/latent/layers"], found["c/latent/left_out"]) == (5.0, 0.0)


def test_questions_that_cannot_be_read_are_counted():
    groups = [group(Sample(n, "?"), ("4", "4"), ("4", "4")) for n in "ab"]
    rows = [{"id": "a", "decoding": "[-1.0]", "latent": None}, {"id": "b", "decoding": None, "latent": None}]
    found = layer_numbers(rows, groups, prefix="", resampling=QUICK)
    assert (found["decoding/mean"], found["decoding/left_out"]) == (0.0, 1.0)
    assert not any(name.startswith("latent") for name in found)


def test_what_a_model_cannot_show_is_said():
    assert cannot(Scripted({}, name="m")) == [
        "the latent layer is left out: m gives no hidden states; a model that is loaded here would"
    ]
    gateway = ServedVLM("m", ["http://x"], server="openai")
    assert cannot(gateway)[0] == (
        "the decoding layer is left out: m@base is served by what cannot score given answers, as vLLM or a local model "
        "can"
    )
    assert len(cannot(gateway)) == 2 and len(cannot(ServedVLM("m", ["http://x"]))) == 1


def test_the_last_layer_of_a_loaded_model_says_what_its_probabilities_say():
    vlm, ask = TransformersVLM("mmevolve:tiny_vlm"), Ask("{question}")
    first, second = shapes(n=2, split="test", seed=0)
    option = Sample("o", second.question, second.images, "A", ("2", "3"))
    attempts = [*group(first, ("answer : 2", "2"), ("answer : 3", "3")).trajectories]
    units = LayerByLayer()(vlm, ask, [first, option], attempts)
    (free,), (lettered,) = units.work(units.items)
    for row, count in ((free, 2), (lettered, 2)):
        decoding, latent = json.loads(row["decoding"]), json.loads(row["latent"])
        assert len(latent) == 4 and len(decoding) == count
        assert latent[-1] == pytest.approx(decoding, abs=1e-3)
    assert json.loads(free["candidates"]) == ["answer : 2", "answer : 3"]
    assert cannot(vlm) == []
