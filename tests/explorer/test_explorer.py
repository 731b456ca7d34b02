"""What the explorer is made of: facts, reasons, files, server. No browser."""

import http.client
import json
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from rich_run import EVIL, KINDS, rich_run

from mmevolve.cli import main
from mmevolve.config.errors import ConfigError
from mmevolve.explorer import cards, facts
from mmevolve.explorer.book import read_book
from mmevolve.explorer.facts import NAMES
from mmevolve.explorer.serve import Shelf, explore, handler
from mmevolve.explorer.site import Site
from mmevolve.explorer.why import reasons
from mmevolve.report.folder import open_run
from mmevolve.store import RunStore
from mmevolve.types import Critique, Step, Trajectory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return rich_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def book(run):
    return read_book(open_run(run))


def flags(book, number):
    bits = cards.index(book)["flags"][number]
    return {name for i, name in enumerate(NAMES) if bits >> i & 1}


def numbered(book, kind, place=0):
    return next(i for i, e in enumerate(book.entries) if e.place == place and e.trajectory.id.endswith(f"/{kind}"))


def test_places_come_in_order_of_time_and_an_evaluation_after_its_round(book):
    assert [p.name for p in book.places] == ["evolve/round=000", "evolve/round=001", "evolve/round=001/held_out"]
    assert len(book.entries) == 6 * len(KINDS) * 2 + 3 and book.critics == ("answer", "prm", "oracle", "judge")


def test_an_evaluation_that_another_loop_already_made_is_shown_once(tmp_path):
    run = rich_run(tmp_path, rounds=1)
    store = RunStore(run, "evolve")
    for at in ("before", 0):
        for name in ("samples", "trajectories", "critiques"):
            rows = store.table(0, f"held_out_{name}")
            path = store.round_folder(at) / f"held_out_{name}.parquet"
            path.unlink(missing_ok=True)
            store.write(path, rows, {"made": "once"})
    names = [p.name for p in read_book(open_run(run)).places]
    assert names == ["evolve/before/held_out", "evolve/round=000"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("0", {"right", "trained"}),
        ("1", {"right", "disagree", "lucky"}),
        ("1~1", {"wrong", "disagree", "harmed", "revision"}),
        ("2", {"wrong", "disagree"}),
        ("2~1", {"wrong", "disagree", "revision"}),
        ("2~2", {"right", "mended", "revision"}),
        ("3", {"wrong", "alarm"}),
    ],
)
def test_every_kind_of_attempt_has_its_flags(book, kind, expected):
    assert flags(book, numbered(book, kind)) == expected


def test_facts_by_hand():
    t = Trajectory("s/0/0", "s", "m", (Step("a"), Step("b")), "1")
    said = [
        Critique(t.id, "answer", 0.0),
        Critique(t.id, "prm", 0.95, (0.75, 0.95)),
        Critique(t.id, "o", 1.0, (0.25, 1.0)),
    ]
    found = facts.of(t, said, "answer", ["prm"], None)
    assert (found.right, found.disagree, found.lucky, found.low, found.gap) == (False, True, False, 0.25, 1.0)
    assert found.alarms == ("prm gives a wrong answer 0.95.",)
    assert facts.of(t, said[1:2], None, [], None).right is None
    loose = facts.of(t, [Critique(t.id, "prm", float("nan"), (0.5,))], None, [], None)
    assert loose.alarms == ("prm gave nan, which is no number.", "prm scored 1 steps, the attempt has 2.")
    assert loose.low is None


def test_a_step_said_three_times_is_an_alarm():
    t = Trajectory("s/0/0", "s", "m", (Step("a"),) * 3, "1")
    assert facts.of(t, [], None, [], None).alarms == ("Says the same step 3 times: a",)


def test_reasons_say_why_an_attempt_was_trained_on_and_why_not(book):
    kept = reasons(book, numbered(book, "0"))
    assert kept[0] == "Row evolve/round=000/0: a demonstration, weight 1."
    assert kept[1].startswith("Selected by TopK with") and "rank_by prm" in kept[1]
    assert kept[2:] == ["answer 1.00: place 1 of 7, level with 2 more.", "prm 0.95: place 1 of 7, level with 1 more."]
    assert reasons(book, numbered(book, "2"))[1] == "answer scored 0, and more than 0 is required."
    assert reasons(book, numbered(book, "2~2"))[1].startswith("It says the same as shapes-train-0-000000/0/0")
    assert reasons(book, numbered(book, "0", place=2)) == [
        "Measured only: 'held_out' is an evaluation, and nothing is trained on it."
    ]


