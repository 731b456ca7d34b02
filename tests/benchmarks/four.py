"""A small benchmark in a folder of its own: four questions with pictures, two of them with options."""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image

SPEC = """\
# A benchmark of four questions.
name: four
title: Four Questions
items: 4
version: "1"
licence: CC0
paper: none
needs: nothing more
sources:
  - {path: four/test.jsonl}
prompt: "{question}\\nAnswer briefly."
extract: [stated, own]
score: equal
by: [kind]
cluster: image
chance: choices
"""
ROWS = [
    {"id": "q1", "image": "a.png", "question": "Which animal?", "choices": ["cat", "dog"], "answer": "B", "kind": "x"},
    {"id": "q2", "image": "a.png", "question": "How many?", "choices": None, "answer": "3", "kind": "y"},
    {"id": "q3", "image": "b.png", "question": "Which colour?", "choices": ["red", "blue"], "answer": "A", "kind": "x"},
    {"id": "q4", "image": "b.png", "question": "What word?", "choices": None, "answer": "oak", "kind": "y"},
]


def png(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(out, "PNG")
    return out.getvalue()


def write_rows(path: Path, rows: list) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def put_spec(folder: Path, text: str = SPEC, name: str = "four") -> Path:
    place = folder / "eval" / "benchmarks" / f"{name}.yaml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place
