"""ScienceQA: the option that `The answer is X.` states.

Paper: Lu et al. 2022, "Learn to Explain: Multimodal Reasoning via Thought Chains for Science Question Answering",
arXiv:2209.09513.
Reference code: lupantech/ScienceQA, models/run_gpt3.py; haotian-liu/LLaVA, llava/eval/eval_science_qa.py.
Differs: None where the official code says FAILED and then draws a random option.
"""

from __future__ import annotations

import re

_STATED = re.compile(r"The answer is ([A-Z])\.")


def parse_index(output: str) -> int | None:
    """Index of the stated option; None unless the phrase stands exactly once."""
    stated = _STATED.findall(output)
    return ord(stated[0]) - ord("A") if len(stated) == 1 else None
