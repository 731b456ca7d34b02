import math
from dataclasses import dataclass

import pytest

from mmevolve.protocols import RoundState
from mmevolve.samplers.independent import Independent
from mmevolve.schedules.knobs import apply, numbers
from mmevolve.schedules.replay_ratio import ReplayRatio
from mmevolve.selectors.top_k import TopK


def passes(values, **words):
    """Passes in every round, when these are what the rounds measured; before the first there is another number."""
    history = [{"active": 0.9}, *({"active": v} for v in values)]
    schedule = ReplayRatio("active", **words)
    rows = [schedule(RoundState(r, tuple(history[: r + 1]), None)) for r in range(len(values) + 1)]
    return [row["train.epochs"] for row in rows]


def test_it_goes_up_once_the_monitor_stands_still_and_never_back():
    """Changes: .1, .05, .0005 (still), .2: from the fifth round on two passes."""
    assert passes([0.9, 0.8, 0.75, 0.7505, 0.95]) == [1, 1, 1, 1, 2, 2]


def test_looks_are_some_rounds_apart():
    """Every second round: .7 and .7 are looked at, .9 is not."""
    assert passes([0.9, 0.7, 0.9, 0.7], every=2, high=4) == [1, 1, 1, 1, 4]
    assert passes([0.7, 0.7, 0.9, 0.9, 0.9, 0.9], every=2) == [1, 1, 1, 1, 1, 1, 2]


def test_what_was_not_measured_has_not_stood_still():
    assert passes([math.nan, math.nan, 0.5, 0.5]) == [1, 1, 1, 1, 2]


def test_a_monitor_that_nothing_measures_is_refused():
    with pytest.raises(ValueError, match=r"no round has measured 'fau', .*: there is \['active'\]"):
        ReplayRatio("fau")(RoundState(1, ({}, {"active": 0.5}), None))


@dataclass(frozen=True)
class Fitted:
    epochs: int = 1


def test_it_sets_a_field_of_the_training():
    row = {"train.epochs": 2}
    assert apply(row, Independent(), TopK(), Fitted()) == (Independent(), TopK(), Fitted(epochs=2))
    assert numbers(row) == {"chosen/train.epochs": 2.0}
    with pytest.raises(ValueError, match="sets 'epoch', which training Fitted has not: the nearest is 'epochs'"):
        apply({"train.epoch": 2}, Independent(), TopK(), Fitted())
