"""Parity on published golden rows where the data folder is at hand, and on a few made-up rows always."""

import gzip
import json
import os
import time
from pathlib import Path

import pytest

from mmevolve import parity

DATA = Path(os.environ.get("MMEVOLVE_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (DATA / "goldens").is_dir(),
    reason=f"the golden files are not here: set MMEVOLVE_DATA to a folder with goldens/, looked in '{DATA.name}'",
)


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(json.dumps(row) for row in rows)
    path.write_bytes(gzip.compress(text.encode())) if path.suffix == ".gz" else path.write_text(text)


def choice(id, response, parsed, answer, *, drawn=False):
    return {
        "id": id, "question_type": "multiple-choice", "answer": answer, "all_choices": ["A", "B"],
        "index2ans": {"A": "iron", "B": "gold"}, "response": response, "parsed_pred": parsed, "random_fallback": drawn,
        "judge": "Correct" if parsed == answer else "Wrong", "category": "Chemistry",
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """One small golden file of every kind, with verdicts worked out by hand."""
    goldens = tmp_path / "goldens"
    open_row = {
        "id": "m4", "question_type": "open", "answer": "24/7", "response": "x = 24/7", "judge": "Correct",
        "parsed_pred": ["24/7", 24.0, 7.0], "category": "Math",
    }  # fmt: skip
    write(
        goldens / "mmmu/model.jsonl.gz",
        [
            choice("m1", "(B)", "B", "B"),
            choice("m2", "It is A here", "A", "B"),
            choice("m3", "?", "B", "B", drawn=True),
            open_row,
        ],
    )
    (goldens / "mmmu/official_scores.json").write_text('{"model": {"overall_acc_by_official_code": 0.75, "n": 4}}')
    pro = {"options": "['iron', 'gold']", "subject": "Chemistry"}
    write(
        goldens / "mmmu_pro/model.jsonl.gz",
        [
            {**pro, "id": "p1", "answer": "B", "response": "So.\nAnswer: B", "pred_indexs": "B", "if_right": True},
            {**pro, "id": "p2", "answer": "B", "response": "Answer: $A$", "pred_indexs": "A", "if_right": False},
        ],
    )
    (goldens / "mmmu_pro/official_scores.json").write_text('{"model": {"acc_from_if_right": 0.5, "n": 2}}')
    m3 = {"choices": ["iron", "gold"], "domain": "d", "topic": "t", "question": "q"}
    write(
        goldens / "m3cot/model.jsonl.gz",
        [
            {**m3, "id": "c1", "answer": "B", "response": "(b) gold", "official_correct": True},
            {**m3, "id": "c2", "answer": "B", "response": "iron", "official_correct": False},
        ],
    )
    (goldens / "m3cot/official_scores.json").write_text('{"model": {"acc": 0.5, "n": 2}}')
    write(
        goldens / "mathvision/outputs/model.jsonl.gz",
        [
            {"id": "1", "response": "The answer is 0.75", "model_answer": "0.75", "correct": True},
            {"id": "2", "response": r"\boxed{2\sqrt{3}}", "model_answer": r"2\sqrt{3}", "correct": True},
            {"id": "3", "response": "The answer is (C).", "model_answer": "c", "correct": False},
        ],
    )
    write(
        tmp_path / "mathvision/test_all_text_only.jsonl",
        [
            {"id": "mathvision-1", "answer": "3/4", "choices": None},
            {"id": "mathvision-2", "answer": "B", "choices": ["$1$", r"$2 \sqrt{3}$", "$4$"]},
            {"id": "mathvision-3", "answer": "A", "choices": ["1", "2", "3"]},
        ],
    )
    (goldens / "mathvision/official_scores.json").write_text('{"model": {"official_all": "2/3=66.67%"}}')
    write(
        goldens / "mathvista/testmini.jsonl.gz",
        [
            {"pid": "1", "answer": "4", "answer_type": "integer", "choices": None, "precision": None},
            {"pid": "2", "answer": "red", "answer_type": "text", "choices": ["red", "blue"], "precision": None},
        ],
    )
    write(
        goldens / "mathvista/outputs/model.jsonl.gz",
        [
            {"pid": "1", "response": "It is 4.5", "extraction": "4.5", "prediction": None, "true_false": False,
             "prediction_now": "4", "true_false_now": True},
            {"pid": "2", "response": "(A)", "extraction": "(A) red", "prediction": "red", "true_false": True,
             "prediction_now": "red", "true_false_now": True},
        ],
    )  # fmt: skip
    (goldens / "mathvista/official_scores.json").write_text('{"model": {"official": {"correct": 1, "total": 2}}}')
    write(
        goldens / "scienceqa/model.jsonl.gz",
        [
            {"qid": "7", "output": "The answer is B. It shines.", "prediction_index": 1},
            {"qid": "8", "output": "", "prediction_index": 0},
        ],
    )
    write(
        tmp_path / "scienceqa_img/test.jsonl",
        [{"answer_index": 1, "choices": ["iron", "gold"], "meta": {"pid": pid}} for pid in ("7", "8")],
    )
    (goldens / "scienceqa/official_scores.json").write_text('{"model": {"correct": 1, "count": 2, "acc": 50.0}}')
    write(
        goldens / "tabmwp/model.jsonl.gz",
        [
            {"pid": "1", "answer": "8", "answer_norm": "8", "output": "The answer is 8 kg.", "prediction": "8 kg",
             "prediction_norm": "8", "true_false": True},
            {"pid": "2", "answer": "no", "answer_norm": "no", "output": "(A) yes", "prediction": "yes",
             "prediction_norm": "yes", "true_false": False},
            {"pid": "3", "answer": "no", "answer_norm": "no", "output": "hm", "prediction": "yes",
             "prediction_norm": "yes", "true_false": False},
        ],
    )  # fmt: skip
    (goldens / "tabmwp/official_scores.json").write_text('{"model": {"correct": 1, "count": 3}}')
    write(
        tmp_path / "visonlyqa/model_responses.jsonl.gz",
        [
            {"id": "v1", "model": "m", "prompt": "p", "response": ["(b) 2"], "y_pred": "b", "y_true": "b"},
            {"id": "v2", "model": "m", "prompt": "p", "response": "(a) and (b)", "y_pred": "a,b", "y_true": "a"},
        ],
    )
    write(
        tmp_path / "visonlyqa/test.jsonl",
        [
            {"id": "v1", "choices": list("abcde"), "answer_type": "single_answer"},
            {"id": "v2", "choices": list("abcd"), "answer_type": "multiple_answers"},
        ],
    )
    verdicts = [("s1", "correct"), ("s1", "fail"), ("s2", "correct"), ("s2", "correct")]
    write(
        tmp_path / "dynamath/test.jsonl",
        [{"seed_id": seed, "meta": {"official_model_correct": {"m": verdict}}} for seed, verdict in verdicts],
    )
    return tmp_path


def test_every_kind_of_golden_file_is_compared(folder):
    rows = {
        row.file.split("/")[-2] if "outputs" not in row.file else row.file.split("/")[1]: row
        for row in parity.compare(folder)
    }
    assert set(rows) == {
        "mmmu", "mmmu_pro", "m3cot", "mathvision", "mathvista", "scienceqa", "tabmwp", "visonlyqa", "dynamath",
    }  # fmt: skip
    for name, row in rows.items():
        assert row.scoring in (1.0, None), name
        assert row.extraction in (1.0, None), name
        assert row.disagreements == (), name
        if row.published is not None:
            assert row.total == pytest.approx(row.published), name
    assert rows["mmmu"].extracted == 3  # the random draw is left out
    assert rows["tabmwp"].extracted == 2  # the option that only the question shows is left out
    assert rows["scienceqa"].extracted == 1
    assert rows["visonlyqa"].extracted == 1
    assert rows["visonlyqa"].own == 1.0
    assert rows["dynamath"].detail == {"m average": 0.75, "m worst": 0.5}


def test_a_verdict_that_is_not_the_official_one_is_listed_and_fails_the_run(folder, capsys):
    path = folder / "goldens/mmmu_pro/model.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().split("\n")]
    rows[0]["if_right"] = False
    write(path, rows)
    assert parity.main(str(folder), as_json=False) == 1
    printed = capsys.readouterr().out
    assert "row p1: scoring True, official False (unexplained)" in printed


def test_the_table_and_the_json_hold_the_same_files(folder, capsys):
    assert parity.main(str(folder), as_json=True) == 0
    listed = json.loads(capsys.readouterr().out)
    assert parity.main(str(folder), as_json=False) == 0
    printed = capsys.readouterr().out
    assert len(listed) == 9
    assert all(row["file"] in printed for row in listed)


def test_a_part_of_a_published_file_has_no_total_to_hit(folder):
    (folder / "goldens/m3cot/official_scores.json").write_text('{"model": {"acc": 0.5, "n": 2318}}')
    row = next(row for row in parity.compare(folder) if "m3cot" in row.file)
    assert row.published is None
    assert "2318" in row.notes[0]


def row_of(folder, part):
    return next(row for row in parity.compare(folder) if part in row.file)


def test_a_plain_table_counts_as_well_and_a_folder_of_golden_files_may_be_named_itself(folder):
    path = folder / "goldens/m3cot/model.jsonl.gz"
    (folder / "goldens/m3cot/other.jsonl").write_bytes(gzip.decompress(path.read_bytes()))
    path.write_bytes(gzip.decompress(path.read_bytes()))  # no gzip in spite of its name
    files = {row.file: row for row in parity.compare(folder / "goldens")}
    assert files["goldens/m3cot/other.jsonl"].total == files["goldens/m3cot/model.jsonl.gz"].total == 0.5
    assert len(files) == 10


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(b'{"id": "c1"}', mtime=0)[:-9], "cannot be read"),
        (b"id,answer\n1,2\n", "line 1 is no JSON"),
        (b"[1]\n", "line 1 is a list, expected a JSON object"),
        (
            b'{"id": "c1", "responses": "(A)", "choices": [], "answer": "A", "official_correct": true}',
            "row 1 has no field 'response', it has ['answer', 'choices', 'id', 'official_correct', 'responses']; "
            "did you mean 'responses'?",
        ),
        (
            b'{"id": "c1", "response": "A", "choices": [1], "answer": "A", "official_correct": true}',
            "row 1 is not as in the published files: AttributeError",
        ),
    ],
)
def test_a_file_that_cannot_be_compared_says_why_and_the_others_are_compared(folder, content, said, capsys):
    (folder / "goldens/m3cot/bad.jsonl.gz").write_bytes(content)
    row = row_of(folder, "bad")
    assert said in row.problem
    assert not row.meets_targets
    assert row_of(folder, "m3cot/model").total == 0.5
    assert parity.main(str(folder), as_json=False) == 1
    assert "bad.jsonl.gz: cannot be compared: " in capsys.readouterr().out


