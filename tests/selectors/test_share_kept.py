import math

from mmevolve.selectors.step_labels import StepLabels, share_kept
from mmevolve.types import Critique, Group, Sample, Step, Trajectory


def judged(*values):
    """A group of attempts with these step values."""
    attempts = tuple(
        Trajectory(f"s/0/{i}", "s", "m", tuple(Step(f"step {i} {k}") for k in range(len(v))))
        for i, v in enumerate(values)
    )
    said = tuple(Critique(t.id, "value", min(v), v) for t, v in zip(attempts, values, strict=True))
    return Group(Sample("s", "how many ?"), attempts, said)


def test_a_step_is_labelled_by_the_share_of_the_value_it_keeps():
    # The question is worth 0.8 at best; the first step keeps 0.4 of it, the second all of that, the third loses all of
    # it, and nothing is left for the fourth to lose.
    labels = share_kept((0.4, 0.6, 0.0, 0.0), 0.8)
    assert labels[:3] == (0.5, 1.0, 0.0)
    assert math.isnan(labels[3])


def test_the_best_first_step_of_a_group_is_what_the_question_is_worth():
    first, second = StepLabels(critic="value", kind="kept")([judged((0.8, 1.0), (0.4, 0.0))])
    assert first.labels == (1.0, 1.0)
    assert second.labels == (0.5, 0.0)


def test_an_attempt_at_a_question_worth_nothing_gives_no_row():
    assert list(StepLabels(critic="value", kind="kept")([judged((0.0, 0.0))])) == []
