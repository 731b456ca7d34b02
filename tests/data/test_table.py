import csv
import gzip
import io
import json
import logging
import os

import pytest
from PIL import Image

from mmevolve.data.table import preflight, table


def png(colour="red", size=(8, 6)):
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def row(i, **other):
    return {"id": f"q{i}", "question": f"what is {i} ?", "image": "images/a.png", "answer": str(i), **other}


def write(folder, rows, name="t.jsonl"):
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images" / "a.png").write_bytes(png())
    (folder / "images" / "b.png").write_bytes(png("blue"))
    path = folder / name
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return str(path)


def complaint(**settings):
    with pytest.raises(ValueError) as caught:
        table(**settings)
    return str(caught.value)


def test_each_row_becomes_a_sample_with_its_other_columns_in_meta(tmp_path):
    path = write(tmp_path, [row(1, choices=["1", "2"], level=3, meta={"deep": [1]})])
    (sample,) = table(path=path)
    assert (sample.id, sample.question, sample.answer, sample.choices) == ("q1", "what is 1 ?", "1", ("1", "2"))
    assert sample.images == (str(tmp_path / "images/a.png"),)
    assert (sample.source, sample.meta) == ("t", {"level": 3, "deep": [1]})


def test_columns_can_have_other_names_and_an_image_column_may_hold_a_list(tmp_path):
    path = write(tmp_path, [{"pid": 7, "query": "same ?", "pics": ["images/a.png", "images/b.png"], "label": 2.5}])
    (sample,) = table(path=path, id="pid", question="query", image="pics", answer="label", source="mine")
    assert (sample.id, sample.answer, sample.source, len(sample.images)) == ("7", "2.5", "mine", 2)


def test_gzipped_json_lines_csv_and_parquet_give_the_same_samples(tmp_path):
    rows = [row(i, choices=["1", "2", "x"]) for i in (1, 2)]
    expected = table(path=write(tmp_path, rows))
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress((tmp_path / "t.jsonl").read_bytes()))
    with (tmp_path / "t.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**r, "choices": json.dumps(r["choices"])} for r in rows)
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "t.parquet")
    for name in ("t.jsonl.gz", "t.csv", "t.parquet"):
        assert table(path=str(tmp_path / name)) == expected, name
        assert list(preflight(path=str(tmp_path / name))) == [], name


def test_parquet_and_saved_datasets_bring_their_images_as_bytes(tmp_path):
    import datasets

    rows = [{**row(i), "image": {"bytes": png(), "path": None}} for i in range(3)]
    features = datasets.Features({c: datasets.Value("string") for c in rows[0]} | {"image": datasets.Image()})
    saved = datasets.Dataset.from_list(rows, features=features)
    saved.save_to_disk(str(tmp_path / "one"), num_proc=None)
    saved.to_parquet(str(tmp_path / "t.parquet"))
    datasets.DatasetDict(train=saved, test=saved.select([2])).save_to_disk(str(tmp_path / "two"))
    for path, split, n in (("one", None, 3), ("t.parquet", None, 3), ("two", "train", 3), ("two", "test", 1)):
        samples = table(path=str(tmp_path / path), split=split)
        assert len(samples) == n
        assert samples[0].images == (png(),)
    assert "say which with `split`" in complaint(path=str(tmp_path / "two"))
    assert "no split 'tests': the nearest is 'test'" in complaint(path=str(tmp_path / "two"), split="tests")
    assert list(preflight(path=str(tmp_path / "two"), answer="anser")) == [
        "no column 'anser': the nearest is 'answer' (answer: null does without)"
    ]


def test_a_limit_reads_no_further_and_where_picks_rows_first(tmp_path):
    path = write(tmp_path, [row(i, split="ab"[i % 2]) for i in range(6)])
    with open(path, "a", encoding="utf-8") as file:
        file.write("this is not JSON\n")
    assert [s.id for s in table(path=path, limit=2, where={"split": "b"})] == ["q1", "q3"]
    assert [s.id for s in table(path=path, limit=3, where={"split": ["a", "b"]})] == ["q0", "q1", "q2"]
    assert "row 7: not JSON" in complaint(path=path)


