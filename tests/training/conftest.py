"""A tiny policy and rows for it."""

from __future__ import annotations

import pytest
import torch

from mmevolve.data.shapes.dataset import shapes
from mmevolve.models.tiny import make_tiny
from mmevolve.models.vlm import TransformersVLM
from mmevolve.text import user
from mmevolve.types import Demonstration


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    return str(make_tiny(tmp_path_factory.mktemp("model") / "tiny", width=32, layers=2))


@pytest.fixture
def fresh(model_folder):
    """Makes the policy anew, as a new process would."""
    return lambda **settings: TransformersVLM(model_folder, **settings)


@pytest.fixture(scope="session")
def samples():
    return shapes(n=16, split="train", seed=5)


@pytest.fixture(scope="session")
def rows(samples):
    words = ["red : a1", "3 + 4 = 7\n7", "blue circle\nyes", "no"]
    return [
        Demonstration((user(s.question, s.images),), words[i % 4], 1.0 + (i % 3), source=f"{s.id}/0/0")
        for i, s in enumerate(samples)
    ]
