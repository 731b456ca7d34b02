"""A small house of parts that recipes of these tests may name, and a place of their own for kept signatures."""

from __future__ import annotations

import os
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmevolve.config import source
from mmevolve.config.foreign import foreign_signatures

HOUSE = {
    "__init__.py": "",
    "types.py": """
        from dataclasses import dataclass
        class Demonstration: pass
        class Preference: pass
        Example = Demonstration | Preference
    """,
    "protocols.py": """
        from typing import Protocol
        class Sampler(Protocol): pass
        class Critic(Protocol): pass
        class Selector(Protocol): pass
        class Loss(Protocol): pass
        class VLM(Protocol): pass
        class TrainStep(Protocol): pass
    """,
    "store.py": """
        from dataclasses import dataclass
        @dataclass(frozen=True)
        class RunStore:
            path: str
    """,
    "samplers/__init__.py": "",
    "samplers/independent.py": """
        from dataclasses import dataclass, field
        from typing import Annotated, ClassVar, Literal
        from collections.abc import Sequence
        from mmevolve.config.ranges import Range
        RENAMED = {"Independent.num_samples": "n", "Sampling": "Independent"}
        @dataclass(frozen=True)
        class Independent:
            \"\"\"Attempts that know nothing of one another.

            Attributes:
                n: attempts a sample.
            \"\"\"
            kind: ClassVar[str] = "plain"
            n: Annotated[int, Range(1, 1024)]
            temperature: Annotated[float, Range(low=0)] = 1.0
            max_tokens: int = 64
            stop: Sequence[str] = ()
            order: Literal["given", "shuffled"] = "given"
            keep_logprobs: bool = False
            seed: int | None = None
            made: int = field(default=0, init=False)
            def __call__(self, policy, samples, *, round): ...
    """,
    "samplers/tree.py": """
        from dataclasses import dataclass
        from mmevolve.protocols import Critic
        @dataclass(frozen=True)
        class Tree:
            critic: Critic
            depth: int = 3
            def __call__(self, policy, samples, *, round): ...
        def shared_name(): ...
    """,
    "samplers/beam.py": """
        def shared_name(): ...
    """,
    "critics/answer.py": """
        from dataclasses import dataclass
        @dataclass(frozen=True)
        class AnswerMatch:
            name: str = "answer"
            weights: dict[str, float] = None
            def __call__(self, items): ...
    """,
    "selectors/top_k.py": """
        from dataclasses import dataclass
        from typing import ClassVar
        from mmevolve.types import Demonstration, Example
        @dataclass(frozen=True)
        class TopK:
            example: ClassVar[type[Example]] = Demonstration
            k: int
            require: str | None = None
            rank_by: str | None = None
            def __call__(self, groups): ...
    """,
    "losses/sft.py": """
        from dataclasses import dataclass
        from typing import ClassVar
        @dataclass(frozen=True)
        class SFT:
            example: ClassVar[type] = Demonstration
            def __call__(self, x): ...
    """,
    "losses/dpo.py": """
        from dataclasses import dataclass
        from typing import ClassVar
        @dataclass(frozen=True)
        class DPO:
            example: ClassVar[type] = Preference
            beta: float = 0.1
            def __call__(self, x): ...
    """,
    "models/__init__.py": "import torch",
    "models/vlm.py": """
        import torch
        from dataclasses import dataclass
        @dataclass
        class TransformersVLM:
            name: str
            lora: object = None
            def generate(self, chats): ...
    """,
    "data/table.py": """
        def preflight(path, limit=None): ...
        def load(path: str, limit: int | None = None) -> list[Sample]:
            \"\"\"Rows of a file.\"\"\"
    """,
    "training/fit.py": """
        from collections.abc import Callable
        from dataclasses import dataclass
        from typing import Any, Literal
        from mmevolve.protocols import Loss
        Carry = Literal["nothing", "weights", "optimizer"]
        @dataclass(frozen=True)
        class Fit:
            loss: Loss
            optimizer: Callable[..., Any]
            trainer: Callable[..., Any]
            carry: Carry = "nothing"
            def __call__(self, policy, examples, store, *, round): ...
    """,
    "loops.py": """
        from collections.abc import Sequence
        from mmevolve.protocols import VLM, Critic, Sampler, Selector, TrainStep
        from mmevolve.store import RunStore
        def evolve(*, store: RunStore, policy: VLM, data, sampler: Sampler, critics: Sequence[Critic],
                   selector: Selector, train: TrainStep, rounds: int, fraction: float = 1.0, name: str = "evolve"):
            ...
    """,
}

