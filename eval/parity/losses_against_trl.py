"""Our losses against TRL's own trainers, on the CPU: values, and gradients with respect to token log-probabilities.

Tiny random language models score random batches; TRL's real loss code runs on them (`_compute_loss` of its DPO, KTO,
GRPO and RLOO trainers, `get_batch_loss_metrics` of its experimental CPO and ORPO trainers), then ours on the same
log-probabilities. Nothing is downloaded.

    python eval/parity/losses_against_trl.py                     compare on a fresh random grid (needs trl)
    python eval/parity/losses_against_trl.py --seed 7            another one
    python eval/parity/losses_against_trl.py --freeze FILE       write batches and TRL's results for the tests

The tests compare with a frozen file and need no TRL.
"""

from __future__ import annotations

import argparse
import json
import types
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from mmevolve.torchvision_ops import ensure_torchvision_imports

ensure_torchvision_imports()

# ruff: noqa: E402 transformers imports torchvision
import accelerate
import torch
import trl
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM
from trl import DPOTrainer, GRPOTrainer, KTOTrainer, RLOOTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer
from trl.trainer.utils import add_fused_lm_head

from mmevolve.losses.chosen_sft import ChosenSFT
from mmevolve.losses.cpo import CPO
from mmevolve.losses.dpo import DPO
from mmevolve.losses.dpo_terms import LOSSES, SORTED, WITH_DIVERGENCE
from mmevolve.losses.inputs import LossInput
from mmevolve.losses.kto import KTO
from mmevolve.losses.mix import Mix
from mmevolve.losses.orpo import ORPO
from mmevolve.losses.policy_gradient import GRPO, RLOO
from mmevolve.losses.simpo import SimPO

LIMIT = 1e-6  # largest difference, relative to the largest magnitude where that is above 1
WORDS = 19  # vocabulary of the tiny models
# TRL weighs the losses of WPO in place, and torch refuses that for what hinge's backward needs and for the expanded SFT
IN_PLACE = ("hinge", "sft")
PARTS = {p.__name__: p for p in (ChosenSFT, CPO, DPO, GRPO, KTO, ORPO, RLOO, SimPO)}
FIELDS = ("log_probs", "entropy", "mean_logits", "is_top1", "log_sum_sq_probs")


@dataclass(frozen=True)
class Case:
    """One loss on one batch: how we name it, and what TRL's trainer says of it.

    The gradient is that of tokens which count: TRL sums over the others too, which its models hold at zero.
    """

    spec: dict[str, Any]
    loss: torch.Tensor
    gradient: torch.Tensor


@dataclass(frozen=True)
class Scene:
    """A batch and the cases on it. `batch` holds the fields of our `LossInput`."""

    kind: str
    batch: dict[str, torch.Tensor]
    cases: list[Case]


