"""`mmevolve eval`: a model, or stored answers, on benchmarks; every attempt is kept as soon as it is finished."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmevolve.benchmarks.ask import OneByOne, asking
from mmevolve.benchmarks.card import lines, result_rows, scores, write_log, write_results
from mmevolve.benchmarks.compare import comparison, read_outcomes
from mmevolve.benchmarks.figures import Figure, figures
from mmevolve.benchmarks.load import Loaded, load_samples
from mmevolve.benchmarks.score import Scored, judge, response_of
from mmevolve.benchmarks.spec import find, load_spec
from mmevolve.benchmarks.stored import is_stored, score_stored
from mmevolve.config.errors import ConfigError
from mmevolve.config.targets import resolve
from mmevolve.console import Console, shown_on
from mmevolve.protocols import VLM
from mmevolve.store import RunStore, StoreError

RUNS = "runs/eval"


@dataclass(frozen=True)
class Settings:
    """How benchmarks are asked and where results go.

    Attributes:
        limit: only the first so many questions.
        data: data folder, one table, or `hub`.
        answers: file of stored answers, in place of asking the model.
        partial: with stored answers, score what both the file and the data have.
        n: attempts a question.
        temperature: 0 is greedy; by default 0 for one attempt and 1 for several.
        max_tokens: longest response; by default what each spec says.
        seed: of the draws.
        batch: attempts drawn together: speed, and what a kill can lose.
        dtype: of the model's weights.
        out: results folder; by default `runs/eval/<model>`.
        log: also write lmms-eval's files into this folder.
        base: what the language model below the model scores without images, for leakage.
        against: one benchmark's results folder of an earlier evaluation, compared question by question.
        url: base URLs of servers that serve the model, with commas between them.
        server: what serves it.
    """

    limit: int | None = None
    data: str | None = None
    answers: str | None = None
    partial: bool = False
    n: int = 1
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int = 0
    batch: int = 1
    dtype: str = "float32"
    out: str | None = None
    log: str | None = None
    base: float | None = None
    against: str | None = None
    url: str | None = None
    server: str = "vllm"


def evaluate(model: str, benchmark: str, **words: Any) -> int:
    """Measure a model on benchmarks, named with commas between them; 0 when all were scored, 2 for a user's mistake.

    All specs, data and stored answers are looked at before anything is asked; with one fault nothing is scored.

    Args:
        model: name or folder of a transformers VLM, a file of stored answers, or a folder that this function wrote.
        benchmark: names of specs, or their files.
        words: fields of `Settings`.
    """
    settings = Settings(**words)
    problems = list(_odd(settings))
    stored = settings.answers or (model if is_stored(model) else None)
    if stored is None:
        problems += _model_problems(model) if settings.url is None else []
        problems += (
            ["--partial is about stored answers: name their file with --answers FILE"] if settings.partial else []
        )
    ready: list[tuple[Loaded, list[Scored] | None, int]] = []
    for name in dict.fromkeys(filter(None, (word.strip() for word in benchmark.split(",")))):
        try:
            spec = load_spec(find(name))
            loaded = load_samples(spec, data=settings.data, limit=settings.limit, pictures=stored is None)
            given, strangers = score_stored(stored, loaded, partial=settings.partial) if stored else (None, 0)
            ready.append((loaded, given, strangers))
        except (ConfigError, ValueError) as error:
            problems.append(str(error))
    if settings.against is not None:
        problems += _against_problems(settings.against, ready)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 2
    out = Path(settings.out or f"{RUNS}/{_word(_label(model, stored))}")
    with _held(out) as free:
        if not free:
            print(
                f"{out} is in use by another process: wait for it, or name another folder with --out", file=sys.stderr
            )
            return 2
        try:
            done = list(_each(model, ready, out, settings))
        except (StoreError, ValueError, OSError) as error:  # servers that fail are among the last
            print(
                f"{error}\neverything finished is kept in {out}; the same command goes on from there", file=sys.stderr
            )
            return 2
    if settings.log is not None:
        for path in write_log(Path(settings.log), done):
            print(f"  log: {path}")
    return 0


def _each(
    model: str, ready: Sequence[tuple[Loaded, list[Scored] | None, int]], out: Path, settings: Settings
) -> Iterator[tuple[Loaded, str, Sequence[Scored], Sequence[Figure]]]:
    policy: VLM | None = None
    for loaded, given, strangers in ready:
        folder = out / _folder(loaded, settings)
        if given is None:
            policy = policy or _model(model, settings)
            author, scored = policy.name, ask_all(policy, loaded, folder, settings)
        else:
            author, scored = _label(model, settings.answers), given
            asked = {s.sample.id for s in given}
            loaded = _narrowed(loaded, asked)
        found = figures(loaded.spec, scored, base=settings.base)
        write_results(folder, result_rows(scored), scores(loaded, author, scored, found))
        print("\n".join(lines(loaded, author, scored, found)))
        if settings.against is not None:
            print(f"  {comparison(loaded.spec, read_outcomes(settings.against), scored)}")
        if strangers:
            print(f"  {strangers:,} stored answers are to questions that the data do not have: left out")
        print(f"  results: {folder}")
        yield loaded, author, scored, found


def ask_all(policy: VLM, loaded: Loaded, folder: Path, settings: Settings) -> list[Scored]:
    """Every attempt made, or read where it was made before, then scored."""
    hot = 0.0 if settings.n == 1 else 1.0
    sampler = asking(
        loaded.spec, max_tokens=settings.max_tokens, n=settings.n, seed=settings.seed,
        temperature=hot if settings.temperature is None else settings.temperature,
    )  # fmt: skip
    store = RunStore(str(folder.parent), folder.name)
    with shown_on(Console()):
        made = store.once("", "attempts", OneByOne(settings.batch), policy, sampler, loaded.samples)
    by_id = {s.id: s for s in loaded.samples}
    return [judge(loaded.spec, by_id[t.sample_id], response_of(t), t.sampling["index"]) for t in made]


def _narrowed(loaded: Loaded, asked: set[str]) -> Loaded:
    """The benchmark's questions that were answered; fewer than there are make it a subset."""
    kept = tuple(s for s in loaded.samples if s.id in asked)
    if len(kept) == len(loaded.samples):
        return loaded
    of = f" of {loaded.spec.items:,}" if loaded.spec.items is not None else ""
    return replace(loaded, samples=kept, part=f"{len(kept):,}{of} (those with stored answers)")


