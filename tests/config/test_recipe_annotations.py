from __future__ import annotations

import pytest

from mmevolve.config.accept import Surroundings, describe, mismatches
from mmevolve.config.annotations import parse_annotation
from mmevolve.config.read_yaml import parse

NOWHERE = Surroundings(lambda name: None, lambda node: None, lambda node: None)


@pytest.mark.parametrize(
    ("annotation", "right", "wrong"),
    [
        ("int", ["1", "-3"], ["1.0", "true", "x", "null", "[1]"]),
        ("float", ["1", "1e-5", ".inf"], ["x", "true", "null"]),
        ("bool", ["true", "False"], ["yes", "1", "null"]),
        ("str", ["x", "'1'", "yes", "2024-01-01"], ["1", "true", "null", "[x]"]),
        ("Path", ["runs/x"], ["1"]),
        ("int | None", ["1", "null", "~"], ["x"]),
        ("Optional[Union[int, str]]", ["1", "x", "null"], ["1.5", "true"]),
        ("Literal['min', 'mean', 2]", ["min", "2"], ["max", "1", "true"]),
        ("Literal['a'] | Literal['b'] | None", ["a", "b", "null"], ["c"]),
        ("Sequence[float]", ["[1, 2.5]", "[]"], ["1", "[x]", "{a: 1}"]),
        ("tuple[int, ...]", ["[1, 2, 3]"], ["[1.5]"]),
        ("tuple[int, str]", ["[1, x]"], ["[1]", "[x, 1]"]),
        ("list[str] | str", ["x", "[x, y]"], ["1", "[1]"]),
        ("Mapping[str, float]", ["{a: 1}", "{}"], ["{a: x}", "[1]", "1"]),
        ("dict[str, list[int]]", ["{a: [1]}"], ["{a: 1}"]),
        ("Annotated[int, Range(1, 8)]", ["1", "8"], ["0", "9", "1.5"]),
        ("Annotated[float, Range(low=-1)]", ["-1", "100"], ["-1.5"]),
        ("Annotated[float | None, Range(high=1.0)]", ["null", "0.5"], ["2"]),
        ("Annotated[Sequence[float], Range(0, 1)]", ["[0, 0.5]"], ["[2]"]),
        ("Callable[..., Any]", [], ["x", "1"]),
        ("'int'", ["1"], ["x"]),
        ("Any", ["1", "x", "[1]", "{a: 1}", "null"], []),
        ("SomethingElse[int]", ["1", "x"], []),
        ("", ["1", "x"], []),
        ("not valid python (", ["1"], []),
    ],
)
def test_a_value_fits_its_annotation_or_not(annotation, right, wrong):
    kind = parse_annotation(annotation)
    fits = {text: not list(mismatches(kind, parse(text, "r"), NOWHERE)) for text in (*right, *wrong)}
    assert fits == {**dict.fromkeys(right, True), **dict.fromkeys(wrong, False)}


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ("int | None", "a whole number or null"),
        ("Annotated[float, Range(0, 1)]", "a number from 0 to 1"),
        ("Annotated[int, Range(1)]", "a whole number at least 1"),
        ("Sequence[float]", "a list of numbers"),
        ("Literal['a', 2, None]", "one of 'a', 2, null"),
        ("Mapping[str, int]", "a mapping"),
        ("Callable[..., Any]", "a call (with _target_)"),
    ],
)
def test_a_type_is_said_in_words(annotation, words):
    assert describe(parse_annotation(annotation)) == words


def test_the_wrong_item_of_a_list_is_the_one_that_is_placed():
    (wrong,) = mismatches(parse_annotation("list[int] | None"), parse("[1, 2, x]", "r"), NOWHERE)
    assert str(wrong.node.place) == "r:1:8"


def test_aliases_and_imported_names_are_followed(house):
    fit = house / "training" / "fit.py"
    assert parse_annotation("Carry", fit).values == ("nothing", "weights", "optimizer")
    assert parse_annotation("Loss", fit).kind == "part"
    assert parse_annotation("RunStore", house / "loops.py").kind == "instance"
