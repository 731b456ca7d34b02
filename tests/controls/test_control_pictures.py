"""Image controls: what the variants hold, and that seeds and not orders decide."""

import io
import itertools
import random

import numpy as np
import pytest
from PIL import Image

from mmevolve.controls.augment import CHANGES, augmented
from mmevolve.controls.derange import derangement
from mmevolve.controls.fingerprint import pixel_digest
from mmevolve.controls.link import original_of, pair
from mmevolve.controls.pictures import encode, grey, no_image, permuted, scrambled, swapped
from mmevolve.data.images import open_image
from mmevolve.types import Group, Sample


def picture(seed, size=(13, 10)):
    levels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return encode(Image.fromarray(levels, "RGB"))


def samples(*pictures):
    """One sample a picture; an int is that picture, a tuple several, None is none."""
    made = []
    for i, p in enumerate(pictures):
        refs = () if p is None else tuple(picture(x) for x in (p if isinstance(p, tuple) else (p,)))
        made.append(Sample(f"q{i}", f"what is {i}?", refs, str(i), meta={"kept": i}))
    return made


def test_a_variant_says_what_it_is_made_from_and_keeps_the_rest():
    (made,) = no_image(samples(1))
    assert made == Sample(
        "q0@no_image", "what is 0?", (), "0", meta={"kept": 0, "control": {"name": "no_image", "of": "q0"}}
    )


def test_a_variant_of_a_variant_keeps_the_whole_way():
    (made,) = grey(permuted(samples(1)))
    assert made.id == "q0@permuted@grey"
    assert original_of(made) == "q0@permuted"
    assert made.meta["control"]["after"]["of"] == "q0"


def test_samples_without_images_are_left_out_of_image_controls():
    mixed = samples(1, None, 2)
    for control in (no_image, grey, swapped, permuted, lambda s: augmented(s, changes=["jpeg"])):
        assert [original_of(s) for s in control(mixed)] == ["q0", "q2"]


@pytest.mark.parametrize("control", [no_image, grey, swapped, permuted, augmented])
def test_an_image_control_without_any_image_is_refused(control):
    with pytest.raises(ValueError, match="none of 2 samples has an image: an image control has nothing to change"):
        control(samples(None, None))


def test_grey_has_the_size_of_the_picture_and_one_colour():
    (made,) = grey([Sample("a", "?", (picture(1, (7, 5)), picture(2, (3, 4))))], level=200)
    first, second = (open_image(ref) for ref in made.images)
    assert (first.size, second.size) == ((7, 5), (3, 4))
    assert first.getcolors() == [(35, (200, 200, 200))]
    with pytest.raises(ValueError, match="grey level 256: expected 0"):
        grey(samples(1), level=256)


@pytest.mark.parametrize("seed", range(8))
def test_no_sample_is_given_its_own_picture_and_every_picture_is_used_once(seed):
    """Pictures shared by several questions, one of them saved in another format: the same picture still."""
    given = samples(1, 1, 2, 3, 3, 4, 5, 6)
    bmp = io.BytesIO()
    open_image(given[0].images[0]).save(bmp, "BMP")
    given.append(Sample("q8", "?", (bmp.getvalue(),)))
    made = swapped(given, seed=seed)
    own = {s.id: {pixel_digest(ref) for ref in s.images} for s in given}
    assert len(made) == len(given)
    assert all(own[original_of(m)].isdisjoint(pixel_digest(ref) for ref in m.images) for m in made)
    assert sorted(m.meta["control"]["images_of"] for m in made) == sorted(own)
    assert all(m.question == s.question and m.answer == s.answer for m, s in zip(made, given, strict=True))


def test_the_swap_depends_on_the_seed_and_not_on_the_order_of_the_samples():
    given = samples(*range(12))
    shuffled = list(given)
    random.Random(0).shuffle(shuffled)
    by_id = {s.id: s for s in swapped(given, seed=3)}
    assert {s.id: s for s in swapped(shuffled, seed=3)} == by_id
    assert {s.id: s for s in swapped(given, seed=4)} != by_id


def test_samples_swap_with_those_of_as_many_images_and_share_none_of_them():
    given = samples(1, 2, (1, 2), (2, 3), (4, 5), (6, 7))
    made = {original_of(s): s for s in swapped(given)}
    assert {i: len(s.images) for i, s in made.items()} == {"q0": 1, "q1": 1, "q2": 2, "q3": 2, "q4": 2, "q5": 2}
    assert {made["q2"].meta["control"]["images_of"], made["q3"].meta["control"]["images_of"]} == {"q4", "q5"}


