"""The page before any data is in it: what stands on it whatever the run."""

from __future__ import annotations

from mmevolve.explorer.book import Book
from mmevolve.explorer.facts import FILTERS
from mmevolve.report.markup import esc
from mmevolve.report.words import several

SORTS = (("time", "order of writing"), ("low", "lowest step first"), ("gap", "largest disagreement first"))
KEYS = (
    ("j, k", "next, previous attempt"),
    ("J, K", "ten on, ten back"),
    ("g, G", "first, last"),
    ("] [", "next, previous attempt at the same question"),
    ("p", "the attempt that this one revises"),
    ("/", "search"),
    ("1 to 9", "switch a filter"),
    ("0", "clear search and filters"),
    ("c", "colour by the next critic"),
    ("r", "regions on the picture on or off"),
    ("Esc", "leave the search, close this, back to the list"),
    ("?", "this help"),
)


def shell(book: Book, *, style: str, policy: str, scripts: str) -> str:
    """The page's HTML."""
    n = several(len(book.entries), "attempt")
    chips = "".join(
        f'<button type="button" class="chip" data-filter="{esc(name)}" aria-pressed="false" title="{esc(rule)} ({i})">'
        f"{esc(label)} <b></b></button>"
        for i, (name, label, rule) in enumerate(FILTERS, 1)
    )
    sorts = "".join(f'<option value="{name}">{label}</option>' for name, label in SORTS)
    keys = "".join(f"<dt>{esc(key)}</dt><dd>{esc(what)}</dd>" for key, what in KEYS)
    rules = "".join(f"<dt>{esc(label)}</dt><dd>{esc(rule)}</dd>" for _, label, rule in FILTERS)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}"><meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,"><title>{esc(book.name)} · mmevolve explorer</title>{style}</head>
<body data-view="list">
<header class="top">
<div class="title"><h1>{esc(book.name)}</h1><p class="kicker">mmevolve explorer, {n}</p></div>
<input id="search" type="search" placeholder="Search all text  ( / )" aria-label="Search all text"
 autocomplete="off" spellcheck="false">
<button type="button" id="more" aria-expanded="false" aria-controls="filters">Filters</button>
<button type="button" id="help" aria-label="Keys and words" title="Keys and words ( ? )">?</button>
</header>
<div id="filters" role="group" aria-label="Filters"><div class="chips">{chips}</div>
<label>where <select id="place"><option value="">everywhere</option></select></label>
<label>order <select id="sort">{sorts}</select></label>
<label>colour by <select id="critic"></select></label>
<button type="button" id="clear" hidden>clear</button></div>
<main>
<nav id="side" aria-label="Attempts"><output id="count" aria-live="polite">reading …</output>
<div id="list" role="listbox" tabindex="0" aria-label="Attempts"><div id="space"></div></div></nav>
<article id="attempt" tabindex="-1" aria-label="The attempt"></article>
</main>
<dialog id="helping"><h2>Keys</h2><dl class="keys">{keys}</dl><h2>Filters</h2><dl>{rules}</dl>
<p>The address bar keeps what you see: copy it to show it to somebody else.</p>
<form method="dialog"><button>close</button></form></dialog>
<noscript>The explorer needs JavaScript; <code>mmevolve report</code> and <code>mmevolve show</code> do not.</noscript>
{scripts}</body></html>
"""
