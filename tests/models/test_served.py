"""A real server on loopback that serves the tiny VLM in vLLM's manner, and the same model asked directly."""

import base64
import dataclasses
import io
import json
import math
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from PIL import Image

from mmevolve.cli import main
from mmevolve.config import build, check, load
from mmevolve.data.shapes.dataset import shapes
from mmevolve.loops import finetune
from mmevolve.models.draw import row_keys
from mmevolve.models.encode import Row, collate
from mmevolve.models.served import ServedVLM
from mmevolve.prompts import template
from mmevolve.samplers.independent import Independent
from mmevolve.samplers.rollouts import Rollouts
from mmevolve.store import RunStore
from mmevolve.text import ask, user

TAKEN = {
    "model", "messages", "n", "seed", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens",
    "frequency_penalty", "presence_penalty", "stop", "include_stop_str_in_output", "logprobs", "return_token_ids",
    "add_generation_prompt", "continue_final_message", "prompt_logprobs",
}  # fmt: skip
ONE_AT_A_TIME = threading.Lock()


@contextmanager
def serving(handler):
    """A server of that handler on a free port; gives it with its base URL in `url`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads, server.url = True, f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Quiet(BaseHTTPRequestHandler):
    """Answers in JSON and says nothing on the terminal."""

    def log_message(self, *_):
        pass

    def give(self, data, code=200, headers=()):
        text = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))


def tiny_handler(vlm, asked):
    """vLLM's chat completions over a local model; every request is noted in `asked`."""

    class Tiny(Quiet):
        def do_GET(self):
            self.give({"object": "list", "data": [{"id": "tiny", "object": "model"}]})

        def do_POST(self):
            body = self.body()
            with ONE_AT_A_TIME:  # as the model is one, also behind two servers
                asked.append(body)
                if set(body) - TAKEN or body["model"] != "tiny" or self.path != "/v1/chat/completions":
                    self.give({"error": {"message": f"unknown: {sorted(set(body) - TAKEN)}"}}, 400)
                    return
                self.give({"model": "tiny", **answer(vlm, body)})

    return Tiny


def answer(vlm, body):
    *turns, last = body["messages"]
    said = last["content"] if last["role"] == "assistant" else None
    chat = tuple(map(local, turns if said is not None else body["messages"]))
    prompt = vlm.encoder.prompt(chat)
    if body.get("prompt_logprobs") is not None:
        return scored(vlm, Row(prompt, vlm.encoder.completion(said)))
    assert (said is not None) == body.get("continue_final_message", False)
    length = len(prompt.ids) + len(vlm.encoder.completion(said or "", end=False))
    choices = []
    for k in range(body.get("n", 1)):  # vLLM adds the choice's index to the seed
        ((reply,),) = vlm.generate(
            [chat], temperature=body["temperature"], top_k=max(body.get("top_k", 0), 0), top_p=body.get("top_p", 1.0),
            max_tokens=body["max_tokens"], seeds=[body.get("seed", 0) + k], stop=body.get("stop", ()),
            prefixes=[said or ""],
        )  # fmt: skip
        tokens = {"content": [{"token": "?", "logprob": x} for x in reply.logprobs]}
        message = {"role": "assistant", "content": reply.text}
        choices.append({"index": k, "message": message, "finish_reason": reply.stop_reason})
        choices[-1] |= {"logprobs": tokens} if body.get("logprobs") else {}
        choices[-1] |= {"token_ids": list(reply.token_ids)} if body.get("return_token_ids") else {}
    return {"choices": choices[::-1], "usage": {"prompt_tokens": length}}


def scored(vlm, row):
    """Log-probabilities of a whole sequence by one plain forward pass."""
    ids = [*row.prompt.ids, *row.completion]
    with torch.inference_mode():
        logps = vlm.model(**collate([row], pad=vlm.pad, device=vlm.device, side="right")).logits[0].log_softmax(-1)
    said = [{str(i): {"logprob": logps[t, i].item()}} for t, i in enumerate(ids[1:])]
    return {"choices": [], "prompt_logprobs": [None, *said], "prompt_token_ids": ids}


def local(turn):
    parts = turn["content"] if isinstance(turn["content"], list) else [{"type": "text", "text": turn["content"]}]
    return {"role": turn["role"], "content": tuple(map(local_part, parts))}


