"""A data set on the hub: configurations, and sentences where it cannot be had. `datasets` itself says what is wrong."""

from __future__ import annotations

import datasets
import pytest
from four import SPEC, put_spec

from mmevolve.benchmarks.load import BadData, NotHere, load_samples
from mmevolve.benchmarks.spec import load_spec
from mmevolve.config.errors import ConfigError
from mmevolve.data.rows import read_rows

CARD = """\
---
configs:
- {config_name: easy, data_files: [{split: test, path: easy.jsonl}]}
- {config_name: hard, data_files: [{split: test, path: hard.jsonl}]}
---
"""
LOCAL = "  - {path: four/test.jsonl}\n"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder that stands for `owner/set`, loaded as the hub's would be."""
    (tmp_path / "README.md").write_text(CARD)
    for name, rows in (("easy", 2), ("hard", 1)):
        lines = [f'{{"id": "{name}{i}", "question": "What?", "answer": "x", "kind": "k"}}\n' for i in range(rows)]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    real = datasets.load_dataset
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets, "load_dataset", lambda path, *words: real(str(tmp_path), *words))
    return tmp_path


def test_a_configuration_is_named_and_one_that_is_not_there_or_not_said_is_refused(hub):
    rows = list(read_rows("owner/set", split="test", config="easy"))
    assert [row.values["id"] for row in rows] == ["easy0", "easy1"]
    with pytest.raises(ValueError, match=r"^dataset 'owner/set': no config 'eas': the nearest is 'easy'$"):
        list(read_rows("owner/set", split="test", config="eas"))
    with pytest.raises(ValueError, match=r"^dataset 'owner/set': say which with `config`: easy, hard$"):
        list(read_rows("owner/set", split="test"))
    with pytest.raises(ValueError, match=r"config 'easy': .* is no name on the hub"):
        read_rows(str(hub / "easy.jsonl"), config="easy")


def test_several_configurations_follow_each_other_and_are_a_column(hub, here):
    source = "  - {hub: owner/set, split: test, config: [hard, easy], image: null, choices: null}\n"
    put_spec(here, SPEC.replace(LOCAL, source).replace("[kind]", "[config]"))
    loaded = load_samples(load_spec("eval/benchmarks/four.yaml"), data="hub")
    assert [(s.id, s.meta["config"]) for s in loaded.samples] == [
        ("hard0", "hard"), ("easy0", "easy"), ("easy1", "easy"),
    ]  # fmt: skip


def test_the_hub_is_never_asked_for_unless_the_user_says_so(here, monkeypatch):
    asked = []

    def unreachable(path, *words):
        asked.append(path)
        raise ConnectionError(f"Couldn't reach '{path}' on the Hub (LocalEntryNotFoundError)")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    put_spec(here, SPEC.replace(LOCAL, "  - {hub: owner/set, split: test}\n" + LOCAL))
    spec = load_spec("eval/benchmarks/four.yaml")
    assert len(load_samples(spec).samples) == 4 and asked == []
    with pytest.raises(BadData) as caught:
        load_samples(spec, data="hub")
    assert caught.value.problems == (
        "dataset 'owner/set': the hub cannot be reached, and nothing of it is kept on this machine: Couldn't reach "
        "'owner/set' on the Hub (LocalEntryNotFoundError); a table file on this machine needs no hub",
    )
    with pytest.raises(NotHere):
        load_samples(spec, data="elsewhere")
    assert asked == ["owner/set"]


def test_a_set_that_is_not_there_is_said_so(monkeypatch):
    def gone(path, *words):
        raise datasets.exceptions.DatasetNotFoundError(f"Dataset '{path}' doesn't exist on the Hub.\nMore.")

    monkeypatch.setattr(datasets, "load_dataset", gone)
    with pytest.raises(ValueError, match=r"^dataset 'a/b', config 'c': the hub has no such set, or .* on the Hub\.$"):
        list(read_rows("a/b", config="c"))


def test_only_a_data_set_on_the_hub_has_configurations(here):
    put_spec(here, SPEC.replace("four/test.jsonl}", "four/test.jsonl, config: x}"))
    with pytest.raises(ConfigError, match="source 1 has a 'config', which only a data set on the hub has"):
        load_spec("eval/benchmarks/four.yaml")
