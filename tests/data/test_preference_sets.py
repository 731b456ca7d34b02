import logging

import pytest
from published_sets import HOLE, complaint, critiques, feedback, message, png, put, ranked, shown, text

from mmevolve.data.critique_vqa import critique_vqa
from mmevolve.data.mm_rlhf import mm_rlhf
from mmevolve.data.rlaif_v import rlaif_v
from mmevolve.data.trl_preferences import trl_preferences


def test_a_row_of_rlaif_v_is_a_pair_with_its_picture_before_the_question(tmp_path):
    put(tmp_path, "RLAIF-V-Dataset_000.parquet", [feedback(1)])
    put(tmp_path, "RLAIF-V-Dataset_001.parquet", [feedback(2)])
    one, two = rlaif_v(path=str(tmp_path))
    assert shown(one.prompt[0]) == [f"#{len(png())}", "What is in the picture?"]
    assert (one.chosen, one.rejected) == ("A red area, nothing else (1).", "A red car with 1 doors.")
    assert (one.source, two.source) == ("rlaif_v-train-000001", "rlaif_v-train-000002")
    assert [p.source for p in rlaif_v(path=str(tmp_path), id="idx")] == ["1", "2"]


def test_everything_wrong_with_rows_of_rlaif_v_is_said_at_once(tmp_path):
    rows = [
        feedback(1),
        feedback(1),
        feedback(2, chosen="Same.", rejected="Same."),
        feedback(3, chosen=None, rejected=""),
        feedback(4, image={"bytes": None, "path": None}),
        feedback(5, question=None),
    ]
    said = complaint(rlaif_v, path=put(tmp_path, "t.parquet", rows), id="idx")
    for part in (
        ": 6 problems",
        "row 2: idx '1' is also that of row 1",
        "row 3: rejected is the same text as chosen",
        "row 4: chosen is empty",
        "row 4: rejected is empty",
        "row 5: image is empty",
        "row 6: question is empty",
    ):
        assert part in said, part


def test_both_forms_of_critique_vqa_give_the_same_pair(tmp_path):
    put(tmp_path, "images/a.png", png())
    row = critiques()
    asked = row["conversations"][0]["value"]
    hub = {
        "conversation": {"from": "human", "text": asked},
        "chosen": {"from": "gpt", "text": row["chosen"]["value"]},
        "rejected": {"from": "gpt", "text": row["rejected"]["value"]},
        "image": {"bytes": None, "path": "images/a.png"},
    }
    (made,) = critique_vqa(path=put(tmp_path, "train.json", [row]))
    (stored,) = critique_vqa(path=put(tmp_path, "train.parquet", [hub]))
    assert made == stored
    assert shown(made.prompt[0]) == ["#a.png", asked.removeprefix("<image>\n")]
    assert (made.chosen, made.rejected) == ("#### Critique\n1 cat is there, and no dog.", "#### Critique\nFine.")


def test_wrong_speakers_in_critique_vqa_are_said(tmp_path):
    put(tmp_path, "images/a.png", png())
    rows = [critiques(chosen={"from": "human", "value": "?"}), critiques(images=[]), critiques(chosen=[])]
    said = complaint(critique_vqa, path=put(tmp_path, "train.json", rows))
    for part in (
        "row 1: chosen has the turns user, expected one of the assistant",
        "row 2: images is empty",
        "row 3: chosen has the turns none, expected one of the assistant",
    ):
        assert part in said, part


def test_pairs_of_mm_rlhf_are_read_and_videos_are_counted(tmp_path, caplog):
    put(tmp_path, "long/a.png", png())
    row = {
        "id": "long-1",
        "image": "long/a.png",
        "prompt": "What is it?",
        "chosen": "A stop sign.",
        "rejected": "A car.",
    }
    film = {**row, "video": "video/a.mp4", "image": None}
    put(tmp_path, "dpo_pairs.jsonl", [row, film, {**row, "prompt": "<image>\nWhich colour?"}])
    with caplog.at_level(logging.WARNING):
        one, two = mm_rlhf(path=str(tmp_path))
    assert shown(one.prompt[0]) == ["#a.png", "What is it?"]
    assert shown(two.prompt[0]) == ["#a.png", "Which colour?"]
    assert "rows about a video, dropped: 1" in caplog.text
    assert "row 2: video is what the row is about" in complaint(mm_rlhf, path=str(tmp_path), videos="error")


