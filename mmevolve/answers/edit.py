"""Levenshtein distance, one machine-independent big-integer operation a character.

Paper: Hyyrö 2003, "A Bit-Vector Algorithm for Computing Levenshtein and Damerau Edit Distances", after Myers 1999.
"""

from __future__ import annotations


def distance(a: str, b: str) -> int:
    """Fewest insertions, deletions and substitutions that turn `a` into `b`.

    >>> distance("kitten", "sitting")
    3
    """
    short, long = sorted((a, b), key=len)
    if not short:
        return len(long)
    where: dict[str, int] = {}
    for i, char in enumerate(short):
        where[char] = where.get(char, 0) | 1 << i
    full = (1 << len(short)) - 1
    top = 1 << (len(short) - 1)
    plus, minus, score = full, 0, len(short)
    for char in long:
        match = where.get(char, 0)
        diagonal = (((match & plus) + plus) ^ plus) | match | minus
        up = minus | (full & ~(diagonal | plus))
        down = plus & diagonal
        score += bool(up & top) - bool(down & top)
        up = (up << 1 | 1) & full
        down = down << 1 & full
        plus = down | (full & ~(diagonal | up))
        minus = up & diagonal
    return score
