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
from mmevolve.models.score import before, hidden_states, score_hidden
from mmevolve.models.step_passes import reads_trees, spans, step_passes, where_steps_end
from mmevolve.models.vision import VisionFeatures
from mmevolve.models.vlm import TransformersVLM, model_folder, put_weights
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
        trees: score attempts at a question as a tree of their beginnings (`models.tree`), a multiple as fast where
            they share some; about six scores in a thousand then differ by 1e-5, their last digit, from reading apart.
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
        trees: bool = False,
    ):
        self.trees = trees
        self.reads = reads
        self.ask = ask
        self.trunk = TransformersVLM(name, lora=lora, freeze=freeze, dtype=dtype, device=device, features=features)
        self._follows = features is None
        self._home: dict[str, torch.Tensor] = {}
        self._origin = ""
        self._trees = None if trees else False  # whether it can read trees: tried on the first rows
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
        trunk.update({"trees": True} if self.trees else {})  # only then: runs from before it keep their description
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
        steps = [[f"{step}\n" for step in split_steps(text)] for text in completions]
        words = list(dict.fromkeys(step for own in steps for step in own))
        tokens = self.trunk.encoder.tokenizer(words, add_special_tokens=False)["input_ids"] if words else []
        said = dict(zip(words, tokens, strict=True))
        rows, ends = [], []
        last = prompt = None
        for chat, own in zip(chats, steps, strict=True):
            if chat != last:  # attempts at one question follow each other
                last, prompt = chat, self.trunk.encoder.prompt(chat)
            ids: list[int] = []
            at = []
            for step in own:
                ids += said[step]
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
        return self.read_out(hidden_states(self.trunk.model, batch), rows, before(rows), ends, looks)

    def read_out(
        self,
        hidden: torch.Tensor,
        rows: list[Row],
        first: list[int],
        ends: list[list[int]],
        looks: Sequence[Sequence[float | None]],
    ) -> torch.Tensor:
        """`logits` of rows that were read already: their hidden states, and where in them each completion begins."""
        said = _within(rows, ends)
        stands = where_steps_end(hidden, first, said) if self.reads != "likelihood" else None
        logps = None
        if self.reads != "hidden":
            with torch.no_grad():
                logps = score_hidden(self.trunk.model, hidden, rows, first).logps
        return self._judge(stands, logps, said, looks)

    def _judge(
        self,
        stands: torch.Tensor | None,
        logps: torch.Tensor | None,
        said: list[list[int]],
        looks: Sequence[Sequence[float | None]],
    ) -> torch.Tensor:
        parts = [] if stands is None else [stands.float()]
        if logps is not None:
            likely = step_likelihood(logps, said)
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
        mine = [rows[i] for i in filled]
        said = _within(mine, [ends[i] for i in filled])
        if self._trees is None and mine:
            self._trees = reads_trees(self.trunk, mine)
        wanted = {"hidden": self.reads != "likelihood", "likely": self.reads != "hidden", "trees": bool(self._trees)}
        found: dict[Any, tuple[float, ...]] = {}
        for read, stands, logps in step_passes(self.trunk, mine, said, **wanted):
            out = self._judge(stands, logps, [said[k] for k in read], [looks[filled[k]] for k in read]).sigmoid()
            for k, good in zip(read, out.tolist(), strict=True):
                found[same[filled[k]]] = tuple(round(x, 5) for x in good[: len(said[k])])
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
    steps = max(map(len, ends))
    step = torch.full(logps.shape, steps)  # of each token; line breaks and padding belong to none
    for i, at in enumerate(ends):
        for k, (begin, stop) in enumerate(spans(at)):
            step[i, begin:stop] = k
    least = logps.new_zeros(len(ends), steps + 1).scatter_reduce(1, step.to(logps.device), logps, "amin")
    there = torch.arange(steps) < torch.tensor([len(at) for at in ends])[:, None]
    return torch.where(there.to(logps.device), log_odds(least[:, :-1].exp()), 0.0)[..., None]


def _within(rows: list[Row], ends: list[list[int]]) -> list[list[int]]:
    """Ends in the whole sequence as ends in the completion."""
    return [[end - len(row.prompt.ids) for end in at] for row, at in zip(rows, ends, strict=True)]


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
