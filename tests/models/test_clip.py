import dataclasses
import io
import json
from pathlib import Path
from random import Random

import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mmevolve.benchmarks import heavy
from mmevolve.config import build, load
from mmevolve.controls.overlap import overlaps
from mmevolve.data.images import open_image
from mmevolve.data.shapes.dataset import descriptions, shapes, world_of
from mmevolve.models.clip import ClipEmbedder, NearDuplicate, near_duplicates
from mmevolve.models.clip_tiny import CONTEXT, caption, make_tiny_clip, tiny_words
from mmevolve.models.vlm import model_folder

SAMPLES = shapes(n=40, split="test", families=("count",), seed=5)
IMAGES = [s.images[0] for s in SAMPLES]
TEXTS = [" ".join(descriptions(world_of(s)[0])) for s in SAMPLES]


@pytest.fixture(scope="module")
def embedder():
    return ClipEmbedder("mmevolve:tiny_clip")


def again(png):
    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.resize((96, 96), Image.Resampling.BICUBIC).save(out, "JPEG", quality=80)
    return out.getvalue()


def test_pictures_and_texts_become_unit_vectors_of_one_space(embedder):
    images, texts = embedder.images(IMAGES[:3]), embedder.texts(TEXTS[:5])
    assert (images.shape, texts.shape) == ((3, 128), (5, 128))
    assert torch.allclose(torch.cat([images, texts]).norm(dim=-1), torch.ones(8), atol=1e-5)
    assert embedder.images([]).shape == embedder.texts([]).shape == (0, 128)


def test_the_vectors_are_those_that_open_clip_gives_by_itself(embedder):
    folder = f"local-dir:{model_folder('mmevolve:tiny_clip')}"
    model, see = open_clip.create_model_from_pretrained(folder)
    words = open_clip.get_tokenizer(folder)
    with torch.inference_mode():
        images = model.eval().encode_image(torch.stack([see(open_image(i)) for i in IMAGES[:4]]))
        texts = model.encode_text(words(TEXTS[:4]))
    assert torch.allclose(embedder.images(IMAGES[:4]), images / images.norm(dim=-1, keepdim=True), atol=1e-5)
    assert torch.allclose(embedder.texts(TEXTS[:4]), texts / texts.norm(dim=-1, keepdim=True), atol=1e-5)


def test_the_shipped_model_finds_the_description_of_a_picture_it_has_not_seen(embedder):
    cosines = embedder.images(IMAGES) @ embedder.texts(TEXTS).T
    own = torch.arange(len(IMAGES))
    assert (cosines.argmax(1) == own).float().mean() > 0.9  # by chance 0.025
    assert (cosines.argmax(0) == own).float().mean() > 0.9


def test_similarity_is_the_cosine_of_each_pair_whatever_the_batch(embedder):
    pairs = [(0, 0), (1, 0), (0, 2), (2, 2), (1, 1), (0, 0)]
    images, texts = [IMAGES[i] for i, _ in pairs], [TEXTS[j] for _, j in pairs]
    said = embedder.similarity(images, texts)
    left, right = embedder.images(IMAGES[:3]), embedder.texts(TEXTS[:3])
    assert said == pytest.approx([float(left[i] @ right[j]) for i, j in pairs], abs=2e-5)
    alone = ClipEmbedder("mmevolve:tiny_clip", batch=1)
    assert alone.similarity(images[::-1], texts[::-1]) == said[::-1]
    assert said[0] == said[5] and embedder.similarity([], []) == []
    with pytest.raises(ValueError, match="1 texts for 2 images"):
        embedder.similarity(IMAGES[:2], TEXTS[:1])


def test_a_copy_is_found_and_another_picture_is_not(embedder):
    train = SAMPLES[:20]
    leaked = [dataclasses.replace(SAMPLES[7], id="leak", images=(again(IMAGES[7]),)), *SAMPLES[25:]]
    (pair,) = near_duplicates(embedder, train, leaked, above=0.97)
    assert (pair.first, pair.second, pair.first_image, pair.second_image) == (SAMPLES[7].id, "leak", 0, 0)
    assert 0.97 <= pair.similarity < 1.0


