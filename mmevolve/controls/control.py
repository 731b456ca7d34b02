"""The controls by name, as an evaluation asks for them: `--control blind,swapped`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from mmevolve.config.nearest import hint
from mmevolve.controls import flips, option_order, pictures
from mmevolve.controls.augment import augmented
from mmevolve.controls.change import blind_gap, change, declined, unanswered
from mmevolve.controls.consistency import augmentation_consistency, response_consistency
from mmevolve.controls.link import NothingToRead, variant
from mmevolve.controls.position import position_bias
from mmevolve.controls.resampling import DEFAULT, Resampling, numbers
from mmevolve.controls.sensitivity import over_wordings
from mmevolve.controls.wordings import reworded
from mmevolve.types import Group, Sample

DRAWS = 5  # sampled attempts that say how far a model agrees with itself
Make = Callable[[Sequence[Sample]], list[Sample]]
Read = Callable[[Sequence[Group], Sequence[Group], str, Resampling], Any]


@dataclass(frozen=True)
class Control:
    """A question put to a model by changing its questions: variants to answer, and what the answers show.

    Calling it makes the variants; they are sampled and judged like any samples, and `read` compares.

    Attributes:
        name: as in `--control`; prefixes the numbers.
        says: what it shows, in a line.
        make: samples to variants.
        readings: readings of the judged groups of originals and variants, by name.
        changes: which pictures stand beside the question, what is in them, the order of the options, the words around
            the question, or nothing: the same is asked again.
        draws: attempts that are sampled of each variant at least; 0 for as many, and drawn as, the originals'.
    """

    name: str
    says: str
    make: Make
    readings: dict[str, Read]
    changes: Literal["pictures", "pixels", "options", "words", "nothing"] = "pictures"
    draws: int = 0

    def __call__(self, samples: Sequence[Sample]) -> list[Sample]:
        """The variants.

        Raises:
            ValueError: when no sample can be varied so.
        """
        return self.make(samples)

    def read(
        self,
        originals: Sequence[Group],
        variants: Sequence[Group],
        *,
        critic: str = "answer",
        resampling: Resampling = DEFAULT,
    ) -> dict[str, float]:
        """All readings as numbers, named `<control>/<reading>/<figure>`; intervals as `_low` and `_high`.

        Of a reading for which the model's answers leave nothing to compare there is only `left_out`: all originals.

        Raises:
            ValueError: when the groups do not pair.
        """
        found: dict[str, float] = {}
        for name, reading in self.readings.items():
            prefix = f"{self.name}/{name}/"
            try:
                found |= numbers(reading(originals, variants, critic, resampling), prefix)
            except NothingToRead:
                found[f"{prefix}left_out"] = float(len(originals))
        return found


def controls(names: str, *, seed: int = 0) -> tuple[Control, ...]:
    """Controls by their names, separated by commas.

    Raises:
        ValueError: when one is unknown, or named twice.
    """
    known = {control.name: control for control in every(seed)}
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in known:
            raise ValueError(f"no control '{name}'{hint(name, known) or f': there is {sorted(known)}'}")
        if wanted.count(name) > 1:
            raise ValueError(f"control '{name}' is named twice in '{names}'")
    return tuple(known[name] for name in wanted)


def every(seed: int = 0) -> tuple[Control, ...]:
    """All controls there are; `seed` is that of those that draw."""
    gap: dict[str, Read] = {"accuracy": _gap, "declined": _declined, "unanswered": _unanswered}
    order: dict[str, Read] = {"flips": _flips, "position": _position}
    steady: dict[str, Read] = {"accuracy": _gap, "flips": _flips, "consistency": _consistency}
    return (
        Control("blind", "right without any image", pictures.no_image, gap),
        Control("grey", "right with an even grey image", pictures.grey, gap, "pixels"),
        Control("swapped", "right with another sample's image", partial(pictures.swapped, seed=seed), gap),
        Control(
            "permuted",
            "right with the image's patches out of place",
            partial(pictures.permuted, seed=seed),
            gap,
            "pixels",
        ),
        Control(
            "circular",
            "right in every rotation of the options",
            option_order.circular,
            {"all": _circular} | order,
            "options",
        ),
        Control(
            "adjacent", "answers kept when neighbouring options change places", option_order.adjacent, order, "options"
        ),
        Control("reverse", "answers kept when the options are reversed", option_order.reverse, order, "options"),
        Control(
            "shuffled", "answers kept in a seeded order", partial(option_order.shuffled, seed=seed), order, "options"
        ),
        Control(
            "augmented",
            "answers kept when the image changes harmlessly",
            partial(augmented, seed=seed),
            steady,
            "pixels",
        ),
        Control(
            "prompts",
            "answers kept when the question is put in other words",
            reworded,
            {"wording": _wording, "unanswered": _unanswered},
            "words",
        ),
        Control(
            "consistency",
            "agreement with itself over sampled answers, probabilities and layers; in bits, 0 is full",
            again,
            {"response": _response},
            "nothing",
            draws=DRAWS,
        ),
    )


def again(samples: Sequence[Sample]) -> list[Sample]:
    """The same questions, to be asked once more."""
    return [variant(s, "consistency") for s in samples]


def _gap(originals: Sequence[Group], variants: Sequence[Group], critic: str, resampling: Resampling) -> Any:
    return blind_gap(originals, variants, critic=critic, resampling=resampling)


def _declined(originals: Sequence[Group], variants: Sequence[Group], critic: str, resampling: Resampling) -> Any:
    return change(originals, variants, declined, resampling=resampling)


def _unanswered(originals: Sequence[Group], variants: Sequence[Group], critic: str, resampling: Resampling) -> Any:
    return change(originals, variants, unanswered, resampling=resampling)


def _flips(originals: Sequence[Group], variants: Sequence[Group], critic: str, resampling: Resampling) -> Any:
    return flips.flip_rate(originals, variants, resampling=resampling)


def _position(originals: Sequence[Group], variants: Sequence[Group], critic: str, resampling: Resampling) -> Any:
    return position_bias(originals, variants, resampling=resampling)


def _circular(originals: Sequence[Group], variants: Sequence[Group], critic: str, resampling: Resampling) -> Any:
    return flips.circular(originals, variants, critic=critic, resampling=resampling)


def _consistency(originals: Sequence[Group], variants: Sequence[Group], critic: str, resampling: Resampling) -> Any:
    return augmentation_consistency(originals, variants, critic=critic, resampling=resampling)


def _wording(originals: Sequence[Group], variants: Sequence[Group], critic: str, resampling: Resampling) -> Any:
    return over_wordings(originals, variants, critic=critic, resampling=resampling)


def _response(originals: Sequence[Group], variants: Sequence[Group], critic: str, resampling: Resampling) -> Any:
    return response_consistency(variants, critic=critic, resampling=resampling)