FOREIGN = ("torch.optim.AdamW", "torch.optim.AdmW", "torch.os.system", "lightning.Trainer", "peft.LoraConfig")

RECIPE = """\
# A loop of small parts.
seed: 0
store: {_target_: store.RunStore, path: runs/small}
policy: {_target_: models.TransformersVLM, name: org/model, lora: {_target_: peft.LoraConfig, r: 64}}
train_data: {_target_: data.table, path: train.jsonl, limit: 8}
loop:
  _target_: loops.evolve
  store: $store
  policy: $policy
  data: $train_data
  rounds: 8
  fraction: 0.25
  sampler: {_target_: samplers.Independent, n: 16, temperature: 1.0, keep_logprobs: true}
  critics:
    - {_target_: critics.AnswerMatch, name: answer}
  selector: {_target_: selectors.TopK, k: 2, require: answer, rank_by: answer}
  train:
    _target_: training.Fit
    loss: {_target_: losses.SFT}
    optimizer: {_target_: torch.optim.AdamW, _partial_: true, lr: 1e-6, weight_decay: 0.1}
    trainer: {_target_: lightning.Trainer, _partial_: true, max_epochs: 1, precision: bf16-true}
    carry: optimizer
"""


@pytest.fixture(scope="session", autouse=True)
def signatures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Signatures kept for this test session only."""
    folder, before = tmp_path_factory.getbasetemp() / "cache", os.environ.get("MMEVOLVE_CACHE")
    os.environ["MMEVOLVE_CACHE"] = str(folder)
    foreign_signatures(FOREIGN)  # in one go: each start of an interpreter that imports torch costs seconds
    yield folder
    if before is None:
        del os.environ["MMEVOLVE_CACHE"]
    else:
        os.environ["MMEVOLVE_CACHE"] = before


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Write a recipe into an empty folder, which becomes the current one; gives its path."""
    monkeypatch.chdir(tmp_path)

    def written(text: str, name: str = "recipe.yaml") -> str:
        Path(name).write_text(textwrap.dedent(text), encoding="utf-8")
        return name

    return written


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package's own source replaced by a small house, for everything that only reads source."""
    root = tmp_path_factory.mktemp("house") / "mmevolve"
    for name, text in HOUSE.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
    package = Path(source.__file__).parents[1]
    (root / "config").symlink_to(package / "config")
    for name in ("preflight.py", "checkpoint_preflight.py"):
        (root / "models" / name).symlink_to(package / "models" / name)
    real = source.package_root
    monkeypatch.setattr(
        source, "package_root", lambda package=source.PACKAGE: root if package == "mmevolve" else real(package)
    )
    quiet = types.ModuleType("mmevolve.data.table")
    quiet.preflight = lambda **_: iter(())
    monkeypatch.setitem(sys.modules, "mmevolve.data.table", quiet)
    return root


@pytest.fixture
def recipe_text() -> str:
    return RECIPE


@pytest.fixture
def importable(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a module of the user's own where it can be imported."""
    folder = tmp_path_factory.mktemp("importable")
    monkeypatch.syspath_prepend(str(folder))

    def put(name: str, text: str) -> None:
        file = folder / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")

    return put
