from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from four import SPEC, put_spec

from mmevolve.benchmarks import spec as spec_module
from mmevolve.benchmarks.load import here as runs_here
from mmevolve.benchmarks.spec import find, load_spec
from mmevolve.config.errors import ConfigError

SPECS = sorted((Path(__file__).parents[2] / "eval" / "benchmarks").glob("*.yaml"))
NAMES = """
mathvista mathvision mmmu mmmu_pro mmstar chartqa scienceqa_img pope nlvr1 dynamath mathverse visco_critique
visco_correction chocolate vl_rewardbench mmbench ai2d realworldqa seed_img hallusionbench blink m3cot tabmwp visonlyqa
puzzlevqa shapes vlrmbench_steps
"""


read = cache(load_spec)


def problems(tmp_path, text):
    path = put_spec(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load_spec(path)
    return [f"{p.place.line}: {p.what}" for p in error.value.problems]


def test_the_benchmarks_that_ship_are_these():
    assert {path.stem for path in SPECS} == set(NAMES.split())


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_that_ships_is_right_and_says_what_it_needs_in_one_line(path):
    spec = read(path)
    assert spec.name == path.stem
    assert path.read_text().startswith("# ")
    runs, line = runs_here(spec, "/no/such/folder")
    assert runs == (spec.name == "shapes")
    assert "\n" not in line and (runs or line.startswith("needs "))
    assert spec.licence and spec.version and spec.paper


def test_every_mistake_is_said_at_once_with_its_line_and_the_nearest_name(tmp_path):
    text = (
        SPEC.replace("licence: CC0", "license: CC0")
        .replace("items: 4", "items: four")
        .replace("{path: four/test.jsonl}", "{pth: four/test.jsonl, answer_is: leter}")
    )
    assert problems(tmp_path, text) == [
        "2: a benchmark needs 'licence': of the data.",
        "4: 'items' is the text 'four', expected a whole number or null",
        "6: a benchmark has no 'license': the nearest is 'licence'",
        "10: a source has no 'pth': the nearest is 'path'",
        "10: 'answer_is' is the text 'leter', expected one of 'text', 'letter', 'index', 'number', 'raw', 'ranks': "
        "the nearest is 'letter'",
    ]


def test_rules_and_figures_that_do_not_exist_are_named_with_the_nearest(tmp_path):
    text = (
        SPEC.replace("[stated, own]", "[statd, own]")
        .replace("score: equal", "score: eqal\nfigures: [acuracy, macro, circular, worst of seed]")
        .replace("{question}\\n", "{qestion}\\n")
    )
    said = problems(tmp_path, text)
    assert said == [
        "12: no extraction rule 'statd': the nearest is 'stated'",
        "13: no score rule 'eqal': the nearest is 'equal'",
        "14: no figure 'acuracy': the nearest is 'accuracy'",
        "14: the figure 'macro' needs a column: 'macro of subject'",
        "14: the figure 'circular' needs `repeat: rotations`",
        "11: the prompt's field '{qestion}' is unknown: the nearest is 'question'",
        "11: the prompt has no field '{question}'",
    ]


def test_a_source_is_one_place(tmp_path):
    text = SPEC.replace("{path: four/test.jsonl}", "{path: four/test.jsonl, hub: a/b}")
    assert problems(tmp_path, text) == ["9: source 1 needs one of 'path', 'hub' and 'world'"]


def test_a_benchmark_is_found_by_name_or_file(here):
    assert find("four") == Path("eval/benchmarks/four.yaml")
    assert find("eval/benchmarks/four.yaml") == Path("eval/benchmarks/four.yaml")
    with pytest.raises(ConfigError, match="no benchmark 'for': the nearest is 'four'"):
        find("for")
    with pytest.raises(ConfigError, match=r"there is no file 'x\.yaml'"):
        find("x.yaml")


def test_specs_go_into_the_package_that_is_installed():
    """A link in a checkout, files in a wheel: whatever setuptools is told to take is every spec there is."""
    package = Path(spec_module.__file__).parent
    told = tomllib.loads((package.parents[1] / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert "benchmarks/specs/*.yaml" in told["mmevolve"]
    kept = {file.name for file in (package / "specs").glob("*.yaml")}
    assert kept == {file.name for file in (package.parents[1] / "eval" / "benchmarks").glob("*.yaml")} and kept


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_prompt_that_instructs_has_two_paraphrases_of_its_own(path):
    """So that the control `prompts` asks each benchmark in words that were written for it."""
    spec = read(path)
    if spec.prompt == "{question}":
        assert spec.paraphrases == ()
        return
    assert len({spec.prompt, *spec.paraphrases}) == 3
    texts = (spec.prompt, *spec.paraphrases)
    asked = [line for text in texts for line in re.findall(r'"[^"]*: X"|"[^"]* is X\."', text)]
    assert len(set(asked)) <= 1 and len(asked) in (0, 3)  # the form that the rules of extraction read stays
    fitting = {letter for text in spec.paraphrases for letter in ("letter", "yes or no") if letter in text}
    assert all(word in spec.prompt for word in fitting)