def local_part(part):
    if part["type"] == "text":
        return part
    kind, _, data = part["image_url"]["url"].partition(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    return {"type": "image", "image": base64.b64decode(data)}


@pytest.fixture(scope="module")
def asked():
    return []


@pytest.fixture(scope="module")
def server(tiny, asked):
    with serving(tiny_handler(tiny, asked)) as made:
        yield made


@pytest.fixture
def served(server, asked):
    asked.clear()
    return lambda **settings: ServedVLM("tiny", [server.url], **settings)


SAMPLES = shapes(n=4, seed=3)
CHATS = [ask(s, template("question")) for s in SAMPLES]
SHORT = {"max_tokens": 12}


def bare(reply):
    """A reply without its author, log-probabilities to four digits."""
    return dataclasses.replace(reply, author="", logprobs=tuple(round(x, 4) for x in reply.logprobs))


def bare_all(replies):
    return [[bare(r) for r in group] for group in replies]


def test_greedy_replies_are_those_of_the_model_itself(served, tiny, asked):
    said = served().generate(CHATS, n=3, **SHORT)
    assert bare_all(said) == bare_all(tiny.generate(CHATS, n=3, **SHORT))
    assert said[0][0].author == "tiny@base" and len(said[0][0].token_ids) == len(said[0][0].logprobs) > 0
    assert len(asked) == len(CHATS)  # and none of the three is asked for twice


def test_reply_j_has_a_seed_of_its_own_made_as_the_local_key_is(served, tiny, asked):
    knobs = {"temperature": 1.2, "top_k": 20, "top_p": 0.9, **SHORT}
    said = served().generate(CHATS, n=3, seeds=[5, 6, 7, 2**62], **knobs)
    seeds = [int(key) >> 33 for key in row_keys([5, 6, 7, 2**62], 3)]
    assert sorted(body["seed"] for body in asked) == sorted(seeds) and len(set(seeds)) == 12
    expected = [
        [tiny.generate([c], seeds=[seeds[3 * i + j]], **knobs)[0][0] for j in range(3)] for i, c in enumerate(CHATS)
    ]
    assert bare_all(said) == bare_all(expected)
    assert len({r.text for group in said for r in group}) > 6


def test_every_knob_is_sent_so_that_no_default_of_the_server_is_at_work(served, asked):
    served().generate(CHATS[:1], temperature=0.7, **SHORT)
    assert {k: asked[0][k] for k in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "n")} == {
        "temperature": 0.7, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "n": 1,
    }  # fmt: skip


def test_reply_j_is_the_same_alone_and_among_others(served):
    knobs = {"temperature": 1.0, **SHORT}
    together = served().generate(CHATS, n=3, seeds=[1, 2, 3, 4], **knobs)
    alone = [served().generate([c], n=2, seeds=[i + 1], **knobs)[0] for i, c in enumerate(CHATS)]
    assert [group[:2] for group in together] == alone


RECIPE = """
policy: {{_target_: models.ServedVLM, model: tiny, urls: {urls}, in_flight: {in_flight}, replies_per_request: {many}}}
sampler: {{_target_: samplers.Independent, n: 3, temperature: 1.0, max_tokens: 12, seed: 4}}
data: {{_target_: data.shapes, n: 5, seed: 8}}
"""


@pytest.mark.parametrize("many", [1, 2])
def test_a_recipes_rows_do_not_depend_on_the_number_in_flight_or_of_servers(server, tiny, tmp_path, many):
    file = tmp_path / "served.yaml"
    rows = []
    with serving(tiny_handler(tiny, [])) as second:
        for in_flight, urls in ((1, [server.url]), (4, [server.url]), (16, [f"{second.url}/v1/", server.url])):
            file.write_text(RECIPE.format(urls=json.dumps(urls), in_flight=in_flight, many=many))
            assert [p.what for p in check(file) if not p.warning and "no 'loop'" not in p.what] == []
            made = build(load(file))
            rows.append(list(made["sampler"](made["policy"], made["data"], round=0)))
    assert rows[0] == rows[1] == rows[2]
    assert len(rows[0]) == 15 and len({t.text for t in rows[0]}) > 5


def test_prefixes_are_continued_as_the_model_itself_continues_them(served, tiny):
    prefixes = ["red circles : a1 = 1\n", "", "a1 : red", "none\n"]
    knobs = {"temperature": 0.0, "prefixes": prefixes, **SHORT}
    assert bare_all(served().generate(CHATS, **knobs)) == bare_all(tiny.generate(CHATS, **knobs))
    pairs = [(s, ("red circles : a1 = 1",)) for s in SAMPLES]
    ends = Rollouts(k=2, max_tokens=6)(served(in_flight=3), pairs)
    assert all(t.steps[0].text == "red circles : a1 = 1" for group in ends for t in group)


