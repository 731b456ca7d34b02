import json
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from fake_run import EVIL, fake_run
from test_page import parsed

from mmevolve import cli
from mmevolve.config.errors import ConfigError
from mmevolve.report.compare import Side, names_of, rows_of, same_question, shared, worth_comparing
from mmevolve.report.compare_page import write
from mmevolve.report.folder import open_run
from mmevolve.report.numbers import Point, points
from mmevolve.report.recipe_difference import differences
from mmevolve.store import RunStore
from mmevolve.types import Sample


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """After one round questions 1, 3, 6 and 9 of 12 are right, after two also 4 and 7."""
    folder = tmp_path_factory.mktemp("runs")
    first, second = (fake_run(folder / name, rounds=rounds) for name, rounds in (("short", 1), ("long", 2)))
    recipe = Path(second, "recipe.yaml")
    recipe.write_text(recipe.read_text().replace("seed: 0", f"seed: 7\nmore: {json.dumps(EVIL)}"))
    return first, second


@pytest.fixture(scope="module")
def sides(runs):
    folders = [open_run(run) for run in runs]
    return [Side(n, f, points(f)) for n, f in zip(names_of(runs), folders, strict=True)]


@pytest.fixture(scope="module")
def page(runs):
    file = write(*runs)
    assert file == Path(runs[0], "report_against_quickstart.html")
    return file.read_text(encoding="utf-8")


def test_the_difference_is_paired_on_shared_questions(sides):
    found = shared(sides, -1)
    assert found.places == (("evolve", 0), ("evolve", 1)) and (found.n, found.left_out) == (12, 0)
    gap = found.difference()
    assert gap.mean == pytest.approx(2 / 12) and gap.low == 0.0 and gap.n == 12
    first, second = found.apart()
    assert first == [] and [int(name[-6:]) for name in second] == [4, 7]
    start = shared(sides, 0)
    assert start.places == (("evolve", "before"), ("evolve", "before")) and not any(start.apart())


def test_the_page_says_it_in_words_and_is_safe(page):
    tags = parsed(page)
    words = unescape(page)
    assert "short/quickstart and long/quickstart" in words
    assert "<span>33.3 %</span>" in page and '<span class="now">50.0 %</span>' in page
    assert "+16.7 points" in page and "interval includes zero" in page
    assert "Only short/quickstart was right 0 times, only long/quickstart 2 times" in words
    assert "Before the first round both answered the same questions rightly (33.3 %)" in page
    assert not {"script", "link", "iframe", "form"} & {name for name, _ in tags.seen}
    assert page.count("<article") == 2 and 'alt="the picture' in page
    assert "<script>" not in page and "\x1b" not in page


def test_recipes_numbers_and_costs_stand_beside_each_other(page):
    assert "<code>seed</code></dt><dd class=s0><code>0</code></dd><dd class=s1><code>7</code></dd>" in page
    assert "<code>more</code></dt><dd class=s0><code>not there</code></dd>" in page
    assert "<tr><td>evolve round 0</td><td>33.3</td><td>33.3</td><td>+0.0</td></tr>" in page
    assert "<tr><td>evolve round 1</td><td>–</td><td>50.0</td><td>–</td></tr>" in page
    assert "<tr><td>sampling</td><td>31 s</td><td>31 s</td></tr>" in page
    assert "<tr><td>attempts judged</td><td>48</td><td>96</td></tr>" in page


def test_one_of_every_kind_is_shown_first_and_a_lack_of_one_side_leaves_room(sides):
    found = shared(sides, -1)
    ids = list(found.verdicts[0])
    for right, expected in ((6, (5, 5)), (2, (2, 8)), (11, (9, 1))):
        first = {name: float(i < right) for i, name in enumerate(ids)}
        both = replace(found, verdicts=(first, {name: 1 - score for name, score in first.items()}))
        worth = worth_comparing(sides, both)
        kinds = [w.kind for w in worth]
        assert (kinds.count(kinds[0]), len(kinds) - kinds.count(kinds[0])) == expected
        assert [a.where for a in worth[0].attempts] == [
            "short/quickstart, evolve round 0", "long/quickstart, evolve round 1",
        ]  # fmt: skip


def test_another_question_under_the_same_id_is_left_out(tmp_path):
    runs = [fake_run(tmp_path / name, rounds=1) for name in "ab"]
    store = RunStore(runs[1], "evolve")
    file = store.round_folder("before") / "held_out_samples.parquet"
    kept = store.table("before", "held_out_samples")
    store.write(file, [replace(kept[0], answer="another"), *kept[1:]])
    found = shared([Side(n, open_run(r), ()) for n, r in zip("ab", runs, strict=True)], -1)
    assert (found.n, found.left_out) == (11, 1)


def test_pictures_are_the_same_when_their_content_is():
    assert same_question(Sample("q", "?", ("/a/images/0f.png",)), Sample("q", "?", ("/b/images/0f.png",)))
    assert not same_question(Sample("q", "?", ("/a/0f.png",)), Sample("q", "?", ("/a/1f.png",)))
    assert same_question(None, Sample("q", "?"))


def test_runs_without_shared_questions_are_still_laid_side_by_side(tmp_path):
    first, second = fake_run(tmp_path / "a", rounds=1), fake_run(tmp_path / "b", rounds=0, n=12, finished=False)
    for file in Path(second).glob("*/*/held_out_trajectories.parquet"):
        file.unlink()
    text = write(first, second).read_text(encoding="utf-8")
    parsed(text)
    assert "share no held-out questions" in text and "b/quickstart has not finished" in unescape(text)


def test_items_of_lists_go_by_their_name_and_calls_are_compared_whole():
    first = {"loop": [{"_target_": "loops.evolve", "name": "a", "rounds": 1}], "x": [1, 2], "same": None}
    second = {"loop": [{"_target_": "o", "name": "new"}, {**first["loop"][0], "rounds": 2}], "x": [1, 3], "same": None}
    assert [(d.key, d.first, d.second) for d in differences(first, second)] == [
        ("loop.a.rounds", "1", "2"),
        ("loop.new", "not there", "{_target_: o, name: new}"),
        ("x", "[1, 2]", "[1, 3]"),
    ]
    calls = {"s": {"_target_": "A", "n": 1}}, {"s": {"_target_": "B", "n": True}}
    assert [d.second for d in differences(*calls)] == ["{_target_: B, n: true}"]
    assert [(d.first, d.second) for d in differences({"n": 1}, {"n": True})] == [("1", "true")]
    assert differences(first, first) == []


def test_places_of_two_runs_keep_the_order_of_both():
    def side(*places):
        return Side("s", None, [Point("evolve", at, {"accuracy": 0.5}) for at in places])

    rows = rows_of([side("before", 0, 2), side("before", 0, 1, 2, 3)], "accuracy")
    assert [where.rpartition(" ")[2] for where, _ in rows] == ["before", "0", "1", "2", "3"]
    assert rows[2][1] == [None, 0.5]


def test_the_verb_takes_a_second_run_and_refuses_what_is_none(runs, tmp_path, capsys):
    assert cli.main(["report", *runs]) == 0
    assert capsys.readouterr().out.strip().endswith("report_against_quickstart.html")
    assert cli.main(["report", runs[0], str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="are the same run"):
        write(runs[0], runs[0])