def test_a_ranking_of_mm_rlhf_gives_every_pair_of_different_rank(tmp_path):
    put(tmp_path, "long/a.png", png())
    tied = ranked(2, final_ranking={"alpha": 1, "beta": "2", "gamma": 1})
    pairs = mm_rlhf(path=put(tmp_path, "data.jsonl", [ranked(1), tied]))
    assert [(p.chosen, p.rejected) for p in pairs] == [
        ("It says stop.", "Stop."),
        ("It says stop.", "Go."),
        ("Stop.", "Go."),
        ("Stop.", "Go."),
        ("It says stop.", "Go."),
    ]
    assert pairs[0].source == "mm_rlhf-000001/gamma>alpha"
    assert shown(pairs[0].prompt[0]) == ["#a.png", "What does the sign say?"]


def test_models_that_did_not_answer_are_empty_cells_of_parquet(tmp_path):
    put(tmp_path, "long/a.png", png())
    rank = {"alpha": "1", "beta": "2"}
    two = ranked(2, models_output={"alpha": "Stop.", "beta": "Go."}, final_ranking=rank)
    whole = {"alpha": "2", "beta": "3", "gamma": "1"}
    pairs = mm_rlhf(path=put(tmp_path, "t.parquet", [ranked(1, final_ranking=whole), two]))
    assert [p.source.split("/")[0] for p in pairs] == ["mm_rlhf-000001"] * 3 + ["mm_rlhf-000002"]


def test_rankings_that_cannot_be_read_are_said(tmp_path):
    put(tmp_path, "long/a.png", png())
    rows = [
        ranked(1, final_ranking={"alpha": 1, "beta": 2}),
        ranked(2, final_ranking={"alpha": 1, "beta": 1, "gamma": 1}),
        ranked(3, final_ranking={"alpha": "best", "beta": 2, "gamma": 3}),
        ranked(4, final_ranking="alpha > beta > gamma"),
        ranked(5, models_output=["Stop."]),
    ]
    said = complaint(mm_rlhf, path=put(tmp_path, "data.jsonl", rows))
    for part in (
        ": 5 problems",
        "row 1: final_ranking and models_output do not name the same models: gamma",
        "row 2: final_ranking ranks nothing: all answers are of one rank",
        "row 3: final_ranking has the rank 'best' of 'alpha', expected a number",
        "row 4: final_ranking is 'alpha > beta > gamma', expected an object",
        "row 5: models_output is ['Stop.'], expected an object",
    ):
        assert part in said, part


