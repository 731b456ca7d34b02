"""The run folder: tables whole or absent, keyed by what made them, readable wherever they lie."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from mmevolve import store as storing
from mmevolve.keys import describe, difference
from mmevolve.store import RunStore, StoreError, Units, image_format
from mmevolve.text import user
from mmevolve.types import Critique, Demonstration, Labelled, Preference, Sample, Step, Trajectory, to_row


@dataclass(frozen=True)
class Sampler:
    n: int = 8
    temperature: float = 1.0


def picture(colour: int = 0, kind: str = "PNG") -> bytes:
    import io

    out = io.BytesIO()
    Image.new("RGB", (4, 4), (colour, 0, 0)).save(out, kind)
    return out.getvalue()


def trajectories(n=3):
    step = Step("a : red", "perception", ((0.0, 0.0, 0.5, 0.5),))
    return [
        Trajectory(
            f"s{i}/0/0", f"s{i}", "m@base", (step,), "7", sampling={"t": 1.0}, token_ids=(1, 2), logprobs=(-0.5, -1e-5)
        )
        for i in range(n)
    ]


def make(sampler, batch, *, round):
    return trajectories(sampler.n)


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


ROWS = [
    Sample("s", "how many?", (), "3", ("2", "3"), "x", {"scene": [1, {"a": 2.5}], "why": "ü"}),
    *trajectories(1),
    Critique("s/0/0", "prm", 0.25, (0.5, 0.25), "text", True),
    Critique("s/0/0", "prm", None, error="unparsable"),
    Demonstration((user("q"),), "a\nb", 0.5, ((0, 1),), "s/0/0"),
    Preference((user("q"),), "a", "b", "p", (user("r"),), 0.1, 0.9, 1.0, "step", "s"),
    Labelled((user("q"),), "a\nb", (0.0, 1.0), (1.0, 0.5), "s"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_rows_come_back_as_they_were(tmp_path, row):
    store = RunStore(str(tmp_path))
    store.write(tmp_path / "t.parquet", [row, row])
    back = store.read(tmp_path / "t.parquet")
    assert [type(r) for r in back] == [type(row)] * 2
    assert [to_row(r) for r in back] == [to_row(row)] * 2


def test_missing_labels_come_back_missing(tmp_path):
    store = RunStore(str(tmp_path))
    store.write(tmp_path / "t.parquet", [Labelled((user("q"),), "a\nb", (math.nan, 1.0))])
    (row,) = store.read(tmp_path / "t.parquet")
    assert math.isnan(row.labels[0]) and row.labels[1] == 1.0


def test_plain_rows_keep_every_column(tmp_path):
    store = RunStore(str(tmp_path))
    store.write(tmp_path / "t.parquet", [{"a": 1}, {"b": 2.5}])
    assert store.read(tmp_path / "t.parquet") == [{"a": 1, "b": None}, {"a": None, "b": 2.5}]


def test_an_empty_table_is_a_table(tmp_path):
    store = RunStore(str(tmp_path)).stage("evolve")
    assert store.once(0, "examples", lambda: []) == []
    assert store.once(0, "examples", lambda: pytest.fail("made twice")) == []


def test_rows_that_depend_on_no_round_are_made_once_a_run(tmp_path):
    store, made = RunStore(str(tmp_path)), []

    def work(sampler, batch):
        made.append(sampler)
        return trajectories(sampler.n)

    first = store.stage("warmup").once_a_run(0, "held_out", work, Sampler(2), [])
    again = store.stage("evolve").once_a_run("before", "held_out", work, Sampler(2), [])
    other = store.stage("evolve").once_a_run(0, "held_out", work, Sampler(3), [])
    assert made == [Sampler(2), Sampler(3)]
    assert first == again != other
    paths = [tmp_path / "warmup/round=000/held_out.parquet", tmp_path / "evolve/before/held_out.parquet"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    store.stage("warmup").once(0, "settled", work, Sampler(2), [])  # of another name: not a twin
    assert len(made) == 3


def test_a_table_is_made_once(tmp_path):
    calls = []

    def verb(sampler, *, round):
        calls.append(round)
        return trajectories()

    store = RunStore(str(tmp_path)).stage("evolve")
    first = store.once(0, "trajectories", verb, Sampler(), round=0)
    assert store.once(0, "trajectories", verb, Sampler(), round=0) == first == trajectories()
    assert calls == [0]
    assert store.table(0, "trajectories") == first
    assert store.table(1, "trajectories") == []


@pytest.mark.parametrize(
    "sampler, batch, said",
    [
        (Sampler(n=4), trajectories(), "'sampler.n' was 3, now 4"),
        (Sampler(n=3, temperature=0.5), trajectories(), "'sampler.temperature' was 1.0, now 0.5"),
        (Sampler(n=3), trajectories(2), "'batch.digest' was"),
    ],
)
def test_changed_settings_are_refused_by_name(tmp_path, sampler, batch, said):
    store = RunStore(str(tmp_path)).stage("evolve")
    store.once(0, "trajectories", make, Sampler(n=3), trajectories(), round=0)
    before = files(tmp_path)
    with pytest.raises(StoreError, match=said):
        store.once(0, "trajectories", make, sampler, batch, round=0)
    assert files(tmp_path) == before


def test_another_verb_is_another_setting(tmp_path):
    store = RunStore(str(tmp_path)).stage("evolve")
    store.once(0, "t", make, Sampler(n=3), [], round=0)
    with pytest.raises(StoreError, match="'verb' was"):
        store.once(0, "t", lambda sampler, batch, *, round: [], Sampler(n=3), [], round=0)


def test_changed_images_are_noticed():
    def key(*images):
        return describe([Sample("s", "q", images)])

    assert key(picture(0)) != key(picture(1))
    stored = f"runs/a/images/{hashlib.sha256(picture(0)).hexdigest()}.png"
    assert key(picture(0)) == key(stored) == key(stored.replace("runs/a", "/elsewhere"))
    assert key("data/a.png") != key("data/b.png")


def test_a_truncated_table_is_named(tmp_path):
    store = RunStore(str(tmp_path)).stage("evolve")
    store.once(0, "trajectories", make, Sampler(), [], round=0)
    path = store.round_folder(0) / "trajectories.parquet"
    data = path.read_bytes()
    for size in (0, 3, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(StoreError, match=r"trajectories\.parquet is damaged .* delete it and run again"):
            store.once(0, "trajectories", make, Sampler(), [], round=0)


def test_no_flipped_byte_changes_a_row_unnoticed(tmp_path):
    """Many bytes of a table in turn: the damage is named, or the rows are the same."""
    store = RunStore(str(tmp_path))
    path = tmp_path / "t.parquet"
    rows = trajectories(1)
    store.write(path, rows, {"a": 1})
    data = path.read_bytes()
    named = 0
    places = range(0, len(data), 11)
    for at in places:
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x15]) + data[at + 1 :])
        try:
            assert store.read(path) == rows, f"byte {at}"
        except StoreError as error:
            named += 1
            assert "t.parquet is damaged" in str(error)
    assert named > len(places) / 2


def test_units_go_on_where_they_stopped(tmp_path):
    store = RunStore(str(tmp_path)).stage("evolve")
    worked = []

    def verb(items, stop):
        def work(batch):
            for item in batch:
                if item == stop:
                    raise KeyboardInterrupt
                worked.append(item)
            return [[{"row": 10 * item}, {"row": 10 * item + 1}] for item in batch]

        return Units(items, work)

    def once(stop, items=(0, 1, 2, 3)):
        kwargs = {"items": list(items), "stop": None}
        storing_verb = lambda items, stop=None: verb(items, STOP[0])  # noqa: E731
        STOP[0] = stop
        return store.once(0, "t", storing_verb, **kwargs)

    STOP = [None]
    with pytest.raises(KeyboardInterrupt):
        once(2)
    assert worked == [0, 1]
    assert not (store.round_folder(0) / "t.parquet").exists()
    rows = once(None)
    assert worked == [0, 1, 2, 3]
    assert rows == [{"row": r} for i in range(4) for r in (10 * i, 10 * i + 1)]
    assert sorted(p.name for p in store.round_folder(0).iterdir()) == ["t.parquet"]


def test_units_made_with_other_settings_are_refused(tmp_path):
    store = RunStore(str(tmp_path)).stage("evolve")

    def verb(n, fail):
        def work(batch):
            if FAIL[0] and batch[0] == 1:
                raise KeyboardInterrupt
            return [[{"row": item}] for item in batch]

        return Units([0, 1], work)

    FAIL = [True]
    with pytest.raises(KeyboardInterrupt):
        store.once(0, "t", verb, 8, False)
    FAIL[0] = False
    with pytest.raises(StoreError, match=r"t\.parts.000000\.parquet was made with other settings: 'n' was 8, now 9"):
        store.once(0, "t", verb, 9, False)


def test_finished_units_that_a_kill_left_behind_are_cleared_away(tmp_path):
    store = RunStore(str(tmp_path)).stage("evolve")
    store.once(0, "t", make, Sampler(), [], round=0)
    left = store.round_folder(0) / "t.parts"
    left.mkdir()
    (left / "000000.parquet").write_bytes(b"x")
    store.once(0, "t", make, Sampler(), [], round=0)
    assert not left.exists()


def test_images_are_kept_once_in_their_own_format_under_their_hash(tmp_path):
    store = RunStore(str(tmp_path))
    kinds = {"PNG": "png", "JPEG": "jpg", "GIF": "gif", "BMP": "bmp", "WEBP": "webp", "TIFF": "tif"}
    samples = [Sample(f"{kind}{i}", "q", (picture(kind=kind),)) for kind in kinds for i in range(2)]
    store.write(tmp_path / "t.parquet", samples)
    kept = sorted((tmp_path / "images").iterdir())
    assert sorted(p.suffix[1:] for p in kept) == sorted(kinds.values())
    for path in kept:
        assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
        with Image.open(path) as image:
            assert kinds[image.format] == path.suffix[1:]
    assert [Path(s.images[0]).read_bytes() for s in store.read(tmp_path / "t.parquet")] == [
        s.images[0] for s in samples
    ]


def test_bytes_of_an_unknown_kind_are_kept_too():
    assert image_format(b"\0\0\0 ftypavif") == "img"
    assert image_format(b"") == "img"


def test_images_inside_chats_are_kept(tmp_path):
    store = RunStore(str(tmp_path))
    chat = (user("q", (picture(1),)),)
    rows = [Demonstration(chat, "a"), Preference(chat, "a", "b", rejected_prompt=(user("q", (picture(2),)),))]
    for i, row in enumerate(rows):
        store.write(tmp_path / f"{i}.parquet", [row])
        (back,) = store.read(tmp_path / f"{i}.parquet")
        assert Path(back.prompt[0]["content"][0]["image"]).read_bytes() == picture(1)
    assert Path(back.rejected_prompt[0]["content"][0]["image"]).read_bytes() == picture(2)
    assert len(list((tmp_path / "images").iterdir())) == 2


@pytest.mark.parametrize("name", ["plain", "with space", 'quo"te', "ümläut", "trailing/"])
def test_a_moved_run_stays_readable(tmp_path, name):
    old = RunStore(str(tmp_path) + "/" + name)
    rows = [Sample("s", "q", (picture(),)), Sample("t", 'say "@images/ twice', ("data/a.png",))]
    old.stage("evolve").once(0, "samples", lambda data: data, rows)
    new = RunStore(str(tmp_path / "new"))
    shutil.move(old.path, new.path)
    moved = new.stage("evolve").once(0, "samples", lambda data: data, rows)
    assert Path(moved[0].images[0]).read_bytes() == picture()
    assert Path(moved[0].images[0]).parent == tmp_path / "new" / "images"
    assert (moved[1].question, moved[1].images) == (rows[1].question, rows[1].images)


def test_the_same_rows_are_the_same_bytes_in_any_folder(tmp_path):
    made = []
    for name in ("a", "b"):
        store = RunStore(str(tmp_path / name)).stage("evolve")
        store.once(0, "samples", lambda data: data, [Sample("s", "q", (picture(),))])
        store.once(0, "trajectories", make, Sampler(), trajectories(), round=0)
        made.append(files(tmp_path / name))
    assert made[0] == made[1]
    assert len(made[0]) == 3


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("where", ["write_table", "replace", "image"])
def test_a_full_disk_leaves_finished_tables_whole(tmp_path, monkeypatch, where):
    store = RunStore(str(tmp_path)).stage("evolve")
    first = store.once(0, "trajectories", make, Sampler(), [], round=0)
    before = files(tmp_path)
    with monkeypatch.context() as patch:
        target = {
            "write_table": (pq, "write_table"), "replace": (storing.os, "replace"), "image": (Path, "write_bytes")
        }[where]  # fmt: skip
        patch.setattr(*target, full)
        with pytest.raises(StoreError, match="No space left on device; finished tables are whole, make room"):
            store.once(1, "samples", lambda: [Sample("s", "q", (picture(),))])
    assert {k: v for k, v in files(tmp_path).items() if "images/" not in k} == before
    assert store.once(0, "trajectories", make, Sampler(), [], round=0) == first
    assert len(store.once(1, "samples", lambda: [Sample("s", "q", (picture(),))])) == 1
    assert not [p for p in files(tmp_path) if p.endswith(".tmp")]


def test_a_verb_that_fails_leaves_no_table(tmp_path):
    store = RunStore(str(tmp_path)).stage("evolve")

    def fail():
        yield trajectories(1)[0]
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        store.once(0, "t", fail)
    assert files(tmp_path) == {}


def test_differences_are_said_in_words():
    assert difference({"a": {"b": 1}}, {"a": {"b": 1}}) == ""
    assert difference({"a": {"b": 1}}, {"a": {"b": 2}}) == "'a.b' was 1, now 2"
    assert difference({"a": 1}, {"a": 1, "c": 2}) == "'c' is new"
    assert difference({"a": 1, "c": 2}, {"a": 1}) == "'c' is gone"
    assert difference({"a": [1, {"n": 2}]}, {"a": [1, {"n": 3}]}) == "'a[1].n' was 2, now 3"


def test_what_cannot_be_described_is_refused():
    with pytest.raises(TypeError, match="give it a describe"):
        describe(object())


def test_a_metrics_table_with_a_number_that_was_not_measured_is_read_again_and_a_changed_metric_is_refused(tmp_path):
    store = RunStore(str(tmp_path)).stage("evolve")
    for _ in range(2):
        (row,) = store.once(0, "metrics", list, [{"accuracy": 0.5, "auroc": float("nan")}])
        assert row["accuracy"] == 0.5
    with pytest.raises(StoreError, match="accuracy"):
        store.once(0, "metrics", list, [{"accuracy": 0.6, "auroc": float("nan")}])
