from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmevolve.config import check
from mmevolve.config import foreign as foreign_module
from mmevolve.config.foreign import foreign_signatures
from mmevolve.config.targets import UnknownTarget


def test_reading_recipes_loads_nothing_heavy():
    heavy = "torch transformers lightning peft pyarrow datasets numpy"
    script = f"import sys, mmevolve.config, mmevolve.cli; print([n for n in {heavy!r}.split() if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_foreign_package_is_imported_once_by_another_interpreter(importable, tmp_path, capfd):
    log = tmp_path / "log"
    importable("foreign_once", f"""
        open({str(log)!r}, 'a').write('x')
        from collections.abc import Sequence
        def go(a: int, b: Sequence[str] = (), *rest, c: float | None = None, **more): ...
    """)  # fmt: skip
    first = foreign_signatures(["foreign_once.go"])["foreign_once.go"]
    again = foreign_signatures(["foreign_once.go"])["foreign_once.go"]
    assert first == again and first.open
    assert [(p.name, p.required, p.type.kind) for p in first.parameters] == [
        ("a", True, "int"), ("b", False, "tuple"), ("c", False, "union"),
    ]  # fmt: skip
    assert log.read_text() == "x" and "foreign_once" not in sys.modules
    assert capfd.readouterr().err.count("reading the signatures of foreign_once once") == 1


def test_a_changed_package_is_read_anew(importable):
    importable("foreign_changed", "def go(a: int): ...")
    assert foreign_signatures(["foreign_changed.go"])["foreign_changed.go"].names() == ["a"]
    importable("foreign_changed", "def go(a: int, b: int = 0): ...  # longer")
    assert foreign_signatures(["foreign_changed.go"])["foreign_changed.go"].names() == ["a", "b"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 0}'])
def test_a_spoilt_signature_file_is_read_again(text, importable, signatures):
    importable("foreign_spoilt", "def go(a: int): ...")
    foreign_signatures(["foreign_spoilt.go"])
    file = max(signatures.rglob("foreign_spoilt.go.json"), key=lambda file: file.stat().st_mtime_ns)
    file.write_text(text)
    assert foreign_signatures(["foreign_spoilt.go"])["foreign_spoilt.go"].names() == ["a"]
    assert json.loads(file.read_text())["parameters"]


def test_what_cannot_be_imported_is_said_and_not_kept(importable, signatures):
    importable("foreign_broken", "raise OSError('no such device')")
    found = foreign_signatures(["foreign_broken.go"])["foreign_broken.go"]
    assert isinstance(found, UnknownTarget)
    assert str(found) == "'foreign_broken.go' cannot be imported: OSError: no such device"
    assert not list(signatures.rglob("foreign_broken*"))


def test_signatures_are_read_even_where_they_cannot_be_kept(importable, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MMEVOLVE_CACHE", str(tmp_path / "file"))
    importable("foreign_unkept", "def go(a: int): ...")
    assert foreign_signatures(["foreign_unkept.go"])["foreign_unkept.go"].names() == ["a"]


def test_the_second_check_starts_no_interpreter(write, house, recipe_text, monkeypatch):
    path = write(recipe_text)
    assert check(path) == []

    def refuse(*_, **__):
        raise AssertionError("an interpreter was started")

    monkeypatch.setattr(foreign_module.subprocess, "run", refuse)
    assert check(path) == []


def test_fields_are_read_as_the_dataclass_would_make_them(house):
    from mmevolve.config.signatures import own_signature

    independent = own_signature("samplers.Independent")
    assert independent.names() == ["n", "temperature", "max_tokens", "stop", "order", "keep_logprobs", "seed"]
    assert [p.name for p in independent.parameters if p.required] == ["n"]
    assert independent.get("n").doc == "attempts a sample."
    assert own_signature("selectors.TopK").example == ("Demonstration",)
    assert own_signature("losses.DPO").example == ("Preference",)


def test_bases_and_initialisers_and_class_methods_are_read(house):
    from mmevolve.config.signatures import own_signature

    Path(house / "samplers" / "more.py").write_text(
        "from dataclasses import dataclass\n"
        "from torch import nn\n"
        "from mmevolve.samplers.independent import Independent\n"
        "@dataclass(frozen=True)\n"
        "class More(Independent):\n    extra: int = 1\n"
        "class Init:\n    def __init__(self, a, *, b: int = 2): ...\n"
        "    @classmethod\n    def load(cls, path: str): ...\n"
        "class Net(nn.Module): ...\n"
    )
    assert own_signature("samplers.More").names()[-2:] == ["seed", "extra"]
    assert own_signature("samplers.Init").names() == ["a", "b"]
    assert own_signature("samplers.Init.load").names() == ["path"]
    assert own_signature("samplers.Net").open


def test_a_class_with_an_initialiser_explains_its_settings_in_the_class_or_there(house):
    from mmevolve.config.signatures import own_signature

    Path(house / "samplers" / "told.py").write_text(
        'class Told:\n    """Said above.\n\n    Args:\n        a: of the class.\n        b: twice.\n    """\n\n'
        '    def __init__(self, a, b):\n        """Made.\n\n        Args:\n'
        '            b: of the initialiser.\n        """\n'
    )
    told = own_signature("samplers.Told")
    assert [(p.name, p.doc) for p in told.parameters] == [("a", "of the class."), ("b", "of the initialiser.")]
