"""Each image goes through the image processor once, and what comes out is what the processor itself makes."""

from __future__ import annotations

import pickle

import pytest
import torch
from families import load, picture

from mmevolve.models import pictures
from mmevolve.models.encode import Encoder
from mmevolve.text import user

A, B, C = picture(0), picture(1, 80, 40), picture(2)
CHATS = [(user(text, images),) for text in ("one ?", "two ?") for images in ((A,), (A, B), (B, C), (C, A, B), (A, A))]


def stock(vlm, images):
    """Pixels as the processor itself makes them for one prompt."""
    from mmevolve.data.images import open_image

    content = [{"type": "image", "image": open_image(image)} for image in images]
    chat = [{"role": "user", "content": [*content, {"type": "text", "text": "x"}]}]
    return vlm.processor.apply_chat_template(chat, tokenize=True, return_dict=True, return_tensors="pt")


def test_an_image_is_processed_once_whatever_prompts_it_stands_in(vlm):
    encoder = Encoder(vlm.processor)
    prompts = [encoder.prompt(chat) for chat in CHATS]
    together = type(vlm.processor).__name__ == "LlavaOnevisionProcessor"  # tiles only a prompt's sole image
    assert encoder.pictures.calls == (1 + 2 + 2 + 3 + 2 if together else 3)
    for images, prompt in zip(((A,), (A, B), (B, C), (C, A, B), (A, A)), prompts, strict=False):
        expected = stock(vlm, images)
        for name, tensor in prompt.per_image.items():
            assert torch.equal(tensor, expected[name]), name


def test_an_image_that_is_known_is_not_opened_again(tiny, monkeypatch):
    encoder = Encoder(tiny.processor)
    before = encoder.prompt(CHATS[0])
    monkeypatch.setattr(pictures, "open_image", None)
    again = encoder.prompt(CHATS[5])
    assert again.ids != before.ids and again.pictures == before.pictures


def test_memory_for_pixels_is_bounded_and_lost_ones_are_made_again(tiny, monkeypatch):
    encoder = Encoder(tiny.processor)
    chats = [(user("how many ?", (picture(seed),)),) for seed in range(4)]
    first = encoder.prompt(chats[0])
    pixels = first.per_image["pixel_values"]
    monkeypatch.setattr(pictures, "PIXEL_BYTES", 2 * pixels.nbytes)
    for chat in chats:
        encoder.prompt(chat)
    assert len(encoder.pictures._pixels) == 2 and encoder.pictures.calls == 4
    assert torch.equal(first.per_image["pixel_values"], pixels)
    assert encoder.pictures.calls == 5
    assert encoder.pictures._bytes == sum(p["pixel_values"].nbytes for p in encoder.pictures._pixels.values())


def test_what_is_remembered_of_an_image_without_its_pixels_takes_no_memory(tiny):
    encoder = Encoder(tiny.processor)
    (seen,) = encoder.prompt(CHATS[0]).pictures
    assert seen.said["pixel_values"].shape == (1, 3, 64, 64)
    assert seen.said["pixel_values"].untyped_storage().nbytes() == 4


def test_a_file_that_was_changed_under_way_is_refused(tiny, tmp_path, monkeypatch):
    file = tmp_path / "a.png"
    file.write_bytes(picture(1))
    encoder = Encoder(tiny.processor)
    prompt = encoder.prompt((user("a", (str(file),)),))
    monkeypatch.setattr(pictures, "PIXEL_BYTES", 0)
    encoder.prompt(CHATS[0])
    file.write_bytes(picture(2))
    with pytest.raises(ValueError, match=r"a\.png' was changed while a run was using it"):
        prompt.per_image["pixel_values"]


def test_the_number_of_remembered_images_is_bounded(tiny, monkeypatch):
    monkeypatch.setattr(pictures, "KEPT_PICTURES", 2)
    encoder = Encoder(tiny.processor)
    for seed in range(4):
        encoder.prompt((user("a", (picture(seed),)),))
    assert len(encoder.pictures._kept) == 2


def test_processors_with_other_settings_do_not_share(tiny, model_root):
    other = load("llava", model_root / "llava").processor.image_processor
    assert pictures.processor_digest(other) != pictures.processor_digest(tiny.processor.image_processor)


def test_what_is_remembered_does_not_travel_to_other_processes(tiny):
    encoder = Encoder(tiny.processor)
    encoder.prompt(CHATS[0])
    copied = pickle.loads(pickle.dumps(encoder.pictures))
    assert copied.calls == 0 and not copied._kept and copied.size == encoder.pictures.size
