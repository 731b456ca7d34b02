"""Whatever is put in, a user gets a result or one sentence, never a traceback.

`MMEVOLVE_FUZZ=large pytest tests/test_fuzz.py` draws other examples every time, and forty times as many.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmevolve import cli
from mmevolve.answers import checklist, equal, extract, judge_reply, pair_verdicts, written_critique
from mmevolve.config import check
from mmevolve.config.foreign import foreign_signatures
from mmevolve.config.targets import UnknownTarget
from mmevolve.data.images import image_digest, open_image, verify_image
from mmevolve.data.table import preflight, table
from mmevolve.explorer.cards import dumps
from mmevolve.explorer.serve import explore
from mmevolve.prompts import error_list
from mmevolve.report.folder import open_run
from mmevolve.report.markup import clean, esc, picture
from mmevolve.report.page import page
from mmevolve.store import RunStore, StoreError
from mmevolve.text import split_steps
from mmevolve.types import Critique, Sample, Step, Trajectory

ROOT = Path(__file__).parents[1]
LARGE = os.environ.get("MMEVOLVE_FUZZ") == "large"


def few(n: int):
    """So many examples, always the same; in the large profile forty times as many, others every time."""
    return settings(
        max_examples=n * (40 if LARGE else 1),
        deadline=None,
        derandomize=not LARGE,
        database=None,
        print_blob=LARGE,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


# --- recipes ---------------------------------------------------------------------------------------------------------

RECIPES = [ROOT / "recipes" / name for name in ("self_refine.yaml", "shapes/pair_sft.yaml", "shapes/rise.yaml")]
PIECES = (
    *("$", "{", "}", "[", "]", ":", "-", "?", "&", "*", "#", "'", '"', "|", ">", "@", "%", "=", "..", "0", "null"),
    *("-0x", ".nan", "1e400", "loop", "$loop", "<<: ", "&a ", "*a", "!!int ", "_target_: ", "_partial_: true", "é"),
    *("🙂", ": ", "- ", "\n", "  ", "\t", "\x00", "\ud83d", "\u2028", "\x85", "\ufeff", "9" * 400, "---\n", "...\n"),
    "!!python/object:os.system ",
)
edit = st.tuples(
    st.sampled_from(("cut", "copy", "put")), st.integers(0, 10**6), st.integers(0, 40), st.sampled_from(PIECES)
)
WORDS = ("_target_", "_partial_", "loop", "seed", "store", "n", "name", "data", "$store", "$loop", "$", "<<", "")
TARGETS = (
    *("samplers.Independent", "critics.AnswerMatch", "store.RunStore", "loops.evolve", "data.shapes", "data.table"),
    *("torch.optim.AdamW", "os.system", "samplers", "samplers.", ".", "samplers.Independent.__init__", "a" * 300),
)
value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from((*WORDS, *TARGETS)) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=4)
        | st.builds(
            lambda t, more: {**more, "_target_": t},
            st.sampled_from(TARGETS),
            st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
        )
    ),
    max_leaves=12,
)


@pytest.fixture
def known(monkeypatch):
    """Foreign code that no recipe names is not imported to be looked up: this is about the recipe's text."""
    names = ("torch.optim.AdamW", "lightning.Trainer", "peft.LoraConfig")
    kept = foreign_signatures(names)

    def look_up(asked):
        return {name: kept.get(name, UnknownTarget(f"unknown target '{name[:80]}'")) for name in asked}

    monkeypatch.setattr("mmevolve.config.survey.foreign_signatures", look_up)


def judged(folder, data: bytes) -> list[str]:
    """The lines of `check` of a file, each one sentence with its place."""
    file = folder / "recipe.yaml"
    file.write_bytes(data)
    lines = [str(problem) for problem in check(file)]
    for line in lines:
        assert line.startswith(str(file)) and "\n" not in line, line
        assert line.removeprefix(str(file)).isprintable(), ascii(line)
    return lines


