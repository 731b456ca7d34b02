import subprocess
import sys
from pathlib import Path

import pytest

import mmevolve
from mmevolve.models.scripted import Scripted
from mmevolve.text import user
from mmevolve.types import Reply

FILE = Path(mmevolve.__file__).parent / "models" / "scripted.py"


def echo(said, seed, index):
    return f"{said} {seed} {index}"


def texts(replies):
    return [[r.text for r in group] for group in replies]


def test_replies_follow_the_text_the_seed_and_the_index():
    policy = Scripted(echo)
    chats = [(user("one", ("a.png",)),), (user("two"),)]
    assert texts(policy.generate(chats, n=2, temperature=1.0, seeds=[7, 8])) == [
        ["one 7 0", "one 7 1"],
        ["two 8 0", "two 8 1"],
    ]


def test_greedy_replies_are_all_the_same():
    assert texts(Scripted(echo).generate([(user("one"),)], n=2, seeds=[7])) == [["one 0 0", "one 0 0"]]


def test_a_table_is_read_by_index_and_starts_again_at_its_end():
    policy = Scripted({"one": ["x", "y"]})
    assert texts(policy.generate([(user("one"),)], n=3, temperature=1.0)) == [["x", "y", "x"]]


def test_a_text_that_the_table_lacks_is_an_error_with_the_nearest_one():
    with pytest.raises(KeyError, match=r"no replies to 'ome'.*'one'"):
        Scripted({"one": ["x"]}).generate([(user("ome"),)])


def test_a_prefix_is_part_of_the_text_so_far_and_not_of_the_reply():
    policy = Scripted({"one": ["a\nb"], "one\na\n": ["c"]})
    assert texts(policy.generate([(user("one"),)] * 2, prefixes=["", "a\n"])) == [["a\nb"], ["c"]]


def test_seeds_and_prefixes_must_be_one_a_chat():
    for given in ("seeds", "prefixes"):
        with pytest.raises(ValueError, match=f"2 {given} for 1 chats: expected one each"):
            Scripted(echo).generate([(user("one"),)], **{given: ["1", "2"]})


def test_replies_end_after_a_stop_string_or_at_the_token_limit():
    policy = Scripted({"q": ["one two\nanswer : 3\nmore"]})
    ((whole,),) = policy.generate([(user("q"),)])
    ((stopped,),) = policy.generate([(user("q"),)], stop=("answer : 3",))
    ((cut,),) = policy.generate([(user("q"),)], max_tokens=2)
    assert (whole.text, whole.stop_reason, len(whole.token_ids)) == ("one two\nanswer : 3\nmore", "stop", 7)
    assert (stopped.text, stopped.stop_reason, len(stopped.token_ids)) == ("one two\nanswer : 3", "stop", 5)
    assert (cut.text, cut.stop_reason, len(cut.token_ids)) == ("one two", "length", 2)
    assert whole.token_ids[:2] == cut.token_ids


def test_log_probabilities_are_constant_one_a_token_and_agree_with_scoring():
    policy = Scripted({"q": ["one two"]}, name="toy@3", logprob=-0.5)
    ((reply,),) = policy.generate([(user("q"),)])
    (scores,) = policy.logprobs([(user("q"),)], ["one two"])
    assert reply == Reply("one two", "toy@3", "stop", scores.token_ids, (-0.5, -0.5, -0.5))
    assert scores.logprobs == reply.logprobs
    assert scores.entropies == (0.5, 0.5, 0.5)


def test_it_says_what_decides_its_behaviour():
    assert Scripted({"q": ("a",)}).describe() == {
        "scripted": {"q": ["a"]},
        "name": "scripted@base",
        "logprob": -1.0,
    }
    assert Scripted(echo).describe()["scripted"].endswith("test_scripted.echo")


def test_the_module_alone_imports_no_torch():
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('scripted', {str(FILE)!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['scripted'] = module\n"
        "spec.loader.exec_module(module)\n"
        "print(sorted({'torch', 'transformers', 'lightning', 'peft'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
