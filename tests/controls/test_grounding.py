"""Grounding controls of critics: blank and exchanged pictures, shuffled critiques."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mmevolve.controls.grounding import _aurocs, grounding, shuffled_critiques, under
from mmevolve.controls.option_order import circular
from mmevolve.controls.pictures import encode, grey, swapped
from mmevolve.controls.resampling import Resampling
from mmevolve.data.images import open_image
from mmevolve.metrics.reward import auroc
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

QUICK = Resampling(draws=300)


def shade(level):
    return encode(Image.new("RGB", (2, 2), (level, 0, 0)))


def world(n=30, sees=True):
    """Samples whose picture holds the answer; of two attempts the first is right."""
    groups = []
    for i in range(n):
        sample = Sample(f"q{i}", "what level?", (shade(i),), str(i))
        attempts = [
            Trajectory(f"q{i}/0/{j}", sample.id, "m", tuple(Step(str(k)) for k in range(1 + j)), answer)
            for j, answer in enumerate((str(i), str(i + 1)))
        ]
        verdicts = [Critique(t.id, "answer", float(t.answer == sample.answer)) for t in attempts]
        group = Group(sample, tuple(attempts), tuple(verdicts))
        said = [c for s, t in [(sample, t) for t in attempts] for c in look(s, t, sees)]
        groups.append(replace(group, critiques=(*verdicts, *said)))
    return groups


def look(sample, trajectory, sees=True):
    """A critic that compares the answer with the picture."""
    level = open_image(sample.images[0]).getpixel((0, 0))[0]
    steps = tuple(0.5 for _ in trajectory.steps)
    yield Critique(trajectory.id, "judge", -abs(level - int(trajectory.answer)), steps, "so", sees_image=sees)


def replay(groups, control, sees=True):
    return [c for s, t in under(groups, control) for c in look(s, t, sees)]


def test_a_critic_that_compares_with_the_picture_is_lost_without_it():
    groups = world()
    for control in (grey, swapped):
        found = grounding(groups, replay(groups, control), rank_by="judge", resampling=QUICK)
        assert found.auroc == 1.0 and found.control < 0.7
        assert found.uses_image and found.complaint is None
        assert (found.n, found.unjudged) == (60, 0)


def blind_critic(groups, sees):
    """A critic that goes by the number of steps, whatever it declares."""
    made = []
    for g in groups:
        said = [Critique(t.id, "judge", -len(t.steps), sees_image=sees) for t in g.trajectories]
        made.append(replace(g, critiques=(*g.critiques[:2], *said)))
    return made


def test_a_critic_that_declares_the_image_and_never_uses_it_is_found_out():
    groups = blind_critic(world(), True)
    same = [c for g in groups for c in g.by("judge").values()]
    found = grounding(groups, same, rank_by="judge", resampling=QUICK)
    assert (found.auroc, found.control, found.moved) == (1.0, 1.0, 0.0)
    assert (found.drop.mean, found.drop.low, found.drop.high) == (0.0, 0.0, 0.0)
    assert not found.uses_image
    assert found.complaint == "it declares that it sees the image, and no score depends on it"


def test_a_critic_that_honestly_sees_nothing_is_no_complaint_and_one_that_secretly_sees_is():
    groups = blind_critic(world(), False)
    same = [c for g in groups for c in g.by("judge").values()]
    assert grounding(groups, same, rank_by="judge", resampling=QUICK).complaint is None
    secret = world(sees=False)
    found = grounding(secret, replay(secret, grey, sees=False), rank_by="judge", resampling=QUICK)
    assert found.complaint.startswith("it declares that it does not see the image, and ")


def test_a_critic_whose_scores_move_without_getting_worse_does_not_use_the_image():
    groups = blind_critic(world(), True)
    moved = [replace(c, score=c.score - 10) for g in groups for c in g.by("judge").values()]
    found = grounding(groups, moved, rank_by="judge", resampling=QUICK)
    assert found.moved == 1.0
    assert found.complaint == "it is shown the image, and is not shown to rank better for it"


@pytest.mark.parametrize("seed", range(10))
def test_the_aurocs_of_resamples_are_those_of_the_rows_written_out(seed):
    draw = np.random.default_rng(seed)
    scores, right = draw.integers(0, 5, 12) / 4, draw.random(12) < 0.5
    weights = draw.multinomial(12, np.full(12, 1 / 12), size=8)
    for row, found in zip(weights, _aurocs(scores, right, weights), strict=True):
        rows = np.repeat(np.arange(12), row)
        wanted = auroc([(float(scores[i]), bool(right[i])) for i in rows])
        assert found == pytest.approx(wanted, nan_ok=True)


def test_one_cluster_or_one_class_gives_the_drop_no_ends():
    groups = world(3)
    said = replay(groups, grey)
    free = grounding(groups, said, rank_by="judge", resampling=QUICK)
    assert -1 < free.drop.low <= free.drop.high <= 1
    lumped = grounding(groups, said, rank_by="judge", resampling=replace(QUICK, cluster=lambda s: "all"))
    assert (lumped.drop.mean, lumped.drop.low, lumped.drop.high) == (free.drop.mean, -math.inf, math.inf)
    alone = [replace(g, trajectories=g.trajectories[:1]) for g in groups]
    one = grounding(alone, said, rank_by="judge", resampling=QUICK)
    assert math.isnan(one.auroc) and one.drop.high == math.inf and not one.uses_image


def test_attempts_without_a_score_or_a_verdict_are_counted_apart():
    groups = world(10)
    said = replay(groups, grey)[1:]
    assert grounding(groups, said, rank_by="judge", resampling=QUICK).unjudged == 1
    with pytest.raises(ValueError, match="20 attempts, none with a score by 'judge' with and without the control"):
        grounding(groups, [], rank_by="judge")
    with pytest.raises(KeyError, match="no critic 'other'"):
        grounding(groups, said, rank_by="other")


def test_a_critic_is_shown_one_variant_of_each_picture():
    pets = Sample("p", "?", (shade(1),), "A", ("cat", "dog", "emu"))
    with pytest.raises(ValueError, match="sample 'p' has two variants"):
        under([Group(pets, ())], circular)
    groups = [*world(2), Group(Sample("text", "?"), (Trajectory("text/0/0", "text", "m", ()),))]
    assert [t.id for _, t in under(groups, grey)] == ["q0/0/0", "q0/0/1", "q1/0/0", "q1/0/1"]


def test_shuffled_critiques_come_each_once_from_another_sample():
    groups = world(6)
    dealt = shuffled_critiques(groups, "judge", seed=1)
    own = {t.id: g.sample.id for g in groups for t in g.trajectories}
    marked = [replace(g, critiques=tuple(replace(c, text=c.trajectory_id) for c in g.critiques)) for g in groups]
    source = {c.trajectory_id: c.text for c in shuffled_critiques(marked, "judge", seed=1)}
    assert sorted(source) == sorted(source.values()) == sorted(own)
    assert all(own[target] != own[origin] for target, origin in source.items())
    assert shuffled_critiques(groups, "judge", seed=1) == dealt != shuffled_critiques(groups, "judge", seed=2)


def test_step_scores_of_another_length_are_not_dealt():
    dealt = {c.trajectory_id: c for c in shuffled_critiques(world(6), "judge")}
    for g in world(6):
        for t in g.trajectories:
            assert len(dealt[t.id].step_scores) in (0, len(t.steps))


def test_critiques_that_cannot_be_dealt_are_refused():
    with pytest.raises(ValueError, match="2 critiques by 'judge': no deal gives each attempt one from another sample"):
        shuffled_critiques(world(1), "judge")


def test_the_deal_does_not_depend_on_the_order_of_samples():
    groups = world(6)
    mixed = list(groups)
    random.Random(1).shuffle(mixed)
    by_id = {c.trajectory_id: c for c in shuffled_critiques(groups, "judge")}
    assert {c.trajectory_id: c for c in shuffled_critiques(mixed, "judge")} == by_id