@few(16)
@given(st.sampled_from(RECIPES), st.lists(edit, min_size=1, max_size=4))
def test_a_recipe_with_pieces_cut_copied_and_put_in(folder, known, recipe, edits):
    text = recipe.read_text(encoding="utf-8")
    for kind, at, length, piece in edits:
        at %= len(text) + 1
        if kind == "cut":
            text = text[:at] + text[at + length :]
        else:
            text = text[:at] + (piece if kind == "put" else text[at : at + length]) + text[at:]
    judged(folder, text.encode("utf-8", errors="surrogatepass"))


@few(40)
@given(st.dictionaries(st.sampled_from(("loop", "seed", "store", "x")), value, max_size=4))
def test_a_recipe_of_anything(folder, known, tree):
    judged(folder, yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", errors="surrogatepass"))


@few(40)
@given(
    st.binary(max_size=60)
    | st.text(max_size=40).map(lambda t: t.encode("utf-16"))
    | st.sampled_from((b"", b"\xff", b"---\n---\n", b"loop: !!binary eA==\n"))
)
def test_a_recipe_of_any_bytes(folder, known, data):
    assert judged(folder, data) != []


@few(24)
@given(
    st.integers(1, 3000),
    st.sampled_from(("[", "{a: ", "- ", "? ", "loop: {_target_: samplers.Independent, n: ")),
    st.booleans(),
)
def test_a_recipe_nested_without_end(folder, known, depth, opening, closed):
    depth = depth if opening != "- " else depth % 400
    closing = {"[": "]", "{a: ": "}"}.get(opening, "}" if "{" in opening else "")
    inner = opening[6:] if opening.startswith("loop") else opening
    text = f"loop: {inner * depth if 'loop' not in inner else inner}1{closing * depth if closed else ''}"
    judged(folder, text.encode())


@few(10)
@given(st.integers(1, 60), st.integers(1, 9))
def test_anchors_that_would_grow_without_end_are_refused(folder, known, levels, width):
    rows = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    lines = judged(folder, "\n".join([*rows, "loop: *a0"]).encode())
    assert any("no anchors" in line for line in lines)


@few(6)
@given(st.text(max_size=20), st.sampled_from(("check", "run", "plan")))
def test_the_command_line_ends_with_2_and_no_traceback(folder, known, capsys, words, verb):
    file = folder / "odd.yaml"
    file.write_bytes(words.encode("utf-8", errors="surrogatepass"))
    assert cli.main([verb, str(file)]) == 2
    said = capsys.readouterr()
    assert "Traceback" not in said.err and said.err.count("\n") >= 1


# --- rows ------------------------------------------------------------------------------------------------------------

LEAVES = (
    *(None, True, 0, -1, 10**400, 1e400, math.nan, 1.5, "", " ", "yes", "é🙂\u2028\x00", "\ud800", "x" * 5000),
    *([], {}, [[]], ["a", "a"], {"bytes": None}, {"path": "../secret.png"}, {"bytes": "abc"}, [None]),
)
PATHS = (
    *("a.png", "sub/../a.png", "../secret.png", "sub/../../secret.png", "/etc/passwd", "link.png", "link/secret.png"),
    *("file:///etc/passwd", "http://x/a.png", "a\0b", ".", "..", "~", "sub", "circle", "C:\\a.png", "-", "a" * 5000),
    *("./a.png", "\n.png", "data:image/png;base64,AAAA", "broken.png"),
)
cell = st.sampled_from((*LEAVES, *PATHS)) | st.text(max_size=6) | st.integers() | st.floats()
line = st.fixed_dictionaries(
    {},
    optional={
        "id": cell,
        "question": cell,
        "image": st.sampled_from(PATHS) | st.lists(st.sampled_from(PATHS), max_size=2) | cell,
        "answer": cell,
        "choices": cell | st.lists(cell, max_size=3),
        "meta": cell,
        "more": cell,
    },
)
GOOD = {"id": "0", "question": "?", "image": "a.png", "answer": "yes"}


@pytest.fixture(scope="module")
def rows_folder(tmp_path_factory):
    """A table's folder with a picture, links that lead out of it, and a picture outside."""
    outside = tmp_path_factory.mktemp("outside")
    inside = outside / "table"
    (inside / "sub").mkdir(parents=True)
    for file in (inside / "a.png", outside / "secret.png"):
        Image.new("RGB", (3, 3), "red").save(file)
    (inside / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (inside / "link.png").symlink_to(outside / "secret.png")
    (inside / "link").symlink_to(outside)
    (inside / "circle").symlink_to(inside / "circle")
    return inside


def read_or_refused(file: Path) -> None:
    """Samples whose pictures lie in the folder, or problems with a row each; the preflight says sentences."""
    with suppress(ValueError):
        for sentence in preflight(path=str(file)):
            assert "\n" not in sentence, sentence
    try:
        samples = table(path=str(file))
    except ValueError as error:
        assert type(error).__module__ in ("builtins",) and str(error), repr(error)
        return
    for sample in samples:
        for ref in sample.images:
            assert isinstance(ref, bytes) or Path(ref).resolve().is_relative_to(file.parent.resolve())


@few(60)
@given(st.lists(line | cell | st.just(GOOD), min_size=1, max_size=3), st.integers(0, 200))
def test_json_lines_of_anything(rows_folder, rows, cut):
    file = rows_folder / "t.jsonl"
    text = "\n".join(json.dumps({**GOOD, **row} if isinstance(row, dict) else row) for row in rows)
    file.write_text(text[: len(text) - cut] if cut < 20 else text, encoding="utf-8")
    read_or_refused(file)


@few(30)
@given(st.binary(max_size=80), st.sampled_from(("t.jsonl", "t.csv", "t.jsonl.gz", "t.parquet")))
def test_tables_of_any_bytes(rows_folder, data, name):
    file = rows_folder / name
    file.write_bytes(data)
    read_or_refused(file)


COLUMNS = {
    "text": pa.array(["yes", None]),
    "whole": pa.array([1, None]),
    "fraction": pa.array([math.nan, math.inf]),
    "bool": pa.array([True, None]),
    "bytes": pa.array([b"\x89PNG", None]),
    "list": pa.array([["a", None], []]),
    "struct": pa.array([{"bytes": b"x", "path": "../secret.png"}, {"bytes": None, "path": "a.png"}]),
    "lists of structs": pa.array([[{"bytes": b"x"}], None]),
    "nothing": pa.nulls(2),
    "decimal": pa.array([Decimal("1.50"), None]),
    "day": pa.array([date(2020, 1, 1), None]),
    "time": pa.array([datetime(2020, 1, 1), None], pa.timestamp("ns", tz="UTC")),
    "duration": pa.array([5, None], pa.duration("ns")),
    "dictionary": pa.array(["a", "b"]).dictionary_encode(),
    "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
    "half": pa.array([1.5, None], pa.float32()).cast(pa.float16()),
    "large": pa.array(["a", "b"], pa.large_string()),
    "huge": pa.array([2**63, 1], pa.uint64()),
}


@few(40)
@given(
    st.dictionaries(
        st.sampled_from(("id", "question", "image", "answer", "choices", "meta", "more", "é")),
        st.sampled_from(sorted(COLUMNS)),
        min_size=1,
    )
)
def test_parquet_columns_of_any_type(rows_folder, columns):
    good = {"id": ["0", "1"], "question": ["?", "?"], "image": ["a.png"] * 2, "answer": ["a", "b"]}
    file = rows_folder / "t.parquet"
    pq.write_table(
        pa.table({**{k: pa.array(v) for k, v in good.items()}, **{k: COLUMNS[v] for k, v in columns.items()}}), file
    )
    read_or_refused(file)


# --- pictures --------------------------------------------------------------------------------------------------------

MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("L", "P", "RGB"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "RGB", "RGBA", "CMYK", "I;16", "F", "LAB"),
    "BMP": ("1", "L", "RGB"),
    "PPM": ("L", "RGB"),
}
KINDS = [(kind, mode) for kind, modes in MODES.items() for mode in modes]
NAMES = (
    "é🙂.png",
    "-rf.png",
    "a b\t.png",
    "new\nline.png",
    "'quote\".png",
    "\x1b[31m.png",
    "\u202eevil.png",
    ".png",
    "x" * 200,
)


def encoded(kind: str, mode: str, size: tuple[int, int], turn: int, frames: int) -> bytes:
    wide = {"I;16": "I;16", "I": "I", "F": "F"}
    image = Image.new(wide.get(mode, mode), size) if mode in wide else Image.linear_gradient("L").resize(size)
    image = image if mode in wide else image.convert("RGB").convert(mode) if mode != "LAB" else Image.new("LAB", size)
    options = {}
    if turn and kind in ("PNG", "JPEG", "WEBP", "TIFF"):
        exif = Image.Exif()
        exif[0x0112] = turn
        options["exif"] = exif
    if frames > 1 and kind in ("GIF", "WEBP", "PNG", "TIFF") and mode in ("RGB", "RGBA", "L"):
        options |= {"save_all": True, "append_images": [image] * (frames - 1)}
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.filterwarnings("ignore")
@few(60)
@given(
    st.sampled_from(KINDS), st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(0, 9), st.integers(1, 3),
    st.integers(0, 3), st.floats(0, 1), st.integers(0, 2**32), st.sampled_from(NAMES),
)  # fmt: skip
def test_pictures_of_every_kind_whole_cut_and_damaged(folder, kind, size, turn, frames, harm, share, seed, name):
    data = bytearray(encoded(*kind, size, turn, frames))
    if harm == 1:
        del data[int(share * len(data)) :]
    for _ in range(3 if harm == 2 else 0):
        seed = seed * 6364136223846793005 + 1442695040888963407
        data[(seed >> 33) % len(data)] = seed >> 24 & 255
    path = folder / name
    path.write_bytes(data)
    for ref in (bytes(data), str(path)):
        refused = []
        for read in (open_image, verify_image):
            try:
                image = read(ref)
            except (ValueError, FileNotFoundError) as error:
                refused.append(str(error))
                assert harm and str(error).isprintable(), ascii(str(error))
            else:
                assert image is None or image.mode == "RGB"
                if harm == 0 and image is not None:
                    assert image.size == (
                        size if turn < 5 or turn == 9 or kind[0] in ("GIF", "BMP", "PPM") else size[::-1]
                    )
        assert len(image_digest(ref)) == 64
        html = picture(ref)
        assert html.startswith("<img") or "cannot be shown" in html
        assert html.count("<") <= 2 and "\x1b" not in html


# --- what a model writes ---------------------------------------------------------------------------------------------

BITS = (
    *("answer : ", "\\boxed{", "}", "<answer>", "</answer>", "####", "step 1 : ", "step 99999 : ", " ; ", "wrong"),
    *("right", "(A)", "B.", "1e999", "9" * 5000, "-", "½", "١٢", "²", "1/0", "0x1F", "1,000,", "{", '{"step_1": ', "]"),
    *("```json\n", "\x00", "\x1b[31m", "\ud800", "\u202e", "\u2028", "\x85", "\r", "\n", "\v", "\ufffd", "𝟙", "ﬁ", "é"),
    *(
        "e\u0301",
        "\U0001f469\u200d\U0001f467",
        "<script>alert(1)</script>",
        "</script>",
        "<img src=x onerror=y>",
        "&amp;",
    ),
    *(
        "&#x3c;",
        '" onload="',
        "javascript:",
        "]]>",
        "<!--",
        "Score: 7/10",
        "Better: A",
        "tie",
        "yes",
        "no",
        "nan",
        "inf",
    ),
    *("[0.1 0.2 0.3 0.4]", "row 99 :", "missing: a4", "-inf", "\\frac{1}{0}", "9^9^9^9", "!" * 50, "true", "null"),
    *("1" * 400 + "." + "1" * 400, "answer: " * 40, "step_" + "9" * 400),
)
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e]")
said = st.lists(st.sampled_from(BITS) | st.text(max_size=8), max_size=12).map("".join) | st.text(max_size=60)


