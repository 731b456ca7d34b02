"""The real `transformers serve` on loopback with the tiny VLM; skipped where what it needs is not installed.

It needs `pip install transformers[serving]`, which nothing else here does.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from transformers.utils.import_utils import is_serve_available

from mmevolve.data.shapes.dataset import shapes
from mmevolve.models.served import ServedVLM
from mmevolve.models.served_http import ServerError
from mmevolve.models.vlm import TransformersVLM, model_folder
from mmevolve.prompts import template
from mmevolve.text import ask, user

pytestmark = pytest.mark.skipif(
    not is_serve_available(), reason="needs transformers[serving] (fastapi, uvicorn, openai)"
)
FOLDER = model_folder("mmevolve:tiny_vlm")
SAMPLES = shapes(n=4, seed=3)
CHATS = [
    *(ask(s, template("question")) for s in SAMPLES),
    (user("same colour ?", (SAMPLES[0].images[0], SAMPLES[1].images[0])),),
    (user("1 + 2 ="),),
]
SHORT = {"max_tokens": 12}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = tmp_path_factory.mktemp("serve")
    words = [sys.executable, str(Path(__file__).with_name("serve_tiny.py")), "serve", FOLDER]
    words += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "HF_HOME": str(place), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (place / "log").open("w") as log:
        server = subprocess.Popen(words, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
                break
            except OSError:
                assert server.poll() is None, (place / "log").read_text()[-2000:]
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def served(url):
    return ServedVLM(FOLDER, [url], server="transformers", retries=1, timeout=120)


@pytest.fixture(scope="module")
def local():
    return TransformersVLM(FOLDER)


def texts(replies):
    return [[reply.text for reply in group] for group in replies]


def test_greedy_replies_are_those_of_the_local_model_with_one_picture_two_and_none(served, local):
    said = served.generate(CHATS, **SHORT)
    assert texts(said) == texts(local.generate(CHATS, **SHORT))
    assert said[0][0].author == f"{FOLDER}@base" and said[0][0].token_ids == ()


def test_the_same_seeds_draw_the_same_and_the_draws_differ(served):
    knobs = {"n": 3, "temperature": 1.0, **SHORT}
    first = texts(served.generate(CHATS[:3], seeds=[1, 2, 3], **knobs))
    backwards = texts(served.generate(CHATS[:3][::-1], seeds=[3, 2, 1], **knobs))[::-1]
    assert first == backwards
    assert len({text for group in first for text in group}) > 3


def test_top_k_1_is_greedy_whatever_the_temperature(served, local):
    hot = served.generate(CHATS[:2], temperature=5.0, top_k=1, **SHORT)
    assert texts(hot) == texts(local.generate(CHATS[:2], **SHORT))


def test_another_model_is_refused_by_the_server(url):
    with pytest.raises(
        ServerError, match=r"HTTP 400 Bad Request: Server is pinned to '.*tiny_vlm'; requested 'another'"
    ):
        ServedVLM("another", [url], server="transformers").generate(CHATS[:1])
