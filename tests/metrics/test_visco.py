"""VISCO's measures by hand: F1s with `wrong` as the positive class, None, three references, VISCore."""

import json
import math

import pytest

from mmevolve.answers.same_point import overlap, same_point
from mmevolve.answers.written_critique import parse
from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.oracle import Oracle
from mmevolve.data.shapes.dataset import gold, shapes
from mmevolve.metrics.visco import VISCO, viscore
from mmevolve.models.scripted import Scripted
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

RED, BLUE, WIDE = "The bar is red.", "the bar is blue, not red", "the axis starts at 10"


def group(name, truth, said, *, right, references=None, skill="Reasoning"):
    """One attempt: labels of its steps, and of the critic (score, step scores, text) or None where it could not."""
    t = Trajectory(f"{name}/0/0", name, "m", tuple(Step(f"step {k}") for k in range(len(truth))))
    critiques = [Critique(t.id, "oracle", min(truth), tuple(map(float, truth)))]
    critiques += [Critique(t.id, "answer", float(right))] if right is not None else []
    score, steps, text = said if said is not None else (None, (), "")
    critiques.append(Critique(t.id, "judge", score, tuple(steps), text, error=None if said else "no JSON"))
    meta = {"critic_superskill": skill} | ({"step_explanations": references} if references else {})
    return Group(Sample(name, "?", meta=meta), (t,), tuple(critiques))


def three():
    """Answers: wrong and called wrong; wrong and nothing said; right and called wrong.
    Steps wrong: a2, a3, b1. Called wrong: a2 (hit), c1 (alarm); b is None; a3 is missed."""
    return [
        group(
            "a", (1, 0, 0), (0.1, (0.9, 0.2, 0.8), "1: correct\n2: incorrect. the bar is red\n3: correct"),
            right=False, references=[["", "", ""], [BLUE, RED, WIDE], [WIDE, WIDE, WIDE]],
        ),
        group("b", (0, 1), None, right=False, references=[[RED, RED, RED], []], skill="Perception"),
        group(
            "c", (1, 1), (0.4, (0.3, 0.9), "1: incorrect, it is green\n2: correct"), right=True,
            references=[[], []], skill="Perception",
        ),
    ]  # fmt: skip


def test_visco_by_hand():
    """Answers: 1 hit, 2 called, 2 wrong: F1 2/4. Steps: 1 hit, 2 called, 3 wrong: 2/5. The hit makes the point of two
    of three references: (4/3)/5 = 4/15. VISCore: cube root of 1/2 * 2/5 * 4/15. Two of seven steps unsaid."""
    numbers = VISCO()(three())
    assert numbers == pytest.approx(
        {
            "answer_f1_judge": 0.5,
            "step_f1_judge": 0.4,
            "explanation_f1_judge": 4 / 15,
            "viscore_local_judge": (0.5 * 0.4 * 4 / 15) ** (1 / 3),
            "unsaid_steps_judge": 2 / 7,
        }
    )


def test_reasoning_and_perception_are_counted_apart():
    """Reasoning, a alone: answer 1, steps 1 hit of 1 called and 2 wrong: 2/3. Perception, b and c: no hit at all."""
    numbers = VISCO(by=("critic_superskill",))(three())
    assert numbers["answer_f1_judge_reasoning"] == 1.0
    assert numbers["step_f1_judge_reasoning"] == pytest.approx(2 / 3)
    assert numbers["explanation_f1_judge_reasoning"] == pytest.approx(4 / 9)
    assert numbers["step_f1_judge_perception"] == numbers["viscore_local_judge_perception"] == 0.0


def test_viscore_of_the_reference_page():
    assert viscore(0.60, 0.50, 0.40) == pytest.approx(0.4932, abs=5e-5)
    assert math.isnan(viscore(math.nan, 0.5, 0.4)) and viscore(0.0, 0.5, 0.4) == 0.0


def test_what_is_not_said_lowers_recall_alone():
    """One of two wrong steps called wrong: precision 1, recall 1/2. Calling the second right changes nothing of it."""
    silent = group("a", (0,), None, right=None)
    loud = group("b", (0,), (0.1, (0.1,), ""), right=None)
    other = group("a", (0,), (0.9, (0.9,), ""), right=None)
    assert VISCO()([silent, loud])["step_f1_judge"] == VISCO()([other, loud])["step_f1_judge"] == pytest.approx(2 / 3)
    assert math.isnan(VISCO()([silent, loud])["answer_f1_judge"])