@few(120)
@given(said, st.lists(st.text(max_size=5) | st.sampled_from(BITS), min_size=2, max_size=4), st.integers(0, 5))
def test_a_models_words_through_every_reader(text, choices, steps):
    for some in ((), choices):
        for strict in (True, False):
            found = extract(text, choices=some, strict=strict)
            assert found is None or (isinstance(found, str) and found)
    assert equal(text, text) in (True, False) and equal(text, choices[0], choices=choices) in (True, False)
    lines = split_steps(text)
    assert all(line and line == line.strip() and len(line.splitlines()) == 1 for line in lines)
    verdict = written_critique.parse(text, steps)
    assert len(verdict.steps) == len(verdict.why) == steps
    errors = error_list.parse(text, lines)
    assert errors is None or all(e.step is None or isinstance(e.step, int) for e in errors)
    assert error_list.parse(text) is None or isinstance(error_list.parse(text), tuple)
    score = judge_reply.score(text, 1, 10)
    assert score is None or 1 <= score <= 10
    assert judge_reply.better(text) in (None, "A", "B", "tie")
    asked, left = checklist.items(text, 5)
    assert len(asked) <= 5 and left >= 0
    assert isinstance(checklist.parse(text), list) and checklist.not_read(text) >= 0
    assert isinstance(pair_verdicts.parse(text), list)