def test_a_picture_that_most_samples_share_leaves_no_swap():
    with pytest.raises(ValueError, match="3 samples with images: no exchange gives each another picture"):
        swapped(samples(1, 1, 2))
    assert [original_of(s) for s in swapped([*samples(1, 2), Sample("lone", "?", (picture(3), picture(4)))])] == [
        "q0",
        "q1",
    ]


def possible(keys):
    """Brute force: whether there is a bijection that gives every row another key."""
    every = itertools.permutations(range(len(keys)))
    return any(all(keys[i] != keys[j] for i, j in enumerate(order)) for order in every)


@pytest.mark.parametrize("seed", range(40))
def test_a_derangement_is_found_exactly_where_there_is_one(seed):
    draw = random.Random(seed)
    keys = [draw.randrange(3) for _ in range(draw.randrange(1, 7))]
    names = [f"n{i}" for i in range(len(keys))]
    found = derangement(names, keys, seed)
    assert (found is not None) == possible(keys)
    if found is not None:
        assert sorted(found) == list(range(len(keys)))
        assert all(keys[i] != keys[j] for i, j in enumerate(found))


@pytest.mark.parametrize("size", [(12, 8), (13, 11), (3, 9), (2, 1)])
def test_permuted_patches_all_move_and_no_pixel_is_lost(size):
    image = open_image(picture(5, size))
    moved = scrambled(image, 4, seed=1)
    before, after = np.asarray(image), np.asarray(moved)
    assert moved.size == size
    assert sorted(map(tuple, before.reshape(-1, 3).tolist())) == sorted(map(tuple, after.reshape(-1, 3).tolist()))
    across, down = min(4, size[0]), min(4, size[1])
    width, height = size[0] // across, size[1] // down
    for y in range(0, down * height, height):
        for x in range(0, across * width, width):
            assert (before[y : y + height, x : x + width] != after[y : y + height, x : x + width]).any()
    assert (before[down * height :] == after[down * height :]).all()


def test_what_cannot_be_permuted_is_refused():
    with pytest.raises(ValueError, match="a single pixel has no patches to permute"):
        permuted([Sample("a", "?", (picture(1, (1, 1)),))])
    with pytest.raises(ValueError, match="grid 1: at least 2 x 2 patches"):
        permuted(samples(1), grid=1)


def test_the_same_seed_gives_the_same_bytes_and_each_sample_its_own_permutation():
    given = [Sample("a", "?", (picture(1),)), Sample("b", "?", (picture(1),))]
    assert permuted(given, seed=2) == [*permuted(given[:1], seed=2), *permuted(given[1:], seed=2)]
    assert permuted(given)[0].images != permuted(given)[1].images
    assert augmented(given, seed=2) == [*augmented(given[:1], seed=2), *augmented(given[1:], seed=2)]


def test_each_augmentation_changes_the_picture_and_little_of_it():
    """Of a shaded square no change moves the mean level by more than the fifth that brightness may."""
    ramp = np.tile(np.linspace(40, 200, 64), (48, 1)).astype(np.uint8)
    ramp[10:20, 10:20] = 20
    ref = encode(Image.fromarray(np.stack([ramp] * 3, axis=2), "RGB"))
    made = {s.meta["control"]["change"]: s for s in augmented([Sample("a", "?", (ref,))])}
    assert set(made) == set(CHANGES)
    for name, sample in made.items():
        assert sample.id == f"a@augmented.{name}"
        assert pixel_digest(sample.images[0]) != pixel_digest(ref), name
        assert abs(np.asarray(open_image(sample.images[0])).mean() - ramp.mean()) < 0.21 * ramp.mean(), name
    sizes = {name: open_image(s.images[0]).size for name, s in made.items()}
    assert (sizes["smaller"], sizes["framed"], sizes["cropped"]) == ((48, 36), (70, 52), (61, 46))


def test_a_misspelt_augmentation_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="no image change 'bright': the nearest is 'brighter'"):
        augmented(samples(1), changes=["bright"])


def test_groups_pair_by_the_link_and_what_does_not_pair_is_refused():
    given = samples(1, None, 2)
    originals, variants = [Group(s, ()) for s in given], [Group(s, ()) for s in no_image(given)]
    assert [(p.sample.id, len(p.variants)) for p in pair(originals, variants)] == [("q0", 1), ("q2", 1)]
    with pytest.raises(ValueError, match="variant 'q2@no_image': its original 'q2' is not among the 1 given"):
        pair(originals[:1], variants)
    with pytest.raises(ValueError, match="sample 'q0' is no variant: its meta has no 'control'"):
        pair(originals, originals)
    with pytest.raises(ValueError, match="two originals have the id 'q0'"):
        pair(originals[:1] * 2, variants)
    with pytest.raises(ValueError, match="no variants for 3 originals"):
        pair(originals, [])
