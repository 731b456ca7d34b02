"""Features of a frozen eye: one look an image, and everywhere what the model makes of pixels."""

from __future__ import annotations

import io
import pickle
from functools import partial

import peft
import pytest
import torch
from families import FAMILIES, load, picture, questions

from mmevolve import console
from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.step_reward import StepReward
from mmevolve.data.images import image_digest
from mmevolve.data.shapes.dataset import shapes
from mmevolve.evaluation import HeldOut
from mmevolve.loops import evolve
from mmevolve.losses.sft import SFT
from mmevolve.metrics.accuracy import Accuracy
from mmevolve.models import vision
from mmevolve.models.encode import Row, collate
from mmevolve.models.reward import StepRewardModel
from mmevolve.models.vision import VisionFeatures, eye_weights
from mmevolve.models.vlm import TOWERS, TransformersVLM
from mmevolve.samplers.independent import Independent
from mmevolve.selectors.correct import Correct
from mmevolve.store import RunStore
from mmevolve.text import images_of, user
from mmevolve.training.fit import Fit
from mmevolve.training.modules import ReasonerModule
from mmevolve.training.pairs import pair_input
from mmevolve.training.reference import with_reference
from mmevolve.types import Demonstration, Preference

SAID = ["a circle", "none", "1 + 2", "yes", "a\nred"]
OFF = {"limit": 0}


def chats():
    """Prompts of different lengths; one image stands in two of them, once beside another."""
    return [*questions(), (user("and here ?", (picture(3, 40, 80),)),)]


def distinct():
    return len({image for chat in chats() for image in images_of(chat)})


def slow(family, root, **settings):
    """The oracle: the same model, given pixels."""
    return load(family, root / family, features=VisionFeatures(**OFF), **settings)


def watched(vlm):
    """Every call of the model's tower, beside the store's own counter."""
    calls = []
    tower = next(module for name, module in vlm.model.named_modules() if name.split(".")[-1] in TOWERS)
    tower.register_forward_hook(lambda *_: calls.append(1))
    return calls


def learned(vlm):
    """Loss and gradients of one training step."""
    rows = [Demonstration(chat, said) for chat, said in zip(chats(), SAID, strict=True)]
    module = ReasonerModule(vlm, loss=SFT())
    vlm.train_mode()
    loss = module.loss(module.loss_input(rows)).loss
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in vlm.named_weights() if p.grad is not None}
    vlm.eval_mode()
    return loss.detach(), gradients


@pytest.mark.parametrize("family", FAMILIES)
def test_sampling_scoring_and_training_are_those_of_pixels_and_each_image_is_looked_at_once(family, model_root):
    fast, oracle = load(family, model_root / family), slow(family, model_root)
    seen = watched(fast)
    knobs = {"n": 2, "temperature": 1.0, "max_tokens": 5, "seeds": [1, 2, 3, 4, 5]}
    for _ in range(3):
        ours, theirs = fast.generate(chats(), max_tokens=5), oracle.generate(chats(), max_tokens=5)
        assert [r[0].token_ids for r in ours] == [r[0].token_ids for r in theirs]
    drawn, expected = fast.generate(chats(), **knobs), oracle.generate(chats(), **knobs)
    assert [[r.token_ids for r in group] for group in drawn] == [[r.token_ids for r in group] for group in expected]
    for ours, theirs in zip(fast.logprobs(chats(), SAID), oracle.logprobs(chats(), SAID), strict=True):
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-5)
    (loss, gradients), (plain_loss, plain_gradients) = learned(fast), learned(oracle)
    torch.testing.assert_close(loss, plain_loss, atol=1e-5, rtol=0)
    assert gradients.keys() == plain_gradients.keys() and len(gradients) > 10
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, plain_gradients[name], atol=1e-5, rtol=1e-4)
    again = family == "llava_onevision"  # sees a prompt's sole image otherwise than one of several: one stands in both
    assert fast.features.tower_forwards == fast.encoder.pictures.calls == distinct() + again
    assert len(seen) == distinct()  # there the images of a prompt go through in one call
    assert oracle.features.tower_forwards == 0


