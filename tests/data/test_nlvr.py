import hashlib
import io
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from mmevolve.data.images import image_digest, open_image
from mmevolve.data.nlvr import BOXES, SIDE, STRIDE, boxes, nlvr, nlvr_questions, own_boxes, preflight
from mmevolve.data.shapes.dataset import gold, world_of
from mmevolve.data.shapes.families import FAMILIES
from mmevolve.data.shapes.oracle import complete, judge, sound
from mmevolve.data.shapes.scene import Scene
from mmevolve.text import split_steps

ROOT = Path(__file__).parents[2]
EXCERPT = str(ROOT / "tests" / "fixtures" / "nlvr1")
SHARED = Path(os.environ.get("MMEVOLVE_DATA") or ROOT.parent / "shared" / "data") / "nlvr1"
INK = {"black": (0, 0, 0), "yellow": (255, 255, 0), "blue": (0, 153, 255)}
PAPER, GAP = (211, 211, 211), (128, 128, 128)

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"the whole NLVR folder is not at {SHARED}: set MMEVOLVE_DATA to its parent"
)
folders = pytest.mark.parametrize(
    "folder", [EXCERPT, pytest.param(str(SHARED), marks=[needs_shared, pytest.mark.data])]
)


def pixels(data):
    return Image.open(io.BytesIO(data)).convert("RGB")


def drawn(scene, fine=8):
    """The box as its object list says it looks, drawn finely and scaled down as the makers did."""
    image = Image.new("RGB", (SIDE * fine, SIDE * fine), PAPER)
    draw = ImageDraw.Draw(image)
    for t in scene.things:
        size = round(t.size * SIDE) * fine
        x, y = round(t.x * SIDE * fine - size / 2), round(t.y * SIDE * fine - size / 2)
        square = (x, y, x + size - 1, y + size - 1)
        if t.shape == "circle":
            draw.ellipse(square, fill=INK[t.colour])
        elif t.shape == "square":
            draw.rectangle(square, fill=INK[t.colour])
        else:
            draw.polygon(((x, square[3]), (square[2], square[3]), ((x + square[2]) / 2, y)), fill=INK[t.colour])
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)


def far_apart(a, b, reach=60):
    """How many pixels differ clearly: edges are smoothed in the real pictures."""
    pairs = zip(zip(*[iter(a.tobytes())] * 3, strict=True), zip(*[iter(b.tobytes())] * 3, strict=True), strict=True)
    return sum(p != q and max(abs(x - y) for x, y in zip(p, q, strict=True)) > reach for p, q in pairs)