def test_a_shuffle_depends_on_seed_and_ids_only(tmp_path):
    rows = [row(i) for i in range(20)]
    one = [s.id for s in table(path=write(tmp_path, rows), shuffle_seed=1)]
    assert [s.id for s in table(path=write(tmp_path, rows[::-1], "back.jsonl"), shuffle_seed=1)] == one
    assert [s.id for s in table(path=write(tmp_path, rows), shuffle_seed=1, limit=5)] == one[:5]
    other = [s.id for s in table(path=write(tmp_path, rows), shuffle_seed=2)]
    assert other != one
    assert sorted(other) == sorted(one)


def test_all_problems_come_at_once_with_their_rows(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "cut.png").write_bytes(png(size=(64, 64))[:60])
    rows = [
        row(1),
        row(1),
        row(2, image="images/none.png"),
        row(3, image="images/cut.png"),
        row(4, answer=None),
        row(5, answer=["5"]),
        row(6, choices=["x", "x"]),
        row(7, question=""),
        row(8, answer=2, choices=["no", "yes"]),
        row(9, choices="yes"),
    ]
    text = complaint(path=write(tmp_path, rows))
    for part in (
        ": 9 problems\n",
        "row 2: id 'q1' is also that of row 1",
        f"row 3: image 'images/none.png': no such file in '{tmp_path}'",
        f"row 4: image '{tmp_path}/images/cut.png': broken",
        "row 5: answer is empty (allowed with unlabelled: keep, or drop)",
        "row 6: answer is ['5'], expected text or a number",
        "row 7: choices repeats the option 'x' (allowed with repeated_choices: keep)",
        "row 8: question is empty",
        "row 9: answer is 2, which is none of the 2 choices",
        "row 10: choices is 'yes', expected a list",
    ):
        assert part in text, part


def test_only_the_first_ten_problems_are_listed(tmp_path):
    text = complaint(path=write(tmp_path, [row(i, image="no.png") for i in range(25)]))
    assert text.count("no such file") == 10
    assert text.endswith("and 15 more")


@pytest.mark.parametrize("image", ["/etc/passwd", "../outside.png", "images/../../outside.png", "link.png", "a\0b"])
def test_a_row_cannot_name_a_file_outside_the_folder(tmp_path, image):
    folder = tmp_path / "set"
    folder.mkdir()
    (tmp_path / "outside.png").write_bytes(png())
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    text = complaint(path=write(folder, [row(1, image=image)]))
    assert "a row may only name files in there" in text
    assert next(preflight(path=str(folder / "t.jsonl"))) in text


def test_images_root_is_where_paths_start_and_also_what_they_cannot_leave(tmp_path):
    (tmp_path / "sets").mkdir()
    path = write(tmp_path / "sets", [row(1, image="a.png")])
    root = str(tmp_path / "sets" / "images")
    assert table(path=path, images_root=root)[0].images == (f"{root}/a.png",)
    assert "leads out of" in complaint(path=write(tmp_path / "sets", [row(1, image="../t.jsonl")]), images_root=root)


def test_settings_that_cannot_be_are_refused(tmp_path):
    path = write(tmp_path, [row(1)])
    for settings, sentence in (
        ({"limit": 0}, "limit is 0, expected at least 1"),
        ({"images_root": "no/where"}, "images_root 'no/where': no such folder"),
    ):
        assert complaint(path=path, **settings) == sentence
        assert list(preflight(path=path, **settings)) == [sentence]


def test_an_address_is_not_fetched(tmp_path):
    text = complaint(path=write(tmp_path, [row(1, image="https://example.org/a.png")]))
    assert "is an address, expected a path: images are not fetched" in text


def test_a_very_long_path_is_one_problem_among_others(tmp_path):
    assert "row 1: image 'xxx" in complaint(path=write(tmp_path, [row(1, image="x" * 5000)]))


def test_a_missing_column_names_the_nearest(tmp_path):
    path = write(tmp_path, [row(1)])
    assert "no column 'anwser': the nearest is 'answer'" in complaint(path=path, answer="anwser")
    assert "no column 'options'" in complaint(path=path, choices="options")
    assert "no column 'splt'" in complaint(path=path, where={"splt": "a"})
    assert list(preflight(path=path, answer="anwser", unheard_of=1)) == [
        "no column 'anwser': the nearest is 'answer' (answer: null does without)"
    ]


def test_fields_can_do_without_a_column(tmp_path):
    path = write(tmp_path, [{"question": "2 + 2 ?"}, {"question": "3 + 3 ?"}])
    samples = table(path=path, id=None, image=None, answer=None)
    assert [(s.id, s.images, s.answer) for s in samples] == [("t-000001", (), None), ("t-000002", (), None)]


