"""A reward model that writes before it scores: one VLM writes a critique of an answer, a head reads the score after it.

Paper: Zhang et al. 2025, "MM-RLHF", arXiv:2502.10391 (critique-based reward model).
Differs: the head is linear and starts at zero, as all heads of `models.reward` do; in the paper it is dropout, linear,
tanh, dropout, linear.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from mmevolve.models.encode import Encoder, Row, collate
from mmevolve.models.prefix import shared_batches
from mmevolve.models.reward import StepRewardModel
from mmevolve.models.score import before, hidden_states, score_hidden
from mmevolve.models.vision import VisionFeatures
from mmevolve.models.vlm import SCORE_TOKENS, TransformersVLM
from mmevolve.protocols import TokenScores
from mmevolve.types import Chat, Reply


class CritiqueRewardModel:
    """A VLM that keeps its language head, and a one-number head on the same trunk.

    The chat shows question, pictures and answer and asks for a critique; the assistant's turn is the critique. The
    score is read at the end token of the critique, or, with `reads: answer`, at the last token before it: such a model
    scores an answer alone, whatever critique follows. The scorer is a `StepRewardModel` whose one step is the critique.

    Args:
        name: the VLM whose weights it starts from, or a folder that `save` wrote, head included.
        reads: where the head reads: after the critique, or where the answer has been shown and nothing was said of it.
        lora: as for `TransformersVLM`.
        freeze: as for `TransformersVLM`.
        dtype: as for `TransformersVLM`; the head is always float32.
        device: as for `TransformersVLM`.
        features: as for `TransformersVLM`.
    """

    def __init__(
        self,
        name: str,
        *,
        reads: Literal["critique", "answer"] = "critique",
        lora: Any = None,
        freeze: Any = "eye",
        dtype: Any = "float32",
        device: str = "auto",
        features: VisionFeatures | None = None,
    ):
        self.reads = reads
        self.scorer = StepRewardModel(
            name, lora=lora, freeze=freeze, reads="hidden", dtype=dtype, device=device, features=features
        )

    @property
    def trunk(self) -> TransformersVLM:
        return self.scorer.trunk

    @property
    def head(self) -> torch.nn.Linear:
        return self.scorer.head

    @property
    def encoder(self) -> Encoder:
        return self.trunk.encoder

    @property
    def model(self) -> Any:
        """The VLM's torch module, for training on critiques alone."""
        return self.trunk.model

    @property
    def pad(self) -> int:
        return self.trunk.pad

    @property
    def device(self) -> torch.device:
        return self.trunk.device

    @property
    def banned_in_completion(self) -> frozenset[int]:
        return self.trunk.banned_in_completion

    @property
    def name(self) -> str:
        return f"critique-reward:{self.trunk.name}"

    @property
    def version(self) -> str:
        return self.scorer.version

    @version.setter
    def version(self, value: str) -> None:
        self.scorer.version = value

    def describe(self) -> dict[str, Any]:
        return {"critique_reward": self.scorer.describe(), "score_after": self.reads}

    def start_from(self, policy: TransformersVLM) -> None:
        """Take over a trained policy's weights.

        Raises:
            ValueError: when the policy is another architecture, or reads by another tokenizer.
        """
        self.scorer.start_from(policy)

    def generate(self, chats: Sequence[Chat], **knobs: Any) -> list[list[Reply]]:
        """Critiques, as `TransformersVLM.generate` draws them."""
        return self.trunk.generate(chats, **knobs)

    def logprobs(self, chats: Sequence[Chat], completions: Sequence[str]) -> list[TokenScores]:
        """Of given critiques, as `TransformersVLM.logprobs`."""
        return self.trunk.logprobs(chats, completions)

    @torch.inference_mode()
    def score(self, chats: Sequence[Chat], critiques: Sequence[str | None]) -> list[float]:
        """The reward of each answer with its critique; None reads it without one, where the critique would begin.

        Any real number; only differences between answers to one question were trained.
        """
        rows = [
            Row(self.encoder.prompt(chat), () if text is None else self.encoder.completion(text))
            for chat, text in zip(chats, critiques, strict=True)
        ]
        found = [0.0] * len(rows)
        for batch in shared_batches(rows, SCORE_TOKENS):
            picked = [rows[i] for i in batch]
            inputs = collate(picked, pad=self.trunk.pad, device=self.trunk.device, side="right")
            hidden = hidden_states(self.trunk.model, inputs)
            for i, value in zip(batch, self._rewards(hidden, picked, before(picked)).tolist(), strict=True):
                found[i] = round(value, 5)
        return found

    def read_out(self, hidden: torch.Tensor, rows: list[Row], first: Sequence[int]) -> torch.Tensor:
        """(B, 1 + T) with gradients: the score, then the log-probability of each critique token, zero past the last.

        Args:
            hidden: states of the rows.
            rows: with a critique each.
            first: as for `score_hidden`.
        """
        logps = score_hidden(self.trunk.model, hidden, rows, first).logps
        return torch.cat([self._rewards(hidden, rows, first)[:, None], logps], dim=1)

    def _rewards(self, hidden: torch.Tensor, rows: list[Row], first: Sequence[int]) -> torch.Tensor:
        """(B,) of the head; the place -1 of a completion is the last token of its prompt."""
        said = [0 if self.reads == "answer" else len(row.completion) for row in rows]
        ends = [[len(row.prompt.ids) + n - 1] for row, n in zip(rows, said, strict=True)]
        return self.scorer.read_out(hidden, rows, list(first), ends, ())[:, 0]

    def named_weights(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        yield from self.scorer.named_weights()

    def train_mode(self) -> None:
        """Ready to learn."""
        self.scorer.train_mode()

    def eval_mode(self) -> None:
        """Back from training."""
        self.scorer.eval_mode()

    def mark_home(self) -> None:
        """Remember the present weights as the ones that `go_home` restores."""
        self.scorer.mark_home()

    def go_home(self) -> None:
        """Restore the weights of the last `mark_home`."""
        self.scorer.go_home()

    def save(self, folder: Path) -> None:
        """Write trunk, head and processor."""
        self.scorer.save(folder)

    def load(self, folder: Path, version: str) -> None:
        """Take over a checkpoint written by `save`.

        Raises:
            ValueError: when it belongs to another model, naming the first weight that differs.
        """
        self.scorer.load(folder, version)
