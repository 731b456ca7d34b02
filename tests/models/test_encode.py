"""Chats become the inputs that the processor itself makes; batches lose nothing."""

from __future__ import annotations

import pickle

import pytest
import torch
from families import picture, questions
from PIL import Image

from mmevolve.models import encode
from mmevolve.models.encode import Encoded, Encoder, Row, collate, stack
from mmevolve.text import assistant, images_of, user


def stock_inputs(vlm, chat):
    """What the processor makes of a chat when it is asked to do everything."""
    from mmevolve.data.images import open_image

    pictures = iter([open_image(ref) for ref in images_of(chat)])
    messages = [
        {
            "role": m["role"],
            "content": [
                {"type": "image", "image": next(pictures)} if p["type"] == "image" else dict(p) for p in m["content"]
            ],
        }
        for m in chat
    ]
    return vlm.processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )


def test_a_prompt_is_what_the_processor_itself_makes_of_the_chat(vlm):
    for chat in questions():
        ours, theirs = vlm.encoder.prompt(chat), stock_inputs(vlm, chat)
        assert list(ours.ids) == theirs["input_ids"][0].tolist()
        for name, values in ours.per_token.items():
            assert len(values) == len(ours.ids), name
        assert "pixel_values" in ours.per_image or not images_of(chat)
        for name, tensor in ours.per_image.items():
            assert torch.equal(tensor, theirs[name])


def test_an_image_is_processed_once(tiny):
    encoder = Encoder(tiny.processor)
    chats = questions()
    first = [encoder.prompt(chat) for chat in chats]
    again = [encoder.prompt(chat) for chat in chats]
    assert encoder.calls == len(chats)
    assert all(a is b for a, b in zip(first, again, strict=True))


def test_a_changed_file_is_read_again(tiny, tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(picture(1))
    chat = (user("how many ?", (str(file),)),)
    before = tiny.encoder.prompt(chat)
    file.write_bytes(picture(2))
    assert not torch.equal(before.per_image["pixel_values"], tiny.encoder.prompt(chat).per_image["pixel_values"])
    file.write_bytes(picture(1))
    assert tiny.encoder.prompt(chat) is before


def test_memory_for_prompts_is_bounded(tiny, monkeypatch):
    encoder = Encoder(tiny.processor)
    chats = [(user("how many ?", (picture(seed),)),) for seed in range(6)]
    size = encode._size(encoder.prompt(chats[0]))
    monkeypatch.setattr(encode, "KEPT_BYTES", int(2.5 * size))
    for chat in chats:
        encoder.prompt(chat)
    assert len(encoder._kept) == 2
    assert encoder._bytes == sum(encode._size(e) for e in encoder._kept.values())
    calls = encoder.calls
    encoder.prompt(chats[-1])
    assert encoder.calls == calls
    encoder.prompt(chats[0])
    assert encoder.calls == calls + 1


def test_remembered_prompts_do_not_travel_to_other_processes(tiny):
    encoder = Encoder(tiny.processor)
    expected = encoder.prompt(questions()[0])
    copy = pickle.loads(pickle.dumps(encoder))
    assert not copy._kept and len(encoder._kept) == 1
    assert copy.prompt(questions()[0]).ids == expected.ids


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_masked_and_tokens_stay_in_order(side):
    def row(*ids, then=()):
        return Row(Encoded(ids, {"token_type_ids": tuple(i % 2 for i in ids)}, {}), then)

    batch = collate([row(5, 6, 7, then=(8,)), row(9)], pad=0, device=torch.device("cpu"), side=side)
    short = [0, 0, 0, 9] if side == "left" else [9, 0, 0, 0]
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8], short]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [int(i > 0) for i in short]]
    assert batch["token_type_ids"].tolist() == [[1, 0, 1, 0], [i % 2 for i in short]]


def test_tokens_of_a_row_without_an_extra_count_as_text():
    rows = [Row(Encoded((1, 2), {}, {})), Row(Encoded((3, 4), {"token_type_ids": (1, 1)}, {}))]
    batch = collate(rows, pad=0, device=torch.device("cpu"), side="right")
    assert batch["token_type_ids"].tolist() == [[0, 0], [1, 1]]


def test_images_with_different_numbers_of_tiles_are_filled_up_with_zeros():
    few, many = torch.ones(1, 2, 3), torch.ones(2, 4, 3)
    out = stack([few, many])
    assert out.shape == (3, 4, 3)
    assert out[0].sum() == 6 and out[0, 2:].sum() == 0
    assert stack([many, many]).shape == (4, 4, 3)


def test_a_prefix_has_no_end_token_and_a_completion_one(vlm):
    whole, open_ended = vlm.encoder.completion("a b"), vlm.encoder.completion("a b", end=False)
    assert whole == (*open_ended, vlm.encoder.end)
    assert vlm.encoder.end in vlm._end
    assert vlm.encoder.completion("", end=False) == ()
    assert vlm.encoder.completion("") == (vlm.encoder.end,)


def test_an_assistant_turn_in_a_chat_ends_as_a_completion_does(vlm):
    chat = (user("a"), assistant("b"), user("c"))
    ids = vlm.encoder.prompt(chat).ids
    said = vlm.encoder.completion("b", end=False)
    at = next(i for i in range(len(ids)) if ids[i : i + len(said)] == said and ids[i + len(said)] == vlm.encoder.end)
    assert at > 0


def test_spans_are_the_characters_of_each_token(qwen):
    text = "a = 1\nb"
    assert [text[a:b] for a, b in qwen.encoder.spans(text)] == list(text)


def test_transparent_and_grey_images_become_the_same_prompt_shape(tiny, tmp_path):
    for mode in ("RGBA", "L", "P"):
        file = tmp_path / f"{mode}.png"
        Image.new(mode, (20, 30)).save(file)
        assert tiny.encoder.prompt((user("a", (str(file),)),)).per_image["pixel_values"].shape == (1, 3, 64, 64)