def test_an_explanation_without_a_reference_is_not_counted_as_wrong():
    numbers = VISCO()([group("b", (0,), (0.1, (0.1,), "1: incorrect, it is red"), right=False)])
    assert math.isnan(numbers["explanation_f1_judge"]) and math.isnan(numbers["viscore_local_judge"])


def test_a_model_as_judge_is_asked_once_a_reference_and_gives_the_score_its_name():
    asked = []

    def reply(said, seed, index):
        asked.append(said)
        return "yes" if "blue" in said else "no, it does not"

    numbers = VISCO(judge=Scripted(reply), called="scripted")(three())
    assert len(asked) == 3 and "A critic says: the bar is red" in asked[0]
    assert numbers["explanation_f1_judge"] == pytest.approx(2 * (1 / 3) / 5)
    assert "viscore_scripted_judge" in numbers
    assert "viscore_judge" in VISCO(judge=Scripted(reply), called="gpt-4o-2024-08-06")(three())


def test_the_worlds_oracle_finds_all_its_own_errors_for_its_own_reasons():
    samples = shapes(n=30, split="validation")
    groups = []
    for i, sample in enumerate(samples):
        steps = [Step(line) for line in gold(sample).split("\n")]
        slip = [Step("I see 9 red squares ."), *steps[1:]] if i % 2 else steps
        answer = "no such thing" if i % 2 else sample.answer
        t = Trajectory(f"{sample.id}/0/0", sample.id, "m", tuple(slip), answer=answer)
        said = [*Oracle()([(sample, t)]), *AnswerMatch()([(sample, t)])]
        judge = [Critique(c.trajectory_id, "judge", said[1].score, c.step_scores, c.text) for c in said[:1]]
        groups.append(Group(sample, (t,), (*said, *judge)))
    numbers = VISCO()(groups)
    assert numbers["answer_f1_judge"] == numbers["step_f1_judge"] == 1.0
    assert numbers["explanation_f1_judge"] == numbers["viscore_local_judge"] == 1.0


def test_step_scores_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="'a/0/0': 1 step scores by critic 'judge' for 2 steps"):
        VISCO()([group("a", (1, 0), (0.5, (0.5,), ""), right=None)])


@pytest.mark.parametrize(
    ("text", "answer", "steps", "why"),
    [
        (
            '```json\n{"step_1": {"correctness": "correct"}, "Step_2": {"Correctness": "incorrect", "explanation": '
            '"it is \\( x \\) red"}, "answer_correctness": "incorrect"}\n```',
            True, (False, True), ("", "it is \\( x \\) red"),
        ),
        ('{"answer_correctness": {"correctness": true}, "step_1": {"correctness": "maybe"}}', False, (None, None), ()),
        ("Step 1: Correct.\n2 - wrong, it is red.\nAnswer: incorrect", True, (False, True), ("", "it is red")),
        ("1: correct\nOn second thoughts\n1: incorrect", None, (True, None), ()),
        ("{ {{ no verdict at all }", None, (None, None), ()),
        ('{"color": "red"}\n1: right 2: wrong', None, (False, None), ()),
    ],
)  # fmt: skip
def test_a_written_critique_is_read_part_by_part(text, answer, steps, why):
    said = parse(text, 2)
    assert (said.answer, said.steps) == (answer, steps)
    assert said.why == why or not why


@pytest.mark.parametrize("text", ["{" * 5000, "\\" * 5000, "1:" * 5000, json.dumps({"step_1": [1]}), "[" * 5000])
def test_no_critique_stops_the_reading(text):
    assert parse(text, 3).empty


def test_two_explanations_make_the_same_point_by_their_words_and_numbers():
    """red and bar in common; 3 words against 2: 2 * 2 / 5."""
    assert overlap(RED, BLUE) == 0.8 and overlap("is the", RED) == 0.0
    assert overlap("It is 2.50 wide", "2.5") == pytest.approx(2 / 3)
    assert same_point(RED, BLUE) and not same_point(RED, WIDE)