def test_an_empty_file_and_a_folder_without_a_rule_are_named_and_do_no_harm(folder, capsys):
    (folder / "goldens/m3cot/empty.jsonl.gz").write_bytes(gzip.compress(b""))
    write(folder / "goldens/blink/model.jsonl.gz", [{"id": "b1"}])
    assert parity.main(str(folder), as_json=False) == 0
    printed = capsys.readouterr().out
    assert "empty.jsonl.gz: the file holds no rows" in printed
    assert "not compared: there is no rule for 'blink'" in printed


def test_questions_that_are_missing_leave_a_sentence_and_no_total(folder):
    (folder / "mathvision/test_all_text_only.jsonl").unlink()
    (folder / "goldens/mathvista/testmini.jsonl.gz").unlink()
    (folder / "visonlyqa/test.jsonl").unlink()
    assert row_of(folder, "goldens/mathvision").notes[0] == "3 rows cannot be scored: its question is not here"
    assert row_of(folder, "goldens/mathvision").extraction == 1.0
    assert "its questions are not here" in row_of(folder, "goldens/mathvista").problem
    assert row_of(folder, "visonlyqa").total is None


def test_a_damaged_table_of_totals_does_not_stop_the_comparison(folder):
    (folder / "goldens/m3cot/official_scores.json").write_text('{"model": {"right": 1}}')
    row = row_of(folder, "m3cot")
    assert row.scoring == 1.0 and row.published is None
    assert "has no total that can be read for 'model'" in row.notes[0]


