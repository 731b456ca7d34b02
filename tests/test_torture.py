"""The torture in short: a run without weights, killed, starved of disk, damaged, locked out; what must be compared."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmevolve import launch
from mmevolve.console import Console
from mmevolve.store import SEAL, StoreError, refuse_broken, seal

ROOT = Path(__file__).parents[1]
TORTURE = ROOT / "eval" / "torture"


def torture(folder, *more):
    command = [sys.executable, str(TORTURE / "run.py"), "--scripted", "--folder", str(folder), *more]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def tortured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torture") / "scripted"
    return folder, *torture(folder, "--kills", "10")


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes_and_hazards_are_named(tortured):
    _, code, said = tortured
    figures = json.loads(said.strip().splitlines()[-1])
    assert code == 0, said
    assert figures["kills"] >= 10 and figures["differ"] == 0
    assert figures["hazards"] == 5 and figures["hazards_wrong"] == 0
    assert figures["clock_set_back"] > 0


def test_a_torture_that_was_stopped_goes_on(tortured):
    folder, *_ = tortured
    kept = (folder / "kills.jsonl").read_text().splitlines()
    (folder / "kills.jsonl").write_text("\n".join(kept[:3]) + "\n")
    code, said = torture(folder, "--kills", "1", "--only-kills")
    assert code == 0 and "going on after" in said, said
    assert (folder / "kills.jsonl").read_text().splitlines() == kept[:3]


def test_only_times_are_left_out_of_the_comparison(tortured, monkeypatch):
    monkeypatch.syspath_prepend(str(TORTURE))
    from artefacts import LEFT_OUT, TIMES, artefacts, differing

    assert set(LEFT_OUT) == {"timings.json", "environment.json", "tensorboard", "report.html"}
    assert all(reason and "\n" not in reason for reason in LEFT_OUT.values())
    assert TIMES == ("seconds", "peak_rss_bytes")
    whole = tortured[0] / "scripted" / "whole"
    files = {str(f.relative_to(whole)) for f in whole.rglob("*") if f.is_file()}
    found = artefacts(whole)
    assert set(found) == files, "nothing of this run is time"
    assert any(name.endswith("checkpoint/weights.safetensors") for name in files)
    assert differing(found, {**found, "run/left.tmp": "x"}) == ["run/left.tmp"]


@pytest.mark.parametrize("left", [0, 1, 40])
def test_a_checkpoint_with_a_byte_flipped_or_cut_off_is_named(tmp_path, left):
    (tmp_path / "weights").write_bytes(bytes(80))
    refuse_broken(tmp_path)  # of a run that kept no checksums
    seal(tmp_path)
    refuse_broken(tmp_path)
    (tmp_path / "weights").write_bytes(bytes(left) + b"\1" + bytes(79 - left))
    with pytest.raises(StoreError, match=r"is damaged \(weights is not as it was written\); delete it"):
        refuse_broken(tmp_path)
    (tmp_path / "weights").write_bytes(bytes(left))
    with pytest.raises(StoreError, match="weights is not as it was written"):
        refuse_broken(tmp_path)
    (tmp_path / SEAL).write_bytes(b"\xff{")
    with pytest.raises(StoreError, match=r"is damaged \(checksums\.json"):
        refuse_broken(tmp_path)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_run_folder_that_cannot_be_written_is_told_in_one_sentence(tmp_path, monkeypatch, capsys, number):
    def refuse(path, **_):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(launch, "ready", lambda *_, **__: "a recipe")
    monkeypatch.setattr(launch, "run_folder", lambda _: tmp_path / "run")
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert launch.run("recipe.yaml") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"cannot use {tmp_path / 'run'}: {os.strerror(number)}; finished tables are whole")
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize("left", ["", '{"total": 3', "[1]"])
def test_times_that_a_kill_left_half_written_end_no_run(tmp_path, left):
    (tmp_path / "timings.json").write_text(left)
    assert launch.spent_before(tmp_path) == 0.0
    launch.keep_times(tmp_path, Console(quiet=True), 2.0)
    assert launch.spent_before(tmp_path) == 2.0
    assert [f.name for f in tmp_path.iterdir()] == ["timings.json"]
