"""`--overlap`: training tables of every kind against a benchmark's questions."""

from __future__ import annotations

import dataclasses

import pytest
from four import ROWS, png, write_rows

from mmevolve.benchmarks.load import load_samples
from mmevolve.benchmarks.overlapping import overlap_lines, overlap_scores, shared, training
from mmevolve.benchmarks.settings import Settings
from mmevolve.benchmarks.spec import load_spec
from mmevolve.store import RunStore
from mmevolve.types import Sample


@pytest.fixture
def loaded(here):
    (here / "data" / "four" / "b.png").write_bytes(png("blue"))
    return load_samples(load_spec("eval/benchmarks/four.yaml"))


def test_a_table_needs_only_questions(here):
    write_rows(here / "t.jsonl", [{"question": "One?", "answer": ["odd"]}, {"question": "Two?"}])
    assert [(s.question, s.images) for s in training("t.jsonl")] == [("One?", ()), ("Two?", ())]
    write_rows(here / "u.jsonl", [{"ask": "One?"}])
    with pytest.raises(ValueError, match="no column 'question'"):
        training("u.jsonl")
    with pytest.raises(ValueError, match="nowhere"):
        training("nowhere.jsonl")


def test_the_samples_that_a_run_kept_are_a_training_table(here):
    (here / "run").mkdir()
    (here / "run" / "recipe.yaml").write_text("{}")
    store = RunStore("run").stage("loop")
    store.once(0, "samples", list, [Sample("t", "What?", (png("red"),), answer="x")])
    (sample,) = training("run/loop/round=000/samples.parquet")
    assert (sample.id, len(sample.images)) == ("t", 1)


def test_the_same_picture_is_refused_and_the_same_words_are_flagged(here, loaded):
    (here / "pic.png").write_bytes(png("blue"))
    rows = [
        {"id": "t", "question": "Something else?", "image": "pic.png"},
        {"id": "u", "question": ROWS[1]["question"]},
    ]
    train = training(str(write_rows(here / "t.jsonl", [*rows[:1], {**rows[1], "image": None}])))
    report, note = shared(train, loaded, Settings(overlap="t.jsonl"))
    counts = report.counts()
    assert (counts["bytes"], counts["pixels"], counts["question"], note) == (2, 2, 1, "")
    with pytest.raises(
        ValueError, match=r"2 samples of four are also trained on \(2 by bytes, 2 by pixels\), 'q3' with"
    ):
        report.check("four")
    assert "  overlap with 2 training samples of t.jsonl" in overlap_lines(report, "t.jsonl", note)[0]
    kept = overlap_scores(report, Settings(overlap="t.jsonl"), note)
    assert kept["counts"] == counts and kept["table"] == "t.jsonl" and kept["refuse"] == ("bytes", "pixels")
    assert kept["found"][0]["trained"] == ("t",)


def test_pictures_are_looked_for_where_stored_answers_were_scored_without(here, loaded):
    bare = dataclasses.replace(loaded, samples=tuple(dataclasses.replace(s, images=()) for s in loaded.samples))
    train = [Sample("t", "Something else?", (png("blue"),))]
    assert shared(train, bare, Settings())[0].counts()["bytes"] == 2
    report, note = shared(train, bare, Settings(data="nowhere"))
    assert report.counts()["bytes"] == 0
    assert note == "no picture of the benchmark is here, only words were compared"


def test_an_embedder_finds_near_duplicates_and_what_is_refused_is_said(here, loaded):
    """Embedded as (1, 0) is what is blue, as (0.8, 0.6) the training picture: cosine 0.8."""
    train = [Sample("t", "Something else?", (png("navy"),))]
    near = {
        loaded.samples[2].images[0]: [1.0, 0.0],
        loaded.samples[0].images[0]: [0.0, 1.0],
        train[0].images[0]: [0.8, 0.6],
    }
    embed = lambda refs: [near[ref] for ref in refs]  # noqa: E731
    settings = Settings(overlap="t.jsonl", embedder="a", cosine=0.75, refuse="embedding")
    report, _ = shared(train, loaded, settings, embed)
    found = [(o.sample, o.degree, o.refused) for o in report.found if o.kind == "embedding"]
    assert found == [("q3", 0.8, True), ("q4", 0.8, True)]
    assert overlap_scores(report, settings, "")["cosine"] == 0.75
    with pytest.raises(ValueError, match="2 by embedding"):
        report.check("four")
    shared(train, loaded, Settings(overlap="t.jsonl", embedder="a", cosine=0.75), embed)[0].check(
        "four"
    )  # only flagged


def test_the_same_picture_may_be_said_and_not_refused(here, loaded):
    train = [Sample("t", "Something else?", (png("blue"),))]
    report, _ = shared(train, loaded, Settings(overlap="t.jsonl", refuse="none"))
    assert report.counts()["bytes"] == 2 and not any(o.refused for o in report.found)