def test_a_total_that_is_not_hit_fails_the_run(folder):
    (folder / "goldens/m3cot/official_scores.json").write_text('{"model": {"acc": 1.0, "n": 2}}')
    assert not row_of(folder, "m3cot").meets_targets
    assert parity.main(str(folder), as_json=True) == 1


def test_a_reason_for_another_extraction_is_none_for_another_verdict(folder):
    path = folder / "goldens/tabmwp/model.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().split("\n")]
    rows[1]["true_false"] = True  # its options are not in the file, which excuses its reading only
    write(path, rows)
    odd = [d for d in row_of(folder, "tabmwp").disagreements if d.kind == "scoring"]
    assert [(d.id, d.why) for d in odd] == [("2", "")]


def test_bounds_stand_beside_each_total(folder):
    mmmu = row_of(folder, "goldens/mmmu/")
    # one of four is drawn at random, and the draw happened to be right
    assert (mmmu.unparsed, mmmu.total_low, mmmu.total, mmmu.total_high) == (0.25, 0.5, 0.75, 0.75)
    assert (mmmu.own_unparsed, mmmu.own_total, mmmu.own_high) == (0.5, 0.5, 1.0)  # an `A` may be an article


def test_llava_results_are_read_by_the_rule_of_llava(folder):
    write(
        folder / "goldens/scienceqa/llava.jsonl.gz",
        [
            {"qid": "7", "output": "B", "prediction_index": 1},
            {"qid": "8", "output": "A. iron", "prediction_index": 0},
            {"qid": "9", "output": "The answer is G.", "prediction_index": -1},
        ],
    )
    row = row_of(folder, "llava")
    assert (row.extracted, row.extraction) == (3, 1.0)