def test_batches_hold_features_and_grids_but_no_pixels(qwen, tiny):
    for vlm, grids in ((qwen, {"image_grid_thw"}), (tiny, set())):
        rows = [Row(vlm.encoder.prompt(chat)) for chat in chats()]
        batch = collate(rows, pad=vlm.pad, device=vlm.device, side="left")
        assert "mm_encoder_outputs" in batch and "pixel_values" not in batch
        assert grids <= set(batch)
        text = collate(rows[3:4], pad=vlm.pad, device=vlm.device, side="left")
        assert not {"mm_encoder_outputs", "pixel_values"} & set(text)


def test_a_reward_model_shares_the_features_of_the_policy_that_it_starts_from(model_root):
    policy, folder = load("tiny", model_root / "tiny"), str(model_root / "tiny")
    policy.generate(chats(), max_tokens=1)
    models = [
        StepRewardModel(folder, reads="both", ask=lambda step: "what ?" if step == "a" else None, features=features)
        for features in (None, VisionFeatures(**OFF))
    ]
    for model in models:
        torch.manual_seed(0)
        torch.nn.init.normal_(model.head.weight, std=0.3)
        model.start_from(policy)
    ours, theirs = (model.score_steps(chats(), SAID) for model in models)
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, abs=2e-5)
    assert models[0].trunk.features is policy.features
    assert policy.features.tower_forwards == policy.encoder.pictures.calls == distinct()
    assert models[1].trunk.features.tower_forwards == 0


def test_features_first_seen_in_inference_mode_can_be_learned_from(model_root):
    vlm = load("tiny", model_root / "tiny")
    with torch.inference_mode():
        vlm.logprobs(chats(), SAID)
    loss, gradients = learned(vlm)
    assert loss > 0 and gradients
    assert vlm.features.tower_forwards == distinct()


@pytest.mark.parametrize("family", ["tiny", "qwen2_5_vl", "internvl", "idefics3"])
def test_features_do_not_depend_on_the_company_an_image_comes_in(family, model_root):
    together, alone = load(family, model_root / family), load(family, model_root / family)
    together.logprobs(chats(), SAID)
    for chat in chats()[::-1]:
        alone.logprobs([chat], ["x"])
    assert together.features._kept.keys() == alone.features._kept.keys()
    for key, features in together.features._kept.items():
        assert all(torch.equal(tensor, alone.features._kept[key][name]) for name, tensor in features.items())


def said_by(work):
    stream = io.StringIO()
    with console.shown_on(console.Console(stream)):
        work()
    return stream.getvalue()


LORA = {"r": 4, "lora_alpha": 8, "init_lora_weights": True}


@pytest.mark.parametrize(
    "settings",
    [
        {"freeze": "nothing"},
        {"freeze": "tower"},
        {"lora": peft.LoraConfig(**LORA, target_modules="all-linear")},
    ],
    ids=["all trained", "projector trained", "lora on the tower"],
)
def test_a_trained_eye_is_given_pixels_and_says_so_once(settings, model_root):
    vlm, oracle = load("llava", model_root / "llava", **settings), slow("llava", model_root)
    spoken = said_by(lambda: [vlm.logprobs(chats(), SAID) for _ in range(2)])
    assert spoken.count("vision features: off, the eye is trained (weight '") == 1
    assert vlm.features.tower_forwards == 0
    ours, theirs = vlm.logprobs(chats(), SAID), oracle.logprobs(chats(), SAID)
    assert [s.logprobs for s in ours] == [s.logprobs for s in theirs]
    assert vlm.encoder.pictures.calls == distinct()


def test_an_adapter_on_the_tower_is_given_pixels_while_it_is_turned_off_too(model_root):
    vlm = load("llava", model_root / "llava", lora=peft.LoraConfig(**LORA, target_modules="all-linear"))
    with vlm.model.disable_adapter():
        vlm.logprobs(chats(), SAID)
    assert vlm.features.tower_forwards == 0