def test_rows_without_an_answer_are_refused_kept_or_dropped_and_counted(tmp_path, caplog):
    path = write(tmp_path, [row(1), row(2, answer=None), row(3, answer=" "), row(4, answer=float("nan"))])
    assert complaint(path=path).count("is empty") == 3
    with caplog.at_level(logging.WARNING):
        assert [s.answer for s in table(path=path, unlabelled="keep")] == ["1", None, None, None]
        assert [s.id for s in table(path=path, unlabelled="drop")] == ["q1"]
    assert [r.getMessage().split(": ", 1)[1] for r in caplog.records] == [
        "rows without an answer, kept: 3 of 4",
        "rows without an answer, dropped: 3",
    ]


def test_repeated_choices_can_be_kept(tmp_path):
    path = write(tmp_path, [row(1, choices=["1", "1"])])
    assert table(path=path, repeated_choices="keep")[0].choices == ("1", "1")


def test_an_empty_table_says_why_it_is_empty(tmp_path):
    assert "empty: no row at all" in complaint(path=write(tmp_path, []))
    path = write(tmp_path, [row(1, split="train", answer=None)])
    asked = {"path": path, "where": {"split": "test"}}
    assert "empty: no row has split 'test': split is 'train'" in complaint(**asked)
    assert list(preflight(**asked)) == ["empty: no row has split 'test': split is 'train'"]
    assert "empty: every wanted row lacks an answer (1 dropped)" in complaint(path=path, unlabelled="drop")


def test_a_file_that_is_not_there_names_the_nearest(tmp_path):
    write(tmp_path, [row(1)], "train.jsonl")
    for name, part in (
        ("trian.jsonl", "no such file: the nearest is 'train.jsonl'"),
        ("no/where.jsonl", "no such file, nor its folder"),
        ("images/a.png", "unknown kind of table"),
        ("", "expected a table file: it has train.jsonl"),
    ):
        asked = os.path.join(tmp_path, name)
        assert part in complaint(path=asked), name
        assert part in "".join(preflight(path=asked)), name
    assert "has no splits" in complaint(path=str(tmp_path / "train.jsonl"), split="test")


def test_files_that_are_cut_off_or_not_text_are_problems_with_a_row(tmp_path):
    write(tmp_path, [row(1)])
    whole = gzip.compress(b"\n".join(json.dumps(row(i)).encode() for i in range(500)))
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "caf\xe9"}\n')
    (tmp_path / "list.jsonl").write_text("[1, 2]\n" + "[" * 100_000 + "\n", encoding="utf-8")
    odd = ['{"id": ' + "1" * 5000 + "}", '{"id": "\\ud83d"}']
    (tmp_path / "odd.jsonl").write_text("\n".join(odd), encoding="utf-8")
    (tmp_path / "wide.csv").write_text("id,question\n1,a,b\n", encoding="utf-8")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nothing")
    for name, part in (
        ("cut.jsonl.gz", "cannot be read from here on"),
        ("latin.jsonl", "row 1: cannot be read from here on"),
        ("list.jsonl", "row 1: [1, 2], expected a JSON object"),
        ("list.jsonl", "row 2: not JSON"),
        ("odd.jsonl", "row 1: not JSON that can be read: a number of thousands of digits"),
        ("odd.jsonl", "row 2: holds half of a character"),
        ("wide.csv", "row 1: 1 cells more than the header has"),
        ("t.parquet", "not a whole parquet file"),
    ):
        assert part in complaint(path=str(tmp_path / name)), name
        if name != "cut.jsonl.gz":  # its first rows are whole
            assert part in "".join(preflight(path=str(tmp_path / name))), name


def test_preflight_looks_for_images_of_the_first_rows_only(tmp_path):
    rows = [row(i) for i in range(300)]
    rows[150]["image"] = "lost.png"
    rows[250]["image"] = "later.png"
    (sentence,) = preflight(path=write(tmp_path, rows))
    assert sentence == f"row 151: image 'lost.png': no such file in '{tmp_path}'"
    assert list(preflight(path=write(tmp_path, rows), limit=100)) == []


def test_preflight_says_nothing_about_what_it_cannot_know():
    assert list(preflight()) == []
    assert list(preflight(path=3)) == []
    assert list(preflight(path="someone/some-dataset")) == []
