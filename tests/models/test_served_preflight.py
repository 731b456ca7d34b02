import runpy
from pathlib import Path

import pytest

from mmevolve.models import served_preflight
from mmevolve.models.served import ServedVLM
from mmevolve.models.served_preflight import base_url, preflight, url_problems

RIGHT = ["http://localhost:8000", "https://models.example.org/team/v1/", "http://[::1]:8000/v1", "http://10.0.0.7"]
WRONG = {
    "localhost:8000": "did you mean 'http://localhost:8000'",
    "ftp://host/v1": "did you mean 'http://host/v1'",
    "http://": "names no server",
    "http:// host:1": "names no server",
    "http://host:port": "is no URL",
    "http://host:99999": "is no URL",
    "http://[::1:8000": "is no URL",
    "http://me:secret@host:1": "holds a user name or password",
    "http://host/v1?key=1": "has a query or fragment",
    "http://host:1/v1/chat/completions": "is one of the server's endpoints",
}


@pytest.mark.parametrize("url", RIGHT)
def test_a_right_url_is_right(url):
    assert list(url_problems(url)) == []


@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_url_is_one_sentence_from_check_and_from_the_model_itself(url):
    (found,) = preflight(urls=[RIGHT[0], url], model="m")
    assert WRONG[url] in found and "secret" not in found
    with pytest.raises(ValueError, match=r"^ServedVLM: "):
        ServedVLM("m", [RIGHT[0], url])


def test_an_empty_list_a_lone_text_a_repeated_url_and_an_empty_name_are_found():
    assert list(preflight(urls=[])) == ["urls is empty: expected at least one base URL, such as http://localhost:8000"]
    assert "expected a list" in next(preflight(urls="http://localhost:8000"))
    assert list(preflight(urls=["http://a", "http://a/v1/"])) == ["urls names http://a/v1 twice"]
    assert "model is empty" in next(preflight(urls=RIGHT, model=" "))
    assert list(url_problems(8000)) == ["8000 is no URL: expected text such as http://localhost:8000"]


def test_a_server_alone_is_asked_under_v1():
    assert [base_url(url) for url in RIGHT] == [
        "http://localhost:8000/v1", "https://models.example.org/team/v1", "http://[::1]:8000/v1", "http://10.0.0.7/v1",
    ]  # fmt: skip


def test_an_unknown_kind_of_server_and_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="no kind of server 'vlm': the nearest is 'vllm'"):
        ServedVLM("m", RIGHT, server="vlm")
    with pytest.raises(ValueError, match="in_flight and replies_per_request are at least 1"):
        ServedVLM("m", RIGHT, in_flight=0)


def test_urls_are_looked_at_without_importing_the_room_of_models():
    found = runpy.run_path(str(Path(served_preflight.__file__)))["preflight"](urls=["localhost"], model="m")
    assert "did you mean 'http://localhost'" in next(found)
