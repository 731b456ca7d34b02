from __future__ import annotations

import pytest
import yaml

from mmevolve.config import ConfigError, load, resolved
from mmevolve.config.tree import Keyed, plain


def values(text: str, write) -> dict:
    return plain(load(write(text)).nodes)


def fails(text: str, write) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(text))
    return str(caught.value)


def test_numbers_are_read_as_yaml_1_2_reads_them(write):
    read = values("{a: 1e-5, b: 1.e-5, c: 010, d: -3, e: .5, f: 1E3, g: 0x10, h: .inf, i: 1.0e-6}", write)
    assert read == {
        "a": 1e-5,
        "b": 1e-5,
        "c": 10,
        "d": -3,
        "e": 0.5,
        "f": 1000.0,
        "g": 16,
        "h": float("inf"),
        "i": 1e-6,
    }
    assert isinstance(read["f"], float) and isinstance(read["c"], int)


def test_only_true_and_false_are_truth_values(write):
    assert values("{a: true, b: False, c: yes, on: off, d: null, e: ~, f: 12:30, g: 2024-01-01}", write) == {
        "a": True, "b": False, "c": "yes", "on": "off", "d": None, "e": None, "f": "12:30", "g": "2024-01-01",
    }  # fmt: skip


def test_every_key_and_value_knows_its_place(write):
    nodes = load(write("a: 1\nb:\n  - x: 2\n    y: [3, 4]\n")).nodes
    assert str(nodes.entries[1].place) == "recipe.yaml:2:1"
    inner = nodes.get("b").items[0]
    assert isinstance(inner, Keyed)
    assert str(inner.entries[1].place) == "recipe.yaml:4:5"
    assert str(inner.get("y").items[1].place) == "recipe.yaml:4:12"


def test_a_key_that_stands_twice_is_named_with_both_places(write):
    assert (
        fails("a: 1\nb: {n: 1, n: 2}\n", write)
        == "recipe.yaml:2:11: the key 'n' stands twice, first at recipe.yaml:2:5"
    )


def test_all_repeated_keys_are_reported_at_once(write):
    assert len(fails("a: 1\na: 2\nb: {n: 1, n: 2}\n", write).splitlines()) == 2


def test_broken_yaml_is_one_sentence_with_the_place(write):
    assert fails("a: [1, 2\nb: 3\n", write).startswith("recipe.yaml:2:2: this is not YAML: ")


@pytest.mark.parametrize(
    "text", ["a: &x 1\nb: *x\n", "a: {b: 1}\nc:\n  <<: {d: 1}\n", "a: !!python/object:os.system {}\n", "? [a]\n: 1\n"]
)
def test_yaml_beyond_the_three_rules_is_refused(text, write):
    if "python" in text:  # a tag on a mapping builds nothing: no constructor is ever called
        assert values(text, write) == {"a": {}}
    else:
        assert "recipe.yaml:" in fails(text, write)


@pytest.mark.parametrize("text", ["", "- 1\n", "just text\n"])
def test_a_recipe_that_is_no_mapping_says_so(text, write):
    assert "a recipe is a mapping" in fails(text, write)


def test_a_missing_file_and_a_folder_and_bytes_are_clear(write, tmp_path):
    write("a: 1")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for path, words in [("gone.yaml", "No such file"), (str(tmp_path), "directory"), ("bytes.yaml", "not UTF-8")]:
        with pytest.raises(ConfigError, match=words):
            load(path)


def test_deep_nesting_and_endless_numbers_are_errors_not_tracebacks(write):
    found = fails("[" * 1200 + "]" * 1200, write)
    assert "nested" in found or "YAML cannot be read" in found
    assert "is not a value" in fails(f"a: {'9' * 5000}", write)


def test_overrides_reach_mappings_and_list_items(write):
    path = write("a: {b: 1}\nc: [{n: 1}, {n: 2}]\nd: text\n")
    nodes = load(path, ["a.b=2e-3", "c.1.n=[1, x]", "d=null"]).nodes
    assert plain(nodes) == {"a": {"b": 0.002}, "c": [{"n": 1}, {"n": [1, "x"]}], "d": None}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("a.bb=1", "the recipe has no 'a.bb': the nearest is 'b'"),
        ("z.b=1", "the recipe has no 'z'"),
        ("c.7.n=1", "'c.7' is not there: the list has 2 items"),
        ("d.x=1", "'d' is a single value"),
        ("e.x=1", "'e' is $a: write a.x=..."),
        ("justaword", "an override is written a.b=value"),
        ("a.b=[1", "this is not YAML"),
    ],
)
def test_an_override_that_fits_nowhere_names_the_nearest(override, words, write):
    path = write("a: {b: 1}\nc: [{n: 1}, {n: 2}]\nd: text\ne: $a\n")
    with pytest.raises(ConfigError) as caught:
        load(path, [override])
    assert words in str(caught.value) and f"override '{override}'" in str(caught.value)


def test_an_override_may_add_a_setting_the_part_has(write, house):
    path = write("s: {_target_: samplers.Independent, n: 1}\n")
    assert plain(load(path, ["s.temperature=0.5"]).nodes)["s"]["temperature"] == 0.5
    with pytest.raises(ConfigError, match="nearest is 'temperature'"):
        load(path, ["s.temprature=0.5"])


def test_resolved_keeps_names_and_reads_back_the_same(write):
    path = write("a: {b: 1e-6, t: '1e-5', u: 'true'}\nloop: {x: $a, y: [1.0, 2]}\n")
    recipe = load(path, ["loop.y.1=3"])
    text = resolved(recipe)
    assert "x: $a" in text and "1.0e-06" in text
    again = load(write(text, "again.yaml"))
    assert plain(again.nodes) == plain(recipe.nodes) == {
        "a": {"b": 1e-6, "t": "1e-5", "u": "true"}, "loop": {"x": "$a", "y": [1.0, 3]},
    }  # fmt: skip
    assert yaml.safe_load(text)["loop"]["y"] == [1.0, 3]