def test_responses_that_are_no_text_are_unparsed(folder):
    path = folder / "goldens/mmmu_pro/model.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().split("\n")]
    rows[0].update(response=None)
    rows[1].update(response={"error": "quota"}, options=["iron", "gold"])
    write(path, rows)
    row = row_of(folder, "mmmu_pro")
    assert (row.unparsed, row.own_unparsed, row.extracted, row.scoring) == (1.0, 1.0, 0, 1.0)


def test_without_a_folder_the_shared_one_is_looked_for(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert parity.main() == 2
    assert f"no folder '{parity.DATA}'" in capsys.readouterr().err


def test_a_folder_without_golden_files_is_refused(tmp_path, capsys):
    assert parity.main(str(tmp_path), as_json=False) == 2
    assert "no golden files" in capsys.readouterr().err


@pytest.fixture(scope="module")
def published():
    start = time.process_time()
    return parity.compare(DATA), time.process_time() - start


@needs_data
@pytest.mark.data
def test_scoring_of_the_official_extraction_is_the_official_scoring(published):
    for row in published[0]:
        assert not [d for d in row.disagreements if d.kind == "scoring" and not d.why], row.file


@needs_data
@pytest.mark.data
def test_our_rules_extract_what_the_official_rules_extract(published):
    for row in published[0]:
        assert row.extraction is None or row.extraction >= 0.99, row.file


@needs_data
@pytest.mark.data
def test_every_published_total_that_can_be_counted_is_hit(published):
    for row in published[0]:
        if row.total is not None and row.published is not None:
            # a known scoring disagreement moves the total by its one row
            allowed = sum(d.kind == "scoring" for d in row.disagreements) / row.rows
            assert row.total == pytest.approx(row.published, abs=allowed + 1e-9), row.file


@needs_data
@pytest.mark.data
def test_what_we_read_is_ahead_of_the_harnesses_on_every_file_where_they_were_measured(published):
    for row in published[0]:
        if row.lmms_eval is not None:
            assert row.extraction >= max(row.lmms_eval, row.vlmevalkit, 0.99), row.file


@needs_data
@pytest.mark.data
def test_our_own_extractor_is_ahead_too_where_the_official_reading_is_not_itself_at_fault(published):
    # of ten options shown beside their letters, the official rule reads letters inside words: eval/results.md
    for row in published[0]:
        if row.lmms_eval is not None and "standard10_options_direct" not in row.file:
            assert row.own_answered >= max(row.lmms_eval, row.vlmevalkit, 0.99), row.file


@needs_data
@pytest.mark.data
def test_all_golden_rows_take_less_than_a_minute_of_processor_time(published):
    assert published[1] < 60
