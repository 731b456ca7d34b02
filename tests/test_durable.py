"""Power cuts: what has a name is whole, whatever the disk had not yet written when the light went out."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import stat
from pathlib import Path

import pytest
from PIL import Image

from mmevolve import durable
from mmevolve.models.tiny import make_tiny
from mmevolve.store import RunStore, Units
from mmevolve.types import Sample


class Disk:
    """What would be found after a power cut: names and bytes as they were when they were last flushed, or less.

    `early` is the other way in which a disk may be behind: every name is there at once, and bytes that were not flushed
    are lost.
    """

    def __init__(self, folder: Path, monkeypatch):
        self.folder, self.after = folder, lambda: None
        self.bytes: dict[int, bytes] = {}
        self.names: dict[Path, dict[str, int]] = {}
        fsync, replace = os.fsync, os.replace

        def flushed(handle):
            fsync(handle)
            path, found = Path(os.readlink(f"/proc/self/fd/{handle}")), os.fstat(handle)
            if stat.S_ISDIR(found.st_mode):
                self.names[path] = {p.name: p.stat().st_ino for p in path.iterdir()}
            else:
                self.bytes[found.st_ino] = path.read_bytes()
            self.after()

        def replaced(a, b):
            replace(a, b)
            self.after()

        monkeypatch.setattr(os, "fsync", flushed)
        monkeypatch.setattr(os, "replace", replaced)

    def found(self, out: Path, *, early: bool) -> Path:
        """The folder as it comes back."""
        shutil.rmtree(out, ignore_errors=True)
        for path in [self.folder, *self.folder.rglob("*")]:
            if path.is_dir():
                here = out / path.relative_to(self.folder)
                here.mkdir(parents=True, exist_ok=True)
                now = {p.name: p.stat().st_ino for p in path.iterdir() if p.is_file()}
                for name, file in (now if early else self.names.get(path, {})).items():
                    if early or file in self.bytes:
                        (here / name).write_bytes(self.bytes.get(file, b""))
        return out


def picture(colour: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4), (colour, 0, 0)).save(out, "PNG")
    return out.getvalue()


def samples(n: int):
    return [[Sample(f"s{i}", "how many ?", (picture(i),), "3")] for i in range(n)]


def test_after_a_power_cut_at_any_instant_every_table_is_whole_and_has_its_pictures(tmp_path, monkeypatch):
    run, seen = tmp_path / "run", []
    disk = Disk(run, monkeypatch)

    def look():
        for early in (False, True):
            back = RunStore(str(disk.found(tmp_path / "back", early=early)))
            tables = [p for p in Path(back.path).rglob("*.parquet")]
            for table in tables:
                for row in back.read(table):
                    Image.open(row.images[0]).load()
            seen.append((early, len(tables), sum(p.stem == "samples" for p in tables)))

    disk.after = look
    store = RunStore(str(run)).stage("evolve")
    made = store.once(0, "samples", lambda: Units(samples(3), lambda units: units))
    assert len(made) == 3
    assert max(s for early, _, s in seen if not early) == 1, "the finished table was never on the disk"
    assert {n for early, n, _ in seen if not early} >= {0, 1, 2, 3}, "units were not kept one by one"


def test_a_text_that_never_reached_the_disk_does_not_take_the_place_of_another(tmp_path, monkeypatch):
    file = durable.put_text(tmp_path / "deep" / "summary.json", "old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.put_text(file, "new")
    assert file.read_text() == "old"


def test_a_folder_is_put_in_place_with_all_its_files_flushed(tmp_path, monkeypatch):
    disk = Disk(tmp_path, monkeypatch)
    aside = tmp_path / "checkpoint.tmp"
    (aside / "tokenizer").mkdir(parents=True)
    for name in ("model.safetensors", "tokenizer/vocab.json"):
        (aside / name).write_bytes(name.encode())
    durable.put(aside, tmp_path / "checkpoint")
    assert set(disk.bytes.values()) == {b"model.safetensors", b"tokenizer/vocab.json"}
    assert set(disk.names[aside]) == {"model.safetensors", "tokenizer"}
    assert set(disk.names[aside / "tokenizer"]) == {"vocab.json"}
    assert set(disk.names[tmp_path]) == {"checkpoint"}


@pytest.mark.parametrize("killed_at", range(1, 9))
def test_a_fresh_model_is_taken_as_finished_only_when_all_its_files_are_there(tmp_path, monkeypatch, killed_at):
    def files(folder):
        return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    class Killed(BaseException):
        pass

    whole = files(Path(make_tiny(tmp_path / "whole", layers=1)))
    assert "config.json" in whole and len(whole) < 8, "the last instants below lie after the last file"
    replace, left = os.replace, [killed_at]

    def one_less(a, b):
        left[0] -= 1
        if not left[0]:
            raise Killed
        replace(a, b)

    with monkeypatch.context() as patched, contextlib.suppress(Killed):
        patched.setattr(os, "replace", one_less)
        make_tiny(tmp_path / "start", layers=1)
    assert files(Path(make_tiny(tmp_path / "start", layers=1))) == whole
    assert {p.name for p in tmp_path.iterdir()} == {"whole", "start"}


@pytest.mark.parametrize("number", durable.FOLDERS_CANNOT)
def test_a_disk_that_cannot_flush_folders_is_good_enough(tmp_path, monkeypatch, number):
    def cannot(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, "not here")

    monkeypatch.setattr(os, "fsync", cannot)
    assert durable.put_text(tmp_path / "a.json", "{}").read_text() == "{}"

    def broken(handle):
        raise OSError(number, "not here")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="not here"):
        durable.put_text(tmp_path / "b.json", "{}")
