"""Architecture and weight files of a model's folder, looked at without loading them; standard library only.

What transformers can open is read from the text of its own table, as importing it would take longer than the check.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path

_TABLE = re.compile(r"^MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES\b.*?^\)", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r"\(\s*\"([^\"]+)\",")
_LONGEST = 100_000_000  # bytes of a header; safetensors' own limit
_POINTER = b"version https://git-lfs"


def architecture_problems(config: Mapping[str, object], name: str) -> Iterator[str]:
    """Whether a config is one of a vision-language model that the installed transformers knows."""
    kind, known = config.get("model_type"), architectures()
    if not isinstance(kind, str):
        yield f"config.json of the model folder '{name}' names no model_type: expected that of a vision-language model"
    elif known and kind not in known:
        near = get_close_matches(kind, known, n=1)
        own = ", and code of its own is not run" if "auto_map" in config else ""
        yield (
            f"the model folder '{name}' holds a '{kind}', which is none of the {len(known)} vision-language "
            f"architectures of transformers {metadata.version('transformers')}{own}"
            + (f": the nearest is '{near[0]}'" if near else "")
        )


def architectures() -> list[str]:
    """Model types that `AutoModelForImageTextToText` opens; empty where transformers keeps them elsewhere."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or spec.origin is None:
        return []
    try:
        text = Path(spec.origin).with_name("models").joinpath("auto", "modeling_auto.py").read_text(encoding="utf-8")
    except OSError:
        return []
    table = _TABLE.search(text)
    return _ENTRY.findall(table.group()) if table else []


def weight_file_problems(file: Path, holds: frozenset[str] = frozenset()) -> Iterator[str]:
    """Whether a safetensors file is whole, as far as its header and its size tell: at most one sentence.

    Args:
        file: the file.
        holds: weights that it must hold.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        begin = opened.read(len(_POINTER))
        if begin == _POINTER:
            yield f"the weight file '{file}' is a Git LFS pointer, not weights: fetch them with git lfs pull"
            return
        length = int.from_bytes(begin[:8], "little")
        opened.seek(8)
        text = opened.read(length) if length <= min(size, _LONGEST) else b""
    try:
        header = json.loads(text)
        places = {key: value["data_offsets"] for key, value in header.items() if key != "__metadata__"}
        end = 8 + length + max((int(place[1]) for place in places.values()), default=0)
    except (ValueError, AttributeError, KeyError, TypeError, IndexError):
        yield f"the weight file '{file}' is cut off or no safetensors file: its header cannot be read ({size:,} bytes)"
        return
    lost = sorted(holds - places.keys())
    if end != size:
        what = "cut off" if size < end else "too long"
        yield f"the weight file '{file}' is {what}: {size:,} bytes, expected {end:,} by its own header"
    elif lost:
        first = f"the first is '{lost[0]}'"
        yield f"the weight file '{file}' lacks {len(lost)} of the weights that the index promises, {first}"
