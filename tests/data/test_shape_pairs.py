import pytest

from mmevolve.data.shapes.dataset import gold, shapes
from mmevolve.data.shapes.families import FAMILIES
from mmevolve.data.shapes.pairs import preflight, shape_pairs


def test_pairs_are_right_against_wrong_on_the_same_question():
    samples = {s.id: s for s in shapes(n=28, seed=3)}
    pairs = shape_pairs(n=28, seed=3)
    assert [p.source for p in pairs] == list(samples)
    for pair in pairs:
        sample = samples[pair.source]
        assert pair.chosen == gold(sample)
        assert pair.prompt[0]["content"][0]["image"] == sample.images[0]
        assert sample.question in pair.prompt[0]["content"][1]["text"]
        answer = f"answer : {sample.answer}"
        assert pair.chosen.endswith(answer)
        assert "answer : " in pair.rejected
        assert not pair.rejected.endswith(answer)


def test_the_same_seed_gives_the_same_pairs_however_many():
    assert shape_pairs(n=14, seed=1)[:5] == shape_pairs(n=5, seed=1)
    assert shape_pairs(n=5, seed=1) != shape_pairs(n=5, seed=2)


def test_every_family_has_pairs_and_an_unknown_one_is_said():
    for family in FAMILIES:
        assert len(shape_pairs(n=2, families=(family,))) == 2
    assert list(preflight(families=["colur"])) != []
    with pytest.raises(ValueError, match="no question family"):
        shape_pairs(n=1, families=("colur",))