def language_model(seed: int, spread: float) -> LlamaForCausalLM:
    """A random model of one layer that computes every per-token field of TRL's fused head."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, initializer_range=spread, pad_token_id=0, **sizes))
    add_fused_lm_head(model, outputs=FIELDS)
    return model.train()


class Watched:
    """A model whose log-probabilities keep their gradient."""

    def __init__(self, model: Any):
        self.model = model
        self.seen: list[Any] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        out = self.model(*args, **kwargs)
        if out.log_probs.requires_grad:
            out.log_probs.retain_grad()
        self.seen.append(out)
        return out

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def shell(trainer: type, model: Any, **settings: Any) -> Any:
    """A trainer with only what its loss reads: no data, no arguments object, no output folder."""
    made = object.__new__(trainer)
    common = {
        "model": model,
        "accelerator": accelerate.Accelerator(cpu=True),
        "aux_loss_enabled": False,
        "precompute_ref_logps": False,
        "_metrics": {"train": defaultdict(list), "eval": defaultdict(list)},
        "_total_train_tokens": 0,
        "_tp_size": 1,
        "args": types.SimpleNamespace(gradient_checkpointing_kwargs=None, **settings.pop("args", {})),
    }
    for name, value in {**common, **settings}.items():
        setattr(made, name, value)
    return made


def words(random: Random, lengths: list[int], prompts: list[int]) -> dict[str, torch.Tensor]:
    """Right-padded random sequences: prompt, then completion."""
    width = max(p + n for p, n in zip(prompts, lengths, strict=True))
    ids, attention, completion = torch.zeros(3, len(lengths), width, dtype=torch.long)
    for i, (p, n) in enumerate(zip(prompts, lengths, strict=True)):
        ids[i, : p + n] = torch.tensor([random.randrange(1, WORDS) for _ in range(p + n)])
        attention[i, : p + n] = 1
        completion[i, p : p + n] = 1
    return {"input_ids": ids, "attention_mask": attention, "completion_mask": completion}


def dpo_scene(seed: int, pairs: int, spread: float, draws: int) -> Scene:
    """Every loss type, `draws` random settings each, and mixes of several."""
    random = Random(seed)
    policy, reference = language_model(seed, spread), language_model(seed + 1, spread)
    prompts = [random.randint(1, 3) for _ in range(pairs)] * 2
    inputs = words(random, [random.randint(1, 8) for _ in range(2 * pairs)], prompts)
    shifted = inputs["completion_mask"][:, 1:].float()
    cases, batch = [], {}
    for settings in dpo_settings(random, draws):
        model, ref = Watched(policy), Watched(reference)
        tau = settings.pop("discopop_tau")
        trainer = shell(DPOTrainer, policy, ref_model=ref, args={"discopop_tau": tau}, **settings)
        loss = trainer._compute_loss(model, inputs, False)
        loss.backward()
        out = model.seen[0]
        cases.append(Case(dpo_spec({**settings, "discopop_tau": tau}), loss.detach(), out.log_probs.grad * shifted))
        batch = {
            "logps": out.log_probs.detach(),
            "mask": shifted,
            "ref_logps": ref.seen[0].log_probs.detach(),
            "log_sum_sq": out.log_sum_sq_probs.detach(),
        }
    return Scene("pairs", batch, cases)


def dpo_settings(random: Random, draws: int) -> Iterator[dict[str, Any]]:
    """Settings that TRL's trainer accepts, in its own words."""
    for name in LOSSES:
        for k in range(draws):
            chosen = {"loss_types": [name], "loss_weights": [1.0]}
            yield {**chosen, **drawn(random, [name], plain=k == 0)}
    mixes = [["sigmoid", "bco_pair", "sft"], ["ipo", "sft"], ["apo_zero", "hinge"], ["robust", "exo_pair", "nca_pair"]]
    for names in mixes:
        for plain in (True, False):
            weights = [0.8, 0.2, 1.0] if plain else [round(random.uniform(0.1, 2), 3) for _ in names]
            yield {"loss_types": names, "loss_weights": weights[: len(names)], **drawn(random, names, plain=plain)}


def drawn(random: Random, names: list[str], *, plain: bool) -> dict[str, Any]:
    e = random.choice([0.001, 0.1, 0.3]) if "exo_pair" in names or not plain else 0.0
    divergences = ("reverse_kl", "forward_kl", "js_divergence", "alpha_divergence")
    divided = not plain and set(names) <= set(WITH_DIVERGENCE)
    weighable = not plain and not set(names) & {*SORTED, *IN_PLACE}
    return {
        "beta": 0.1 if plain else random.choice([0.01, 0.1, 0.5, 1.0]),
        "label_smoothing": e,
        "f_divergence_type": random.choice(divergences) if divided else "reverse_kl",
        "f_alpha_divergence_coef": random.choice([0.3, 0.5, 1.0, 1.7]),
        "ld_alpha": None if plain else random.choice([None, 0.0, 0.4, 1.0]),
        "use_weighting": weighable and random.random() < 0.3,
        "discopop_tau": 0.05 if plain else random.choice([0.05, 0.5]),
    }


def dpo_spec(settings: dict[str, Any]) -> dict[str, Any]:
    """The same loss in our words; smoothing goes only to the losses that read it."""
    parts = []
    for name in settings["loss_types"]:
        reads = name in ("exo_pair", "robust", *SORTED)
        kept = ("beta", "f_divergence_type", "f_alpha_divergence_coef", "ld_alpha", "use_weighting", "discopop_tau")
        own = {"loss_type": name, **{k: settings[k] for k in kept}}
        parts.append({"part": "DPO", **own, "label_smoothing": settings["label_smoothing"] if reads else 0.0})
    if len(parts) == 1:
        return parts[0]
    return {"part": "Mix", "losses": parts, "weights": settings["loss_weights"]}