def test_an_adapter_of_the_language_model_alone_leaves_features_on(model_root):
    lora = peft.LoraConfig(**LORA, target_modules=r".*language_model.*\.(q_proj|v_proj)")
    torch.manual_seed(0)
    vlm = load("llava", model_root / "llava", lora=lora)
    torch.manual_seed(0)  # an adapter's first weights are drawn
    oracle = slow("llava", model_root, lora=lora)
    (loss, gradients), (plain_loss, plain) = learned(vlm), learned(oracle)
    torch.testing.assert_close(loss, plain_loss, atol=1e-5, rtol=0)
    assert all(torch.allclose(g, plain[n], atol=1e-5) for n, g in gradients.items())
    assert vlm.features.tower_forwards == distinct()


def test_an_eye_that_is_thawed_is_given_pixels_from_then_on(model_root):
    vlm = load("tiny", model_root / "tiny")
    vlm.logprobs(chats(), SAID)
    eye_weights(vlm.model)[0][1].requires_grad_(True)
    row = Row(vlm.encoder.prompt(chats()[0]))
    assert "pixel_values" in collate([row], pad=vlm.pad, device=vlm.device, side="left")


def test_other_tower_weights_are_other_features(model_root):
    vlm = load("tiny", model_root / "tiny")
    before = vlm.logprobs(chats(), SAID)
    with torch.no_grad():
        eye_weights(vlm.model)[0][1].mul_(1.5)
    after = vlm.logprobs(chats(), SAID)
    assert vlm.features.tower_forwards == 2 * distinct()
    assert [s.logprobs for s in before] != [s.logprobs for s in after]


def test_a_model_that_takes_no_features_is_given_pixels(model_root, monkeypatch):
    vlm = load("tiny", model_root / "tiny")
    pictures = vlm.encoder.prompt(chats()[0]).pictures
    vlm.model.model.forward = lambda pixel_values: None
    eye = vision.Eye(vlm.model, vlm.encoder.pictures, vlm.features)
    assert eye.off == "LlavaForConditionalGeneration takes no features in the place of pixels"
    assert eye.look(pictures) is None
    monkeypatch.delattr(type(vlm.model.model), "get_image_features")
    eye = vision.Eye(vlm.model, vlm.encoder.pictures, vlm.features)
    assert eye.off == "LlavaForConditionalGeneration has no pass of its own for images"


