import pytest

from mmevolve.critics.answer import AnswerMatch
from mmevolve.evaluation import Gap, HeldOut, refuse_overlap
from mmevolve.metrics.accuracy import Accuracy
from mmevolve.models.scripted import Scripted
from mmevolve.samplers.independent import Independent
from mmevolve.store import RunStore
from mmevolve.types import Sample


def samples(*names, image="a.png"):
    return [Sample(n, f"how many {n} ?", (image,), answer="3") for n in names]


def held_out(data, name="held", n=1):
    return HeldOut(name, data, Independent(n=n), [AnswerMatch()], [Accuracy()])


def test_disjoint_sets_pass():
    refuse_overlap(samples("a", "b"), [held_out(samples("c")), held_out(samples("d"))])
    refuse_overlap(samples("a"), [])


def test_the_same_id_is_refused():
    other_words = [Sample("b", "another question ?")]
    with pytest.raises(ValueError, match="1 samples of the held-out set 'held' are also trained on, 'b' first"):
        refuse_overlap(samples("a", "b"), [held_out(other_words)])


def test_the_same_question_about_the_same_image_is_refused_under_any_id():
    renamed = [Sample("x", "how many b ?", ("a.png",)), Sample("y", "how many a ?", ("a.png",))]
    with pytest.raises(ValueError, match="2 samples of the held-out set 'second' are also trained on, 'x' first"):
        refuse_overlap(samples("a", "b"), [held_out(samples("c"), "first"), held_out(renamed, "second")])


def test_the_same_question_about_another_image_passes():
    refuse_overlap(samples("a"), [held_out([Sample("x", "how many a ?", ("b.png",))])])


def test_a_question_about_image_bytes_is_compared_too():
    with pytest.raises(ValueError, match="also trained on"):
        refuse_overlap(samples("a", image=b"png"), [held_out([Sample("x", "how many a ?", (b"png",))])])


def test_the_same_picture_as_bytes_as_a_file_and_under_another_path_is_the_same(tmp_path):
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(b"the bytes of a picture")
    train = samples("a", image=str(tmp_path / "one.png"))
    for image in (b"the bytes of a picture", str(tmp_path / "two.png"), str(tmp_path / "." / "one.png")):
        with pytest.raises(ValueError, match="1 samples of the held-out set 'held' are also trained on, 'x' first"):
            refuse_overlap(train, [held_out([Sample("x", "how many a ?", (image,))])])
    refuse_overlap(train, [held_out([Sample("x", "how many a ?", (b"of another picture",))])])


def test_pictures_of_another_question_or_another_size_are_not_read(monkeypatch):
    monkeypatch.setattr("mmevolve.evaluation.image_digest", lambda ref: pytest.fail(f"{ref!r} was read"))
    refuse_overlap(samples("a", image=b"png"), [held_out(samples("b", image=b"png"))])
    refuse_overlap(samples("a", image=b"png"), [held_out([Sample("x", "how many a ?", (b"longer",))])])


def test_numbers_carry_the_evaluations_name_and_its_tables_are_kept(tmp_path):
    policy = Scripted({"how many a ?": ["answer : 3"], "how many b ?": ["answer : 4"]})
    store = RunStore(str(tmp_path)).stage("loop")
    numbers = held_out(samples("a", "b"), "test")(policy, store, at="before")
    assert numbers == {"test/accuracy": 0.5, "test/accuracy_unparsed": 0.0}
    assert [t.answer for t in store.table("before", "test_trajectories")] == ["3", "4"]
    assert [c.score for c in store.table("before", "test_critiques")] == [1.0, 0.0]


def test_draws_do_not_depend_on_the_round_so_rounds_are_paired(tmp_path):
    def draw(said, seed, index):
        return f"answer : {seed % 10}"

    store = RunStore(str(tmp_path)).stage("loop")
    evaluation = held_out(samples(*"abcdefgh"), n=2)
    before, after = (evaluation.groups(Scripted(draw), store, at=at) for at in ("before", 3))
    assert before == after
    assert len({t.answer for g in before for t in g.trajectories}) > 2


def test_the_gap_is_what_sampling_finds_and_the_greedy_answer_misses(tmp_path):
    data = samples("a", "b", "c", "d")
    # the first draw is right for a; one of four draws for b, two for c, none for d
    right = {"a": (0, 1, 2, 3), "b": (2,), "c": (1, 3), "d": ()}

    def say(said, seed, index):
        text = said[-1].text if hasattr(said[-1], "text") else str(said)
        name = next(n for n in right if f"many {n} ?" in text)
        return "answer : 3" if index in right[name] else "answer : 4"

    policy = Scripted(say)
    greedy, several = held_out(data, "greedy"), held_out(data, "samples", n=4)
    store = RunStore(str(tmp_path)).stage("evolve")
    gap = Gap(several, greedy, k=2)
    # pass@2 of 4: a 1, b 1 - C(3,2)/C(4,2) = 1/2, c 1 - C(2,2)/C(4,2) = 5/6, d 0; greedy: a alone
    assert gap(policy, store, at=0) == {"gap/pass@2-greedy": pytest.approx((1 + 1 / 2 + 5 / 6) / 4 - 1 / 4)}
    assert gap.data is data


def test_a_gap_between_other_questions_is_refused():
    with pytest.raises(ValueError, match="'samples' and 'greedy' share 1 of 3 questions, expected the same"):
        Gap(held_out(samples("a", "b"), "samples"), held_out(samples("b", "c"), "greedy"))
