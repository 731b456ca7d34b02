"""The explorer in a real headless Chromium: open, filter, click, keys, deep links, nothing in the console."""

import threading
import urllib.parse
from http.server import ThreadingHTTPServer

import pytest
from chromium import Chromium, browser
from rich_run import rich_run

from mmevolve.explorer.book import read_book
from mmevolve.explorer.serve import Shelf, explore, handler
from mmevolve.report.folder import open_run

pytestmark = pytest.mark.skipif(browser() is None, reason="there is no Chromium or Chrome on this machine")
FIRST = "shapes-train-0-000000"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return rich_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def url(run):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(Shelf(run)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    page = Chromium(tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


@pytest.fixture
def page(chromium, url):
    chromium.errors.clear()
    chromium.resize(1280, 800)
    chromium.open(url)
    yield chromium
    assert chromium.errors == []


def shown(page):
    return page.text("#attempt .where")


def wait_for(page, kind, at="round 0", sample=FIRST):
    page.until(f"document.querySelector('#attempt .where')?.innerText.startsWith('evolve {at} · {sample}/')")
    page.until(f"document.querySelector('#attempt .where').innerText.includes('/{kind} ·')")


def test_it_opens_with_the_first_attempt_its_picture_regions_and_marks(page):
    wait_for(page, "0")
    page.until("document.querySelector('#attempt img')?.naturalWidth === 64")
    assert page.text("#count") == "1 / 87 attempts"
    assert page.js("document.querySelectorAll('.region').length") >= 2
    marks = page.js("[...document.querySelectorAll('.steps tbody tr:first-child .mark')].map(e => e.innerText)")
    assert marks == ["0.95", "✓"]
    assert "Row evolve/round=000/0" in page.text(".why") and "trained on" in page.text(".notes")
    assert page.js("document.querySelectorAll('.row').length") < 30  # of 87: only those in sight are there


def test_rows_are_filled_though_the_attempt_beside_them_was_faster(page):
    page.until("document.querySelectorAll('.row').length > 5")
    page.until("!document.querySelector('.row.waiting')", seconds=20)
    assert "…" not in page.text("#space")


def test_filters_are_counted_combine_and_clear(page):
    page.click("[data-filter=harmed]")
    page.until("document.querySelector('#count').innerText === '1 / 12 of 87 attempts'")
    wait_for(page, "1~1")
    assert page.text("[data-filter=harmed]") == "harmed by critique 12"
    page.click("[data-filter=alarm]")
    page.until("document.querySelector('#count').innerText.startsWith('0 of 87')")
    assert "No attempt fits" in page.text("#attempt")
    page.click("#clear")
    page.until("document.querySelector('#count').innerText === '1 / 87 attempts'")
    page.key("1")
    page.until("document.querySelector('#count').innerText.startsWith('1 / 39 of')")
    page.key("2")  # right and wrong exclude each other
    page.until("document.querySelector('#count').innerText.startsWith('1 / 48 of')")
    page.key("0")


def test_keys_walk_the_list_the_group_and_the_revisions(page):
    wait_for(page, "0")
    for key, kind in (("j", "1"), ("j", "1~1"), ("p", "1"), ("]", "1~1"), ("[", "1"), ("k", "0")):
        page.key(key)
        wait_for(page, kind)
    page.key("G")
    page.until("document.querySelector('#attempt .where').innerText.includes('held out')")
    page.key("g")
    wait_for(page, "0")
    page.key("c")
    page.until("document.querySelector('.steps th.by').innerText.startsWith('oracle')")
    page.key("r")
    assert page.js("getComputedStyle(document.querySelector('.region')).display") == "none"
    page.key("r")
    page.key("?")
    page.until("document.querySelector('#helping').open")
    page.key("Escape")
    page.until("!document.querySelector('#helping').open")


def test_the_search_looks_through_critiques_too_and_marks_what_it_finds(page):
    page.key("/")
    page.until("document.activeElement.id === 'search'")
    page.type("circles again")
    page.until("/of 87/.test(document.querySelector('#count').innerText)")
    page.until("document.querySelectorAll('.say mark').length > 0")
    page.key("Enter")
    assert page.js("document.activeElement.id") == "list"
    page.key("0")
    page.until("document.querySelector('#count').innerText === '2 / 87 attempts'")  # the attempt stays


def test_a_deep_link_restores_the_view_and_follows_it(page, url):
    link = f"#a=evolve/round=001:{FIRST}/1/2~2&q=circles&f=mended&order=low&by=oracle"
    page.open(url + link)
    wait_for(page, "2~2", at="round 1")
    assert page.text("#count") == "3 / 4 of 87 attempts"
    value = "document.querySelector('#{}').value"
    pressed = "document.querySelector('[data-filter=mended]').getAttribute('aria-pressed')"
    state = page.js(f"[{value.format('search')}, {value.format('sort')}, {pressed}, location.hash]")
    assert state == ["circles", "low", "true", link]
    assert page.js("document.querySelectorAll('.tree li').length") == 3
    page.click(".tree .go")  # the attempt that the tree begins with
    wait_for(page, "2", at="round 1")
    assert urllib.parse.unquote(page.js("location.hash")).startswith(f"#a=evolve/round=001:{FIRST}/1/2&")
    page.js("history.back()")
    wait_for(page, "2~2", at="round 1")


def test_a_link_to_an_attempt_that_is_not_there_says_so(page, url):
    page.open(f"{url}#a=evolve/round=001:nobody/0/0")
    page.until("document.querySelector('#attempt').innerText.includes('has no attempt')")


def test_what_a_model_wrote_is_never_markup(page, url):
    page.open(f"{url}#a=evolve/round=000:{FIRST}/0/3")
    wait_for(page, "3")
    assert "<script>document.title='owned'</script>" in page.text(".steps tbody tr .text")
    assert (
        page.js("document.title").startswith(FIRST)
        and page.js("document.querySelectorAll('#attempt script').length") == 0
    )
    assert "gave no score: the server gave no answer in 3 tries" in page.text("#attempt")


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_nothing_is_wider_than_the_window(page, url, width):
    page.resize(width, 840)
    page.open(f"{url}#a=evolve/round=000:{FIRST}/0/2~1")
    wait_for(page, "2~1")
    wide = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    assert page.js(f"{wide}.map(e => e.className + e.tagName)") == []


def test_on_a_phone_the_list_and_the_attempt_take_turns(page, url):
    page.resize(390, 844, mobile=True)
    page.open(url)
    page.until("document.querySelector('.row .ask').innerText !== '…'")
    assert page.js("document.body.dataset.view") == "list"
    page.click(".row")
    wait_for(page, "0")
    assert page.js("getComputedStyle(document.querySelector('#side')).display") == "none"
    page.click("#back")
    page.until("document.body.dataset.view === 'list'")
    page.click("#more")
    assert page.js("document.querySelector('#filters').getBoundingClientRect().height") > 100


def test_exports_open_from_the_disk(chromium, run, tmp_path):
    explore(run, str(tmp_path / "out"))
    explore(run, str(tmp_path / "one.html"))
    chromium.resize(1280, 800)
    for place in (tmp_path / "out/index.html", tmp_path / "one.html"):
        chromium.errors.clear()
        chromium.open(f"{place.as_uri()}#f=harmed&q=circles")
        wait_for(chromium, "1~1")
        chromium.until("document.querySelector('#attempt img')?.naturalWidth > 0")
        assert chromium.text("#count") == "1 / 12 of 87 attempts" and chromium.errors == []


def test_every_attempt_can_be_shown(page, run):
    n = len(read_book(open_run(run)).entries)
    page.js("document.querySelector('#list').focus()")
    for i in range(0, n, 10):
        page.until(f"document.querySelector('#count').innerText.startsWith('{i + 1} /')")
        page.key("J")
    assert page.text("#count").startswith(f"{n} /")
