from published_sets import HOLE, complaint, message, png, put, shown, text

from mmevolve.data.llava_conversations import llava_conversations, preflight


def talk(*words):
    return [{"from": ("human", "gpt")[i % 2], "value": said} for i, said in enumerate(words)]


def pictured(folder, *rows, name="t.jsonl"):
    for picture in ("a", "b"):
        put(folder, f"images/{picture}.png", png())
    return put(folder, name, list(rows))


def test_the_placeholder_goes_and_the_picture_stands_where_it_stood(tmp_path):
    pictures = ["images/a.png", "images/b.png"]
    row = {"image": pictures, "conversations": talk("Is <image>\nlike <image> here?", "No.")}
    (found,) = llava_conversations(path=pictured(tmp_path, row))
    assert shown(found.prompt[0]) == ["Is ", "#a.png", "like ", "#b.png", " here?"]
    assert (found.completion, found.source) == ("No.", "llava-000001")


def test_every_answer_of_a_conversation_is_a_row_with_all_before_it(tmp_path):
    turns = [{"from": "system", "value": "Be brief."}, *talk("<image>\nWhat is it?", "A cat.", "Its colour?", "Red.")]
    first, second = llava_conversations(path=pictured(tmp_path, {"image": "images/a.png", "conversations": turns}))
    assert [m["role"] for m in first.prompt] == ["system", "user"]
    assert (first.completion, first.source) == ("A cat.", "llava-000001#0")
    assert [m["role"] for m in second.prompt] == ["system", "user", "assistant", "user"]
    assert [shown(m) for m in second.prompt] == [["Be brief."], ["#a.png", "What is it?"], ["A cat."], ["Its colour?"]]
    assert (second.completion, second.source) == ("Red.", "llava-000001#1")


def test_messages_with_roles_and_parts_are_read_too_and_text_alone_needs_no_picture(tmp_path):
    parts = [message("user", text("Before"), HOLE, text("after")), message("assistant", "Yes.")]
    plain = [message("user", "Hello."), message("assistant", "Hello to you.")]
    one, two = llava_conversations(
        path=pictured(tmp_path, {"messages": parts, "images": ["images/a.png"]}, {"messages": plain, "images": []})
    )
    assert shown(one.prompt[0]) == ["Before", "#a.png", "after"]
    assert shown(two.prompt[0]) == ["Hello."]


def test_a_picture_without_a_place_comes_first_and_one_inside_the_content_stays(tmp_path):
    inside = [message("user", text("See"), {**HOLE, "image": "images/b.png"}), message("assistant", "I do.")]
    first = {"image": "images/a.png", "conversations": talk("What?", "That.")}
    one, two = llava_conversations(path=pictured(tmp_path, first, {"messages": inside}))
    assert shown(one.prompt[0]) == ["#a.png", "What?"]
    assert shown(two.prompt[0]) == ["See", "#b.png"]


def test_everything_wrong_with_conversations_is_said_at_once(tmp_path):
    ok = {"image": "images/a.png"}
    path = pictured(
        tmp_path,
        {**ok, "conversations": talk("<image>\nOne?", "Yes.")},
        {"conversations": talk("<image>\nNone?", "No.")},
        {"image": ["images/a.png", "images/b.png"], "conversations": talk("<image>\nTwo?", "No.")},
        {**ok, "conversations": talk("Last?")},
        {**ok, "conversations": [*talk("a"), *talk("b")]},
        {**ok, "conversations": talk("a", "<image> b")},
        {**ok, "conversations": []},
        {**ok, "conversations": talk("<image>", "b")},
        {"image": "images/c.png", "conversations": talk("Lost?")},
        {**ok, "conversations": [message("user", {"type": "audio"}), message("assistant", "b")]},
        {"image": ["images/d.png", "images/e.png"], "conversations": talk("Two?", "No.")},
    )
    said = complaint(llava_conversations, path=path)
    for part in (
        ": 12 problems",
        "row 2: conversations has 1 <image>, but the row's pictures are 0",
        "row 3: conversations has 1 <image>, but the row's pictures are 2",
        "row 4: conversations ends with the user's turn, expected the assistant's answer",
        "row 5: conversations has a turn of the user as turn 2, expected one of the assistant",
        "row 6: conversations has a picture in turn 2, which is the assistant's: expected in the user's only",
        "row 7: conversations is an empty list, expected turns",
        "row 8: conversations has no words in turn 1",
        "row 9: image 'images/c.png': no such file",
        "row 9: conversations ends with the user's turn",
        "row 10: conversations has {'type': 'audio'} as the words of turn 1, expected text",
        "row 11: image 'images/d.png': no such file",
        "row 11: image 'images/e.png': no such file",
    ):
        assert part in said, part
    assert "(broken: drop leaves such rows out)" in said
    assert len(llava_conversations(path=path, broken="drop")) == 1


def test_a_picture_column_of_another_name_is_not_taken_for_text_alone(tmp_path):
    for column in ("imgae", "image_path"):
        path = pictured(tmp_path, {column: "images/a.png", "conversations": talk("What?", "That.")})
        sentence = f"no column 'image', and '{column}' is not read: rename or remove it"
        assert sentence in complaint(llava_conversations, path=path)
        assert list(preflight(path=path)) == [sentence]
    path = pictured(tmp_path, {"stage": 1, "conversations": talk("What?", "That.")})
    assert shown(llava_conversations(path=path)[0].prompt[0]) == ["What?"]
