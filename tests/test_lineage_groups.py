"""Groups read part by part are those of the verb, whatever the window."""

from pathlib import Path

import pytest
from explorer.rich_run import rich_run

from mmevolve import verbs
from mmevolve.lineage import groups
from mmevolve.lineage.groups import stored_groups
from mmevolve.store import RunStore, StoreError


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    run = rich_run(tmp_path_factory.mktemp("run"), questions=7, rounds=1, evaluation=False)
    return RunStore(run, "evolve")


def slow(store):
    return verbs.group(*(store.table(0, name) for name in ("samples", "trajectories", "critiques")))


@pytest.mark.parametrize(("window", "ahead"), [(2048, 20_000), (2, 200), (1, 40)])
def test_groups_read_part_by_part_are_those_of_the_verb(store, monkeypatch, window, ahead):
    monkeypatch.setattr(groups, "WINDOW", window)
    monkeypatch.setattr(groups, "AHEAD", ahead)
    assert list(stored_groups(store, 0)) == slow(store)


def test_without_tokens_nothing_else_is_missing(store):
    lean = [t for g in stored_groups(store, 0, tokens=False) for t in g.trajectories]
    whole = [t for g in slow(store) for t in g.trajectories]
    assert [(t.id, t.steps, t.sampling) for t in lean] == [(t.id, t.steps, t.sampling) for t in whole]
    assert not any(t.token_ids for t in lean)


def test_rows_in_another_order_are_refused_and_not_lost(store, monkeypatch):
    monkeypatch.setattr(groups, "WINDOW", 1)
    monkeypatch.setattr(groups, "AHEAD", 2)
    with pytest.raises(StoreError, match="has a critique of 'shapes-train-0-"):
        list(stored_groups(shuffled(store), 0))


def shuffled(store):
    other = RunStore(str(Path(store.path).parent / "other"), "evolve")
    for name in ("samples", "trajectories", "critiques"):
        rows = store.table(0, name)
        other.write(other.round_folder(0) / f"{name}.parquet", rows[::-1] if name == "critiques" else rows)
    return other


def test_an_unfinished_round_is_named(store):
    with pytest.raises(StoreError, match="has no samples: its round is not finished"):
        list(stored_groups(store, 3))
