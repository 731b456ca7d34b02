"""The world's rules of looking back, against its oracle where the looks tell the truth."""

import pytest

from mmevolve.critics.look_back_world import Judged, from_solution, judge, questions
from mmevolve.data.shapes.dataset import gold, sample_of, shapes, world_of
from mmevolve.data.shapes.families import FAMILIES
from mmevolve.data.shapes.oracle import judge as oracle
from mmevolve.data.shapes.program import rationale
from mmevolve.data.shapes.scene import Description
from mmevolve.text import split_steps


def truth(scene, question):
    """What a perfect look answers."""
    words = question.split()
    if words[:2] == ["how", "many"]:
        kind = words[2:-3]
        what = Description(kind[0] if len(kind) == 2 else None, None if kind[-1] == "shapes" else kind[-1][:-1])
        program = (("count", what.colour, what.shape),)
    else:
        program = (("at", words[-2]), ("colour" if "colour" in words else "shape", 0))
    try:
        return "\n".join(step.text for step in rationale(program, scene))
    except ValueError:  # an empty cell
        return "answer : nothing"


def seen_by_a_perfect_eye(sample, steps):
    scene, _ = world_of(sample)
    return {q: truth(scene, q) for step in steps for q in questions(step)}


@pytest.mark.parametrize("family", FAMILIES)
def test_no_gold_step_is_called_wrong_by_a_perfect_eye(family):
    for sample in shapes(n=12, families=(family,), seed=3):
        steps = split_steps(gold(sample))
        found = judge(sample.question, steps, seen_by_a_perfect_eye(sample, steps))
        assert [j.wrong for j in found] == [False] * len(steps), (sample.question, steps, found)


@pytest.mark.parametrize("family", ["compare", "total", "removal", "two_hop"])
def test_with_a_perfect_eye_it_finds_what_the_oracle_finds_in_another_pictures_solution(family):
    """Solutions of another picture's question are put under this one: true or false is then a matter of looking."""
    agreed = total = 0
    for sample in shapes(n=12, families=(family,), seed=4):
        scene, program = world_of(sample)
        for other in shapes(n=3, families=(family,), seed=5):
            told = sample_of("x", other.question, program, scene, b"", family=family, source="t")
            steps = split_steps(gold(other))
            seen = seen_by_a_perfect_eye(told, steps)
            mine = [j.wrong for j in judge(other.question, steps, seen)]
            theirs = [v.status != "right" for v in oracle(steps, world_of(other)[1], scene)]
            agreed += sum(a == b for a, b in zip(mine, theirs, strict=True))
            total += len(steps)
    assert agreed / total > 0.95, (agreed, total)


@pytest.mark.parametrize(
    ("step", "asked"),
    [
        ("red circles : none = 0", ["how many red circles are there ?"]),
        ("circles left of b2 : a1 = 1", ["how many circles are there ?"]),
        ("shapes above b2 : a1 = 1", [f"how many {k}s are there ?" for k in ("circle", "square", "triangle")]),
        ("the red square : b2", ["what colour is the shape at b2 ?", "what shape is at b2 ?"]),
        ("b2 : red square", ["what colour is the shape at b2 ?", "what shape is at b2 ?"]),
        ("2 + 3 = 5", []),
        ("answer : 5", []),
        ("nonsense", []),
    ],
)
def test_a_steps_questions_follow_from_its_form(step, asked):
    assert list(questions(step)) == asked


SEEN = {
    "how many circles are there ?": "circles : a1 c2 d4 = 3\nanswer : 3",
    "what colour is the shape at b2 ?": "b2 : red square\nanswer : red",
    "what shape is at b2 ?": "b2 : red square\nanswer : square",
}


@pytest.mark.parametrize(
    ("steps", "wrong", "why"),
    [
        (["circles : a1 c2 d4 = 3"], False, ""),
        (["circles : a1 c2 = 2"], True, "missing : d4 . seen : circles : a1 c2 d4 = 3"),
        (["circles : a1 c2 d4 = 4"], True, "a1 c2 d4 = 3"),
        (["squares : a1 = 1"], None, ""),
        (["the red square : b2", "circles left of b2 : a1 = 1"], False, ""),
        (["the red square : b2", "circles left of b2 : a1 c2 = 2"], True,
         "extra : c2 . seen : circles left of b2 : a1 = 1"),
        (["the red square : b2", "circles left of c2 : a1 = 1"], True, "c2 is not left of in the question"),
        (["the blue square : b2"], True, "seen : b2 : red square"),
        (["the red shape : b2"], False, ""),
        (["b2 : red circle"], True, "seen : b2 : red square"),
        (["circles : a1 c2 d4 = 3", "3 + 3 = 6"], False, ""),
        (["circles : a1 c2 d4 = 3", "3 + 3 = 7"], True, "3 + 3 = 6"),
        (["circles : a1 c2 d4 = 3", "3 > 3 : yes"], True, "3 > 3 : no"),
        (["circles : a1 c2 d4 = 3", "3 + 4 = 7"], True, "4 is not in the steps"),
        (["circles : a1 c2 = 2", "2 + 2 = 4"], True, "2 is wrong"),
        (["circles : a1 c2 d4 = 3", "answer : 3"], False, ""),
        (["circles : a1 c2 d4 = 3", "answer : 4"], True, "the answer is not 3"),
        (["b2 : red square", "answer : red"], False, ""),
        (["answer : red"], None, ""),
        (["what ?"], True, "not a step"),
    ],
)  # fmt: skip
def test_the_last_step_beside_what_was_seen(steps, wrong, why):
    assert judge("how many circles are left of the red square ?", steps, SEEN)[-1] == Judged(wrong, why)


def test_a_solution_answers_the_steps_questions_as_far_as_it_goes():
    steps = ["circles : a1 = 1", "squares : b1 = 1", "b2 : red square"]
    solution = ["circles : a1 c2 = 2", "b2 : blue square", "circles left of b2 : a1 = 1"]
    assert from_solution(steps, solution) == {
        "how many circles are there ?": "circles : a1 c2 = 2",
        "what colour is the shape at b2 ?": "answer : blue",
        "what shape is at b2 ?": "answer : square",
    }