def test_equal_bytes_are_a_pair_at_any_threshold_and_a_sample_is_not_its_own_copy(embedder, tmp_path):
    (tmp_path / "copy.png").write_bytes(IMAGES[1])
    two = dataclasses.replace(SAMPLES[0], id="two", images=(IMAGES[2], str(tmp_path / "copy.png")))
    expected = [NearDuplicate(SAMPLES[1].id, "two", 0, 1, 1.0)]
    assert near_duplicates(embedder, SAMPLES[:2], [two], above=1.0) == expected
    assert near_duplicates(embedder, [*SAMPLES[:2], two], above=1.0) == expected
    assert near_duplicates(embedder, [], SAMPLES) == near_duplicates(embedder, SAMPLES, []) == []


def test_pairs_agree_with_comparing_every_two_and_come_most_alike_first(embedder, monkeypatch):
    monkeypatch.setattr("mmevolve.models.clip.BLOCK", 7)
    vectors = embedder.images(IMAGES)
    slow = {(i, j): float(vectors[i] @ vectors[j]) for i in range(40) for j in range(i)}
    above = sorted(slow.values())[-12] - 1e-4
    pairs = near_duplicates(embedder, SAMPLES, above=above)
    assert {(p.second, p.first) for p in pairs} == {
        (SAMPLES[i].id, SAMPLES[j].id) for (i, j), cosine in slow.items() if cosine >= above
    }
    assert [p.similarity for p in pairs] == sorted((p.similarity for p in pairs), reverse=True)
    assert len(pairs) == 12


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"model": "mmevolve:tiny_clp"},
            "there is no CLIP folder 'mmevolve:tiny_clp': the nearest is 'mmevolve:tiny_clip'",
        ),
        ({"model": "nowhere/clip"}, "there is no CLIP folder 'nowhere/clip'"),
        ({"model": "ViT-B-23"}, "no CLIP model 'ViT-B-23': the nearest is 'ViT-B-32'"),
        ({"model": "ViT-B-32"}, "'ViT-B-32' without weights means nothing: set pretrained to a file or to one of"),
        (
            {"model": "ViT-B-32", "pretrained": "opennai"},
            "'opennai' is neither a file nor one of the weights of 'ViT-B-32': the nearest is 'openai'",
        ),
        ({"model": "mmevolve:tiny_vlm"}, "'mmevolve:tiny_vlm' has no open_clip_config.json"),
    ],
)
def test_a_model_that_is_not_there_is_one_sentence(settings, says):
    with pytest.raises(ValueError) as said:
        ClipEmbedder(**settings)
    assert says in str(said.value)


def test_a_folder_without_safe_weights_is_refused(tmp_path):
    (tmp_path / "open_clip_config.json").write_text("{}")
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="has no safetensors weights"):
        ClipEmbedder(str(tmp_path))


NARROW = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture
def named(tmp_path):
    """A model that open_clip knows by its own name, with weights in a file."""
    (tmp_path / "narrow.json").write_text(json.dumps(NARROW))
    open_clip.add_model_config(tmp_path / "narrow.json")
    torch.manual_seed(0)
    made = open_clip.create_model("narrow")
    with torch.no_grad():
        for parameter in made.visual.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_file({n: t.contiguous() for n, t in made.state_dict().items()}, tmp_path / "narrow.safetensors")
    return made.eval(), str(tmp_path / "narrow.safetensors")


def test_a_name_of_open_clip_with_its_weights_in_a_file(named):
    made, file = named
    embedder = ClipEmbedder("narrow", pretrained=file)
    assert embedder.name == f"clip:narrow@{file}"
    see = open_clip.image_transform(32, is_train=False)
    with torch.inference_mode():
        expected = made.encode_image(torch.stack([see(open_image(i)) for i in IMAGES[:3]]), normalize=True)
    assert torch.allclose(embedder.images(IMAGES[:3]), expected, atol=1e-5)


