"""What the OpenAI-compatible servers take beyond the OpenAI request, and what they cannot do.

From the request schemas of vLLM (`vllm/entrypoints/openai/chat_completion/protocol.py`), SGLang
(`sglang/srt/entrypoints/openai/protocol.py`) and `transformers serve` (`transformers/cli/serving/chat_completion.py`).
vLLM and SGLang fill what a request leaves out from the served model's own generation_config.json, so everything that
shapes the draw is always sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Dialect:
    """One kind of server.

    Attributes:
        always: sent with every sampling request.
        all_tokens: the `top_k` that keeps all tokens; None where a request cannot set `top_k`.
        many: whether one request may ask for several replies.
        go_on: what makes the server continue the last assistant message; None where it cannot.
        keep_stop: what makes it leave the stop string in the reply, as the local model does; None where it cuts it off.
        stops: whether it takes stop strings. `transformers serve` 5.23 fails on them for every VLM: it looks for the
            words of a tokenizer in the processor.
        ask_tokens: asks for sampled token ids and their log-probabilities; None where they are not to be had.
        tempered: whether those log-probabilities are of the tempered distribution.
        scores: whether it gives log-probabilities of a given completion.
        lists_served: whether `/v1/models` lists what is served. `transformers serve` lists what lies in its cache, and
            fails where there is no cache, so it is not asked; it refuses a request for another model by itself.
        one_at_a_time: whether seeds are the process's own, so that requests side by side would disturb each other.
        nested: whether `top_k` and `do_sample` travel as a whole generation config.
    """

    always: Mapping[str, Any] = field(default_factory=dict)
    all_tokens: int | None = None
    many: bool = True
    go_on: Mapping[str, Any] | None = None
    keep_stop: Mapping[str, Any] | None = None
    stops: bool = True
    ask_tokens: Mapping[str, Any] | None = None
    tempered: bool = False
    scores: bool = False
    lists_served: bool = True
    one_at_a_time: bool = False
    nested: bool = False

    def sampling(self, *, temperature: float, top_k: int, top_p: float, max_tokens: int) -> dict[str, Any]:
        """The request's fields for one way of drawing."""
        fields = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, **self.always}
        if self.nested:
            # What it leaves out, generate() takes from the model's own config: the end token, and any penalty.
            config = {"do_sample": temperature > 0, "top_k": top_k, "max_new_tokens": max_tokens}
            config |= {"repetition_penalty": 1.0, **({"min_p": 0.0} if temperature > 0 else {})}
            return {**fields, "generation_config": json.dumps(config)}
        return fields if self.all_tokens is None else {**fields, "top_k": top_k or self.all_tokens}

    def untempered(self, temperature: float) -> bool:
        """Whether log-probabilities drawn at a temperature are those of the policy itself."""
        return not self.tempered or temperature in (0.0, 1.0)


_NEUTRAL = {"min_p": 0.0, "repetition_penalty": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
DIALECTS: dict[str, Dialect] = {
    "vllm": Dialect(
        always=_NEUTRAL,
        all_tokens=-1,
        go_on={"continue_final_message": True, "add_generation_prompt": False},
        keep_stop={"include_stop_str_in_output": True},
        ask_tokens={"logprobs": True, "return_token_ids": True},
        scores=True,
    ),
    "sglang": Dialect(
        always=_NEUTRAL,
        all_tokens=-1,
        go_on={"continue_final_message": True},
        keep_stop={"no_stop_trim": True},
        ask_tokens={"logprobs": True, "return_token_ids": True},
        tempered=True,
    ),
    "transformers": Dialect(many=False, keep_stop={}, stops=False, lists_served=False, one_at_a_time=True, nested=True),
    "openai": Dialect(),
}
