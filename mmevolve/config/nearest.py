"""The name that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

# Words that other libraries use for the same setting; asked only when the spelling is near to nothing.
SYNONYMS: tuple[frozenset[str], ...] = (
    frozenset({"lr", "learning_rate", "step_size"}),
    frozenset({"n", "num_samples", "n_samples", "num_generations", "num_return_sequences", "attempts", "samples"}),
    frozenset({"k", "top_k", "topk", "keep"}),
    frozenset({"temperature", "temp"}),
    frozenset({"max_tokens", "max_new_tokens", "max_length", "max_completion_length"}),
    frozenset({"name", "model", "model_id", "model_name", "model_name_or_path", "pretrained_model_name_or_path"}),
    frozenset({"path", "file", "folder", "filename", "data_path", "output_dir", "dir"}),
    frozenset({"rounds", "iterations", "num_iterations", "n_rounds", "num_rounds"}),
    frozenset({"max_epochs", "epochs", "num_train_epochs", "num_epochs"}),
    frozenset({"batch_size", "per_device_train_batch_size", "train_batch_size", "rows_per_batch"}),
    frozenset({"accumulate_grad_batches", "gradient_accumulation_steps", "accumulate"}),
    frozenset({"r", "lora_r", "rank", "lora_rank"}),
    frozenset({"limit", "max_samples", "n_rows", "head"}),
    frozenset({"precision", "dtype", "torch_dtype"}),
    frozenset({"fraction", "sample_fraction", "ratio"}),
    frozenset({"sampler", "solver", "generator"}),
    frozenset({"critics", "critic", "verifier", "verifiers", "judge", "judges", "scorer", "grader"}),
    frozenset({"selector", "filter", "curator"}),
    frozenset({"data", "dataset", "train_data", "samples"}),
    frozenset({"rank_by", "score_by", "sort_by"}),
)


def edits(a: str, b: str) -> int:
    """Letters to insert, drop, replace or swap (neighbours) to turn `a` into `b`: optimal string alignment."""
    before: list[int] = []
    above = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        row = [i]
        for j, y in enumerate(b, start=1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, above = above, row
    return above[-1]


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate `name` is most likely a slip of, or None when nothing is near.

    Case, underscores and hyphens weigh little; a swapped, missing, extra or wrong letter weighs one; a word that other
    libraries use for the same thing counts when no spelling is near.
    """
    known = sorted(set(candidates))
    ranked = sorted((_distance(name, candidate), candidate) for candidate in known)
    if ranked and ranked[0][0] <= _reach(name, ranked[0][1]):
        return ranked[0][1]
    meanings = [words for words in SYNONYMS if name.lower() in words]
    same = [candidate for candidate in known if any(candidate in words for words in meanings)]
    if same:
        return same[0]
    inside = _plain(name)
    parts = [candidate for candidate in known if len(inside) >= 4 and inside in _plain(candidate)]
    return min(parts, key=len) if parts else None


def hint(name: str, candidates: Iterable[str]) -> str:
    """`: the nearest is 'x'`, or the short list of what there is, or nothing."""
    known = sorted(set(candidates))
    found = nearest(name, known)
    if found is not None:
        return f": the nearest is '{found}'"
    if 0 < len(known) <= 12:
        return f": there is {_listed(known)}"
    return ""


def _listed(names: list[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _distance(name: str, candidate: str) -> float:
    exact, loose = edits(name, candidate), edits(_plain(name), _plain(candidate))
    # The loose distance decides, the exact one and the common substance break ties.
    return loose + 0.1 * min(exact, 5) - 0.09 * SequenceMatcher(None, name, candidate).ratio()


def _reach(name: str, candidate: str) -> float:
    longest = max(len(name), len(candidate))
    if longest <= 2:
        return 1.2
    return 0.6 + max(1.0, min(4.0, longest / 3))
