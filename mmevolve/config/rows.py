"""The rows a selector makes must be the rows the loss learns from."""

from __future__ import annotations

from collections.abc import Iterator

from mmevolve.config.errors import Problem
from mmevolve.config.survey import Survey
from mmevolve.config.tree import Keyed, walk


def row_problems(seen: Survey) -> Iterator[Problem]:
    """One problem for each `selector:` beside a `train: {loss: ...}` of another kind of row."""
    for node in walk(seen.nodes):
        if not isinstance(node, Keyed):
            continue
        selector, train = seen.follow(node.get("selector")), seen.follow(node.get("train"))
        loss = seen.follow(train.get("loss")) if isinstance(train, Keyed) else None
        makes, learns = seen.signature(selector), seen.signature(loss)
        if makes is None or learns is None or loss is None or selector is None:
            continue
        if makes.example and learns.example and not set(makes.example) & set(learns.example):
            maker, learner = seen.target(selector), seen.target(loss)
            assert maker is not None and learner is not None
            what = (
                f"{maker.text} makes {' or '.join(makes.example)} rows, "
                f"but {learner.text} learns from {' or '.join(learns.example)}"
            )
            yield Problem(what, selector.place)
