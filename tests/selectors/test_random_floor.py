from mmevolve.selectors.random_k import RandomK
from mmevolve.types import Critique, Group, Sample, Step, Trajectory


def test_chance_chooses_only_among_attempts_above_the_floor():
    attempts = tuple(Trajectory(f"s/0/{i}", "s", "m", (Step(f"way {i}"),)) for i in range(4))
    right = tuple(Critique(t.id, "answer", float(i != 3)) for i, t in enumerate(attempts))
    ranked = tuple(Critique(t.id, "prm", score) for t, score in zip(attempts, (0.2, 0.7, 0.6, 0.9), strict=True))
    group = Group(Sample("s", "?"), attempts, right + ranked)
    rows = list(RandomK(k=4, rank_by="prm", above=0.5)([group]))
    assert {row.source for row in rows} == {"s/0/1", "s/0/2"}
    assert len(list(RandomK(k=4)([group]))) == 3
