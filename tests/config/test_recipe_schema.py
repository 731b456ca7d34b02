from __future__ import annotations

import re

import pytest

from mmevolve.config import ConfigError, load
from mmevolve.config.explain import explain
from mmevolve.config.schema import schema


def rule(name: str) -> dict:
    rules = schema()["definitions"]["call"]["allOf"]
    return next(rule["then"] for rule in rules if rule["if"]["properties"]["_target_"]["const"] == name)


def test_every_part_has_a_rule_with_its_settings(house):
    independent = rule("samplers.Independent")
    assert independent["additionalProperties"] is False
    assert independent["properties"]["n"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 1024}
    assert independent["properties"]["order"]["anyOf"][0] == {"enum": ["given", "shuffled"]}
    assert independent["properties"]["n"]["description"] == "attempts a sample"
    assert independent["anyOf"][0] == {"required": ["n"]}
    assert rule("torch.optim.AdamW")["properties"]["lr"]["anyOf"][0] == {"type": "number", "minimum": 0}


def test_a_part_field_takes_calls_of_its_room_only(house):
    loss = schema()["definitions"]["Loss"]["allOf"][1]["properties"]["_target_"]["pattern"]
    assert re.search(loss, "losses.SFT") and re.search(loss, "mine.Loss") and not re.search(loss, "critics.AnswerMatch")


def test_the_schema_takes_a_right_recipe_and_refuses_a_wrong_one(write, house, recipe_text):
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft7Validator(schema())
    validator.check_schema(schema())
    assert list(validator.iter_errors(load(write(recipe_text)).plain())) == []
    for old, new in [("k: 2", "kk: 2"), ("k: 2", "k: two"), ("losses.SFT", "critics.AnswerMatch"), ("loop:", "lop:")]:
        assert list(validator.iter_errors(load(write(recipe_text.replace(old, new))).plain()))


def test_a_part_and_a_setting_are_explained_by_their_own_docstring(house):
    assert explain("samplers.Independent.n") == [
        "samplers.Independent", "  n: a whole number from 1 to 1024; required", "      attempts a sample.",
    ]  # fmt: skip
    assert explain("samplers.Independent")[0] == "samplers.Independent: Attempts that know nothing of one another."
    assert explain("carry") == ["training.Fit", "  carry: one of 'nothing', 'weights', 'optimizer'; default 'nothing'"]
    assert explain("torch.optim.AdamW.lr")[1].startswith("  lr: a number")
    assert "calls" in explain("_target_")[0] or "call" in explain("_target_")[0]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("cary", "the nearest is 'carry'"),
        ("samplers.Indepndent", "the nearest is 'samplers.Independent'"),
        ("samplers.Independent.nn", "samplers.Independent has no setting 'nn': the nearest is 'n'"),
        ("os.path", "outside the packages"),
    ],
)
def test_what_cannot_be_explained_names_the_nearest(key, says, house):
    with pytest.raises(ConfigError, match=re.escape(says)):
        explain(key)