def test_the_excerpt_is_small_and_says_whose_it_is():
    files = [f for f in Path(EXCERPT).rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) < 300_000
    text = (Path(EXCERPT) / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert "Suhr" in text
    assert "CC BY 4.0" in text


@folders
def test_statements_load_as_true_or_false_questions(folder):
    samples = nlvr(path=folder, split="dev")
    assert len(samples) == len((Path(folder) / "dev.jsonl").read_text(encoding="utf-8").splitlines()) >= 12
    assert nlvr(path=folder, limit=5) == samples[:5]
    assert {s.answer for s in samples} == {"true", "false"}
    assert {s.choices for s in samples} == {("true", "false")}
    assert {s.source for s in samples} == {"nlvr/dev"}
    assert samples[0].question.endswith(samples[0].meta["statement"])
    assert open_image(samples[0].images[0]).size == (400, 100)


@folders
def test_questions_of_train_and_dev_share_no_box_and_no_picture(folder):
    boxes_of = {split: own_boxes(folder, split) for split in ("train", "dev")}
    for found in boxes_of.values():
        assert len({box.scene.key for box in found}) == len(found)
    assert not {b.scene.key for b in boxes_of["train"]} & {b.scene.key for b in boxes_of["dev"]}
    shown = {
        split: {s.images[0] for s in nlvr_questions(path=folder, n=105, split=split)} for split in ("train", "dev")
    }
    assert not shown["train"] & shown["dev"]


@needs_shared
def test_the_two_files_themselves_share_no_row_and_hardly_a_picture():
    rows = {split: nlvr(path=str(SHARED), split=split) for split in ("train", "dev")}
    assert not {s.id for s in rows["train"]} & {s.id for s in rows["dev"]}
    digests = {split: {image_digest(s.images[0]) for s in samples} for split, samples in rows.items()}
    assert len(digests["train"] & digests["dev"]) / len(digests["dev"]) < 0.02


@needs_shared
def test_most_boxes_of_dev_are_its_own():
    found = {box.scene.key for box in boxes(str(SHARED), "dev") if len(box.scene.things) >= 2}
    assert len(own_boxes(str(SHARED), "dev")) / len(found) > 0.85


@folders
def test_object_lists_agree_with_the_pictures_pixel_for_pixel(folder):
    """The ground truth is exact: every box that is drawn from its list is the box in the picture, smoothing apart."""
    some = boxes(folder, "dev")[:: 1 if folder == EXCERPT else 29]
    assert len(some) >= 36
    for box in some:
        picture = pixels(box.picture(SIDE))
        for t in box.scene.things:
            assert picture.getpixel((int(t.x * SIDE), int(t.y * SIDE))) == INK[t.colour], box.name
        assert far_apart(picture, drawn(box.scene)) == 0, box.name


def test_drawing_another_list_is_noticed():
    """The comparison above can fail: a thing moved by a fifth of a cell or of another colour or form is seen."""
    from dataclasses import replace

    box = next(b for b in boxes(EXCERPT, "dev") if len(b.scene.things) == 3)
    first, *rest = box.scene.things
    others = [c for c in INK if c != first.colour], [s for s in ("circle", "square", "triangle") if s != first.shape]
    picture = pixels(box.picture(SIDE))
    for changed in (
        replace(first, x=first.x + 0.05),
        replace(first, y=first.y - 0.05),
        replace(first, colour=others[0][0]),
        replace(first, shape=others[1][0], size=first.size * 1.2),
    ):
        assert far_apart(picture, drawn(Scene((changed, *rest)))) > 75
    assert far_apart(picture, drawn(Scene(tuple(rest)))) > 75


def test_boxes_lie_where_they_are_cut_out():
    for box in boxes(EXCERPT, "train")[::BOXES]:
        picture = open_image(box.image)
        for x in range(picture.width):
            inside = x % STRIDE < SIDE
            assert (picture.getpixel((x, 50)) == GAP) != inside, x


@folders
@pytest.mark.parametrize("split", ["train", "dev"])
def test_gold_rationales_on_real_pictures_are_right_and_complete(folder, split):
    for sample in nlvr_questions(path=folder, n=70, split=split):
        scene, program = world_of(sample)
        steps = split_steps(gold(sample))
        verdicts = judge(steps, program, scene)
        assert sound(verdicts), (sample.id, steps, verdicts)
        assert complete(verdicts, program)
        assert steps[-1] == f"answer : {sample.answer}"
        assert sample.source == f"nlvr/{split}"
        assert len(scene.things) >= 2
        assert pixels(sample.images[0]).size == (64, 64)


@folders
def test_no_question_is_asked_twice_and_every_family_is_there(folder):
    samples = nlvr_questions(path=folder, n=210, split="dev")
    assert len({s.id for s in samples}) == 210
    assert len({(json.dumps(s.meta["scene"]), s.question) for s in samples}) == 210
    assert {s.meta["family"] for s in samples} == set(FAMILIES)
    assert len({s.images[0] for s in samples}) > 25


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    one = nlvr_questions(path=EXCERPT, n=28, split="train")
    assert nlvr_questions(path=EXCERPT, n=28, split="train") == one
    assert nlvr_questions(path=EXCERPT, n=10, split="train") == one[:10]
    assert nlvr_questions(path=EXCERPT, n=28, split="train", seed=1) != one


def test_small_pictures_still_show_the_colour_of_every_thing():
    for sample in nlvr_questions(path=EXCERPT, n=40, split="dev"):
        scene, _ = world_of(sample)
        picture = pixels(sample.images[0])
        for t in scene.things:
            assert picture.getpixel((int(t.x * 64), int(t.y * 64))) == INK[t.colour]


def test_several_things_may_share_a_cell_and_are_all_counted():
    samples = nlvr_questions(path=EXCERPT, n=120, split="train", families=("count",))
    assert any(len({t.cell for t in world_of(s)[0].things}) < len(world_of(s)[0].things) for s in samples)
    for sample in samples:
        line = split_steps(gold(sample))[0]
        cells = line.split(" : ")[1].split(" = ")[0]
        assert int(sample.answer) == (0 if cells == "none" else len(cells.split()))


def test_shipped_pictures_are_byte_identical_to_the_source():
    if not SHARED.is_dir():
        pytest.skip(f"the whole NLVR folder is not at {SHARED}: set MMEVOLVE_DATA to its parent")
    for image in (Path(EXCERPT) / "images").iterdir():
        source = SHARED / "images" / image.name
        assert hashlib.sha256(image.read_bytes()).digest() == hashlib.sha256(source.read_bytes()).digest()


def test_mistakes_are_answered_in_one_sentence(tmp_path):
    for call, part in (
        (lambda: nlvr(path=str(tmp_path / "none")), "no such folder, expected the one with dev.jsonl"),
        (lambda: nlvr(path=EXCERPT, split="dve"), "no 'dve.jsonl' in the folder: the nearest is 'dev'"),
        (
            lambda: nlvr_questions(path=EXCERPT, n=1, families=("cuont",)),
            "no question family 'cuont': the nearest is 'count'",
        ),
        (lambda: nlvr_questions(path=EXCERPT, n=1, families=()), "families is empty"),
        (lambda: nlvr_questions(path=EXCERPT, n=5000, families=("place",)), "carry no more new ones"),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        assert part in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_object_list_that_is_not_nlvrs_is_named(tmp_path):
    shutil.copytree(EXCERPT, tmp_path, dirs_exist_ok=True)
    rows = [json.loads(line) for line in (tmp_path / "dev.jsonl").read_text(encoding="utf-8").splitlines()]
    for change, part in (
        (
            {"structured_rep": [[{"type": "star", "color": "Black", "x_loc": 1, "y_loc": 1, "size": 10}], [], []]},
            "object list",
        ),
        (
            {"structured_rep": [[{"type": "circle", "color": "Red", "x_loc": 1, "y_loc": 1, "size": 10}], [], []]},
            "'red'",
        ),
        ({"structured_rep": [[], []]}, "has 2 boxes, expected 3"),
        ({}, "object list"),
    ):
        (tmp_path / "dev.jsonl").write_text(json.dumps({**rows[0], "meta": change}) + "\n", encoding="utf-8")
        with pytest.raises(ValueError, match=rows[0]["id"]) as caught:
            boxes(str(tmp_path), "dev")
        assert part in str(caught.value)


def test_preflight_sees_a_missing_split_and_an_unknown_family():
    assert list(preflight(path=EXCERPT, n=10, split="train", families=["count"])) == []
    assert list(preflight(path=EXCERPT, split="tset", families=["plaice"])) == [
        "split 'tset': no 'tset.jsonl' in the folder: there is 'dev' and 'train'",
        "no question family 'plaice': the nearest is 'place'",
    ]
    assert "no such folder" in next(preflight(path="nowhere/nlvr"))
    assert list(preflight()) == []