def features_of(count, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return {"pooled": torch.randn(count, generator=draw)}


def test_memory_is_bounded_and_the_least_recently_used_leave_first():
    store = VisionFeatures(limit=100)
    spoken = said_by(lambda: [store.put(name, features_of(10), 0.1) for name in "ab"])
    assert store.get("a") is not None
    more = said_by(lambda: [store.put(name, features_of(10), 0.1) for name in "cd"])
    assert spoken == "" and more.count("more than fit into 100 bytes") == 1
    assert list(store._kept) == ["c", "d"]
    assert store._bytes == 80


def test_a_folder_keeps_features_for_later_runs(model_root, tmp_path):
    stores = [VisionFeatures(folder=str(tmp_path)) for _ in range(2)]
    first, later = (load("qwen3_vl", model_root / "qwen3_vl", features=store) for store in stores)
    expected = first.logprobs(chats(), SAID)
    assert len(list(tmp_path.glob("*.safetensors"))) == distinct() == len(list(tmp_path.iterdir()))
    assert later.logprobs(chats(), SAID) == expected
    assert later.features.tower_forwards == 0
    assert first.features.tower_forwards == distinct()


def test_a_folder_that_is_slower_than_encoding_is_not_read_any_more(tmp_path, monkeypatch):
    monkeypatch.setattr(vision, "TRIED", 3)
    for seconds, read in ((100.0, 5), (0.0, 3)):
        folder = str(tmp_path / str(seconds))
        VisionFeatures(folder=folder).put("warm", features_of(4), seconds)
        for name in "abcde":
            VisionFeatures(folder=folder).put(name, features_of(4), seconds)
        store = VisionFeatures(folder=folder)
        found = []
        spoken = said_by(lambda: found.extend(store.get(name) for name in "abcde"))  # noqa: B023 - run at once
        assert sum(f is not None for f in found) == read
        assert spoken.count("is slower than encoding") == (read == 3)


def test_a_full_folder_is_not_written_to(tmp_path):
    store = VisionFeatures(folder=str(tmp_path), folder_limit=400)
    spoken = said_by(lambda: [store.put(name, features_of(50), 0.1) for name in "abc"])
    assert len(list(tmp_path.iterdir())) == 1
    assert spoken.count("is full (400 bytes)") == 1
    assert store.get("c") is not None  # in memory


def test_a_folder_that_cannot_be_written_to_is_said_once_and_costs_nothing_else(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = VisionFeatures(folder=str(tmp_path / "file"))
    spoken = said_by(lambda: [store.put(name, features_of(4), 0.1) for name in "ab"])
    assert spoken.count("cannot write to") == 1
    assert store.get("a") is not None and store.get("b") is not None


def test_a_file_that_is_no_features_is_named(tmp_path):
    (tmp_path / "a.safetensors").write_text("broken")
    with pytest.raises(ValueError, match=r"a\.safetensors holds no vision features .*: remove it"):
        VisionFeatures(folder=str(tmp_path)).get("a")


@pytest.mark.parametrize("family", ["tiny", "qwen3_vl", "internvl", "idefics3", "llava_onevision"])
def test_several_images_of_one_pass_are_told_apart(family, model_root):
    alone, many = load(family, model_root / family), load(family, model_root / family, features=VisionFeatures(batch=4))
    for ours, theirs in zip(many.logprobs(chats(), SAID), alone.logprobs(chats(), SAID), strict=True):
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-5)
    assert many.features.tower_forwards == alone.features.tower_forwards


def test_a_store_travels_to_another_process_without_what_it_keeps(tmp_path):
    store = VisionFeatures(limit=7, folder=str(tmp_path), folder_limit=8, batch=9)
    store.put("a", features_of(1), 0.1)
    copied = pickle.loads(pickle.dumps(store))
    assert (copied.limit, copied.folder, copied.folder_limit, copied.batch) == (7, tmp_path, 8, 9)
    assert not copied._kept and store._kept


def test_pairs_and_their_reference_look_at_an_image_once(model_root):
    rows = [Preference(chat, chosen, "no") for chat, chosen in zip(chats(), SAID, strict=True)]
    fast, oracle = load("qwen3_vl", model_root / "qwen3_vl"), slow("qwen3_vl", model_root)
    ours, theirs = (pair_input(vlm, with_reference(vlm, rows)) for vlm in (fast, oracle))
    torch.testing.assert_close(ours.logps, theirs.logps, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.ref_logps, theirs.ref_logps, atol=1e-5, rtol=0)
    assert fast.features.tower_forwards == fast.encoder.pictures.calls == distinct()


@pytest.mark.filterwarnings(r"ignore:Found \d+ module\(s\) in eval mode")  # a frozen eye, on purpose
@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`")
@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
@pytest.mark.filterwarnings("ignore:.*GPU available but not used")
def test_a_run_of_three_rounds_looks_at_each_image_once(tmp_path):
    policy = TransformersVLM("mmevolve:tiny_vlm")
    prm = StepRewardModel("mmevolve:tiny_vlm", freeze="all", reads="likelihood")
    prm.start_from(policy)
    seen = watched(policy), watched(prm.trunk)
    data, held = (shapes(n=5, split=split, families=("count",)) for split in ("train", "test"))
    evolve(
        store=RunStore(tmp_path),
        policy=policy,
        data=data,
        rounds=3,
        sampler=Independent(n=2, temperature=1.0, max_tokens=60),
        critics=[AnswerMatch(), StepReward(prm)],
        selector=Correct(),
        train=Fit(loss=SFT(), optimizer=partial(torch.optim.SGD, lr=1e-3), steps=2, batch_size=4),
        evaluations=[HeldOut("held_out", held, Independent(n=1, temperature=0.0), [AnswerMatch()], [Accuracy()])],
    )
    images = {image_digest(image) for sample in (*data, *held) for image in sample.images}
    assert len(seen[0]) + len(seen[1]) == policy.features.tower_forwards == policy.encoder.pictures.calls == len(images)
    assert policy.features.hits > 3 * len(images)
