"""Controls of multiple-choice questions: the same options in another order.

Papers: Liu et al. 2023, "MMBench", arXiv:2307.06281 (circular: every rotation); Lee et al. 2024, "TRAIT",
arXiv:2406.14703 (adjacent pairs, so that both options of a pair visit both of its places).

`meta["control"]["order"]` says, for each place of the variant, which option of the original stands there. Left out are
samples without two options, and those whose options cannot change place: they speak of each other (`all of the above`,
`both A and C`), are bare letters that the question explains, or stand in the question too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import permutations
from math import factorial
from random import Random

from mmevolve.answers import options
from mmevolve.controls.link import variant
from mmevolve.text import stable_seed
from mmevolve.types import Sample

_SPEAKS_OF_OTHERS = re.compile(
    r"\bof (?:the )?(?:above|below|preceding|following)\b|\b(?:options?|choices?) \(?[A-Z]\b|"
    r"^\W*(?:(?:both|either|neither|only) )?\(?[A-Z]\)?(?: ?, ?\(?[A-Z]\)?){0,9},? (?:and|or|nor|&) \(?[A-Z]\)?\W*$",
    re.IGNORECASE,
)


def circular(samples: Sequence[Sample]) -> list[Sample]:
    """Every rotation of the options but the first, which is the original: N - 1 variants of N options.

    Raises:
        ValueError: when no sample has options that can change place, or a reference names none of them.
    """
    return [
        reordered(s, (*range(turn, len(s.choices)), *range(turn)), "circular", str(turn))
        for s in _movable(samples)
        for turn in range(1, len(s.choices))
    ]


def adjacent(samples: Sequence[Sample]) -> list[Sample]:
    """Neighbours exchanged: first with second, third with fourth; with an odd number the last stays."""
    return [reordered(s, _neighbours(len(s.choices)), "adjacent") for s in _movable(samples)]


def reverse(samples: Sequence[Sample]) -> list[Sample]:
    """The last option first; the middle one of an odd number stays."""
    return [reordered(s, tuple(reversed(range(len(s.choices)))), "reverse") for s in _movable(samples)]


def shuffled(samples: Sequence[Sample], *, k: int = 1, seed: int = 0) -> list[Sample]:
    """`k` seeded orders, all different and none the original's; as many as there are where there are fewer."""
    if k < 1:
        raise ValueError(f"k={k}: at least one order a sample is needed")
    return [
        reordered(s, order, "shuffled", str(i))
        for s in _movable(samples)
        for i, order in enumerate(_orders(s, k, seed), start=1)
    ]


def reordered(sample: Sample, order: Sequence[int], name: str, tag: str = "") -> Sample:
    """The variant that has option `order[p]` at place p; the reference goes with its option.

    A reference that is a letter becomes the option's new letter, one that is the option's text stays.

    Raises:
        ValueError: when the order is no order of the options, or the reference names none of them.
    """
    if sorted(order) != list(range(len(sample.choices))):
        raise ValueError(f"sample '{sample.id}': {list(order)} is no order of {len(sample.choices)} options")
    choices = tuple(sample.choices[i] for i in order)
    answer = sample.answer
    if answer is not None:
        place = place_of(answer, sample.choices)
        if place is None:
            raise ValueError(f"sample '{sample.id}': its answer {answer!r} names none of its {len(choices)} options")
        letter = options.letters(choices)[order.index(place)]
        answer = answer if options.to_letter(answer, choices) == letter else letter
    return variant(sample, name, tag, {"order": list(order)}, choices=choices, answer=answer)


def place_of(answer: str | None, choices: Sequence[str]) -> int | None:
    """Index of the option that an answer names, by the verifier's rule; None when it names none."""
    letter = None if answer is None else options.to_letter(answer, choices)
    return None if letter is None else options.letters(choices).index(letter)


def stays(sample: Sample) -> str | None:
    """Why a sample's options cannot change place; None when they can."""
    if len(sample.choices) < 2:
        return "it has no two options"
    if len(sample.choices) > 26:
        return "it has more options than letters"
    if len(set(sample.choices)) < len(sample.choices):
        return "it has an option twice"
    if all(c.strip().strip("().").upper() == x for c, x in zip(sample.choices, _letters(sample), strict=True)):
        return "its options are bare letters, which the question explains"
    if sum(_lists(sample.question, x, c) for c, x in zip(sample.choices, _letters(sample), strict=True)) > 1:
        return "its question lists the options itself, in the old order"
    spoken = next((c for c in sample.choices if _SPEAKS_OF_OTHERS.search(c)), None)
    return None if spoken is None else f"its option {spoken!r} speaks of other options"


def _movable(samples: Sequence[Sample]) -> list[Sample]:
    found = [s for s in samples if stays(s) is None]
    if not found:
        why = f": '{samples[0].id}', for one: {stays(samples[0])}" if samples else ""
        raise ValueError(f"none of {len(samples)} samples has options that can change place{why}")
    return found


def _lists(question: str, letter: str, choice: str) -> bool:
    """Whether a question has an option under its letter: `(B) dog`, `B. dog`, `B: dog`."""
    return re.search(rf"(?<!\w){letter}[).:]\s{{0,4}}{re.escape(choice.strip())}", question, re.IGNORECASE) is not None


def _letters(sample: Sample) -> str:
    return options.letters(sample.choices)


def _neighbours(n: int) -> tuple[int, ...]:
    return tuple(i + 1 if i % 2 == 0 and i + 1 < n else i - i % 2 for i in range(n))


def _orders(sample: Sample, k: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Different orders, drawn without the original's."""
    n = len(sample.choices)
    draw = Random(stable_seed(seed, "options", sample.id))
    if n <= 6:  # few enough to shuffle all
        every = list(permutations(range(n)))[1:]
        draw.shuffle(every)
        yield from every[:k]
        return
    seen = {tuple(range(n))}
    while len(seen) <= min(k, factorial(n) - 1):
        order = tuple(draw.sample(range(n), n))
        if order not in seen:
            seen.add(order)
            yield order
