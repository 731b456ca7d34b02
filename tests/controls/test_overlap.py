"""Overlap of training and held-out samples: what is found, by which kind, and what stops a run."""

import io
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.fft import dctn

from mmevolve.controls.fingerprint import _SAMPLED, SIDE, fingerprint, perceptual_hash
from mmevolve.controls.overlap import grams, overlaps, words
from mmevolve.controls.pictures import encode
from mmevolve.data.images import open_image
from mmevolve.types import Sample


def drawing(seed, size=(160, 120)):
    """Ten boxes and lines on white paper."""
    draw, image = random.Random(seed), Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    for _ in range(10):
        x, y = draw.randrange(size[0]), draw.randrange(size[1])
        colour = tuple(draw.randrange(200) for _ in range(3))
        if draw.random() < 0.5:
            pen.rectangle([x, y, x + draw.randrange(5, 50), y + draw.randrange(5, 50)], fill=colour)
        else:
            pen.line([x, y, draw.randrange(size[0]), draw.randrange(size[1])], fill=colour, width=3)
    return image


def saved(image, kind="PNG", **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def asked(name, ref=None, question=None, choices=()):
    return Sample(name, question or f"question {name}?", (ref,) if ref else (), "1", choices)


def kinds(report):
    return {(o.kind, o.sample, o.trained) for o in report.found}


def slow_hash(image):
    """From the definition, with scipy's transform."""
    levels = np.asarray(image.convert("L").resize((_SAMPLED, _SAMPLED), Image.Resampling.BOX), dtype=np.float64)
    low = dctn(levels, norm="ortho")[:SIDE, :SIDE].ravel()
    bits = [int(i > 0 and x > np.median(low[1:])) for i, x in enumerate(low)]
    return sum(bit << (SIDE * SIDE - 1 - i) for i, bit in enumerate(bits))


@pytest.mark.parametrize("seed", range(6))
def test_the_hash_is_the_sign_of_scipys_low_frequencies(seed):
    image = drawing(seed, (90 + 40 * seed, 70))
    assert (perceptual_hash(image) ^ slow_hash(image)).bit_count() <= 2  # a frequency at the median may round over


def test_an_even_picture_has_no_hash():
    assert perceptual_hash(Image.new("RGB", (50, 50), "white")) is None
    even = [asked("a", saved(Image.new("RGB", (9, 9), "white"))), asked("b", saved(Image.new("RGB", (8, 8), "white")))]
    assert overlaps(even[:1], even[1:]).counts()["perceptual"] == 0


def test_the_same_file_the_same_pixels_and_a_near_copy_are_three_kinds():
    image = drawing(1)
    train = [asked("t0", saved(image)), asked("t1", saved(drawing(2)))]
    held = [
        asked("same", saved(image)),
        asked("bmp", saved(image, "BMP")),
        asked("jpeg", saved(image, "JPEG", quality=60)),
        asked("half", saved(image.resize((80, 60), Image.Resampling.BICUBIC))),
        asked("other", saved(drawing(3))),
    ]
    report = overlaps(train, held)
    assert kinds(report) == {
        ("bytes", "same", ("t0",)),
        ("pixels", "same", ("t0",)),
        ("pixels", "bmp", ("t0",)),
        ("perceptual", "jpeg", ("t0",)),
        ("perceptual", "half", ("t0",)),
    }
    assert {o.kind: o.refused for o in report.found} == {"bytes": True, "pixels": True, "perceptual": False}
    near = {o.sample: o.degree for o in report.found if o.kind == "perceptual"}
    assert all(1 - 20 / 256 <= d < 1 for d in near.values())
    assert report.counts() == {"bytes": 1, "pixels": 2, "question": 0, "perceptual": 2, "ngram": 0}


def test_near_hashes_are_those_that_pair_by_pair_comparison_finds():
    draw = random.Random(0)
    pictures = [saved(drawing(draw.randrange(4)), "JPEG", quality=draw.randrange(20, 90)) for _ in range(14)]
    train, held = (
        [asked(f"t{i}", p) for i, p in enumerate(pictures[:7])],
        [asked(f"h{i}", p) for i, p in enumerate(pictures[7:])],
    )
    prints = {s.id: fingerprint(s.images[0]) for s in (*train, *held)}
    wanted = set()
    for h in held:
        near = [
            t.id
            for t in train
            if (prints[h.id].perceptual ^ prints[t.id].perceptual).bit_count() <= 10
            and prints[h.id].pixels != prints[t.id].pixels
        ]
        wanted |= {("perceptual", h.id, tuple(near))} if near else set()
    assert wanted
    assert {k for k in kinds(overlaps(train, held, bits=10)) if k[0] == "perceptual"} == wanted


def test_a_shared_picture_stops_the_run_and_names_the_first():
    ref = saved(drawing(1))
    report = overlaps([asked("t", ref)], [asked("h0", ref), asked("h1", ref)])
    with pytest.raises(
        ValueError, match=r"2 samples of NLVR are also trained on \(2 by bytes, 2 by pixels\), 'h0' with 't' first"
    ):
        report.check("NLVR")
    overlaps([asked("t", ref)], [asked("h", saved(drawing(2)))]).check()


LONG = "a train leaves at noon with seven wagons and each wagon holds twelve red boxes of tea"


def test_a_whole_question_is_the_same_whatever_its_marks():
    same = "A train leaves, at NOON; with seven wagons"
    train = [asked("t", saved(drawing(1)), "a train leaves at noon with seven wagons?")]
    held = [asked("h", saved(drawing(2)), same), asked("options", saved(drawing(3)), same, ("4", "5"))]
    assert kinds(overlaps(train, held)) == {("question", "h", ("t",))}


def test_the_same_question_is_flagged_with_pictures_and_refused_without():
    seeing, plain = asked("h", saved(drawing(2)), LONG), asked("h", None, LONG)
    train = [asked("t", None, LONG)]
    assert {o.kind: o.refused for o in overlaps(train, [seeing]).found} == {"question": False, "ngram": False}
    assert {o.kind: o.refused for o in overlaps(train, [plain]).found} == {"question": True, "ngram": False}
    strict = overlaps(train, [seeing], refuse=("question",))
    with pytest.raises(ValueError, match=r"1 samples of the benchmark are also trained on \(1 by question\)"):
        strict.check()


def test_thirteen_words_in_a_row_are_an_overlap_and_its_degree_is_their_share():
    """LONG has 17 words, so 5 grams; the first 14 words hold 2 of them; 12 words hold none."""
    words_of = LONG.split()
    assert len(words_of) == 17 and len(grams(words_of)) == 5
    train = [asked("t14", None, "so: " + " ".join(words_of[:14])), asked("t12", None, " ".join(words_of[:12]))]
    (found,) = overlaps(train, [asked("h", saved(drawing(1)), LONG)]).found
    assert (found.kind, found.trained, found.degree) == ("ngram", ("t14",), 0.4)


def test_those_that_share_most_come_first():
    half, whole = " ".join(LONG.split()[:14]), f"{LONG} now"
    (found,) = overlaps([asked("half", None, half), asked("whole", None, whole)], [asked("h", None, LONG)]).found
    assert (found.trained, found.degree) == (("whole", "half"), 1.0)


def test_words_that_many_training_samples_have_are_a_template():
    """Over ten training samples open with LONG's first 13 words: those 13-grams tell none of them apart."""
    opening = " ".join(LONG.split()[:13])
    train = [asked(f"t{i}", None, f"{opening} number {i}") for i in range(11)]
    held = [asked("h", None, f"{opening} number 3 or so")]
    (found,) = overlaps(train, held).found
    assert (found.kind, found.trained) == ("ngram", ("t3",))
    assert found.degree == pytest.approx(1 / 3)  # of the held-out question's 5, 2 are in all; 1 of the other 3 is in t3
    assert overlaps(train[:10], held).found[0].degree == pytest.approx(3 / 5)


def test_words_are_those_of_question_and_options_in_any_script():
    sample = asked("a", None, "Don’t  count 3.5 & ½, Ｃafé_x\n是?", ("Yes", "no-one"))
    assert words(sample) == ["don", "t", "count", "3.5", "1", "2", "café", "x", "是", "yes", "no", "one"]


def test_a_question_without_words_is_no_overlap():
    assert overlaps([asked("t", None, "?")], [asked("h", None, "!")]).found == ()


def embed(refs):
    """A two-number embedder: mean red and mean blue."""
    return [np.asarray(open_image(ref), dtype=float).mean(axis=(0, 1))[[0, 2]].tolist() for ref in refs]


def test_an_embedder_finds_near_pictures_by_cosine():
    shades = {name: encode(Image.new("RGB", (4, 4), rgb)) for name, rgb in {
        "red": (200, 0, 10), "pink": (250, 0, 20), "blue": (10, 0, 200)}.items()}  # fmt: skip
    train, held = [asked("blue", shades["blue"]), asked("red", shades["red"])], [asked("pink", shades["pink"])]
    (found,) = overlaps(train, held, embed=embed).found
    cosine = (200 * 250 + 10 * 20) / math.hypot(200, 10) / math.hypot(250, 20)
    assert (found.kind, found.trained, found.refused) == ("embedding", ("red",), False)
    assert found.degree == pytest.approx(cosine)
    assert overlaps(train, held, embed=embed, cosine=0.9999).counts()["embedding"] == 0
    assert "embedding" not in overlaps(train, held).counts()


def test_an_embedder_that_gives_something_else_is_refused():
    one = [asked("a", saved(drawing(1)))]
    with pytest.raises(ValueError, match=r"the embedder gave shape \(0,\) for 1 images: expected a finite vector each"):
        overlaps(one, one, embed=lambda refs: [])


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="no kind of overlap 'pixel': the nearest is 'pixels'"):
        overlaps([], [], refuse=("pixel",))
    with pytest.raises(ValueError, match=r"bits=300, cosine=0\.95: expected 0 to 255 bits"):
        overlaps([], [], bits=300)
    with pytest.raises(ValueError, match="not an image that PIL knows"):
        overlaps([asked("a", b"nonsense")], [])


def test_the_report_says_one_line_a_kind():
    ref = saved(drawing(1))
    lines = overlaps([asked("t", ref)], [asked("h", ref), asked("i")]).lines()
    assert lines[0] == "bytes: 1 of 2 held-out samples, 1 refused, most 'h' with 't' (1.00)"
    assert lines[2] == "question: 0 of 2 held-out samples, 0 refused"
    assert overlaps([], []).lines()[0] == "bytes: 0 of 0 held-out samples, 0 refused"


def test_every_training_sample_with_the_picture_is_named():
    ref = saved(drawing(1))
    train = [asked("t0", ref), asked("t1"), replace(asked("t2", ref), images=(saved(drawing(2)), ref))]
    assert overlaps(train, [asked("h", ref)]).found[0].trained == ("t0", "t2")
