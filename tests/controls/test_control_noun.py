"""Controls by name, from samples to numbers, with a policy that is a function."""

import math

import numpy as np
import pytest
from PIL import Image

from mmevolve.controls.control import controls, every
from mmevolve.controls.pictures import encode
from mmevolve.controls.resampling import Resampling
from mmevolve.data.images import open_image
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

QUICK = Resampling(draws=50)


def world(n=8):
    made = []
    for i in range(n):
        levels = np.zeros((8, 8, 3), dtype=np.uint8)
        levels[:4, :4] = 30 * i
        made.append(
            Sample(f"q{i}", "how bright?", (encode(Image.fromarray(levels, "RGB")),), "B", ("dark", f"{30 * i}"))
        )
    return made


def answered(samples, look, n=1):
    groups = []
    for s in samples:
        made = tuple(Trajectory(f"{s.id}/0/{i}", s.id, "m", (Step("x"),), look(s)) for i in range(n))
        groups.append(Group(s, made, tuple(Critique(t.id, "answer", float(t.answer == s.answer)) for t in made)))
    return groups


def seeing(sample):
    """Says the option that is the brightness of the top left corner, if there is a picture and such an option."""
    level = str(open_image(sample.images[0]).getpixel((0, 0))[0]) if sample.images else ""
    return "AB"[sample.choices.index(level)] if level in sample.choices else "AB"[sample.choices.index("dark")]


@pytest.mark.parametrize("control", every(), ids=lambda c: c.name)
def test_each_control_goes_from_samples_to_numbers(control):
    samples = world()
    originals = answered(samples, seeing)
    found = control.read(originals, answered(control(samples), seeing, max(1, control.draws)), resampling=QUICK)
    assert found and all(name.startswith(f"{control.name}/") for name in found)
    assert all(isinstance(v, float) for v in found.values())


def test_a_model_that_looks_is_shown_to_look():
    samples = world()
    numbers = {}
    for control in controls("blind, swapped,circular"):
        made = control(samples)
        numbers |= control.read(answered(samples, seeing), answered(made, seeing), resampling=QUICK)
    assert numbers["blind/accuracy/gain"] == numbers["swapped/accuracy/gain"] == 1.0
    assert numbers["blind/accuracy/also_blind"] == 0.0
    assert numbers["circular/all/circular"] == 1.0
    assert numbers["circular/flips/rate"] == 0.0
    assert math.isnan(numbers["circular/flips/excess"])


def test_a_model_that_never_answers_leaves_every_original_out_and_stops_nothing():
    samples = world(3)
    (control,) = controls("circular")
    found = control.read(answered(samples, seeing), answered(control(samples), lambda s: None), resampling=QUICK)
    assert {k: v for k, v in found.items() if k.startswith(("circular/flips", "circular/position"))} == {
        "circular/flips/left_out": 3.0,
        "circular/position/left_out": 3.0,
    }


def test_a_misspelt_control_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="no control 'swaped': the nearest is 'swapped'"):
        controls("blind,swaped")
    with pytest.raises(ValueError, match="no control '': there is 'adjacent', 'augmented'"):
        controls("")
    with pytest.raises(ValueError, match="control 'blind' is named twice in 'blind,blind'"):
        controls("blind,blind")


def test_the_seed_of_the_controls_is_the_callers():
    samples = world()
    one, two, again = (controls("swapped", seed=s)[0](samples) for s in (1, 2, 1))
    assert one == again != two
