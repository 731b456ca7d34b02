"""The nouns: what every part of the house takes and gives.

All are frozen, hold only standard-library values and turn into one table row each (`to_row`, `from_row`). Nothing here
knows a model, a file or a tensor. Words are used as in CONTRIBUTING.md's glossary.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeVar

StepKind = Literal["perception", "reasoning", "answer"]
StopReason = Literal["stop", "length", "error"]
Box = tuple[float, float, float, float]
Message = Mapping[str, Any]
Chat = tuple[Message, ...]
ImageRef = str | bytes
T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """One question about zero or more images.

    Attributes:
        id: unique in its dataset; seeds and lineage hang on it.
        question: what is asked, without the options.
        images: each a path to an image file, or the encoded bytes of one (PNG, JPEG, ...).
        answer: the reference answer; None when unlabelled.
        choices: options of a multiple-choice question, in order; empty when free-form.
        source: the dataset's name.
        meta: anything else that is JSON; the embedded world keeps its scene and its question program here.
    """

    id: str
    question: str
    images: tuple[ImageRef, ...] = ()
    answer: str | None = None
    choices: tuple[str, ...] = ()
    source: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What a VLM returns for one chat; never stored by itself.

    Attributes:
        text: decoded completion without special tokens.
        author: the VLM's `name`: model and weights version.
        stop_reason: `stop` (end token or stop string), `length` (token limit), `error`.
        token_ids: sampled token ids, end token included.
        logprobs: natural log-probability of each sampled token under the untempered policy; same length as `token_ids`.
    """

    text: str
    author: str
    stop_reason: StopReason
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True)
class Step:
    """One reasoning unit of a trajectory.

    Attributes:
        text: as the model wrote it, stripped.
        kind: perception (says what is seen), reasoning (works on what was said), answer.
        region: boxes that the step cites, (x0, y0, x1, y1) as fractions of the image's width and height.
        image: index into the sample's images that `region` refers to.
    """

    text: str
    kind: StepKind = "reasoning"
    region: tuple[Box, ...] = ()
    image: int = 0


@dataclass(frozen=True)
class Trajectory:
    """One complete attempt at a sample, as steps and an answer.

    Attributes:
        id: `<sample id>/<round>/<index>`, with `~k` appended for the k-th revision.
        sample_id: the sample that it answers.
        author: model and weights version that wrote it.
        steps: the attempt, split; joined by newlines they are the text that is trained on.
        answer: extracted final answer; None when no rule finds one.
        round: loop round in which it was written.
        parent: id of the trajectory that it revises or extends; makes revisions, debates and trees one thing.
        stop_reason: why writing ended.
        sampling: the knobs it was drawn with (temperature, seed, prompt, ...).
        token_ids: as sampled, end token included.
        logprobs: behaviour log-probabilities, one a token.
    """

    id: str
    sample_id: str
    author: str
    steps: tuple[Step, ...]
    answer: str | None = None
    round: int = 0
    parent: str | None = None
    stop_reason: StopReason = "stop"
    sampling: Mapping[str, Any] = field(default_factory=dict)
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()

    @property
    def text(self) -> str:
        """The completion: step texts joined by newlines."""
        return "\n".join(step.text for step in self.steps)


@dataclass(frozen=True)
class Critique:
    """A critic's statement about one trajectory; append-only, beside the trajectory, never inside it.

    Attributes:
        trajectory_id: what is judged.
        critic: the critic's `name`.
        score: higher is better; a verifier's is 1.0 or 0.0; None with a reason in `error`.
        step_scores: one a step, or empty.
        text: what the critic wrote, if it writes.
        sees_image: whether the critic was given the image.
        error: why `score` is missing; None when it is there.
    """

    trajectory_id: str
    critic: str
    score: float | None
    step_scores: tuple[float, ...] = ()
    text: str = ""
    sees_image: bool = False
    error: str | None = None


@dataclass(frozen=True)
class Group:
    """All attempts at one sample in one round, with what every critic said of them."""

    sample: Sample
    trajectories: tuple[Trajectory, ...]
    critiques: tuple[Critique, ...] = ()

    def by(self, critic: str) -> dict[str, Critique]:
        """Critiques of one critic, by trajectory id."""
        return {c.trajectory_id: c for c in self.critiques if c.critic == critic}

    def scores(self, critic: str) -> list[float | None]:
        """Score of each trajectory by one critic, in order; None where it gave none.

        Raises:
            KeyError: when the critic said nothing about any trajectory of a non-empty group.
        """
        said = self.by(critic)
        if self.trajectories and not said:
            known = sorted({c.critic for c in self.critiques})
            raise KeyError(f"no critic '{critic}' in the group of sample '{self.sample.id}': its critics are {known}")
        return [said[t.id].score if t.id in said else None for t in self.trajectories]


