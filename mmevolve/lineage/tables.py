"""Tables of a run folder by their heads and columns, without making nouns of their rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmevolve.store import CLASS, KEY, damaged


def made_of(path: Path) -> dict[str, Any]:
    """The description of settings and inputs that a table carries; empty when the file is absent or has none.

    Raises:
        StoreError: when the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads((pq.read_schema(path).metadata or {}).get(KEY, b"{}"))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(path, error) from error
    return found if isinstance(found, dict) else {}


def kind_of(path: Path) -> str:
    """Name of the noun whose rows a table holds.

    Raises:
        StoreError: when the file is damaged.
    """
    try:
        return ((pq.read_schema(path).metadata or {}).get(CLASS) or b"").decode()
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error


def batches(path: Path, names: tuple[str, ...], *, size: int = 32768) -> Iterator[pa.RecordBatch]:
    """Some columns of a table, a part of its rows at a time.

    Raises:
        StoreError: when the file is damaged.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield from file.iter_batches(size, columns=list(names), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error


def column_names(path: Path) -> list[str]:
    """The columns that a table has.

    Raises:
        StoreError: when the file is damaged.
    """
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error
