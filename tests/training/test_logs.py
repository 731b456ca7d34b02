"""Curves for those who watch them: CSV and TensorBoard."""

from __future__ import annotations

import csv

import pytest

from mmevolve.training.logs import log_rounds

ROUNDS = [
    {"loop": "warmup", "round": "before", "accuracy": 0.5, "pass@8": None, "rows": 0},
    {"loop": "evolve", "round": 0, "accuracy": 0.625, "pass@8": 0.75, "rows": 12, "auroc": float("nan")},
]


def test_rounds_are_one_step_each_in_csv(tmp_path):
    for _ in range(2):  # a run that goes on writes them again, not twice
        log_rounds(tmp_path, ROUNDS)
    with (tmp_path / "logs" / "rounds" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["0", "1"]
    assert (rows[0]["warmup/accuracy"], rows[0]["evolve/accuracy"]) == ("0.5", "")
    assert (rows[1]["evolve/accuracy"], rows[1]["evolve/pass@8"], rows[1]["evolve/rows"]) == ("0.625", "0.75", "12.0")
    assert "evolve/auroc" not in rows[1]


def test_tensorboard_reads_the_same(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log_rounds(tmp_path, ROUNDS)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard" / "rounds")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("evolve/accuracy")] == [(1, 0.625)]
    assert "evolve/auroc" not in events.Tags()["scalars"]
