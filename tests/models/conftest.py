"""Models of every family, made once a session."""

from __future__ import annotations

import pytest
import torch
from families import FAMILIES, load


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_root(tmp_path_factory):
    return tmp_path_factory.mktemp("families")


@pytest.fixture(scope="session", params=FAMILIES)
def vlm(request, model_root):
    """One model of each family; tests that change weights make their own."""
    return load(request.param, model_root / request.param)


@pytest.fixture(scope="session")
def tiny(model_root):
    return load("tiny", model_root / "tiny")


@pytest.fixture(scope="session")
def qwen(model_root):
    return load("qwen2_5_vl", model_root / "qwen2_5_vl")
