"""Which questions lose their label."""

from mmevolve.data.unlabelled import unlabelled
from mmevolve.types import Sample

SAMPLES = [Sample(id=f"q{i}", question="how many?", answer=str(i)) for i in range(400)]


def hidden(samples):
    return {s.id for s in samples if s.meta.get("unlabelled")}


def test_the_share_is_met_up_to_chance_and_nothing_else_changes():
    marked = unlabelled(SAMPLES, share=0.5)
    assert 160 < len(hidden(marked)) < 240
    assert [(s.id, s.question, s.answer) for s in marked] == [(s.id, s.question, s.answer) for s in SAMPLES]


def test_none_and_all():
    assert hidden(unlabelled(SAMPLES, share=0.0)) == set()
    assert hidden(unlabelled(SAMPLES, share=1.0)) == {s.id for s in SAMPLES}


def test_neither_order_nor_number_decides_who_is_marked():
    some = SAMPLES[100:200][::-1]
    assert hidden(unlabelled(some)) == hidden(unlabelled(SAMPLES)) & {s.id for s in some}


def test_a_larger_share_marks_the_same_and_more_and_another_seed_marks_others():
    assert hidden(unlabelled(SAMPLES, share=0.2)) < hidden(unlabelled(SAMPLES, share=0.6))
    assert hidden(unlabelled(SAMPLES, seed=1)) != hidden(unlabelled(SAMPLES))
