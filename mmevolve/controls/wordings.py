"""The same question put in other words: templates around a benchmark's prompt, its own paraphrases, another list form.

Paper: Lee et al. 2024, "TRAIT", arXiv:2406.14703 (prompt sensitivity over templates).
Differs: TRAIT's templates letter, number or leave bare the options; here options keep their letters, which the rules of
extraction read, and change their form (`A.` for `(A)`); the words around them change besides.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmevolve.controls.link import variant
from mmevolve.types import Sample

FIELD = "{question}"
OWN = "own"  # what the benchmark's prompt is called beside its rewordings
DOTTED = "{letter}. {choice}"


def wordings(prompt: str, paraphrases: Sequence[str] = ()) -> dict[str, str]:
    """Prompts that ask for the same, by name; those that would be the prompt itself are left out.

    Args:
        prompt: the benchmark's, with `{question}` once or more.
        paraphrases: further prompts of the same meaning, written for the benchmark.

    Raises:
        ValueError: when the prompt has no `{question}`.
    """
    before, field, after = prompt.partition(FIELD)
    if not field:
        raise ValueError(f"the prompt {prompt!r} has no field '{FIELD}'")
    found = {"polite": f"Please answer the following.\n{prompt}"}
    if not before.strip() and "{" not in after:  # else what stands around the question is not an instruction alone
        found["labelled"] = f"Question: {FIELD}{after}"
        # what is asked for comes first; a prompt that is the question alone asks for nothing besides
        found["first"] = f"{after.strip() or 'Answer this question.'}\n{FIELD}"
    found |= {f"paraphrase_{i}": text for i, text in enumerate(paraphrases, start=1)}
    return {name: text for name, text in found.items() if text != prompt}


def reworded(
    samples: Sequence[Sample], *, prompt: str = FIELD, paraphrases: Sequence[str] = (), options: bool = True
) -> list[Sample]:
    """One variant of each sample and each wording; `meta["control"]["prompt"]` holds the text to ask with.

    Args:
        samples: the originals.
        prompt: the benchmark's.
        paraphrases: as in `wordings`.
        options: whether options are put under the question, so that their form can change too: where samples have any,
            there is the wording `dotted`, in `meta["control"]["option"]`.

    Raises:
        ValueError: when there are no samples, or the prompt has no `{question}`.
    """
    if not samples:
        raise ValueError("no samples: nothing to ask in other words")
    facts = {name: {"wording": name, "prompt": text} for name, text in wordings(prompt, paraphrases).items()}
    if options and any(s.choices for s in samples):
        facts["dotted"] = {"wording": "dotted", "prompt": prompt, "option": DOTTED}
    return [variant(s, "prompts", f".{name}", said) for s in samples for name, said in facts.items()]
