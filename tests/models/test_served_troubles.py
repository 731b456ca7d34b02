"""Servers that misbehave, each in one way, and what is made of it."""

import contextlib
import dataclasses
import email.utils
import socket
import time

import pytest
from test_served import Quiet, serving

from mmevolve.models.served import ServedVLM
from mmevolve.models.served_chat import replies
from mmevolve.models.served_dialects import DIALECTS
from mmevolve.models.served_http import Patience, ServerError, retry_after
from mmevolve.text import assistant, user

CHAT = (user("how many ?"),)
FINE = {"model": "m", "choices": [{"index": 0, "message": {"content": "answer : 1"}, "finish_reason": "stop"}]}
QUICK = {"first_wait": 0.01, "longest_wait": 0.05}
SLOW = ("silent", "drips")  # those that a short timeout is for; elsewhere a busy machine must not look like one
TIRED = "overloaded, come back later"


def troubled(script, seen, names=("m",)):
    """Answers requests by a list of troubles, one each, and then well; a trouble named last lasts."""
    left = list(script)

    class Troubled(Quiet):
        def do_GET(self):
            seen.append(self)
            self.give({"data": [{"id": name} for name in names]})

        def do_POST(self):
            self.said = self.body()
            seen.append(self)
            trouble = left.pop(0) if left and left[0] != "always" else left[1] if left else "fine"
            getattr(self, trouble)()

        def fine(self):
            self.give(FINE)

        def busy(self):
            self.give({"error": {"message": TIRED}}, 429, [("Retry-After", "0.02")])

        def broken(self):
            self.give(b"<html>Internal Server Error</html>", 500)

        def silent(self):
            time.sleep(0.8)

        def drips(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(40):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.02)

        def cut(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"model": "m", "choi')

        def gone(self):
            self.connection.shutdown(socket.SHUT_RDWR)

        def garbage(self):
            self.give(b"\x00\xff not JSON")

        def empty(self):
            self.give({"model": "m", "choices": []})

        def no_choices(self):
            self.give({"model": "m", "object": "error"})

        def numbers(self):
            self.give([1, 2])

        def wrong_model(self):
            self.give({**FINE, "model": "another"})

        def parsed(self):
            message = {"content": "1", "reasoning_content": "red circles : a1 = 1"}
            self.give({"model": "m", "choices": [{"message": message}]})

        def refused(self):
            self.give({"object": "error", "message": "max_tokens is too large"}, 400)

        def locked(self):
            self.give({"detail": "who are you"}, 401)

        def moved(self):
            self.give({}, 307, [("Location", "http://127.0.0.1:9/v1/chat/completions")])

        def handle(self):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client gives up, as it should
                super().handle()

    return Troubled


def posts(seen):
    return [h for h in seen if h.command == "POST"]


PASSING = {
    "busy": f"HTTP 429 Too Many Requests: {TIRED}",
    "broken": "HTTP 500 Internal Server Error: <html>Internal Server Error</html>",
    "silent": "no answer within 0.4 s",
    "drips": "no answer within 0.4 s",
    "cut": "the connection was cut: IncompleteRead",
    "gone": "the connection was cut: Remote end closed",
    "garbage": "the answer is no JSON",
    "empty": "0 choices for a request for 1",
    "no_choices": "the answer has no list of choices",
    "numbers": "the answer has no list of choices: [1, 2]",
}


def checked(url, trouble, retries):
    vlm = ServedVLM("m", [url], retries=retries, **QUICK)
    vlm.check()
    if trouble in SLOW:
        vlm.patience = dataclasses.replace(vlm.patience, timeout=0.4)
    return vlm


@pytest.mark.parametrize("trouble", PASSING)
def test_a_trouble_that_passes_is_waited_out(trouble):
    seen = []
    with serving(troubled([trouble], seen)) as server:
        ((reply,),) = checked(server.url, trouble, 5).generate([CHAT])
    assert (reply.text, reply.author, reply.stop_reason) == ("answer : 1", "m@base", "stop")
    assert len(posts(seen)) >= 2 and all(h.said == posts(seen)[0].said for h in posts(seen))
    assert len(posts(seen)) == 2 or trouble in SLOW


@pytest.mark.parametrize("trouble", PASSING)
def test_a_trouble_that_lasts_ends_in_one_sentence_after_a_bounded_number_of_tries(trouble):
    seen = []
    with serving(troubled(["always", trouble], seen)) as server:
        with pytest.raises(ServerError) as said:
            checked(server.url, trouble, 1).generate([CHAT])
        assert str(said.value).startswith(f"server {server.url}/v1: {PASSING[trouble]}")
        assert "(2 tries in " in str(said.value) and "\n" not in str(said.value)
    assert len(posts(seen)) == 2


FINAL = {
    "refused": "HTTP 400 Bad Request: max_tokens is too large",
    "locked": "HTTP 401 Unauthorized: who are you; name the environment variable that holds the API key",
    "moved": "as the base URL",
    "wrong_model": "answered as 'another', not as 'm'",
    "parsed": "start it without a reasoning parser",
}


@pytest.mark.parametrize("trouble", FINAL)
def test_what_no_other_try_would_better_is_not_tried_again(trouble):
    seen = []
    with serving(troubled(["always", trouble], seen)) as server, pytest.raises(ServerError) as said:
        ServedVLM("m", [server.url], **QUICK).generate([CHAT])
    assert FINAL[trouble] in str(said.value) and len(posts(seen)) == 1


def test_a_server_of_another_model_is_asked_nothing():
    seen = []
    with serving(troubled([], seen, names=("qwen-vl-7b", "other"))) as server, pytest.raises(ServerError) as said:
        ServedVLM("qwen-vl-7B", [server.url], **QUICK).generate([CHAT])
    assert f"{server.url}/v1 serves 'qwen-vl-7b', 'other', not 'qwen-vl-7B': the nearest is 'qwen-vl-7b'" in str(
        said.value
    )
    assert posts(seen) == []


def test_every_server_is_checked_once_before_the_first_request():
    seen, others = [], []
    with serving(troubled([], seen)) as one, serving(troubled([], others, names=("x",))) as two:
        with pytest.raises(ServerError, match="serves 'x', not 'm'"):
            ServedVLM("m", [one.url, two.url], **QUICK).generate([CHAT])
        vlm = ServedVLM("m", [one.url], **QUICK)
        seen.clear()
        vlm.generate([CHAT])
        vlm.generate([CHAT])
    assert [h.command for h in seen] == ["GET", "POST", "POST"]


def test_a_server_that_lists_its_cache_is_not_asked_for_its_list():
    seen = []
    with serving(troubled([], seen, names=("x",))) as server:
        assert ServedVLM("m", [server.url], server="transformers", **QUICK).generate([CHAT])[0][0].text == "answer : 1"
    assert [h.command for h in seen] == ["POST"]


def test_another_server_takes_over_from_one_that_fails():
    bad, good = [], []
    with serving(troubled(["always", "broken"], bad)) as one, serving(troubled([], good)) as two:
        said = ServedVLM("m", [one.url, two.url], **QUICK).generate([CHAT] * 4)
    assert [r.text for (r,) in said] == ["answer : 1"] * 4
    assert (len(posts(bad)), len(posts(good))) == (2, 4)


def test_a_server_that_is_not_there_is_named():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(
            ServerError, match=rf"^server {url}/v1: cannot be reached: .*refused \(2 tries in .*models\)$"
        ):
            ServedVLM("m", [url], retries=1, **QUICK).generate([CHAT])


def test_the_first_failure_ends_the_rest():
    seen = []
    with serving(troubled(["always", "refused"], seen)) as server, pytest.raises(ServerError):
        ServedVLM("m", [server.url], in_flight=2, **QUICK).generate([CHAT] * 50)
    assert len(posts(seen)) < 10


def test_no_more_are_in_flight_than_allowed():
    class Counting(Quiet):
        now, most = 0, 0

        def do_GET(self):
            self.give({"data": [{"id": "m"}]})

        def do_POST(self):
            self.body()
            Counting.now += 1
            Counting.most = max(Counting.most, Counting.now)
            time.sleep(0.03)
            Counting.now -= 1
            self.give(FINE)

    with serving(Counting) as server:
        ServedVLM("m", [server.url], in_flight=3).generate([CHAT] * 12)
        assert 1 < Counting.most <= 3
        Counting.most = 0
        ServedVLM("m", [server.url], server="transformers").generate([CHAT] * 4)
        assert Counting.most == 1  # its seed is the whole process's


def test_pauses_double_and_are_bounded_and_a_servers_word_counts():
    patience = Patience(first_wait=1.0, longest_wait=10.0)
    for tried, full in enumerate((1.0, 2.0, 4.0, 8.0, 10.0, 10.0)):
        assert full / 2 <= patience.pause(tried, None, "a") <= full
    assert patience.pause(0, None, "a") == patience.pause(0, None, "a") != patience.pause(0, None, "b")
    assert (patience.pause(3, 0.5), patience.pause(0, 7.0), patience.pause(0, 3600.0)) == (0.5, 7.0, 10.0)


def test_retry_after_is_a_number_or_a_date():
    now = 1_700_000_000.0
    assert (retry_after("7", now), retry_after("-3", now), retry_after(None, now)) == (7.0, 0.0, None)
    assert retry_after(email.utils.formatdate(now + 90, usegmt=True), now) == 90.0
    assert retry_after("soon", now) is None


def test_the_key_comes_from_the_environment_and_goes_to_the_server_alone(monkeypatch):
    seen = []
    with serving(troubled(["locked"], seen)) as server:
        vlm = ServedVLM("m", [server.url], key_variable="SERVED_TEST_KEY", **QUICK)
        with pytest.raises(ServerError, match=r"^the environment variable 'SERVED_TEST_KEY', .*, is not set$"):
            vlm.generate([CHAT])
        monkeypatch.setenv("SERVED_TEST_KEY", "sesame")
        with pytest.raises(ServerError) as said:
            vlm.generate([CHAT])
    assert [h.headers["Authorization"] for h in seen] == ["Bearer sesame"] * 2
    assert "sesame" not in str(said.value) + str(vlm.describe()) + str(vars(vlm))


def test_a_server_on_this_machine_is_not_looked_for_behind_a_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(troubled([], [])) as server:
        assert ServedVLM("m", [server.url], **QUICK).generate([CHAT])[0][0].text == "answer : 1"


@pytest.mark.parametrize("kind", DIALECTS)
def test_each_kind_of_server_is_asked_in_its_own_words(kind):
    seen = []
    with serving(troubled([], seen)) as server:
        vlm = ServedVLM("m", [server.url], server=kind, **QUICK)
        vlm.generate([CHAT], temperature=0.5, max_tokens=9, stop=["x"] if DIALECTS[kind].stops else [], seeds=[1])
        (body,) = [h.said for h in posts(seen)]
        assert body.pop("stop", None) == (None if kind == "transformers" else ["x"])
        plain = {k: body.pop(k) for k in ("model", "messages", "temperature", "top_p", "max_tokens")}
        assert plain["messages"] == [{"role": "user", "content": [{"type": "text", "text": "how many ?"}]}]
        assert (plain["temperature"], plain["top_p"], plain["max_tokens"]) == (0.5, 1.0, 9)
        assert 0 <= body.pop("seed") < 2**31
        neutral = {"min_p": 0.0, "repetition_penalty": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
        tokens = {"logprobs": True, "return_token_ids": True}
        assert (
            body
            == {
                "vllm": {**neutral, **tokens, "top_k": -1, "n": 1, "include_stop_str_in_output": True},
                "sglang": {**neutral, **tokens, "top_k": -1, "n": 1, "no_stop_trim": True},
                "transformers": {
                    "generation_config": '{"do_sample": true, "top_k": 0, "max_new_tokens": 9, '
                    '"repetition_penalty": 1.0, "min_p": 0.0}'
                },
                "openai": {"n": 1},
            }[kind]
        )


def test_what_a_kind_of_server_cannot_do_it_says_before_asking():
    def vlm(kind):
        return ServedVLM("m", ["http://127.0.0.1:9"], server=kind)

    with pytest.raises(
        ValueError, match=r"^a 'transformers' server cannot stop at strings: serve 'm' by vLLM or SGLang"
    ):
        vlm("transformers").generate([CHAT], stop=["\n"])
    with pytest.raises(ValueError, match="'openai' server cannot set it"):
        vlm("openai").generate([CHAT], top_k=5)
    for kind in ("openai", "transformers"):
        with pytest.raises(ValueError, match=f"a '{kind}' server cannot continue a prefix: serve 'm' by vLLM"):
            vlm(kind).generate([CHAT], prefixes=["a1 : red\n"])
    for kind in ("sglang", "openai", "transformers"):
        with pytest.raises(ValueError, match=f"^a '{kind}' server cannot score given completions"):
            vlm(kind).logprobs([CHAT], ["yes"])


def test_tempered_or_unpaired_log_probabilities_are_not_kept():
    choice = {
        **FINE["choices"][0],
        "token_ids": [4, 5],
        "logprobs": {"content": [{"logprob": -1.0}, {"logprob": -2.0}]},
    }

    class Telling(Quiet):
        def do_GET(self):
            self.give({"data": [{"id": "m"}]})

        def do_POST(self):
            self.body()
            self.give({"model": "m", "choices": [choice]})

    with serving(Telling) as server:
        kept = {
            (kind, t): ServedVLM("m", [server.url], server=kind).generate([CHAT], temperature=t)[0][0].logprobs
            for kind in ("vllm", "sglang")
            for t in (0.5, 1.0)
        }
        assert [k for k, logprobs in kept.items() if not logprobs] == [("sglang", 0.5)]
        assert kept["vllm", 0.5] == (-1.0, -2.0)
        choice["token_ids"] = [4]
        reply = ServedVLM("m", [server.url]).generate([CHAT])[0][0]
        assert (reply.token_ids, reply.logprobs, reply.text) == ((), (), "answer : 1")


def test_an_earlier_turn_of_the_assistant_travels_as_one():
    seen = []
    with serving(troubled([], seen)) as server:
        ServedVLM("m", [server.url], **QUICK).generate([(*CHAT, assistant("answer : 2"), user("look again"))])
    assert [t["role"] for t in posts(seen)[0].said["messages"]] == ["user", "assistant", "user"]


def test_half_of_a_character_where_a_reply_was_cut_is_replaced():
    for said, kept in (("ok \ud83d", "ok \ufffd"), ("\ud83d\ude00 \udc00x", "\U0001f600 \ufffdx"), (" é ", "é")):
        cut = {"choices": [{"index": 0, "message": {"content": said}, "finish_reason": "length"}]}
        (reply,) = replies(cut, author="m", n=1, untempered=False)
        assert reply.text == kept
