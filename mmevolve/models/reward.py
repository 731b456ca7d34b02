"""Step-reward model: a VLM trunk with a one-number head, read where each step ends.

Serves process reward models (a label a step) and outcome reward models (one label, on the last step) alike.
Papers: Wang et al. 2024, "Math-Shepherd", arXiv:2312.08935 (step values from rollouts); M-STaR, arXiv:2412.17451.
Differs: M-STaR's loss and head are unpublished; here a linear head and binary cross-entropy on soft or hard labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file

from mmevolve.models.encode import Row, collate
from mmevolve.models.lookback import AskStep, second_looks
from mmevolve.models.prefix import shared_batches, shared_states
from mmevolve.models.score import before, hidden_states, score_hidden
from mmevolve.models.vision import VisionFeatures
from mmevolve.models.vlm import SCORE_TOKENS, TransformersVLM, model_folder, put_weights
from mmevolve.text import split_steps
from mmevolve.types import Chat

HEAD = "step_reward_head.safetensors"
SURE = 1e-3  # probabilities nearer to 0 or 1 are taken as this: log-odds of about 7


class StepRewardModel:
    """Scores every step of a rationale in one pass.

    The head is linear in the trunk's hidden state where the step ends and in the log-odds (without gradient) of the
    step's least likely token under the trunk: a slip is often a token that the model itself thought unlikely. Which of
    the two it reads is a setting. With `ask`, a step that has a question of its own is also read as the answer to that
    question, asked of the image alone (`models.lookback`), and the head gets both log-odds: in its place a step is
    unlikely when it is beside the point, under its own question when it is false.

    Args:
        name: the VLM whose weights it starts from, or a folder that `save` wrote, head included.
        lora: as for `TransformersVLM`.
        freeze: as for `TransformersVLM`; `all` trains the head alone.
        reads: what the head is given: the hidden state, the probability, or both.
        ask: a step's own question, or None; without it every step is read in its place only.
        dtype: as for `TransformersVLM`; the head is always float32.
        device: as for `TransformersVLM`.
        features: as for `TransformersVLM`; None for those of the policy that it starts from.
    """

    def __init__(
        self,
        name: str,
        *,
        lora: Any = None,
        freeze: Any = "eye",
        reads: Literal["hidden", "likelihood", "both"] = "both",
        ask: AskStep | None = None,
        dtype: Any = "float32",
        device: str = "auto",
        features: VisionFeatures | None = None,
    ):
        self.reads = reads
        self.ask = ask
        self.trunk = TransformersVLM(name, lora=lora, freeze=freeze, dtype=dtype, device=device, features=features)
        self._follows = features is None
        self._home: dict[str, torch.Tensor] = {}
        self._origin = ""
        width = self.trunk.model.get_output_embeddings().weight.shape[1]
        inputs = width * (reads != "likelihood") + (reads != "hidden") * (1 if ask is None else 3)
        self.head = torch.nn.Linear(inputs, 1, device=self.trunk.device)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)
        trained = Path(model_folder(name)) / HEAD
        if trained.is_file():
            put_weights(dict(self.head.named_parameters()), load_file(trained), self.name)

    @property
    def name(self) -> str:
        return f"step-reward:{self.trunk.name}"

    @property
    def version(self) -> str:
        return self.trunk.version

    @version.setter
    def version(self, value: str) -> None:
        self.trunk.version = value

    def describe(self) -> dict[str, Any]:
        head = torch.cat([p.detach().flatten() for p in self.head.parameters()]).cpu().numpy().tobytes()
        trunk = {**self.trunk.describe(), "started_from": self._origin, "reads": self.reads, "ask": self.ask}
        return {"step_reward": trunk, "head": hashlib.sha256(head).hexdigest()[:16]}

    def start_from(self, policy: TransformersVLM) -> None:
        """Take over a trained policy's weights: the eye and the language it has learned.

        Raises:
            ValueError: when the policy is another architecture, or reads by another tokenizer.
        """
        own = dict(self.trunk.model.named_parameters())
        theirs = dict(policy.model.named_parameters())
        if {n: p.shape for n, p in own.items()} != {n: p.shape for n, p in theirs.items()}:
            raise ValueError(
                f"'{self.name}' cannot start from '{policy.name}': their weights have other names or shapes"
            )
        if policy.encoder.tokenizer.get_vocab() != self.trunk.encoder.tokenizer.get_vocab():
            raise ValueError(f"'{self.name}' cannot start from '{policy.name}': their tokenizers differ")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(theirs[name])
        self._origin = policy.weights_digest()
        if self._follows:
            self.trunk.share(policy.features)

    def rows(self, chats: Sequence[Chat], completions: Sequence[str]) -> tuple[list[Row], list[list[int]]]:
        """Token rows, and for each the positions (in the whole sequence) where its steps end.

        Steps are tokenized one by one, so that a step's end is a token's end whatever the tokenizer merges.
        """
        rows, ends = [], []
        for chat, text in zip(chats, completions, strict=True):
            prompt = self.trunk.encoder.prompt(chat)
            ids: list[int] = []
            at = []
            for step in split_steps(text):
                ids += self.trunk.encoder.completion(f"{step}\n", end=False)
                at.append(len(prompt.ids) + len(ids) - 1)
            rows.append(Row(prompt, tuple(ids)))
            ends.append(at)
        return rows, ends

    def logits(
        self, rows: list[Row], ends: list[list[int]], looks: Sequence[Sequence[float | None]] = ()
    ) -> torch.Tensor:
        """Head output (B, S) where steps end, with gradients; columns past a row's last step mean nothing.

        Args:
            rows: as `rows` gives them.
            ends: likewise.
            looks: second looks at each row's steps, when the model has `ask`.
        """
        batch = collate(rows, pad=self.trunk.pad, device=self.trunk.device, side="right")
        return self._read(hidden_states(self.trunk.model, batch), rows, before(rows), ends, looks)

    def _read(
        self,
        hidden: torch.Tensor,
        rows: list[Row],
        first: list[int],
        ends: list[list[int]],
        looks: Sequence[Sequence[float | None]],
    ) -> torch.Tensor:
        said = [[end - len(row.prompt.ids) for end in at] for row, at in zip(rows, ends, strict=True)]
        parts = []
        if self.reads != "likelihood":
            width = max(map(len, said))
            at = [[*(f + 1 + t for t in own), *[0] * (width - len(own))] for f, own in zip(first, said, strict=True)]
            index = torch.tensor(at, device=hidden.device)[..., None].expand(-1, -1, hidden.shape[-1])
            parts.append(hidden.gather(1, index).float())
        if self.reads != "hidden":
            with torch.no_grad():
                likely = step_likelihood(score_hidden(self.trunk.model, hidden, rows, first).logps, said)
            parts.append(likely if self.ask is None else with_looks(likely, looks))
        return self.head(torch.cat(parts, dim=-1))[..., 0]

    def looks(self, chats: Sequence[Chat], completions: Sequence[str]) -> list[list[float | None]]:
        """Second looks at the steps of completions; empty lists for a model without `ask`."""
        if self.ask is None:
            return [[] for _ in chats]
        return second_looks(self.trunk, self.ask, chats, completions)

    @torch.inference_mode()
    def score_steps(self, chats: Sequence[Chat], completions: Sequence[str]) -> list[tuple[float, ...]]:
        """For each completion, the probability that each step is good, in [0, 1]; empty for an empty completion."""
        rows, ends = self.rows(chats, completions)
        looks = self.looks(chats, completions)
        same = [(id(row.prompt), row.completion) for row in rows]
        first: dict[Any, int] = {}
        for i, key in enumerate(same):  # attempts often say the same, which is read once
            first.setdefault(key, i)
        filled = [i for i in first.values() if ends[i]]
        found: dict[Any, tuple[float, ...]] = {}
        for batch in shared_batches([rows[i] for i in filled], SCORE_TOKENS):
            picked = [filled[b] for b in batch]
            mine = [rows[i] for i in picked]
            states = shared_states(self.trunk.model, mine, pad=self.trunk.pad)
            logits = self._read(states, mine, [0] * len(mine), [ends[i] for i in picked], [looks[i] for i in picked])
            out = logits.sigmoid()
            for k, i in enumerate(picked):
                found[same[i]] = tuple(round(x, 5) for x in out[k, : len(ends[i])].tolist())
        return [found.get(key, ()) for key in same]

    def named_weights(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        yield from self.trunk.named_weights()
        yield from ((f"step_reward_head.{n}", p) for n, p in self.head.named_parameters())

    def train_mode(self) -> None:
        """Ready to learn."""
        self.trunk.train_mode()
        self.head.train()

    def eval_mode(self) -> None:
        """Back from training."""
        self.trunk.eval_mode()
        self.head.zero_grad(set_to_none=True)

    def mark_home(self) -> None:
        """Remember the present weights as the ones that `go_home` restores."""
        self._home = {n: p.detach().clone() for n, p in self.named_weights()}

    def go_home(self) -> None:
        """Restore the weights of the last `mark_home`."""
        put_weights(dict(self.named_weights()), self._home, self.name)

    def save(self, folder: Path) -> None:
        """Write trunk, head and processor."""
        self.trunk.model.save_pretrained(folder)
        self.trunk.processor.save_pretrained(folder)
        save_file({n: p.detach().contiguous().clone() for n, p in self.head.named_parameters()}, folder / HEAD)
        save_file({n: p.detach().contiguous().clone() for n, p in self.named_weights()}, folder / "trained.safetensors")

    def load(self, folder: Path, version: str) -> None:
        """Take over a checkpoint written by `save`.

        Raises:
            ValueError: when it belongs to another model, naming the first weight that differs.
        """
        put_weights(dict(self.named_weights()), load_file(Path(folder) / "trained.safetensors"), self.name)
        self.version = version


def step_likelihood(logps: torch.Tensor, ends: list[list[int]]) -> torch.Tensor:
    """(B, S, 1): log-odds of the least likely token of each step, zero past a row's last step.

    The line break that ends a step is left out: after the last step the model would have ended its turn instead.

    Args:
        logps: (B, T) of the completions.
        ends: index in its completion of each step's last token.
    """
    out = logps.new_zeros(len(ends), max(map(len, ends)), 1)
    for i, at in enumerate(ends):
        begin = 0
        for k, end in enumerate(at):
            out[i, k, 0] = log_odds(logps[i, begin : max(end, begin + 1)].min().exp())
            begin = end + 1
    return out


def with_looks(likely: torch.Tensor, looks: Sequence[Sequence[float | None]]) -> torch.Tensor:
    """(B, S, 3): the step's log-odds in its place, those of the second look or 0, and whether there was one."""
    out = torch.cat([likely, torch.zeros_like(likely), torch.zeros_like(likely)], dim=-1)
    for i, row in enumerate(looks):
        for k, look in enumerate(row):
            if look is not None:
                out[i, k, 1:] = torch.stack([log_odds(torch.tensor(look)), torch.tensor(1.0)])
    return out


def log_odds(p: torch.Tensor) -> torch.Tensor:
    """Of a probability, within +-7: beyond that a float32 softmax and a tiny model's certainty mean nothing."""
    return torch.logit(p.clamp(SURE, 1 - SURE))
