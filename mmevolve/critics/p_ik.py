"""P(IK): whether the policy can answer a question at all, told before any attempt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from mmevolve import logistic
from mmevolve.config.ranges import Range
from mmevolve.critics.option_odds import odds_of
from mmevolve.critics.shown import seen
from mmevolve.logistic import Logistic
from mmevolve.prompts import template
from mmevolve.protocols import VLM, Critic
from mmevolve.text import ask
from mmevolve.types import Critique, Sample, Trajectory

Outcomes = Sequence[tuple[Sample, Sequence[bool]]]


@dataclass(frozen=True)
class PIK:
    """Probability that an attempt of the policy would be right, by a probe that was fitted on other questions.

    The probe is one logistic regression. Its features are what the model gives before it has written anything: the
    log-odds of yes when it is asked whether it could answer, the entropy of its answer's first token, how likely it
    would begin with each of the words `reads`, and the number of words, options and pictures of the question. It learns
    from what attempts at the `asked` questions came to: from `outcomes` where these are known, else the policy is
    asked, once for each state of its weights. All attempts at a question have the same score, in [0, 1]; a question
    that the probe was fitted on has none. `metrics.Calibration` and `metrics.Honesty` say whether the probability is
    one (ECE, Brier score, AUROC).

    Paper: Kadavath et al. 2022, "Language Models (Mostly) Know What They Know", arXiv:2207.05221 (P(IK), trained by
    cross-entropy against the model's own success over 30 samples a question).
    Differs: the paper trains a head on the question's last hidden state, and the whole model with it. A `VLM` of this
    package gives no hidden states, so the probe reads a handful of numbers and the model stays as it is. The
    log-probabilities of `reads` are the nearest to that head: up to their common normaliser they are linear in the
    state.

    Attributes:
        policy: whose knowledge is asked about.
        asked: labelled questions to fit on; not those that are judged, and none that the policy is trained on.
        attempts: a sampler that attempts them; 30 attempts each in the paper.
        verifier: judges these attempts.
        outcomes: verdicts (above 0 is right) by the id of an asked question, as `Group.scores` gives them; these
            questions are not attempted again.
        name: the column other parts refer to.
        learns: a row an attempt, so that the target is the share that is right, or a row a question, so that it is
            whether most are.
        words: template with `{question}` that asks whether the model could answer.
        prompt: template under which it would answer.
        yes: the option that says that it could.
        no: the option that says that it could not.
        reads: words whose first token's log-probability, as the answer's beginning, is a feature; a score each.
        ridge: of the regression.
        sees_image: show the pictures; false for a policy that reads text alone.

    Raises:
        ValueError: when questions to fit on are missing, or there are some without outcomes and nobody to attempt or
            to judge them.
    """

    sees_outcome: ClassVar[bool] = False  # of the questions that it judges

    policy: VLM
    asked: Sequence[Sample]
    attempts: Any = None
    verifier: Critic | None = None
    outcomes: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    name: str = "p_ik"
    learns: Literal["share", "majority"] = "share"
    words: str = "p_ik"
    prompt: str = "question"
    yes: str = "(A) Yes"
    no: str = "(B) No"
    reads: tuple[str, ...] = ()
    ridge: Annotated[float, Range(1e-6)] = 1.0
    sees_image: bool = True

    def __post_init__(self) -> None:
        if not self.asked:
            raise ValueError(f"critic '{self.name}': no questions in 'asked', so there is nothing to fit on")
        open_ = [s.id for s in self.asked if s.id not in self.outcomes]
        if open_ and (self.attempts is None or self.verifier is None):
            raise ValueError(
                f"critic '{self.name}': {len(open_)} of {len(self.asked)} questions have no outcomes, '{open_[0]}' "
                "first: expected `attempts` and `verifier` to get them"
            )

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        probe = self._probe() if items else None
        fitted = {s.id for s in self.asked}
        samples = list({s.id: s for s, _ in items if s.id not in fitted}.values())
        known: dict[str, float] = {}
        if isinstance(probe, Logistic):
            rows = self.features(samples)
            known = {s.id: probe(row) for s, row in zip(samples, rows, strict=True)}
        for sample, t in items:
            error = "the probe was fitted on this question" if sample.id in fitted else None
            error = error or (probe if isinstance(probe, str) else None)
            looked = self.sees_image and bool(sample.images)
            yield Critique(t.id, self.name, None if error else known[sample.id], sees_image=looked, error=error)

    def features(self, samples: Sequence[Sample]) -> list[list[float]]:
        """Of each question: log-odds of yes, entropy of the first token, words, options, pictures, then `reads`.

        NaN where unknown: a server gives no entropies, and a model whose tokens cannot tell the options apart no odds.
        """
        shown = [seen(s, self.sees_image) for s in samples]
        said = odds_of(self.policy, [ask(s, template(self.words)) for s in shown], self.yes, self.no)
        chats = [ask(s, template(self.prompt)) for s in shown]
        begins = ("", *self.reads)  # of nothing the one token is the end, drawn from what the answer may begin with
        scored = self.policy.logprobs([chat for chat in chats for _ in begins], list(begins) * len(chats))
        rows = []
        for i, (sample, odds) in enumerate(zip(samples, said, strict=True)):
            first, *words = scored[i * len(begins) : (i + 1) * len(begins)]
            known = math.nan if odds is None else odds.log_odds
            shape = (len(sample.question.split()), len(sample.choices), len(sample.images))
            numbers = (known, first.entropies[0], *shape, *(word.logprobs[0] for word in words))
            rows.append([float(x) if math.isfinite(x) else math.nan for x in numbers])
        return rows

    def fit(self, outcomes: Outcomes) -> Logistic:
        """The probe that these questions with the verdicts on attempts at them teach.

        Raises:
            NothingToTell: when there is none, or all verdicts are alike.
        """
        known = [(sample, verdicts) for sample, verdicts in outcomes if verdicts]
        rows: list[list[float]] = []
        labels: list[bool] = []
        for row, (_, verdicts) in zip(self.features([s for s, _ in known]), known, strict=True):
            own = list(verdicts) if self.learns == "share" else [sum(verdicts) > len(verdicts) / 2]
            rows += [row] * len(own)
            labels += own
        if len(set(labels)) < 2:
            what = f"all {len(labels)} outcomes to fit on are {'right' if labels[0] else 'wrong'}" if labels else ""
            raise NothingToTell(f"{what or 'there are no outcomes to fit on'}: the probe has nothing to tell apart")
        return logistic.fit(rows, labels, ridge=self.ridge)

    def _probe(self) -> Logistic | str:
        """The probe of the policy's present weights, or why there is none."""
        author = self.policy.name  # model and weights version
        if author not in self._fitted:
            self._fitted.clear()
            try:
                self._fitted[author] = self.fit(self._outcomes())
            except NothingToTell as error:
                self._fitted[author] = str(error)
        return self._fitted[author]

    @cached_property
    def _fitted(self) -> dict[str, Logistic | str]:
        return {}

    def _outcomes(self) -> Outcomes:
        """The verdicts on attempts at every question to fit on; what could not be judged is left out."""
        open_ = {s.id: s for s in self.asked if s.id not in self.outcomes}
        verdicts: dict[str, list[float | None]] = {s.id: list(self.outcomes.get(s.id, ())) for s in self.asked}
        if open_ and self.verifier is not None:
            tried = list(self.attempts(self.policy, list(open_.values()), round=0))
            said = self.verifier([(open_[t.sample_id], t) for t in tried])
            for t, critique in zip(tried, said, strict=True):
                verdicts[t.sample_id].append(critique.score)
        return [(s, [v > 0 for v in verdicts[s.id] if v is not None]) for s in self.asked]


class NothingToTell(ValueError):
    """The outcomes to fit on are all alike; the sentence says how."""