@dataclass(frozen=True)
class Demonstration:
    """Row for supervised fine-tuning.

    Attributes:
        prompt: chat up to the assistant's turn; images stand in it as `{"type": "image", "image": ref}`.
        completion: the assistant's text.
        weight: multiplies the row's loss.
        mask: character spans of `completion` that are context only (shown, not learned).
        source: id of the trajectory it comes from.
    """

    prompt: Chat
    completion: str
    weight: float = 1.0
    mask: tuple[tuple[int, int], ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Preference:
    """Row for DPO and its kin; `prefix` for step-level pairs, `rejected_prompt` for image-conditional ones."""

    prompt: Chat
    chosen: str
    rejected: str
    prefix: str = ""
    rejected_prompt: Chat | None = None
    margin: float = 0.0
    p_win: float = 1.0
    weight: float = 1.0
    scope: str = "trajectory"
    source: str = ""


@dataclass(frozen=True)
class Labelled:
    """Row for reward models.

    Attributes:
        prompt: chat up to the assistant's turn.
        completion: the assistant's text, one step a line.
        labels: one number for the whole answer (ORM, KTO), or one a step (PRM); NaN marks a step without a label.
        weights: confidence of each label, same length; empty means 1.
        source: trajectory id.
    """

    prompt: Chat
    completion: str
    labels: tuple[float, ...]
    weights: tuple[float, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Rollout:
    """Row for on-policy reinforcement learning; token ids as sampled, so that ratios are exact.

    `kl` multiplies the row's KL term, in a loss that has one; 0 lets the row go from the reference as far as it pays.
    """

    prompt: Chat
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    advantages: tuple[float, ...]
    source: str = ""
    kl: float = 1.0


Example = Demonstration | Preference | Labelled | Rollout
NOUNS: tuple[type, ...] = (Sample, Trajectory, Critique, Demonstration, Preference, Labelled, Rollout)


def to_row(item: Any) -> dict[str, Any]:
    """A noun as a flat row: plain values stay, lists of numbers stay lists, the rest becomes JSON text."""
    row: dict[str, Any] = {}
    for name, kind in _fields(type(item)).items():
        value = getattr(item, name)
        row[name] = value if kind == "plain" else list(value) if kind == "numbers" else _dumps(value)
    return row


def from_row(cls: type[T], row: Mapping[str, Any]) -> T:
    """The noun that `to_row` wrote.

    Raises:
        KeyError: when the row lacks a field of the noun.
    """
    values: dict[str, Any] = {}
    for name, kind in _fields(cls).items():
        raw = row[name]
        if kind == "plain":
            values[name] = raw
        elif kind == "numbers":
            values[name] = tuple(raw)
        else:
            values[name] = _freeze(json.loads(raw), _hints(cls)[name])
    return cls(**values)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


@cache
def _fields(cls: type) -> dict[str, str]:
    """Field name -> how it is stored: plain, numbers, json."""
    hints = _hints(cls)
    kinds = {}
    for f in dataclasses.fields(cls):
        hint = hints[f.name]
        if _is_plain(hint):
            kinds[f.name] = "plain"
        elif hint in (tuple[int, ...], tuple[float, ...]):
            kinds[f.name] = "numbers"
        else:
            kinds[f.name] = "json"
    return kinds


def _is_plain(hint: Any) -> bool:
    if hint in (str, int, float, bool, types.NoneType) or typing.get_origin(hint) is Literal:
        return True
    return typing.get_origin(hint) in (types.UnionType, typing.Union) and all(
        _is_plain(a) for a in typing.get_args(hint)
    )


def _dumps(value: Any) -> str:
    def plain(v: Any) -> Any:
        if dataclasses.is_dataclass(v) and not isinstance(v, type):
            return {f.name: getattr(v, f.name) for f in dataclasses.fields(v)}
        if isinstance(v, bytes):
            raise TypeError("image bytes reach a table: the store must replace them by their file first")
        return dict(v)

    return json.dumps(value, default=plain, ensure_ascii=False, sort_keys=True)


def _freeze(value: Any, hint: Any) -> Any:
    """Lists back to tuples, messages inside them included, and step dictionaries back to steps; a mapping is JSON."""
    if hint == tuple[Step, ...]:
        return tuple(Step(**{**s, "region": tuple(tuple(b) for b in s["region"])}) for s in value)
    return _tuples(value) if isinstance(value, list) else value


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(v) for v in value)
    return {k: _tuples(v) for k, v in value.items()} if isinstance(value, dict) else value
