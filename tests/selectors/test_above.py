"""Above: what a reward puts above a threshold, wrong answers too."""

from __future__ import annotations

from mmevolve.selectors.above import Above
from mmevolve.types import Critique, Group, Sample, Step, Trajectory


def group(*said):
    """Attempts by text, reward (None: not judged) and stop reason."""
    attempts = [
        Trajectory(f"s/0/{i}", "s", "m", (Step(text, "answer"),), "1", stop_reason=stop)
        for i, (text, _, stop) in enumerate(said)
    ]
    scores = [Critique(t.id, "reward", reward) for t, (_, reward, _) in zip(attempts, said, strict=True)]
    return Group(Sample("s", "?", answer="1"), tuple(attempts), tuple(scores))


SAID = group(
    ("a", 1.5, "stop"), ("b", -0.5, "stop"), ("a", 1.4, "stop"), ("c", None, "stop"), ("d", 2.0, "length"),
    ("e", 0.0, "stop"),
)  # fmt: skip


def kept(**settings):
    return [row.source for row in Above(**settings)([SAID])]


def test_the_threshold_itself_is_not_above_and_one_below_zero_keeps_wrong_answers():
    assert kept(above=0.0) == ["s/0/0"]
    assert kept(above=-0.1) == ["s/0/0", "s/0/5"]
    assert kept(above=-1.0) == ["s/0/0", "s/0/1", "s/0/5"]
    assert kept(above=2.0) == []


def test_repeats_cut_attempts_and_the_number_are_settings():
    assert kept(above=0.0, dedup=False) == ["s/0/0", "s/0/2"]
    assert kept(above=0.0, whole=False) == ["s/0/0", "s/0/4"]
    assert kept(above=-1.0, most=2) == ["s/0/0", "s/0/1"]
