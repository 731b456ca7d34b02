"""How well critiques find the errors that are known to be in a solution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.metrics.mean import mean
from mmevolve.prompts.error_list import Detection, errors_of, parse
from mmevolve.types import Group


@dataclass(frozen=True)
class ErrorF1:
    """Step F1 of critiques against the inserted errors, `wrong` being the positive class; the attempts are critiques.

    Steps that a critique lists are pooled over all critiques of samples whose errors are on record
    (`data.critiquing`); NaN where there is none.

    - `error_f1`, `error_precision`, `error_recall`: of the steps. A step that there is not is a false alarm, and so is
      a detection without a step.
    - `error_recall_<kind>`: of the errors of one kind.
    - `error_exact`: share of critiques that list exactly the wrong steps.
    - `false_alarm`: share of critiques of right solutions that list something.
    - `unread`: share of critiques that cannot be read or were cut; they find nothing, their errors stay to be found.

    Paper: step F1 as VISCO counts it, arXiv:2412.02172, with an unread critique in the gold count alone.
    """

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        hits = said_all = known_all = 0
        kinds: dict[str, list[bool]] = {}
        exact, alarms, unread = [], [], []
        for group in groups:
            errors = errors_of(group.sample.meta)
            for t in group.trajectories if errors is not None else ():
                found = None if t.stop_reason == "length" else parse(t.text, group.sample.meta.get("steps"))
                wrong = {e.step for e in errors or ()}
                said = _places(found or ())
                unread.append(found is None)
                exact.append(found is not None and said == wrong)
                hits, said_all, known_all = hits + len(said & wrong), said_all + len(said), known_all + len(wrong)
                if not wrong:
                    alarms.append(bool(said))
                for e in errors or ():
                    kinds.setdefault(e.kind, []).append(e.step in said)
        total = said_all + known_all
        return {
            "error_f1": 2 * hits / total if total else float("nan"),
            "error_precision": hits / said_all if said_all else float("nan"),
            "error_recall": hits / known_all if known_all else float("nan"),
            "error_exact": mean(exact),
            "false_alarm": mean(alarms),
            "unread": mean(unread),
            **{f"error_recall_{kind.replace(' ', '_')}": mean(kinds[kind]) for kind in sorted(kinds)},
        }


def _places(found: Sequence[Detection]) -> set[int]:
    """Steps that are listed; each detection without a step is a place of its own that no error has."""
    return {-1 - i if d.step is None else d.step for i, d in enumerate(found)}
