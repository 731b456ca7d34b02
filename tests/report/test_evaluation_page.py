"""The page of an evaluation: whole, by itself, within its size, and deaf to what a model wrote."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
import re

import pytest
from PIL import Image
from test_page import parsed

from mmevolve.report.evaluation_page import Attempt, Card, Measure, Question, marked, page
from mmevolve.report.thumbnail import Album, small

NASTY = '</script><script>alert(1)</script><img src=x onerror=alert(1)>" onclick="alert(1)\x1b[31m\u202e'


def noise(seed=0, size=(400, 300)):
    draw = random.Random(seed)
    out = io.BytesIO()
    Image.frombytes("RGB", size, draw.randbytes(size[0] * size[1] * 3)).save(out, "PNG")
    return out.getvalue()


def attempt(outcome="correct", response="The answer is 3.", **words):
    return Attempt(0, response, lambda: ((14, 15),), "3", "stated", outcome, **words)


def question(name="q", images=(), attempts=None, **words):
    given = {"text": "How many?", "choices": (), "reference": "3", "labels": ("easy",), "steps": ()} | words
    return Question(name, images=images, attempts=attempts or (attempt(),), **given)


def card(**words):
    found = (Measure("accuracy", 0.5, 0.25, 0.75, (0.5, 0.6), 4, 2), Measure("f1", float("nan"), None, None))
    return Card("Four Questions", "model@base", ("4 responses",), found, columns=("level",), **words)


def test_figures_stand_with_intervals_bounds_and_controls():
    gap = (Measure("accuracy/gain", -0.1, -0.2, 0.1), Measure("flips/left_out", 1.0, None, None, count=True))
    text = page([(card(controls=(("control blind", gap, "not shown to help"),), notes=("a note",)), [question()])])
    parsed(text)
    for said in ("0.250 to 0.750", "0.500 to 0.600", "not defined", "-0.200 to 0.100", "not shown to help", "a note"):
        assert said in text
    assert "<td>flips/left_out</td><td>1</td><td></td><td>none</td>" in text
    assert "left:25.0%;width:50.0%" in text  # the interval as a band


def test_the_page_needs_nothing_from_outside_and_runs_its_own_script_only():
    nasty = question(
        NASTY, text=NASTY, choices=(NASTY,), reference=NASTY, labels=(NASTY,), beside=((NASTY, "wrong"),),
        attempts=(Attempt(0, NASTY, lambda: ((3, 9),), NASTY, NASTY, "wrong", "broken", NASTY, NASTY, "correct"),),
    )  # fmt: skip
    text = page([(card(comparison=NASTY, notes=(NASTY,)), [nasty, question(images=(noise(size=(8, 8)),))])])
    tags = parsed(text)
    assert [name for name, _ in tags.seen].count("script") == 1
    assert not {"link", "iframe", "object", "base"} & {name for name, _ in tags.seen}
    for name, attributes in tags.seen:
        assert not {key for key in attributes if key.startswith("on") or key in ("href", "srcset")}, name
        assert attributes.get("src", "data:").startswith("data:")
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text and "default-src 'none'" in text
    assert "\x1b" not in text and "\u202e" not in text


def test_every_filter_that_has_a_choice_is_offered_and_every_article_says_what_it_is():
    asked = [
        question("a", attempts=(attempt("correct", change="fixed", before="Four", before_outcome="wrong"),)),
        question("b", attempts=(attempt("wrong"), attempt("unparsed")), labels=("hard",)),
    ]
    tags = parsed(page([(card(comparison="0.1"), asked)]))
    menus = {a["name"] for tag, a in tags.seen if tag == "select"}
    assert menus == {"outcome", "column0"}  # one change only, one benchmark only
    articles = [a for tag, a in tags.seen if tag == "article"]
    assert [json.loads(a["data-outcome"]) for a in articles] == [["correct"], ["wrong", "unparsed"]]
    assert [json.loads(a["data-column0"]) for a in articles] == [["easy"], ["hard"]]
    assert json.loads(articles[0]["data-change"]) == ["fixed"]


def test_the_place_of_the_answer_is_marked_and_a_long_response_keeps_it():
    assert marked("a <b> 3.", [(6, 7)]) == "a &lt;b&gt; <mark>3</mark>."
    assert marked("no place", []) == "no place"
    long = "x" * 500 + "3" + "y" * 500
    text = marked(long, [(500, 501)], longest=100, kept=60)
    assert text.startswith("x" * 60 + '<span class="cut"> … 430 characters … </span>' + "x" * 10 + "<mark>3</mark>")
    assert text.count("430 characters") == 2 and text.endswith("y" * 60)


def test_what_does_not_fit_is_left_out_the_right_ones_first_and_said():
    asked = [question(f"right{i}", text="a" * 100) for i in range(5)]
    asked.append(question("wrong", text="b" * 100, attempts=(attempt("wrong"),)))
    text = page([(card(), asked)], words=250)
    assert "2 of 6 questions are shown" in text
    assert "b" * 100 in text and text.index("a" * 100) < text.index("b" * 100)  # shown in the order of the data
    assert "are shown, those first" not in page([(card(), asked)])


@pytest.mark.parametrize(("budget", "shown"), [(1_000_000, 4), (150_000, 2), (0, 0)])
def test_pictures_stop_at_their_budget_and_those_left_out_are_counted(budget, shown):
    asked = [question(f"q{i}", images=(noise(i),)) for i in range(4)]
    size = len(small(Image.open(io.BytesIO(noise())))[0])
    assert 50_000 < size < 75_000
    text = page([(card(), asked)], pictures=budget)
    assert text.count("<img ") == shown
    if shown < 4:
        assert f"{4 - shown} pictures would make the page too large and are left out." in text


def test_a_picture_is_small_and_one_that_cannot_be_read_says_so():
    data, kind, tiny = small(Image.new("RGB", (2000, 1000), "red"))
    opened = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (opened.size, kind, tiny) == ((320, 160), "png", False)
    assert small(Image.open(io.BytesIO(noise())))[1] == "jpeg"
    assert "The picture cannot be shown: image &#x27;gone.png&#x27;: no such file" in Album(100).show("gone.png")


def test_the_same_evaluation_gives_the_same_bytes():
    asked = [question(f"q{i}", images=(noise(i, (20, 20)),)) for i in range(3)]
    assert page([(card(), asked)]) == page([(card(), asked)])