@few(80)
@given(said)
def test_a_models_words_are_only_words_on_a_page(text):
    shown = esc(text)
    assert not set(shown) & set("<>\"'") and not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\ud800-\udfff\u202a-\u202e]", shown
    )
    assert clean(clean(text)) == clean(text)
    shown.encode("utf-8")
    packed = dumps({"t": text})
    assert "<" not in packed and packed.isascii() and json.loads(packed) == {"t": text}


@few(8)
@given(said, said, st.floats(), st.lists(st.floats(), max_size=3))
def test_a_models_words_are_kept_as_they_were_or_refused(tmp_path_factory, text, answer, score, scores):
    store = RunStore(str(tmp_path_factory.mktemp("store")), "evolve")
    steps = tuple(Step(line) for line in split_steps(text))
    t = Trajectory("q/0/0", "q", "m", steps, answer, 0, sampling={"note": text})
    c = Critique("q/0/0", "judge", score, tuple(scores), text)
    file = store.round_folder(0)
    try:
        store.write(file / "trajectories.parquet", [t])
        store.write(file / "critiques.parquet", [c])
    except StoreError as error:
        assert any("\ud800" <= letter <= "\udfff" for letter in text + answer) and "half of a character" in str(error)
        return
    (kept,), (heard,) = store.table(0, "trajectories"), store.table(0, "critiques")
    assert (kept.steps, kept.answer) == (t.steps, t.answer)
    assert repr((heard.score, heard.step_scores, heard.text)) == repr((c.score, c.step_scores, c.text))


