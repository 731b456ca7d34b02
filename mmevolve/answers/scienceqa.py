"""ScienceQA: the option that `The answer is X.` states.

Paper: Lu et al. 2022, "Learn to Explain: Multimodal Reasoning via Thought Chains for Science Question Answering",
arXiv:2209.09513.
Reference code: lupantech/ScienceQA, models/run_gpt3.py; haotian-liu/LLaVA, llava/eval/eval_science_qa.py.
Differs: None where the official code says FAILED, or names an option beyond the last, and then draws a random option
(ScienceQA) or counts the answer as wrong (LLaVA).
"""

from __future__ import annotations

import re

_PHRASE = "The answer is "
_STATED = re.compile(f"{_PHRASE}([A-Z])[^\\n]")  # any character may follow, as the official full stop is a wildcard
_LETTERS = "ABCDE"


def parse_index(output: str, options: int = len(_LETTERS), *, plain: bool = False) -> int | None:
    """Index of the stated option; None unless the phrase stands exactly once and names one of the options.

    Args:
        output: what the model wrote.
        options: how many options the question has, of which five at most have a letter.
        plain: also take a letter alone, and one that opens the output as `B. `, as LLaVA does.
    """
    stated = _STATED.findall(output)
    letter = stated[0] if len(stated) == 1 else ""
    if plain and (output in tuple(_LETTERS) or (output[:1] in tuple(_LETTERS) and output[1:3] == ". ")):
        letter = output[0]
    index = _LETTERS.find(letter) if letter else -1
    return index if 0 <= index < options else None
