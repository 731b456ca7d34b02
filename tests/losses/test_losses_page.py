"""The table of losses in the docs has a row for each."""

from pathlib import Path

from mmevolve.config.parts import parts
from mmevolve.losses.divergences import DIVERGENCES
from mmevolve.losses.dpo_terms import LOSSES

TABLE = (Path(__file__).parents[2] / "docs" / "losses.md").read_text(encoding="utf-8")


def test_every_loss_and_every_kind_of_dpo_has_its_row():
    rows = {line.split("|")[1].strip() for line in TABLE.splitlines() if line.startswith("|")}
    named = {name.removeprefix("losses.") for name, _ in parts("losses")} - {"DPO"}
    assert {f"`{name}`" for name in (*named, *LOSSES)} - rows == set()


def test_every_divergence_is_explained():
    assert [name for name in DIVERGENCES if f"(`{name}`" not in TABLE] == []
