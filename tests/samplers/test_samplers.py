import pytest

from mmevolve.models.scripted import Scripted
from mmevolve.samplers.independent import Independent
from mmevolve.samplers.rationalize import Rationalize
from mmevolve.samplers.rollouts import Rollouts
from mmevolve.text import stable_seed
from mmevolve.types import Sample

SAMPLES = [Sample(f"s{i}", f"question {i} ?", (f"{i}.png",), answer=str(i)) for i in range(5)]


def echo(said, seed, index):
    return f"asked {said}\nseed {seed} index {index}\nanswer : {index}"


def test_independent_gives_n_attempts_a_sample_with_ids_of_sample_round_and_index():
    made = list(Independent(n=2, temperature=0.7)(Scripted(echo, name="m@4"), SAMPLES[:2], round=3))
    assert [t.id for t in made] == ["s0/3/0", "s0/3/1", "s1/3/0", "s1/3/1"]
    assert [t.sample_id for t in made] == ["s0", "s0", "s1", "s1"]
    assert {t.round for t in made} == {3}
    assert {t.author for t in made} == {"m@4"}
    assert [t.answer for t in made] == ["0", "1", "0", "1"]
    assert made[0].sampling["temperature"] == 0.7


def test_independent_seeds_come_from_seed_sample_and_round():
    seed = stable_seed(9, "s1", 3)
    (_, second) = Independent(n=2, seed=9)(Scripted(echo), SAMPLES[1:2], round=3)
    assert second.steps[1].text == f"seed {seed} index 1"


@pytest.mark.parametrize("sampler", [Independent(n=3), Rationalize(n=3)])
def test_attempts_do_not_depend_on_the_batch_or_its_order(sampler):
    policy = Scripted(echo)
    together = {t.id: t for t in sampler(policy, SAMPLES, round=1)}
    alone = {t.id: t for s in reversed(SAMPLES) for t in sampler(policy, [s], round=1)}
    assert together == alone
    assert len(together) == 15


def test_fewer_attempts_are_the_first_of_more():
    few = list(Independent(n=2)(Scripted(echo), SAMPLES, round=0))
    many = {t.id: t for t in Independent(n=6)(Scripted(echo), SAMPLES, round=0)}
    assert all(many[t.id] == t for t in few)


def test_another_round_or_seed_draws_anew():
    def drawn(seed, round):
        return {t.steps[1].text for t in Independent(n=2, seed=seed)(Scripted(echo), SAMPLES, round=round)}

    assert len(drawn(0, 0) | drawn(0, 1) | drawn(1, 0)) == 30


def test_independent_of_no_samples_is_nothing():
    assert list(Independent()(Scripted(echo), [], round=0)) == []


def test_rationalize_shows_the_answer_to_the_policy():
    (first, *_) = Rationalize(n=1)(Scripted(echo), SAMPLES[3:4], round=0)
    assert first.steps[0].text == "asked question 3 ? hint : the answer is 3 ."


def test_rationalize_draws_other_seeds_than_independent():
    (hinted,) = Rationalize(n=1)(Scripted(echo), SAMPLES[:1], round=0)
    (plain,) = Independent(n=1)(Scripted(echo), SAMPLES[:1], round=0)
    assert hinted.steps[1] != plain.steps[1]


def test_rationalize_refuses_a_sample_without_an_answer_before_it_samples():
    def never(said, seed, index):
        raise AssertionError("the policy was asked")

    with pytest.raises(ValueError, match="sample 'bare' has no answer to rationalize"):
        list(Rationalize()(Scripted(never), [SAMPLES[0], Sample("bare", "?")], round=0))


def test_rationalize_refuses_a_prompt_that_would_hide_the_answer():
    with pytest.raises(ValueError, match=r"prompt 'question' has no field \{answer\}"):
        list(Rationalize(prompt="question")(Scripted(echo), SAMPLES, round=0))


def test_rollouts_keep_the_prefix_as_first_steps():
    policy = Scripted({"question 0 ?\none\ntwo\n": ["three\nanswer : 7", "answer : 8"]})
    ((first, second),) = Rollouts(k=2)(policy, [(SAMPLES[0], ("one", "two"))])
    assert [s.text for s in first.steps] == ["one", "two", "three", "answer : 7"]
    assert [s.text for s in second.steps] == ["one", "two", "answer : 8"]
    assert (first.answer, second.answer) == ("7", "8")


def test_rollouts_come_in_the_order_of_the_prefixes():
    prefixes = [(SAMPLES[1], ("one",)), (SAMPLES[0], ("one",)), (SAMPLES[0], ("one", "two"))]
    made = Rollouts(k=3)(Scripted(echo), prefixes)
    assert [len(group) for group in made] == [3, 3, 3]
    for (sample, steps), group in zip(prefixes, made, strict=True):
        assert all(t.sample_id == sample.id and t.text.startswith("\n".join(steps)) for t in group)


def test_the_same_prefix_is_always_completed_the_same_way():
    wanted = (SAMPLES[0], ("one",))
    alone = Rollouts(k=3)(Scripted(echo), [wanted])
    among = Rollouts(k=3)(Scripted(echo), [(SAMPLES[1], ("one",)), (SAMPLES[0], ("two",)), wanted])
    assert among[2] == alone[0]


def test_rollouts_of_different_prefixes_have_different_ids_and_draws():
    made = Rollouts(k=2)(Scripted(echo), [(SAMPLES[0], ("one",)), (SAMPLES[0], ("two",)), (SAMPLES[1], ("one",))])
    attempts = [t for group in made for t in group]
    assert len({t.id for t in attempts}) == 6
    assert len({next(s.text for s in t.steps if s.text.startswith("seed")) for t in attempts}) == 6


def test_where_a_prefix_is_cut_into_steps_matters():
    made = Rollouts(k=1)(Scripted(echo), [(SAMPLES[0], ("one", "two")), (SAMPLES[0], ("one two",))])
    assert made[0][0].id != made[1][0].id
