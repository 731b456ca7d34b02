"""N attempts written step by step side by side; those without potential are given up before they are finished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.protocols import VLM, Critic
from mmevolve.samplers.attempts import attempt, kind_of
from mmevolve.text import ask, split_steps, stable_seed
from mmevolve.types import Critique, Reply, Sample, Step, Trajectory


@dataclass(frozen=True)
class PrunedPaths:
    """`n` attempts a question, step by step; each is cut where its potential is found too low.

    After every step the judges see what is written so far. An attempt's gate opens at the first step whose clarity is
    above `clear` and stays open; there (or at every step from there on) its potential is assessed, and when it is not
    above `hopeful` the attempt really ends: no further token is drawn. When every attempt of a sample has been cut, the
    one with the highest potential is taken up again and written to its end. A judge without a score opens no gate and
    cuts nothing. The best of the survivors is the selector's to find, by `critics.PARM` or an outcome critic.

    An attempt ends with its answer line, with the model's end token, with an empty line, or at `max_steps`. What an
    attempt says does not depend on the judges up to its cut, nor on its batch: step k of path j of a sample has its own
    seed. `sampling` of each trajectory tells `clear_at` and `cut_at` (steps from 1, or None), `potential`, `asked` (how
    often its potential was), `fallback`; a cut attempt has no answer and the stop reason `length`, so no row is made of
    it. `metrics.Pruning` counts the tokens.

    Paper: PARM, arXiv:2501.13926 (clarity gate, potential assessment, best-of-N', the case N' = 0; N 20).
    Differs: reasoning steps in place of partial images; paths are truncated, which their code does only afterwards; in
    the case N' = 0 the path with the highest potential is finished, as none has an outcome yet.

    Attributes:
        clarity: gives what is written so far a score; of several step scores the last counts.
        potential: likewise.
        n: attempts a sample.
        clear: the gate opens above it.
        hopeful: an attempt goes on above it.
        assess: the potential once, at the first clear step, or at every step from there on.
        temperature: of the draws; 0 makes the n paths one.
        max_steps: most steps an attempt.
        step_tokens: longest step.
        prompt: prompt template.
        seed: of the draws, with sample id, round, path and step.
    """

    clarity: Critic
    potential: Critic
    n: Annotated[int, Range(1)] = 8
    clear: float = 0.5
    hopeful: Annotated[float, Range(0, 1)] = 0.5
    assess: Literal["once", "every"] = "once"
    temperature: Annotated[float, Range(0.0)] = 1.0
    max_steps: Annotated[int, Range(1)] = 16
    step_tokens: Annotated[int, Range(1)] = 64
    prompt: str = "question"
    seed: int = 0

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        paths = [_Path(s, f"{s.id}/{round}/{i}", i) for s in samples for i in range(self.n)]
        end = self._end(policy, samples)
        while going := [p for p in paths if p.going]:
            self._write(policy, going, end, round)
            self._judge([p for p in going if p.going and not p.fallback])
            self._revive(paths)
        yield from (self._trajectory(p, round) for p in paths)

    def _end(self, policy: VLM, samples: Sequence[Sample]) -> int | None:
        """The token that ends a completion: all that an empty one has."""
        if not samples:
            return None
        (empty,) = policy.logprobs([ask(samples[0], template(self.prompt))], [""])
        return empty.token_ids[-1] if empty.token_ids else None

    def _write(self, policy: VLM, going: Sequence[_Path], end: int | None, round: int) -> None:
        """One step more of every path."""
        words = template(self.prompt)
        replies = policy.generate(
            [ask(p.sample, words) for p in going], n=1, temperature=self.temperature, max_tokens=self.step_tokens,
            seeds=[stable_seed(self.seed, "step", p.sample.id, round, p.index, len(p.steps)) for p in going],
            stop=("\n",), prefixes=["".join(f"{step}\n" for step in p.steps) for p in going],
        )  # fmt: skip
        for path, (reply,) in zip(going, replies, strict=True):
            path.add(reply, end, self.max_steps)

    def _judge(self, going: Sequence[_Path]) -> None:
        """Open gates, assess potentials, cut."""
        shut = [p for p in going if p.clear_at is None]
        for path, said in zip(shut, _said(self.clarity, shut), strict=True):
            if said is not None and said > self.clear:
                path.clear_at = len(path.steps)
        due = [p for p in going if p.clear_at is not None and (self.assess == "every" or not p.asked)]
        for path, said in zip(due, _said(self.potential, due), strict=True):
            path.asked += 1
            if said is not None:
                path.potential = said
                if not said > self.hopeful:
                    path.cut_at = len(path.steps)

    def _revive(self, paths: Sequence[_Path]) -> None:
        """Where every path of a sample has been cut, take up the one with the highest potential again."""
        for start in range(0, len(paths), self.n):
            own = paths[start : start + self.n]
            if all(p.cut_at is not None for p in own):
                best = max(own, key=lambda p: (p.potential, -p.index))
                best.cut_at, best.fallback = None, True

    def _trajectory(self, path: _Path, round: int) -> Trajectory:
        sampling: dict[str, Any] = {
            "prompt": self.prompt, "temperature": self.temperature, "seed": self.seed, "clear_at": path.clear_at,
            "cut_at": path.cut_at, "potential": path.potential if path.asked else None, "asked": path.asked,
            "fallback": path.fallback,
        }  # fmt: skip
        whole = path.cut_at is None and not path.limited
        reply = Reply(
            "\n".join(path.steps), path.author, "stop" if whole else "length", tuple(path.tokens), tuple(path.logprobs)
        )
        made = attempt(path.sample, reply, id=path.id, round=round, sampling=sampling)
        return made if path.cut_at is None else replace(made, answer=None)


@dataclass
class _Path:
    """One attempt while it is written.

    Attributes:
        asked: how often its potential was assessed.
        limited: whether it ran into the step or token limit.
        whole: whether it came to its end.
    """

    sample: Sample
    id: str
    index: int
    steps: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    author: str = ""
    clear_at: int | None = None
    cut_at: int | None = None
    potential: float = float("-inf")
    asked: int = 0
    fallback: bool = False
    limited: bool = False
    whole: bool = False

    @property
    def going(self) -> bool:
        return not self.whole and not self.limited and self.cut_at is None

    def add(self, reply: Reply, end: int | None, most: int) -> None:
        """Take up one more step; the path ends when the reply says so."""
        lines = split_steps(reply.text)
        self.author = reply.author
        self.tokens += reply.token_ids
        self.logprobs += reply.logprobs
        self.steps += lines[:1]
        ended = bool(reply.token_ids) and reply.token_ids[-1] == end
        self.whole = not lines or ended or kind_of(lines[0]) == "answer"
        self.limited = not self.whole and (reply.stop_reason != "stop" or len(self.steps) >= most)


def _said(judge: Critic, paths: Sequence[_Path]) -> list[float | None]:
    """What a judge says of each path as far as it is written."""
    if not paths:
        return []
    parts = [
        Trajectory(f"{p.id}#{len(p.steps)}", p.sample.id, p.author, tuple(Step(s, kind_of(s)) for s in p.steps))
        for p in paths
    ]
    return [_latest(c) for c in judge([(p.sample, t) for p, t in zip(paths, parts, strict=True)])]


def _latest(said: Critique) -> float | None:
    return said.step_scores[-1] if said.step_scores else said.score
