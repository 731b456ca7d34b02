"""`mmevolve check`: every problem of every recipe, one line each."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mmevolve.config.check import check
from mmevolve.config.errors import Problem


def check_recipes(paths: Sequence[str], overrides: Sequence[str], allow: Sequence[str]) -> int:
    """Print what is wrong; 2 when anything is, 0 when there are only warnings or nothing."""
    wrong = 0
    for path in paths:
        problems = check(path, overrides, allow)
        print_problems(problems)
        errors = sum(not problem.warning for problem in problems)
        wrong += errors
        if not errors:
            print(f"{path}: right")
    return 2 if wrong else 0


def print_problems(problems: Sequence[Problem]) -> None:
    """One line a problem, on the error stream."""
    for problem in problems:
        print(problem, file=sys.stderr)