def cpo_scene(seed: int, pairs: int, spread: float) -> Scene:
    """CPO, SimPO, AlphaPO and ORPO. Prompts are one token, so that ORPO's likelihood is the completion's."""
    random = Random(seed)
    model = language_model(seed, spread)
    inputs = words(random, [random.randint(1, 8) for _ in range(2 * pairs)], [1] * (2 * pairs))
    labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
    with torch.no_grad():
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits.double()
    batch = {}
    for side, rows in (("chosen", slice(0, pairs)), ("rejected", slice(pairs, None))):
        batch[f"{side}_input_ids"] = inputs["input_ids"][rows]
        batch[f"{side}_attention_mask"] = inputs["attention_mask"][rows]
        batch[f"{side}_labels"] = labels[rows]
    mask = inputs["completion_mask"][:, 1:].float()
    true = logits[:, :-1].log_softmax(-1).gather(-1, inputs["input_ids"][:, 1:, None])[..., 0].float() * mask
    cases = []
    for spec, trainer, settings in cpo_settings(random):
        leaf = true.clone().requires_grad_()
        made = shell(trainer, None, is_encoder_decoder=False, pad_token_id=0, padding_value=0, **settings)
        stub = with_log_probs(leaf, inputs["input_ids"][:, 1:])
        loss, _ = made.get_batch_loss_metrics(stub, batch, "train")
        loss.backward()
        cases.append(Case(spec, loss.detach(), leaf.grad * mask))
    return Scene("pairs", {"logps": true, "mask": mask}, cases)


def with_log_probs(leaf: torch.Tensor, targets: torch.Tensor) -> Callable[..., Any]:
    """A model whose logits give each target the log-probability in `leaf`, the rest of the mass evenly spread.

    Its logits are normalised whatever `leaf` is, so the gradient with respect to `leaf` is that of the log-probability.
    """

    def model(*args: Any, **kwargs: Any) -> Any:
        said = leaf.clamp(max=-1e-3).double()[..., None]
        rest = torch.log(-torch.expm1(said)) - torch.log(torch.tensor(WORDS - 1.0))
        one = torch.nn.functional.one_hot(targets, WORDS)
        logits = torch.where(one.bool(), said, rest)
        return types.SimpleNamespace(logits=torch.cat([logits, logits[:, :1]], 1))

    return model


def cpo_settings(random: Random) -> Iterator[tuple[dict[str, Any], type, dict[str, Any]]]:
    base = {"loss_type": "sigmoid", "beta": 0.1, "label_smoothing": 0.0, "alpha": 0.0, "simpo_gamma": 0.5}
    for kind in ("sigmoid", "hinge", "ipo"):
        for cpo_alpha in (0.0, 1.0, 0.3):
            own = {"loss_type": kind, "beta": random.choice([0.1, 0.5, 1.0]), "cpo_alpha": cpo_alpha}
            own["label_smoothing"] = random.choice([0.0, 0.1, 0.4]) if kind == "sigmoid" else 0.0
            yield {"part": "CPO", **own}, CPOTrainer, {**base, **own}
    for alpha in (0.0, 0.0, 0.0, 0.25, -0.5):
        own = {"beta": random.choice([0.1, 2.0, 10.0]), "label_smoothing": random.choice([0.0, 0.1]), "alpha": alpha}
        gamma = random.choice([0.0, 0.5, 1.6])
        theirs = {**base, **own, "loss_type": "simpo", "simpo_gamma": gamma, "cpo_alpha": 0.0}
        yield {"part": "SimPO", "gamma": gamma, **own}, CPOTrainer, theirs
    for beta in (0.05, 0.1, 1.0):
        yield {"part": "ORPO", "beta": beta}, ORPOTrainer, {"beta": beta}