QUESTION = message("user", "What colour is the sky?")
BLUE, GREEN = message("assistant", "It is blue."), message("assistant", "It is green.")
TRL = {
    "standard": {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."},
    "standard, implicit": {"chosen": "The sky is blue.", "rejected": "The sky is green."},
    "conversational": {"prompt": [QUESTION], "chosen": [BLUE], "rejected": [GREEN]},
    "conversational, implicit": {"chosen": [QUESTION, BLUE], "rejected": [QUESTION, GREEN]},
}


@pytest.mark.parametrize("form", TRL)
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_the_four_forms_of_trl_are_read(tmp_path, form, ending):
    (row,) = trl_preferences(path=put(tmp_path, f"t.{ending}", [TRL[form]]))
    standard = form.startswith("standard")
    assert shown(row.prompt[0]) == ["The sky is" if standard else "What colour is the sky?"]
    assert row.prompt[0]["role"] == "user"
    assert (row.chosen, row.rejected) == (("blue.", "green.") if standard else ("It is blue.", "It is green."))


def test_a_prompt_that_is_read_off_two_texts_does_not_cut_a_word(tmp_path):
    rows = [
        {"chosen": "It looks great.", "rejected": "It looks green."},
        {"chosen": "Count them: 12", "rejected": "Count them: 1"},
        {"chosen": "Say it now", "rejected": "Say it\tlater"},
    ]
    found = trl_preferences(path=put(tmp_path, "t.jsonl", rows))
    assert [(shown(p.prompt[0])[0], p.chosen, p.rejected) for p in found] == [
        ("It looks", "great.", "green."),
        ("Count them:", "12", "1"),
        ("Say it", "now", "later"),
    ]


def test_pictures_of_trl_stand_where_their_parts_stand_or_else_first(tmp_path):
    for name in "ab":
        put(tmp_path, f"{name}.png", png())
    told = {"chosen": [BLUE], "rejected": [GREEN]}
    placed = message("user", text("Left:"), HOLE, text("right:"), HOLE)
    rows = [
        {"prompt": [placed], "images": ["a.png", "b.png"], **told},
        {"prompt": [QUESTION], "images": ["b.png"], **told},
        {"prompt": "Which colour?", "images": ["a.png"], "chosen": "Blue.", "rejected": "Green."},
        {"chosen": [placed, BLUE], "rejected": [placed, GREEN], "images": ["a.png", "b.png"]},
        {"prompt": [message("system", "Be brief."), QUESTION], "images": ["a.png"], **told},
    ]
    found = trl_preferences(path=put(tmp_path, "t.jsonl", rows))
    both = ["Left:", "#a.png", "right:", "#b.png"]
    assert [shown(p.prompt[-1]) for p in found] == [
        both,
        ["#b.png", "What colour is the sky?"],
        ["#a.png", "Which colour?"],
        both,
        ["#a.png", "What colour is the sky?"],
    ]
    assert found[4].prompt[0]["role"] == "system"
    one = {"prompt": "Which?", "image": "a.png", "chosen": "A", "rejected": "B"}
    (single,) = trl_preferences(path=put(tmp_path, "one.jsonl", [one]))
    assert shown(single.prompt[0]) == ["#a.png", "Which?"]


def test_everything_wrong_with_a_table_of_trl_is_said_at_once(tmp_path):
    rows = [
        {"prompt": [message("user", HOLE, text("What?"))], "chosen": [BLUE], "rejected": [GREEN]},
        {"prompt": [QUESTION, BLUE], "chosen": [BLUE], "rejected": [GREEN]},
        {"prompt": [QUESTION], "chosen": [BLUE, QUESTION], "rejected": [GREEN]},
        {"chosen": "Blue.", "rejected": "Green."},
        {"chosen": "The sky is", "rejected": "The sky is green."},
        {"chosen": [QUESTION, BLUE], "rejected": [QUESTION]},
        {"chosen": [BLUE], "rejected": [GREEN]},
        {"prompt": "Same?", "chosen": "Yes.", "rejected": "Yes."},
        {"prompt": [QUESTION], "chosen": [BLUE], "rejected": [GREEN], "tools": ["search"]},
        {"prompt": [message("tool", "x")], "chosen": [BLUE], "rejected": 3},
    ]
    said = complaint(trl_preferences, path=put(tmp_path, "t.jsonl", rows))
    for part in (
        "row 1: prompt has 1 <image>, but the row's pictures are 0",
        "row 2: prompt ends with the assistant's turn, expected the question last",
        "row 3: chosen has the turns assistant, user, expected one of the assistant",
        "row 4: chosen and rejected do not begin alike, and there is no prompt",
        "row 5: chosen ends with what chosen and rejected share, expected an answer",
        "row 6: rejected goes on with nothing after the 1 turns that both share, expected an answer",
        "row 7: chosen has a turn of the assistant as turn 1, expected one of the user",
        "row 8: rejected is the same text as chosen",
        "row 9: tools is set, and tools cannot be called here",
        "row 10: prompt has turn 1 by 'tool', expected one of human, user, gpt, assistant, system",
        "row 10: rejected is 3, expected text or a message",
    ):
        assert part in said, part


@pytest.mark.parametrize("column", ["promt", "question"])
def test_a_prompt_under_another_name_is_not_read_off_the_answers(tmp_path, column):
    rows = [{column: "Which?", "chosen": "It is A", "rejected": "It is B"}]
    said = complaint(trl_preferences, path=put(tmp_path, "t.jsonl", rows))
    assert f"no column 'prompt', and '{column}' is not read: rename or remove it" in said
