"""Tiny hand-made examples of published schemas; the words are our own."""

import io
import json

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image


def png(colour="red", size=(8, 6)):
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def put(folder, name, content):
    """A file of the set: bytes, rows as JSON lines or parquet, or anything as JSON."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    elif name.endswith(".parquet"):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(content), path)
    else:
        path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def shown(message):
    """What a message holds, in order: `#` and a picture's last name or its size in bytes, or its words."""
    said = []
    for part in message["content"]:
        ref = part.get("image")
        name = len(ref) if isinstance(ref, bytes) else str(ref).rsplit("/", 1)[-1]
        said.append(part["text"] if ref is None else f"#{name}")
    return said


def complaint(function, **settings):
    with pytest.raises(ValueError) as caught:
        function(**settings)
    return str(caught.value)


def geometry(i=1, answer="The answer is B", **other):
    """A row of MathV360K."""
    asked = f"<image>\nHint: Give the option's letter.\nQuestion: How long is side {i}?\nChoices:\n(A) 3\n(B) 4 cm"
    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
    return {"id": f"g{i}", "image": "Shapes/images/a.png", "conversations": turns, **other}


def school(i=1, **other):
    """A row of ScienceQA."""
    row = {
        "image": {"bytes": png(), "path": "image.png"},
        "question": f"Which of these melts first, case {i}?",
        "choices": ["ice", "iron"],
        "answer": 0,
        "hint": "Both lie in the sun.",
        "task": "closed choice",
        "grade": "grade3",
        "subject": "natural science",
        "topic": "physics",
        "category": "Heat",
        "skill": "Compare melting points",
        "lecture": "Solids melt when they are warm enough.",
        "solution": "Ice melts at 0 degrees.\n\nIron needs far more.",
    }
    return {**row, **other}


def steps(i=1, **other):
    """A row of M3CoT."""
    row = {
        "id": f"physics-{i}",
        "question": "Where does the ball go?",
        "choices": ["up", "down", "nowhere"],
        "answer": "B",
        "context": "A ball is let go.",
        "rationale": "Nothing holds the ball.\nSo it falls.",
        "image": f"data/images/physics-{i}.png",
        "image_id": f"physics-{i}",
        "split": "train",
        "domain": "science",
        "topic": "physics",
        "category": "motion",
    }
    return {**row, **other}


def feedback(i=1, **other):
    """A row of RLAIF-V."""
    row = {
        "ds_name": "own",
        "image": {"bytes": png(), "path": f"{i}.png"},
        "question": "What is in the picture?",
        "chosen": f"A red area, nothing else ({i}).",
        "rejected": f"A red car with {i} doors.",
        "origin_dataset": "own",
        "origin_split": "{}",
        "idx": str(i),
        "image_path": f"own/{i}.png",
    }
    return {**row, **other}


def critiques(i=1, **other):
    """A row of critique-VQA as its makers' code writes it."""
    asked = "<image>\n#### Question\nHow many cats?\n#### Answer\nTwo dogs.\n#### Task\nName the weaknesses."
    row = {
        "conversations": [{"from": "human", "value": asked}],
        "chosen": {"from": "gpt", "value": f"#### Critique\n{i} cat is there, and no dog."},
        "rejected": {"from": "gpt", "value": "#### Critique\nFine."},
        "images": ["images/a.png"],
    }
    return {**row, **other}


def ranked(i=1, **other):
    """A row of MM-RLHF's ranking."""
    row = {
        "id": f"long-{i}",
        "question": "What does the sign say?",
        "answer": None,
        "image": "long/a.png",
        "video": None,
        "models_output": {"alpha": "Stop.", "beta": "Go.", "gamma": "It says stop."},
        "final_ranking": {"alpha": "2", "beta": "3", "gamma": 1},
        "ranking_reason": "gamma is the clearest",
    }
    return {**row, **other}


def message(role, *content):
    return {"role": role, "content": content[0] if len(content) == 1 else list(content)}


def text(words):
    return {"type": "text", "text": words}


HOLE = {"type": "image"}
