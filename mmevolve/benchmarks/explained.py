"""Explanations of errors held against their references by a model, where the offline rule is not enough.

Paper: VISCO, arXiv:2412.02172, which asks GPT-4o of each explanation and reference whether both name the same error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmevolve.answers.yes_no import parse as yes_or_no
from mmevolve.benchmarks import critic_counts
from mmevolve.benchmarks.ask import Ask, OneByOne
from mmevolve.benchmarks.score import Scored
from mmevolve.metrics.visco import ASKS
from mmevolve.protocols import VLM
from mmevolve.store import RunStore
from mmevolve.text import fill
from mmevolve.types import Sample


def same_by(judge: VLM, scored: Sequence[Scored], store: RunStore, table: str, batch: int) -> critic_counts.Same:
    """What a model says of each explanation and reference, greedily; asked once, kept one by one.

    It is asked in words alone, of explanations of steps that are wrong and called so; what is neither yes nor no is no.
    """
    asked = list(_questions(scored))
    made = store.once("", table, OneByOne(batch), judge, Ask("{question}", max_tokens=8), asked) if asked else []
    said = {t.sample_id: yes_or_no(t.text) == "yes" for t in made}

    def same(s: Scored, step: int, explanation: str, reference: str) -> bool:
        return said.get(_name(s, step, _references(s, step).index(reference)), False)

    return same


def _questions(scored: Sequence[Scored]) -> Iterator[Sample]:
    for s in scored:
        said = critic_counts.said(s)
        for k, right in enumerate(s.sample.meta["step_labels"]):
            for r, reference in enumerate(_references(s, k) if not right and said.steps[k] and said.why[k] else ()):
                step = str(s.sample.meta["steps"][k])
                words = fill(ASKS, question=s.sample.question, step=step, reference=reference, said=said.why[k])
                yield Sample(_name(s, k, r), words)


def _references(s: Scored, step: int) -> list[str]:
    return list(s.sample.meta["step_explanations"][step])


def _name(s: Scored, step: int, reference: int) -> str:
    return f"{s.sample.id}/{s.index}/{step}/{reference}"