def _odd(settings: Settings) -> Iterator[str]:
    for name in ("n", "batch", "max_tokens", "limit"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            yield f"--{name.replace('_', '-')} is {value}, expected at least 1"
    if settings.temperature is not None and settings.temperature < 0:
        yield f"--temperature is {settings.temperature}, expected at least 0"
    if settings.n > 1 and settings.temperature == 0:
        yield "--n above 1 with --temperature 0 gives the same response every time: leave one of them out"


def _against_problems(path: str, ready: Sequence[tuple[Loaded, list[Scored] | None, int]]) -> Iterator[str]:
    try:
        before = read_outcomes(path)
    except ValueError as error:
        yield str(error)
        return
    for loaded, _, _ in ready:
        if not any(name in loaded.known for name, _ in before):
            yield f"--against '{path}': none of its responses is to a question of {loaded.spec.name}"


def _model_problems(model: str) -> list[str]:
    """What a model's folder lacks, found without loading it."""
    import runpy

    file = Path(__file__).resolve().parents[1] / "models" / "preflight.py"  # by itself: the room loads torch
    return list(runpy.run_path(str(file))["model_folder_problems"](model))


def _model(name: str, settings: Settings) -> VLM:
    """The model behind a name.

    Raises:
        StoreError: when it cannot be loaded, in one sentence.
    """
    try:
        if settings.url is not None:
            return _part("models.ServedVLM")(name, settings.url.split(","), server=settings.server)
        return _part("models.TransformersVLM")(name, dtype=settings.dtype)
    except (OSError, ValueError) as error:
        raise StoreError(f"the model '{name}' cannot be loaded: {str(error).splitlines()[0]}") from error


def _part(text: str) -> Any:
    """A part by the name that recipes give it: its room is imported only now."""
    target = resolve(text)
    return getattr(importlib.import_module(target.module), target.attribute)


def _label(model: str, stored: str | None) -> str:
    """Who is said to have answered."""
    return Path(model).stem if stored is not None and model == stored else model


def _folder(loaded: Loaded, settings: Settings) -> str:
    """One folder a benchmark and way of asking, so that another limit or number of attempts starts anew."""
    words = [loaded.slug]
    words += [f"first{settings.limit}"] if settings.limit is not None else []
    words += [f"n{settings.n}"] if settings.n > 1 else []
    return "-".join(words)


def _word(name: str) -> str:
    return re.sub(r"[^\w.@-]+", "_", name).strip("_") or "model"


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a results folder; False when another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
