"""The small benchmark in the current folder."""

from __future__ import annotations

import pytest
from four import ROWS, png, put_spec, write_rows


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with the spec and its data below `data`."""
    monkeypatch.chdir(tmp_path)
    put_spec(tmp_path)
    write_rows(tmp_path / "data" / "four" / "test.jsonl", ROWS)
    for name in ("a.png", "b.png"):
        (tmp_path / "data" / "four" / name).write_bytes(png())
    return tmp_path
