"""Every architecture of docs/families.md keeps every promise of that page, and the page promises nothing else."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest
import torch
import transformers
from families import FAMILIES, load, picture, questions
from safetensors.torch import load_file
from transformers import LlavaConfig, LlavaForConditionalGeneration
from transformers.models.llava.modeling_llava import LlavaModel

from mmevolve import console
from mmevolve.models.encode import Row, collate
from mmevolve.models.score import score
from mmevolve.models.vlm import TOWERS
from mmevolve.text import user

PAGE = Path(__file__).parents[2] / "docs" / "families.md"
SAID = ["a b c", "none", "3 + 4 = 7\n7", "x"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_of_either_side_does_not_matter(vlm, side):
    """One model call on all rows, padded to the longest, against the scores of each row."""
    rows = [Row(vlm.encoder.prompt(c), vlm.encoder.completion(t)) for c, t in zip(questions(), SAID, strict=True)]
    with torch.inference_mode():
        logits = vlm.model(**collate(rows, pad=vlm.pad, device=vlm.device, side=side)).logits.float()
    width = logits.shape[1]
    for row, at, scores in zip(rows, logits, vlm.logprobs(questions(), SAID), strict=True):
        end = width if side == "left" else len(row.prompt.ids) + len(row.completion)
        logs = at[end - len(row.completion) - 1 : end - 1].log_softmax(-1)
        expected = logs.gather(-1, torch.tensor(row.completion)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(scores.logprobs), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frozen_tower_stays_as_it_is_while_its_projector_learns(family, model_root, tmp_path):
    vlm = load(family, model_root / family, freeze="tower")
    before = {n: p.detach().clone() for n, p in vlm.model.named_parameters()}
    rows = [Row(vlm.encoder.prompt(c), vlm.encoder.completion(t)) for c, t in zip(questions(), SAID, strict=True)]
    vlm.train_mode()
    out = score(vlm.model, collate(rows, pad=vlm.pad, device=vlm.device, side="right"), rows)
    (-(out.logps * out.mask).mean()).backward()
    torch.optim.SGD([p for _, p in vlm.named_weights()], lr=0.05).step()
    vlm.eval_mode()
    changed = {n for n, p in vlm.model.named_parameters() if not torch.equal(before[n], p)}
    learned = {n for n, _ in vlm.named_weights()}
    eye = {n for n in before if any(part in TOWERS for part in n.split("."))}
    assert changed and changed <= learned and eye - learned
    assert any(n in changed for n in learned if "language_model" not in n and "lm_head" not in n)
    vlm.save(tmp_path)
    assert load_file(tmp_path / "trained.safetensors").keys() == learned


class UnseenConfig(LlavaConfig):
    model_type = "unseen_vlm"


class UnseenModel(LlavaModel):
    """Takes no features: its forward has no `mm_encoder_outputs`."""

    def forward(self, input_ids=None, pixel_values=None, attention_mask=None, position_ids=None, **more):
        more.pop("mm_encoder_outputs", None)
        return super().forward(
            input_ids=input_ids, pixel_values=pixel_values, attention_mask=attention_mask, position_ids=position_ids,
            **more,
        )  # fmt: skip


class UnseenForConditionalGeneration(LlavaForConditionalGeneration):
    config_class = UnseenConfig

    def __init__(self, config):
        super().__init__(config)
        self.model = UnseenModel(config)
        self.post_init()


def test_an_architecture_that_was_never_seen_is_given_pixels_and_it_is_said_once(model_root, tmp_path, capsys):
    known = load("llava", model_root / "llava")
    transformers.AutoConfig.register("unseen_vlm", UnseenConfig, exist_ok=True)
    transformers.AutoModelForImageTextToText.register(UnseenConfig, UnseenForConditionalGeneration, exist_ok=True)
    made = UnseenForConditionalGeneration(UnseenConfig(**{**known.model.config.to_dict(), "model_type": "unseen_vlm"}))
    made.load_state_dict(known.model.state_dict())
    made.generation_config = known.model.generation_config
    made.save_pretrained(tmp_path)
    known.processor.save_pretrained(tmp_path)

    with console.shown_on(console.Console()):
        unseen = load("llava", tmp_path)
        assert type(unseen.model) is UnseenForConditionalGeneration
        for _ in range(2):
            ours, theirs = unseen.generate(questions(), max_tokens=8), known.generate(questions(), max_tokens=8)
            assert [r.token_ids for (r,) in ours] == [r.token_ids for (r,) in theirs]
    for a, b in zip(unseen.logprobs(questions(), SAID), known.logprobs(questions(), SAID), strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-5)
    said = capsys.readouterr()
    line = "vision features: off, UnseenForConditionalGeneration takes no features in the place of pixels"
    assert (said.out + said.err).count(line) == 1
    assert unseen.features.tower_forwards == 0 and unseen.encoder.pictures.calls == 4


def table(title):
    """Rows of the page's table under a heading, without its head."""
    part = PAGE.read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
    return rows[2:]


def test_the_page_names_the_architectures_that_are_tested(model_root):
    rows = {row[0].strip("`"): row[1:] for row in table("Architectures")}
    assert list(rows) == list(FAMILIES)
    for family, (kind, config, processor, *_) in rows.items():
        vlm = load(family, model_root / family)
        assert (kind.strip("`"), config.strip("`"), processor.strip("`")) == (
            type(vlm.model).__name__, vlm.model.config.model_type, type(vlm.processor).__name__,
        )  # fmt: skip
    assert f"transformers {transformers.__version__}" in PAGE.read_text(encoding="utf-8")


def test_every_promise_of_the_page_is_a_test_of_every_architecture():
    rows = table("Promises")
    assert len(rows) >= 7
    for _, tests in rows:
        for module, name in re.findall(r"`(test_\w+)::(test_\w+)`", tests):
            test = getattr(importlib.import_module(module), name)
            marked = [m.args for m in getattr(test, "pytestmark", []) if m.name == "parametrize"]
            every = "vlm" in inspect.signature(test).parameters or ("family", FAMILIES) in marked
            assert every, f"{name} is not run for every family"
        assert "`test_" in tests


def test_pictures_are_told_apart_from_none(vlm):
    """A model that looks: the same question beside another picture, and beside none, is scored otherwise."""
    asked = [(user("how many ?", pictures),) for pictures in ((picture(4),), (picture(5),), ())]
    one, other, none = (s.logprobs for s in vlm.logprobs(asked, ["a b c"] * 3))
    assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 1e-4
    assert max(abs(a - b) for a, b in zip(one, none, strict=True)) > 1e-4