@few(3)
@given(st.lists(said, min_size=12, max_size=12))
def test_the_pages_of_a_run_hold_no_markup_of_a_models(tmp_path_factory, texts):
    run = str(tmp_path_factory.mktemp("run"))
    odd = iter(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for text in texts)
    sample = Sample("q", next(odd), (), next(odd), (next(odd), next(odd)), meta={"family": next(odd)})
    for at in ("before", 0):
        store = RunStore(run, "evolve")
        t = Trajectory("q/0/0", "q", next(odd), tuple(map(Step, split_steps(next(odd)))), next(odd), 0)
        rows = {"samples": sample, "trajectories": t, "critiques": Critique("q/0/0", "answer", 1.0 * (at == 0), (), "")}
        for name, row in rows.items():
            store.write(store.round_folder(at) / f"held_out_{name}.parquet", [row])
        store.write(store.round_folder(at) / "metrics.parquet", [{"held_out/accuracy": 1.0 * (at == 0)}])
    Path(run, "recipe.yaml").write_text(f"# {next(odd)}", encoding="utf-8")
    for text in (page(open_run(run)), explored(run)):
        own = text.count('<script type="application/json" id="data-')
        assert tags(text).count("script") == (own + 1 if own else 0)
        assert not {"img", "iframe"} & set(tags(text)) and not CONTROLS.search(text)


def explored(run: str) -> str:
    out = Path(run, "explorer.html")
    assert explore(run, str(out)) == 0
    return out.read_text(encoding="utf-8")


def tags(text: str) -> list[str]:
    """Elements of a page as a browser would see them."""
    found: list[str] = []
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, attributes: found.append(tag)
    reader.feed(text)
    return found
