import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_run import fake_run

from mmevolve.config.errors import ConfigError
from mmevolve.report.markup import clean, esc, picture
from mmevolve.report.numbers import Point
from mmevolve.report.page import write
from mmevolve.report.story import all_numbers
from mmevolve.store import RunStore
from mmevolve.types import Sample

VOID = {"meta", "img", "br", "wbr", "line", "rect", "circle", "polygon", "polyline"}


class Tags(HTMLParser):
    """Every element and attribute of a page; fails on tags that do not close in order."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    return tags


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write(fake_run(tmp_path_factory.mktemp("run"), warm_up=True)).read_text(encoding="utf-8")


def test_the_page_is_whole_and_says_what_was_gained(page):
    parsed(page)
    assert "33.3 %" in page and "58.3 %" in page and "+25.0 points" in page
    assert "4 questions went from wrong to right and 1 from right to wrong" in page
    assert "4 min 32 s" in page and "1.23 GB" in page
    assert "has not finished" not in page


def test_the_page_needs_nothing_from_outside_and_runs_nothing(page):
    tags = parsed(page)
    assert not {"script", "link", "iframe", "object", "base", "form"} & {name for name, _ in tags.seen}
    for name, attributes in tags.seen:
        assert not any(key.startswith("on") for key in attributes), name
        for key in ("src", "href", "srcset", "action", "data"):
            assert key not in attributes or (attributes[key] or "").startswith("data:image/png;base64,")
    assert not re.search(r"https?://|url\(|@import", page)
    policy = next(a for n, a in tags.seen if a.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'")


def test_model_text_and_recipes_are_shown_as_text(page):
    assert "<script>" not in page and "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page
    assert "<b>not bold</b>" not in page and "&lt;b&gt;not bold&lt;/b&gt;" in page
    assert "\x1b" not in page


def test_every_section_is_there(page):
    titles = "How a round works|Accuracy, round by round|One attempt, eight attempts|Right answers for a wrong reason|"
    titles += "By kind of question|Every measured point|Where the attempts went|Can the step scores be believed?|"
    titles += "Groups worth reading|What it cost|The recipe|The environment|Words used here"
    for title in titles.split("|"):
        assert f"<h2>{title}</h2>" in page
    assert page.count("<article") == 10
    assert "missing: a4; not so: a1" in page
    assert 'alt="the picture' in page


def test_the_table_of_points_has_no_empty_columns_and_no_empty_lines():
    points = [
        Point("lessons", "before", {"train/loss": 0.5}),
        Point("evolve", "before", {"accuracy": 0.25, "pass@1": None}),
        Point("evolve", 0, {"accuracy": 0.5, "rows": 40}),
    ]
    page = all_numbers(points)
    shown, more = page.split("<details>")
    assert [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<t[hd][^>]*>.*?</t[hd]>", shown)] == [
        "percent", "accuracy", "rows trained on",
        "evolve before", "25.0", "–",
        "evolve round 0", "50.0", "40",
    ]  # fmt: skip
    assert "lessons before" in more and "train/loss" in more
    assert all_numbers([]) == all_numbers([Point("a", 0, {"accuracy": None})]) == ""


def test_a_run_that_stopped_early_has_a_page_that_says_so(tmp_path):
    run = fake_run(tmp_path, rounds=1, finished=False)
    folder = RunStore(run, "evolve").round_folder(1)
    (folder / "trajectories.parts").mkdir(parents=True)
    text = write(run).read_text(encoding="utf-8")
    parsed(text)
    assert "has not finished, or was stopped early. It got as far as evolve round 1." in text
    assert "The run has not noted how long its stages took." in text


def test_a_run_measured_once_claims_no_gain(tmp_path):
    text = write(fake_run(tmp_path, rounds=0, finished=False)).read_text(encoding="utf-8")
    parsed(text)
    assert "measured only once" in text and "points</b>" not in text


def test_a_run_that_has_only_begun_has_a_page(tmp_path):
    (tmp_path / "recipe.yaml").write_text("not: [a, recipe")
    text = write(str(tmp_path)).read_text(encoding="utf-8")
    parsed(text)
    assert "no held-out accuracy" in text and "nothing to read" in text


def test_damaged_tables_are_named_on_the_page(tmp_path):
    run = fake_run(tmp_path)
    Path(run, "evolve/round=000/critiques.parquet").write_bytes(b"PAR1")
    text = write(run).read_text(encoding="utf-8")
    assert "Left out:" in text and "critiques.parquet is damaged" in text


def test_a_folder_without_a_run_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="is not a run folder"):
        write(str(tmp_path))


def test_a_picture_that_is_not_there_becomes_a_sentence():
    assert picture("/nowhere/at-all.png").startswith('<p class="note">The picture cannot be shown')
    assert picture(b"not an image").startswith('<p class="note">')


def test_a_sample_without_a_picture_or_an_answer_is_no_trouble():
    from mmevolve.report.groups import Worth
    from mmevolve.report.reading import groups

    text = groups([Worth("kind", "rule", Sample("<id>", "why ?", choices=("<a>", "b")), ())])
    assert "&lt;id&gt;" in text and "<li>&lt;a&gt;</li>" in text and "Reference" not in text


def test_text_is_cleaned_of_what_a_terminal_or_a_reader_could_be_fooled_by():
    assert clean("a\x1b[0m\x00\u202eb\ud800") == "a\ufffd[0m\ufffd\ufffdb\ufffd"
    assert clean("tab\tline\nnbsp\xa0") == "tab\tline\nnbsp "
    assert esc("\"'<&>") == "&quot;&#x27;&lt;&amp;&gt;"