def test_cards_hold_everything_that_is_shown_and_no_markup(book):
    number = numbered(book, "3")
    card = cards.chunk(book, cards.Pictures(book), 0)["cards"][number]
    assert card["s"][0][0] == EVIL.replace("\u202e", "\N{REPLACEMENT CHARACTER}")
    assert [c[6] for c in card["c"]] == [None, None, None, "the server gave no answer in 3 tries"]
    assert "<" not in cards.dumps(card) and json.loads(cards.dumps(card)) == card
    regions = cards.chunk(book, cards.Pictures(book), 0)["cards"][numbered(book, "1")]["s"][0]
    assert regions[1:] == ["perception", 0, [[0.0, 0.0, 0.25, 0.25], [0.5, 0.5, 0.75, 0.75]]]


def test_words_are_those_of_the_search(book):
    words = cards.words(book, 0)[numbered(book, "1")]
    assert "red circles : a1 a2 a3 = 3" in words and "look at the circles again" in words and words == words.lower()


def test_every_file_of_the_site_can_be_had_and_nothing_else(book):
    site = Site(book)
    names = list(site.names())
    assert all(site.get(name) is not None for name in names) and len(names) == len(set(names))
    for other in (
        "../recipe.yaml",
        "pictures/../../recipe.yaml",
        "data/c9.js",
        "data/c00.js",
        "data/x",
        "pictures/",
        "",
    ):
        assert site.get(other) is None


@pytest.fixture(scope="module")
def server(run):
    shelf = Shelf(run)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(shelf))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def fetched(port, path, **headers):
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        line.putrequest("GET", path, skip_host="Host" in headers)
        for name, value in headers.items():
            line.putheader(name, value)
        line.endheaders()
        answer = line.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read()
    finally:
        line.close()


def test_the_server_gives_the_page_and_its_pictures_to_this_machine_only(server):
    status, kind, body = fetched(server, "/")
    assert status == 200 and kind.startswith("text/html") and b"mmevolve explorer, 87 attempts" in body
    assert (
        fetched(server, "/pictures/p0.png")[1:] != (None, b"") and fetched(server, "/pictures/p0.png")[1] == "image/png"
    )
    assert fetched(server, "/data/index.js")[2].startswith(b'mmevolve.put("index",{')
    assert fetched(server, "/recipe.yaml")[0] == fetched(server, "/..%2Frecipe.yaml")[0] == 404
    assert fetched(server, "/", Host="evil.example:80")[0] == 403


def test_a_page_that_is_loaded_again_shows_what_the_run_has_written_since(tmp_path):
    run = rich_run(tmp_path, questions=1, rounds=2, evaluation=False)
    late = Path(run, "evolve/round=001").rename(tmp_path / "late")
    shelf = Shelf(run)
    assert len(shelf.site().book.entries) == 7
    late.rename(Path(run, "evolve/round=001"))
    assert len(shelf.site(fresh=False).book.entries) == 7 and len(shelf.site().book.entries) == 14


def test_export_to_a_folder_and_again_over_itself_but_over_nothing_else(run, tmp_path, capsys):
    out = tmp_path / "out"
    for _ in range(2):
        assert main(["explore", run, "--out", str(out)]) == 0
    assert (out / "index.html").is_file() and (out / "pictures/p0.png").is_file()
    assert "index.html" in capsys.readouterr().out
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years")
    assert main(["explore", run, "--out", str(tmp_path / "mine")]) == 2
    assert "holds something else" in capsys.readouterr().err and (tmp_path / "mine/thesis.txt").exists()


def test_one_file_asks_for_nothing_else(run, tmp_path, capsys):
    assert main(["explore", run, "--out", str(tmp_path / "one.html")]) == 0
    page = (tmp_path / "one.html").read_text()
    assert "http://" not in page and "https://" not in page and '<link rel="stylesheet"' not in page
    assert "<img src=x" not in page and "data:image/" in page


def test_mistakes_are_one_sentence(run, tmp_path):
    with pytest.raises(ConfigError, match="does not exist; runs are made by"):
        explore(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="cannot listen on port 99999"):
        explore(run, port=99999)
    (tmp_path / "x.html").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        explore(run, str(tmp_path / "x.html"))


def test_a_damaged_table_is_left_out_and_named(tmp_path):
    run = rich_run(tmp_path, questions=1, rounds=1, evaluation=False)
    path = Path(run, "evolve/round=000/critiques.parquet")
    path.write_bytes(path.read_bytes()[:-40])
    book = read_book(open_run(run))
    assert len(book.entries) == 7 and "critiques.parquet is damaged" in book.damaged[0]
    assert book.critics == () and cards.index(book)["damaged"]


def test_a_run_without_attempts_is_an_empty_book(tmp_path):
    (tmp_path / "recipe.yaml").write_text("# nothing yet\n")
    book = read_book(open_run(str(tmp_path)))
    assert book.entries == () and list(Site(book).names())[-1] == "data/index.js"