def kto_scene(seed: int, rows: int, spread: float) -> Scene:
    random = Random(seed)
    policy, reference = language_model(seed, spread), language_model(seed + 1, spread)
    prompts = [random.randint(1, 3) for _ in range(rows)]
    inputs = words(random, [random.randint(1, 8) for _ in range(rows)], prompts)
    other = words(random, [random.randint(1, 8) for _ in range(rows)], prompts)
    label = [i % 3 > 0 for i in range(rows)]
    full = {**inputs, **{f"KL_{k}": v for k, v in other.items()}, "label": torch.tensor(label)}
    shifted = inputs["completion_mask"][:, 1:].float()
    cases, batch = [], {}
    for kind in ("kto", "apo_zero_unpaired"):
        for _ in range(4):
            own = {"loss_type": kind, "beta": random.choice([0.05, 0.1, 0.5])}
            own |= {f"{k}_weight": random.choice([1.0, 1.33, 0.5]) for k in ("desirable", "undesirable")}
            model, ref = Watched(policy), Watched(reference)
            trainer = shell(KTOTrainer, policy, ref_model=ref, calculate_KL=kind == "kto", **own)
            loss = trainer._compute_loss(model, full, False)
            loss.backward()
            spec = {"part": "KTO", **own, "reference_point": "mismatched"}
            cases.append(Case(spec, loss.detach(), model.seen[-1].log_probs.grad * shifted))
            if kind == "kto":
                batch = {
                    "logps": model.seen[-1].log_probs.detach(),
                    "mask": shifted,
                    "ref_logps": ref.seen[-1].log_probs.detach(),
                    "labels": torch.tensor(label).float()[:, None],
                    "kl_logps": model.seen[0].log_probs.detach(),
                    "kl_ref_logps": ref.seen[0].log_probs.detach(),
                    "kl_mask": other["completion_mask"][:, 1:].float(),
                }
    return Scene("rows", batch, cases)


def rollout_scene(seed: int, rows: int, spread: float) -> Scene:
    """GRPO and RLOO; the behaviour policy is the policy with noise, so that some ratios are clipped."""
    random = Random(seed)
    policy, reference = language_model(seed, spread), language_model(seed + 1, spread)
    prompt = words(random, [0] * rows, [2] * rows)["input_ids"]
    inputs = words(random, [random.randint(1, 8) for _ in range(rows)], [0] * rows)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    given = {"prompt_ids": prompt, "prompt_mask": torch.ones_like(prompt), "completion_ids": ids}
    given |= {"completion_mask": mask, "advantages": torch.tensor([random.gauss(0, 1) for _ in range(rows)])}
    joined, attended = torch.cat([prompt, ids], 1), torch.cat([given["prompt_mask"], mask], 1)
    with torch.no_grad():
        scored = shell(GRPOTrainer, policy)._get_per_token_logps_and_entropies
        now = scored(policy, joined, attended, ids.size(1))[0]
        ref = scored(reference, joined, attended, ids.size(1))[0]
    torch.manual_seed(seed)
    old = (now + 0.25 * torch.randn_like(now)) * mask
    batch = {"logps": now, "mask": mask.float(), "ref_logps": ref, "old_logps": old}
    batch["advantages"] = given["advantages"][:, None]
    cases = []
    for spec, trainer, settings in rollout_settings(random):
        model = Watched(policy)
        made = shell(trainer, policy, **settings)
        olds = {"old_per_token_logps": old, "ref_per_token_logps": ref, "old_logps": old.sum(1)}
        loss = made._compute_loss(model, {**given, **olds})
        loss.backward()
        cases.append(Case(spec, loss.detach(), model.seen[0].log_probs.grad[:, -ids.size(1) :] * mask))
    return Scene("rows", batch, cases)


def rollout_settings(random: Random) -> Iterator[tuple[dict[str, Any], type, dict[str, Any]]]:
    fixed = {"top_entropy_quantile": 1.0, "off_policy_mask_threshold": None, "use_vllm": False}
    fixed |= {"current_gradient_accumulation_steps": 1, "_entropy_bonus_enabled": False, "max_completion_length": 11}
    for kind in ("grpo", "bnpo", "dr_grpo"):
        for level in ("token", "sequence"):
            for beta in (0.0, 0.04, 0.5):
                low, high = random.choice([0.1, 0.2]), random.choice([0.2, 0.28])
                delta = random.choice([None, 1.5])
                own = {"loss_type": kind, "beta": beta, "importance_sampling_level": level}
                args = {"delta": delta, "use_bias_correction_kl": False}
                theirs = {**fixed, **own, "epsilon_low": low, "epsilon_high": high, "args": args}
                ours = {**own, "epsilon": low, "epsilon_high": high, "delta": delta}
                yield {"part": "GRPO", **ours, "max_tokens": 11}, GRPOTrainer, theirs
    for low, high in ((0.2, 0.2), (0.1, 0.5), (0.9, 3.0)):
        ours = {"part": "RLOO", "epsilon": low, "epsilon_high": high}
        yield ours, RLOOTrainer, {"epsilon_low": low, "epsilon_high": high}


