"""The explorer with 50,000 attempts, in headless Chromium: how long it loads, scrolls, filters and searches.

The run is made up by the tests' own maker: questions of the embedded world, seven attempts each with revisions,
regions, four critics and alarms, tables written by the store. The browser has no graphics card here.

    python eval/performance/explorer.py [attempts]          (50,000 unless told; needs a Chromium or Chrome)

The last line is JSON: seconds until the server is ready, milliseconds until the page is, milliseconds of the main
thread a frame while 300 frames scroll 900 pixels each, of a jump to the end, a filter, a first and a second search, and
the most rows that were in the document.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "explorer"))

from chromium import Chromium, browser
from rich_run import KINDS, rich_run

from mmevolve.explorer.serve import Shelf, handler
from mmevolve.results import record

ROUNDS, FRAMES = 7, 300
SCROLL = """(async () => {
  const box = document.querySelector("#list");
  const gaps = [];
  let most = 0;
  let last = performance.now();
  for (let i = 0; i < %d; i += 1) {
    box.scrollTop += 900;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    gaps.push(now - last);
    last = now;
    most = Math.max(most, document.querySelectorAll(".row").length);
  }
  gaps.sort((a, b) => a - b);
  return { median: gaps[gaps.length >> 1], p95: gaps[Math.floor(0.95 * gaps.length)], most };
})()"""


def main() -> None:
    attempts = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    if browser() is None:
        print(json.dumps({"skipped": "there is no Chromium or Chrome on this machine"}))
        return
    questions = -(-attempts // (len(KINDS) * ROUNDS))
    with tempfile.TemporaryDirectory() as folder:
        run = rich_run(Path(folder), questions=questions, rounds=ROUNDS, evaluation=False)
        numbers = measure(run, Path(folder))
    write(numbers)
    print(json.dumps(numbers))


def measure(run: str, folder: Path) -> dict[str, float]:
    started, own = time.perf_counter(), time.process_time()
    shelf = Shelf(run)
    n = len(shelf.site().book.entries)
    numbers = {"attempts": n, "server_s": round(time.perf_counter() - started, 1)}
    numbers["server_own_s"] = round(time.process_time() - own, 1)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(shelf))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = Chromium(folder / "profile")
    try:
        page.call("Performance.enable")
        page.open(f"http://127.0.0.1:{server.server_address[1]}/")
        numbers["ready_ms"] = round(page.js("performance.getEntriesByName('ready')[0].startTime"))
        filled = "!document.querySelector('.row.waiting')"
        page.until(filled)
        before = work(page)
        frames = page.js(SCROLL % FRAMES)
        page.until(filled)
        numbers |= {
            "frame_work_ms": round((work(page) - before) / FRAMES, 2), "frame_ms": round(frames["median"], 1),
            "frame_p95_ms": round(frames["p95"], 1), "rows_most": frames["most"],
        }  # fmt: skip
        numbers["jump_ms"] = timed(page, "G", "document.querySelector('#count').innerText.startsWith("
                                   f"'{n:,} /') && {filled}")  # fmt: skip
        numbers["filter_ms"] = timed(page, "5", f"document.querySelector('#count').innerText.includes('of {n:,}')")
        page.key("0")
        page.until(f"document.querySelector('#count').innerText.endsWith('/ {n:,} attempts')")
        for name in ("search_first_ms", "search_ms"):
            numbers[name] = search(page, "look at the circles" if name == "search_first_ms" else '"a1 a2 a3"', n)
            page.key("Escape")
            page.key("0")
            page.until(f"document.querySelector('#count').innerText.endsWith('/ {n:,} attempts')")
        numbers["heap_bytes"] = page.js("performance.memory.usedJSHeapSize")
        assert page.errors == [], page.errors
    finally:
        page.close()
        server.shutdown()
    return numbers


def work(page: Chromium) -> float:
    """Milliseconds that the page's main thread has worked."""
    found = {m["name"]: m["value"] for m in page.call("Performance.getMetrics")["metrics"]}
    return 1000 * found["TaskDuration"]


def timed(page: Chromium, key: str, done: str) -> int:
    """Milliseconds from a key to a state, measured in the page, frame by frame."""
    return round(
        page.js(
            "(async () => { const start = performance.now(); "
            f"document.body.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}})); "
            f"while (!({done})) await new Promise(requestAnimationFrame); return performance.now() - start; }})()"
        )
    )


def search(page: Chromium, words: str, n: int) -> int:
    """Milliseconds from the last letter to the list of what was found, the pause for typing included."""
    return round(
        page.js(
            "(async () => { const box = document.querySelector('#search'); const start = performance.now(); "
            f"box.value = {json.dumps(words)}; box.dispatchEvent(new Event('input', {{bubbles: true}})); "
            f"while (!document.querySelector('#count').innerText.includes('of {n:,}')) "
            "await new Promise(requestAnimationFrame); return performance.now() - start; })()"
        )
    )


def write(n: dict[str, float]) -> None:
    """The section in eval/results.md."""
    lines = [
        f"{n['attempts']:,} attempts, headless Chromium without a graphics card. Other programs kept both cores busy "
        f"(load {os.getloadavg()[1]:.0f}): all but the first line are times by the clock.",
        "",
        "| what | measured |",
        "| --- | --- |",
        f"| tables read, server ready | {n['server_own_s']:.1f} s of processor time, {n['server_s']:.0f} s in all |",
        f"| page ready | {n['ready_ms']} ms |",
        f"| scrolling, main thread a frame | {n['frame_work_ms']} ms |",
        f"| scrolling, time between frames | {n['frame_ms']} ms, 95th percentile {n['frame_p95_ms']} ms |",
        f"| rows in the document at most | {n['rows_most']} |",
        f"| jump to the end, rows filled | {n['jump_ms']} ms |",
        f"| a filter | {n['filter_ms']} ms |",
        f"| first search, all text loaded | {n['search_first_ms']} ms |",
        f"| further search | {n['search_ms']} ms |",
        f"| memory of the script | {n['heap_bytes'] / 1e6:.0f} MB |",
    ]
    record("The explorer with 50,000 attempts", lines, command="python eval/performance/explorer.py")


if __name__ == "__main__":
    main()