def test_a_stop_string_ends_a_reply_and_stays_in_it(served, tiny):
    (greedy,) = tiny.generate(CHATS[:1], **SHORT)[0]
    word = greedy.text.split()[2]
    said = served().generate(CHATS[:1], stop=[word], **SHORT)
    assert bare_all(said) == bare_all(tiny.generate(CHATS[:1], stop=[word], **SHORT))
    assert said[0][0].text.endswith(word) and said[0][0].stop_reason == "stop"


def test_given_completions_are_scored_as_by_the_model_itself(served, tiny, asked):
    texts = ["red circles : a1 = 1\nanswer : 1", "", "yes", "answer : 7"]
    ours, theirs = served().logprobs(CHATS, texts), tiny.logprobs(CHATS, texts)
    assert [s.token_ids for s in ours] == [s.token_ids for s in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=2e-5)
        assert all(math.isnan(x) for x in a.entropies) and len(a.entropies) == len(a.token_ids)
    assert len(asked) == 11  # three a completion, two for the empty one


def picture(mode, kind, **info):
    out = io.BytesIO()
    image = Image.open(io.BytesIO(SAMPLES[0].images[0])).convert("RGB").resize((48, 64))
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.convert(mode).save(out, kind, **info)
    return out.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture("RGB", "JPEG", exif=exif)


@pytest.mark.parametrize("image", [picture("RGBA", "PNG"), picture("P", "GIF"), picture("CMYK", "TIFF"), turned()])
def test_the_server_sees_what_the_local_model_would_see(served, tiny, image, tmp_path):
    (tmp_path / "picture").write_bytes(image)
    for ref in (image, str(tmp_path / "picture")):
        chats = [(user("describe the picture .", (ref,)),)]
        ours, theirs = served().logprobs(chats, ["a1 red circle"]), tiny.logprobs(chats, ["a1 red circle"])
        assert ours[0].logprobs == pytest.approx(theirs[0].logprobs, abs=2e-5)


def test_an_upright_png_travels_byte_for_byte(served, asked):
    served().generate(CHATS[:1], **SHORT)
    assert local(asked[0]["messages"][0])["content"][0]["image"] == SAMPLES[0].images[0]


def test_it_says_in_one_sentence_that_it_cannot_be_trained(served, tmp_path):
    vlm = served()
    for what in (vlm.mark_home, vlm.train_mode, vlm.named_weights, lambda: vlm.load("there", "v2"), lambda: vlm.model):
        with pytest.raises(ValueError, match=r"^'tiny@base' is served and cannot be trained: .*TransformersVLM$"):
            what()
    with pytest.raises(ValueError, match="cannot be trained"):
        finetune(store=RunStore(str(tmp_path)), policy=vlm, rows=[], train=None)


def test_rows_are_keyed_by_what_is_served_not_by_where_or_how(served, server):
    told = served(in_flight=1, retries=0, version="step-40").describe()
    assert told == ServedVLM("tiny", ["http://elsewhere:1"], version="step-40").describe()
    assert told != served().describe()


def test_seeds_and_prefixes_are_one_a_chat(served, asked):
    with pytest.raises(ValueError, match="1 seeds for 4 chats"):
        served().generate(CHATS, seeds=[1])
    assert served().generate([]) == [] and served().logprobs([], []) == [] and asked == []


def test_the_samplers_trajectories_carry_tokens(served):
    (attempt,) = Independent(n=1, max_tokens=6)(served(), SAMPLES[:1], round=2)
    assert attempt.author == "tiny@base" and len(attempt.token_ids) == len(attempt.logprobs) > 0


def test_a_served_model_is_evaluated_as_the_same_model_here(server, tiny, tmp_path):
    words = ["--benchmark", "shapes", "--limit", "4", "--max-tokens", "24", "--out", str(tmp_path)]
    assert main(["eval", "tiny", "--url", server.url, *words]) == 0
    (results,) = tmp_path.rglob("results.jsonl")
    said = {row["id"]: row["response"] for row in map(json.loads, results.read_text().splitlines())}
    samples = shapes(n=4, split="test", seed=0)
    replies = tiny.generate([ask(s, template("question")) for s in samples], temperature=0.0, max_tokens=24)
    assert said == {s.id: reply.text for s, (reply,) in zip(samples, replies, strict=True)}
