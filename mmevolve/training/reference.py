"""What the reference thinks of training rows, token by token: scored once a round, before training, and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields
from typing import Any

import torch

from mmevolve.models.encode import Row
from mmevolve.models.prefix import shared_batches
from mmevolve.models.vlm import SCORE_TOKENS
from mmevolve.store import RunStore, Units
from mmevolve.text import chunks
from mmevolve.training.labelled import ScoredLabelled, labelled_tokens, mismatched_completions
from mmevolve.training.pairs import ScoredPair, check_pairs, sides
from mmevolve.training.passes import Passes, Read, Reader, plainly
from mmevolve.training.rollouts import ScoredRollout, rollout_tokens
from mmevolve.types import Example, Labelled, Preference, Rollout

UNIT = 128  # rows of one unit of scoring: what a kill can lose
SCORED = {Preference: ScoredPair, Rollout: ScoredRollout, Labelled: ScoredLabelled}


def kept_reference(
    store: RunStore,
    policy: Any,
    rows: Sequence[Example],
    *,
    round: int,
    base: bool,
    mismatched: bool,
    passes: Passes | None = None,
) -> list[Example]:
    """`with_reference` through the round's table `reference`; rows that carry a reference stay as they are."""
    if all(isinstance(row, tuple(SCORED.values())) for row in rows):
        return list(rows)
    settings: dict[str, Any] = {"base": base, "mismatched": mismatched, "round": round}
    if passes is not None:
        settings["passes"] = passes
    found = store.once(round, "reference", reference_table, policy, rows, **settings)
    return carrying(rows, found, mismatched=mismatched)


def with_reference(
    policy: Any,
    rows: Sequence[Example],
    *,
    reference: Any = None,
    base: bool = False,
    mismatched: bool = False,
    passes: Passes | None = None,
) -> list[Example]:
    """The rows with the reference's log-probabilities; weights and random state stay as they are.

    Args:
        policy: the model to be trained, as it is before training.
        rows: all of one kind.
        reference: another model of the same base; None for the policy as it is now (SPPO, iterated DPO).
        base: with an adapter, score with it off: the reference is the base model, in every round.
        mismatched: score under each labelled row's prompt the completion of another row, too (KTO).
        passes: how training will read the rows.

    Raises:
        ValueError: as `check_pairs` and `check_reference`; for `base` without an adapter.
    """
    if isinstance(rows[0], Preference):
        check_pairs(rows)
    if reference is not None:
        check_reference(policy, reference)
    other = policy if reference is None else reference
    made = reference_table(other, rows, base=base, mismatched=mismatched, round=0, passes=passes)
    found = [row for unit in made.work(made.items) for row in unit]
    return carrying(rows, found, mismatched=mismatched)


def check_reference(policy: Any, reference: Any) -> None:
    """Refuse a reference that is another model than the policy began as.

    Raises:
        ValueError: naming both.
    """
    if reference.source != policy.source:
        raise ValueError(
            f"the reference '{reference.name}' is not the base of the policy '{policy.name}': log-ratios of two models "
            f"mean nothing, expected '{policy.source}'"
        )


def reference_table(
    policy: Any, rows: Sequence[Example], *, base: bool, mismatched: bool, round: int, passes: Passes | None = None
) -> Units:
    """For each row the fields that its scored kind adds: log-probabilities under the policy as it is, or its base.

    Raises:
        ValueError: for `base` without an adapter.
    """
    if base and policy.lora is None:
        raise ValueError(
            f"'{policy.name}' has no adapter to turn off: pass the base model itself as reference, or compare "
            "with the policy as the round began (reference: start)"
        )
    others = mismatched_completions(rows) if mismatched else [""] * len(rows)
    units = list(chunks(list(zip(rows, others, strict=True)), UNIT))
    read = plainly if passes is None else Reader(passes)
    return Units(units, lambda todo: [_unit(policy, unit, read, base=base) for unit in todo])


def carrying(rows: Sequence[Example], found: Sequence[Mapping[str, Any]], *, mismatched: bool) -> list[Example]:
    """The rows as their scored kind."""
    texts = mismatched_completions(rows) if mismatched else ()
    made = []
    for i, (row, numbers) in enumerate(zip(rows, found, strict=True)):
        kind = next(kind for kind in SCORED if isinstance(row, kind))
        plain = {f.name: getattr(row, f.name) for f in fields(kind)}
        more = {"mismatched": texts[i]} if mismatched else {}
        made.append(SCORED[kind](**plain, **more, **{name: tuple(values) for name, values in numbers.items()}))
    return made


def wants_mismatched(loss: Any) -> bool:
    """Whether a loss estimates its reference point on mismatched completions (KTO as in the paper)."""
    return getattr(loss, "loss_type", "") == "kto" and getattr(loss, "reference_point", "") == "mismatched"


def _unit(
    policy: Any, unit: Sequence[tuple[Example, str]], read: Read, *, base: bool
) -> list[dict[str, tuple[float, ...]]]:
    tokens: list[Row] = []
    names = []
    for row, other in unit:
        made = _tokens(policy, row, other)
        names.append(list(made))
        tokens += made.values()
    logps = iter(_logps(policy, tokens, read, base=base))
    return [{name: next(logps) for name in wanted} for wanted in names]


def _tokens(policy: Any, row: Example, other: str) -> dict[str, Row]:
    """Field -> what is scored for it."""
    if isinstance(row, Preference):
        return dict(zip(("ref_chosen", "ref_rejected"), sides(policy, row), strict=True))
    if isinstance(row, Rollout):
        return {"ref_logps": rollout_tokens(policy, row)}
    if isinstance(row, Labelled):
        made = {"ref_logps": labelled_tokens(policy, row)}
        return {**made, "ref_mismatched": labelled_tokens(policy, row, other)} if other else made
    raise TypeError(f"a {type(row).__name__} is not compared with a reference")


def _logps(policy: Any, tokens: list[Row], read: Read, *, base: bool) -> list[tuple[float, ...]]:
    """Log-probability of each completion token, by the pass that training makes: its roundings cancel in the ratio."""
    found: list[tuple[float, ...]] = [()] * len(tokens)
    learning = policy.model.training
    policy.model.eval()  # no dropout in a reference
    with torch.inference_mode(), policy.model.disable_adapter() if base else nullcontext():
        for batch in shared_batches(tokens, SCORE_TOKENS):
            picked = [tokens[i] for i in batch]
            out = read(policy, picked).logps.tolist()
            for values, i in zip(out, batch, strict=True):
                found[i] = tuple(values[: len(tokens[i].completion)])
    if learning:
        policy.train_mode()
    return found
