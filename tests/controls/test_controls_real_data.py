"""Controls and overlap on real sets: what is known of them is found."""

import json
import os
from pathlib import Path

import pytest

from mmevolve.controls.link import original_of
from mmevolve.controls.option_order import circular, stays
from mmevolve.controls.overlap import overlaps
from mmevolve.types import Sample

SHARED = Path(os.environ.get("MMEVOLVE_DATA") or Path(__file__).parents[3] / "shared" / "data")
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"no data at {SHARED}: set MMEVOLVE_DATA to the folder"),
]


def load(folder, file):
    rows = [json.loads(line) for line in (SHARED / folder / file).read_text(encoding="utf-8").splitlines()]
    return [
        Sample(
            r["id"],
            r["question"],
            (str(SHARED / folder / r["image"]),) if r["image"] else (),
            None if r.get("answer") is None else str(r["answer"]),
            tuple(r.get("choices") or ()),
        )
        for r in rows
    ]


def test_pictures_that_a_critique_benchmark_took_from_a_maths_benchmark_are_found_and_refused():
    """VLRMBench's chains on MATH-Vision pictures keep the bytes: every one that is here is found, and no other."""
    steps = [s for s in load("vlrmbench_steps", "steps.jsonl") if s.images]
    sizes = {Path(s.images[0]).stat().st_size for s in steps}
    maths = [s for s in load("mathvision", "testmini.jsonl") if Path(s.images[0]).stat().st_size in sizes]
    same = {s.id for s in steps for m in maths if Path(s.images[0]).read_bytes() == Path(m.images[0]).read_bytes()}
    report = overlaps(maths, steps)
    assert same and {o.sample for o in report.found if o.kind == "bytes"} == same
    with pytest.raises(ValueError, match=f"{len(same)} samples of VLRMBench are also trained on"):
        report.check("VLRMBench")


def test_options_move_in_scienceqa_and_stay_where_the_question_explains_letters():
    science = load("scienceqa_img", "test.jsonl")
    made = circular(science)
    assert {original_of(s) for s in made} == {s.id for s in science}
    assert len(made) == sum(len(s.choices) - 1 for s in science)
    charts = [s for s in load("visonlyqa", "test.jsonl") if len(s.choices) == 5]
    assert charts and all(stays(s) == "its options are bare letters, which the question explains" for s in charts)