def test_weights_that_are_none_are_one_sentence(named, tmp_path):
    (tmp_path / "junk.pt").write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"^the CLIP model 'clip:narrow@.*junk\.pt': its weights cannot be loaded: "):
        ClipEmbedder("narrow", pretrained=str(tmp_path / "junk.pt"))


@pytest.mark.parametrize("which", ["shipped", "pretrained"])
def test_the_command_lines_search_finds_the_same_pairs(which, named):
    """`mmevolve eval --overlap TABLE --embedder NAME[@WEIGHTS]` against the search that is written out here."""
    word = "mmevolve:tiny_clip" if which == "shipped" else f"narrow@{named[1]}"
    model, _, weights = word.partition("@")
    train = SAMPLES[:12]
    leaked = dataclasses.replace(SAMPLES[7], id="leak", images=(again(IMAGES[7]),))
    held_out = [leaked, *SAMPLES[20:26]]
    own = ClipEmbedder(model, pretrained=weights or None)
    best = max(p.similarity for p in near_duplicates(own, train, held_out, above=-1.0) if p.second != "leak")
    found = overlaps(train, held_out, embed=heavy.embedder(word), cosine=min(best, 0.99) - 1e-3).found
    slow = near_duplicates(own, train, held_out, above=min(best, 0.99) - 1e-3)
    assert {(t, o.sample) for o in found if o.kind == "embedding" for t in o.trained} == {
        (p.first, p.second) for p in slow
    }
    assert (SAMPLES[7].id, "leak") in {(p.first, p.second) for p in slow}


def test_the_same_seed_makes_the_same_model_and_another_seed_another(tmp_path):
    scenes = [(bytes(s.images[0]), tuple(descriptions(world_of(s)[0]))) for s in SAMPLES[:8]]
    small = {"steps": 2, "batch": 4, "width": 32, "layers": 1}
    folders = [make_tiny_clip(tmp_path / str(i), scenes, seed=s, **small) for i, s in enumerate((1, 1, 2))]
    first, same, other = (Path(f, "open_clip_model.safetensors").read_bytes() for f in folders)
    assert first == same != other
    ids = [ClipEmbedder(f).describe() for f in folders]
    assert ids[0]["weights"] == ids[1]["weights"] != ids[2]["weights"]


def test_training_lowers_the_loss_that_it_is_said_to_lower(tmp_path):
    scenes = [(bytes(s.images[0]), tuple(descriptions(world_of(s)[0]))) for s in SAMPLES[:8]]
    small = {"batch": 8, "width": 32, "layers": 1, "seed": 0}

    def right(steps):
        made = ClipEmbedder(make_tiny_clip(tmp_path / str(steps), scenes, steps=steps, **small))
        cosines = made.images(IMAGES[:8]) @ made.texts(TEXTS[:8]).T
        return torch.nn.functional.cross_entropy(cosines / 0.07, torch.arange(8)).item()

    assert right(60) < 0.5 * right(0)


def test_words_are_those_of_the_tiny_vlm_between_a_begin_and_an_end():
    words = tiny_words()
    ids = words("a1 red circle zebra")["input_ids"]
    assert words.convert_ids_to_tokens(ids) == ["<bos>", "a1", "red", "circle", "<unk>", "<eos>"]
    assert max(len(words(text)["input_ids"]) for text in TEXTS) <= CONTEXT


def test_a_caption_names_some_things_in_their_order():
    things = ("a1 red circle", "b2 blue square", "c3 red triangle")
    made = {caption(things, Random(seed)) for seed in range(60)}
    assert " ".join(things) in made and "b2 blue square" in made and len(made) == 7


def test_a_recipe_can_name_embedder_and_critic(tmp_path):
    file = tmp_path / "aligned.yaml"
    file.write_text(
        "embedder: {_target_: models.ClipEmbedder, device: cpu}\n"
        "critic: {_target_: critics.Alignment, embedder: $embedder, reads: answer}\n"
    )
    made = build(load(file))
    assert made["critic"].embedder.name == "clip:mmevolve:tiny_clip"
    assert json.dumps(made["embedder"].describe()).count("weights") == 1