def scenes(seed: int) -> Iterator[Scene]:
    """The random grid."""
    for k, (pairs, spread) in enumerate(((4, 0.3), (3, 0.8), (1, 0.6))):
        yield dpo_scene(seed + 10 * k, pairs, spread, draws=8 if pairs > 1 else 4)
    for k, (pairs, spread) in enumerate(((4, 0.3), (2, 0.8))):
        yield cpo_scene(seed + 100 + 10 * k, pairs, spread)
    for k, (rows, spread) in enumerate(((6, 0.3), (3, 0.8))):
        yield kto_scene(seed + 200 + 10 * k, rows, spread)
    for k, (rows, spread) in enumerate(((6, 0.3), (3, 0.8))):
        yield rollout_scene(seed + 300 + 10 * k, rows, spread)


def build(spec: dict[str, Any]) -> Any:
    """Our part from its description."""
    settings = {k: v for k, v in spec.items() if k != "part"}
    if spec["part"] == "Mix":
        return Mix(tuple(build(s) for s in spec["losses"]), tuple(spec["weights"]))
    return PARTS[spec["part"]](**settings)


def apart(spec: dict[str, Any], batch: dict[str, torch.Tensor], case: Case) -> tuple[float, float]:
    """Largest differences of value and gradient, relative where TRL's are above 1."""
    logps = batch["logps"].clone().requires_grad_()
    x = LossInput(**{**batch, "logps": logps, "weight": torch.ones(len(logps))})
    out = build(spec)(x)
    (gradient,) = torch.autograd.grad(out.loss, logps)
    if not is_finite(case):  # there is nothing to agree with, but ours must be a number
        return (0.0, 0.0) if torch.isfinite(out.loss) and torch.isfinite(gradient).all() else (torch.inf, torch.inf)
    value = (out.loss - case.loss).abs() / case.loss.abs().clamp(min=1)
    return value.item(), ((gradient - case.gradient).abs().max() / case.gradient.abs().max().clamp(min=1)).item()


def is_finite(case: Case) -> bool:
    return bool(torch.isfinite(case.loss) and torch.isfinite(case.gradient).all())


def name_of(spec: dict[str, Any]) -> str:
    return f"{spec['part']} {spec.get('loss_type', '')}".strip()


def compare(grid: list[Scene]) -> int:
    """Print the largest difference of each loss; 1 when one is over the limit."""
    worst: dict[str, tuple[int, int, float, float]] = {}
    over = []
    for scene in grid:
        for case in scene.cases:
            value, gradient = apart(case.spec, scene.batch, case)
            n, lost, v, g = worst.get(name_of(case.spec), (0, 0, 0.0, 0.0))
            worst[name_of(case.spec)] = n + 1, lost + (not is_finite(case)), max(v, value), max(g, gradient)
            if not max(value, gradient) <= LIMIT:
                over.append(f"{json.dumps(case.spec)}: {value:.1e}, {gradient:.1e}")
    print(f"trl {trl.__version__}, torch {torch.__version__}; largest difference, relative where above 1")
    print(f"{'loss':26}{'cases':>6}{'value':>10}{'gradient':>10}  TRL's is no number, ours is")
    for name, (n, lost, v, g) in worst.items():
        print(f"{name:26}{n:6}{v:10.1e}{g:10.1e}" + (f"{lost:9}" if lost else ""))
    print(f"{sum(w[0] for w in worst.values())} cases, {len(over)} over {LIMIT:g}", *over, sep="\n")
    return 1 if over else 0


def freeze(grid: list[Scene], path: str) -> None:
    """Batches, descriptions, values and gradients in one safetensors file; cases where TRL gives no number stay out."""
    tensors, kinds = {}, []
    for i, scene in enumerate(replace(s, cases=[c for c in s.cases if is_finite(c)]) for s in grid):
        tensors |= {f"{i}.batch.{name}": t.contiguous() for name, t in scene.batch.items()}
        tensors[f"{i}.loss"] = torch.stack([c.loss for c in scene.cases]).float()
        tensors[f"{i}.gradient"] = torch.stack([c.gradient for c in scene.cases]).float()
        kinds.append([c.spec for c in scene.cases])
    save_file(tensors, path, {"trl": trl.__version__, "torch": torch.__version__, "cases": json.dumps(kinds)})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--freeze", metavar="FILE", help="write the grid for the tests")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    grid = list(scenes(options.seed))
    if options.freeze:
        freeze(grid, options.freeze)
    return compare(grid)


if __name__ == "__main__":
    raise SystemExit(main())
