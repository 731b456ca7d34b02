"""`mmevolve eval`: a model, or stored answers, on benchmarks; every attempt is kept as soon as it is finished."""

from __future__ import annotations

import contextlib
import fcntl
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmevolve.benchmarks.ask import Ask, OneByOne, asking
from mmevolve.benchmarks.best_of import best_of
from mmevolve.benchmarks.card import lines, result_rows, scores, write_json, write_log, write_results
from mmevolve.benchmarks.compare import comparison, read_earlier
from mmevolve.benchmarks.controlled import (
    Controlled,
    asked_plainly,
    compared,
    control_lines,
    control_scores,
    fitted,
    groups,
    misfits,
    named,
    resampling_of,
)
from mmevolve.benchmarks.critic_named import Judge, NamedCritic, below, is_critic
from mmevolve.benchmarks.critic_named import misfits as critic_misfits
from mmevolve.benchmarks.explained import same_by
from mmevolve.benchmarks.figures import Figure, figures
from mmevolve.benchmarks.heavy import embedder
from mmevolve.benchmarks.heavy import model as _model
from mmevolve.benchmarks.heavy import model_problems as _model_problems
from mmevolve.benchmarks.layers import LayerByLayer, cannot, layer_numbers
from mmevolve.benchmarks.load import Loaded, load_samples, pictures_of
from mmevolve.benchmarks.overlapping import overlap_lines, overlap_scores, shared, training
from mmevolve.benchmarks.page import Done, write_page
from mmevolve.benchmarks.score import Scored, judge, response_of
from mmevolve.benchmarks.settings import Settings, odd
from mmevolve.benchmarks.spec import find, load_spec
from mmevolve.benchmarks.stored import author_of, is_stored, score_stored, stem
from mmevolve.config.errors import ConfigError
from mmevolve.console import Console, shown_on
from mmevolve.controls.control import Control
from mmevolve.controls.overlap import Embedder
from mmevolve.protocols import VLM
from mmevolve.statistics import holm
from mmevolve.store import RunStore, StoreError
from mmevolve.types import Group, Sample

RUNS = "runs/eval"
EXPLAINED = "explanation_f1"


def evaluate(model: str, benchmark: str, **words: Any) -> int:
    """Measure a model on benchmarks, named with commas between them; 0 when all were scored, 2 for a user's mistake.

    All specs, data and stored answers are looked at before anything is asked; with one fault nothing is scored.

    Args:
        model: name or folder of a transformers VLM; a critic: `yes_no:MODEL`, the folder of a step-reward model, or a
            call in YAML's braces; a file of stored answers, or a folder that this function wrote.
        benchmark: names of specs, or their files.
        words: fields of `Settings`.
    """
    settings = Settings(**words)
    wanted, problems = named(settings.control, settings.seed)
    problems += odd(settings)
    stored = settings.answers or (model if is_stored(model) else None)
    if stored is None or is_critic(model):
        name = below(model) if is_critic(model) else model
        problems += _model_problems(name) if settings.url is None and name is not None else []
        if is_critic(model) and (settings.n > 1 or settings.url is not None):
            problems.append("a critic judges once, on this machine: leave --n and --url out")
        problems += (
            ["--partial is about stored answers: name their file with --answers FILE"]
            if settings.partial and stored is None
            else []
        )
    ready: list[tuple[Loaded, list[Scored] | None, int]] = []
    for name in dict.fromkeys(filter(None, (word.strip() for word in benchmark.split(",")))):
        try:
            spec = load_spec(find(name))
            loaded = load_samples(
                spec, data=settings.data, limit=settings.limit, pictures=stored is None or is_critic(model)
            )
            given, strangers = score_stored(stored, loaded, partial=settings.partial) if stored else (None, 0)
            problems += misfits(loaded, wanted) if given is None else ()
            ready.append((loaded, given, strangers))
        except (ConfigError, ValueError) as error:
            problems.append(str(error))
    if stored is None and is_critic(model):
        problems += critic_misfits(model, [loaded for loaded, _, _ in ready])
    if settings.judge is not None:
        problems += _model_problems(settings.judge)
        if ready and not any(EXPLAINED in loaded.spec.figures for loaded, _, _ in ready):
            problems.append("--judge is about explanations of errors, which none of these benchmarks counts")
    if settings.against is not None:
        problems += _against_problems(settings, ready)
    if stored is not None and wanted:
        problems.append("--control asks the model changed questions, which stored answers cannot be: name a model")
    train: list[Sample] = []
    embed: Embedder | None = None
    if settings.overlap is not None and not problems:
        try:
            train = training(settings.overlap)
            embed = embedder(settings.embedder) if settings.embedder is not None else None
        except ValueError as error:
            problems.append(str(error))
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 2
    out = Path(settings.out or f"{RUNS}/{_word(stem(model) if stored == model else model)}")
    with _held(out) as free:
        if not free:
            print(
                f"{out} is in use by another process: wait for it, or name another folder with --out", file=sys.stderr
            )
            return 2
        try:
            refused = _shared(train, embed, ready, out, settings) if settings.overlap is not None else []
            done = [] if refused else list(_each(model, ready, out, wanted, settings))
        except BrokenPipeError:  # `mmevolve eval ... | head`: the command line knows what to do
            raise
        except (StoreError, ValueError, OSError) as error:  # servers that fail are among the last
            print(
                f"{error}\neverything finished is kept in {out}; the same command goes on from there", file=sys.stderr
            )
            return 2
        if refused:
            print("\n".join(refused), file=sys.stderr)
            return 2
        page = write_page(Path(settings.html) if settings.html is not None else out / "report.html", done)
        print(f"  page: {page}")
    if settings.log is not None:
        for path in write_log(Path(settings.log), [(d.loaded, d.author, d.scored, d.found) for d in done]):
            print(f"  log: {path}")
    return 0


def _shared(
    train: Sequence[Sample],
    embed: Embedder | None,
    ready: Sequence[tuple[Loaded, list[Scored] | None, int]],
    out: Path,
    settings: Settings,
) -> list[str]:
    """What training shares with each benchmark, printed and kept beside the results; a sentence where it must not be.

    Raises:
        ValueError: when a picture cannot be read.
    """
    refused, path = [], str(settings.overlap)
    for loaded, given, _ in ready:
        if given is not None:
            loaded = _narrowed(loaded, {s.sample.id for s in given})
        report, note = shared(train, loaded, settings, embed)
        print("\n".join([loaded.label, *overlap_lines(report, path, note)]))
        write_json(out / _folder(loaded, settings) / "overlap.json", overlap_scores(report, settings, note))
        try:
            report.check(loaded.spec.name)
        except ValueError as error:
            refused.append(f"--overlap: {error}; nothing was scored")
    return refused


def _each(
    model: str,
    ready: Sequence[tuple[Loaded, list[Scored] | None, int]],
    out: Path,
    wanted: Sequence[Control],
    settings: Settings,
) -> Iterator[Done]:
    policy: Any = None
    explainer: Any = None
    changed: dict[str, float] = {}
    for loaded, given, strangers in ready:
        folder = out / _folder(loaded, settings)
        earlier = read_earlier(_before(loaded, settings)) if settings.against is not None else None
        checked: list[Controlled] = []
        more: list[Figure] = []
        if given is None:
            policy = policy or _model(model, settings)
            author, scored = policy.name, ask_all(policy, loaded, folder, settings)
            checked = [ask_control(policy, control, loaded, scored, folder, settings) for control in wanted]
        else:
            author, scored = _label(model, settings.answers), given
            if is_critic(model):
                policy = policy or _model(model, settings)
                author, ranks = f"stored answers, ranked by {policy.name}", RunStore(str(folder.parent), folder.name)
                more = best_of(policy, loaded, given, ranks, settings.batch)
            asked = {s.sample.id for s in given}
            loaded = _narrowed(loaded, asked)
        told: dict[str, Any] = {}
        if settings.judge is not None and EXPLAINED in loaded.spec.figures:
            explainer = explainer or _model(settings.judge, replace(settings, url=None))
            kept, table = RunStore(str(folder.parent), folder.name), f"explained_{_word(settings.judge)}"
            with shown_on(_Told(f"{folder.name}, explanations")):
                told = {"same": same_by(explainer, scored, kept, table, settings.batch), "called": explainer.name}
        found = [*figures(loaded.spec, scored, base=settings.base, **told), *more]
        write_results(folder, result_rows(scored), scores(loaded, author, scored, found))
        for done in checked:
            place = folder / done.control.name
            write_results(place, result_rows(done.scored), control_scores(done, loaded, author))
        said = ""
        if earlier is not None:
            said, changed[loaded.spec.name] = comparison(loaded.spec, earlier, scored)
        print("\n".join([*lines(loaded, author, scored, found), *(line for c in checked for line in control_lines(c))]))
        if said:
            print(f"  {said}")
        if strangers:
            print(f"  {strangers:,} stored answers are to questions that the data do not have: left out")
        print(f"  results: {folder}")
        yield Done(loaded, author, scored, found, checked, earlier, said, pictures_of(loaded, settings.data))
    if len(changed) > 1:
        corrected = ", ".join(f"{name} {p:.3g}" for name, p in holm(changed).items())
        print(f"p of the differences, corrected for {len(changed)} benchmarks (Holm): {corrected}")


def ask_control(
    policy: VLM | NamedCritic,
    control: Control,
    loaded: Loaded,
    scored: Sequence[Scored],
    folder: Path,
    settings: Settings,
) -> Controlled:
    """A control's variants asked, or read where they were asked before, in a folder of their own, and compared."""
    changed = replace(loaded, samples=tuple(fitted(control, loaded)(asked_plainly(loaded))))
    place = folder / control.name
    if not control.draws:
        return compared(control, loaded, scored, ask_all(policy, changed, place, settings))
    again = replace(settings, n=max(settings.n, control.draws), temperature=settings.temperature or None)
    said = ask_all(policy, changed, place, again)
    more = _layers(policy, changed, groups(said), place, again)
    return compared(control, loaded, scored, said, more=more, notes=cannot(policy))


def _layers(policy: VLM, loaded: Loaded, said: Sequence[Group], folder: Path, settings: Settings) -> dict[str, float]:
    """What a model's probabilities and layers say of questions that were asked several times."""
    store, sampler = RunStore(str(folder.parent), folder.name), _sampler(loaded, settings)
    attempts = [t for group in said for t in group.trajectories]
    with shown_on(_Told(f"{folder.name}, layer by layer")):
        rows = store.once("", "layers", LayerByLayer(), policy, sampler, loaded.samples, attempts)
    return layer_numbers(rows, said, prefix=f"{folder.name}/", resampling=resampling_of(loaded))


def ask_all(policy: VLM | NamedCritic, loaded: Loaded, folder: Path, settings: Settings) -> list[Scored]:
    """Every attempt made, or read where it was made before, then scored."""
    asks = Judge(loaded.spec.kind) if isinstance(policy, NamedCritic) else _sampler(loaded, settings)
    store = RunStore(str(folder.parent), folder.name)
    with shown_on(_Told(folder.name)):
        made = store.once("", "attempts", OneByOne(settings.batch), policy, asks, loaded.samples)
    failed = [t.sampling["error"] for t in made if t.sampling.get("error")]
    if failed:
        print(f"{folder.name}: {len(failed)} of {len(made)} got no response; the first: {failed[0]}", file=sys.stderr)
    by_id = {s.id: s for s in loaded.samples}
    return [judge(loaded.spec, by_id[t.sample_id], response_of(t), t.sampling["index"]) for t in made]


def _sampler(loaded: Loaded, settings: Settings) -> Ask:
    hot = 0.0 if settings.n == 1 else 1.0
    return asking(
        loaded.spec, max_tokens=settings.max_tokens, n=settings.n, seed=settings.seed,
        temperature=hot if settings.temperature is None else settings.temperature,
    )  # fmt: skip


class _Told(Console):
    """Says what is asked, in place of the table's name in the store."""

    def __init__(self, what: str):
        super().__init__()
        self.what = what

    def begin(self, what: str) -> None:
        super().begin(self.what)


def _narrowed(loaded: Loaded, asked: set[str]) -> Loaded:
    """The benchmark's questions that were answered; fewer than there are make it a subset."""
    kept = tuple(s for s in loaded.samples if s.id in asked)
    if len(kept) == len(loaded.samples):
        return loaded
    of = f" of {loaded.spec.items:,}" if loaded.spec.items is not None else ""
    return replace(loaded, samples=kept, part=f"{len(kept):,}{of} (those with stored answers)")


def _against_problems(settings: Settings, ready: Sequence[tuple[Loaded, list[Scored] | None, int]]) -> Iterator[str]:
    for loaded, _, _ in ready:
        path = _before(loaded, settings)
        try:
            before = read_earlier(path)
        except ValueError as error:
            yield str(error)
            continue
        if not any(name in loaded.known for name, _ in before):
            yield f"--against '{path}': none of its responses is to a question of {loaded.spec.name}"


def _before(loaded: Loaded, settings: Settings) -> str:
    """Where earlier responses to a benchmark lie: the folder itself, or the benchmark's in that of several."""
    path = Path(str(settings.against))
    return str(path / _folder(loaded, settings)) if (path / _folder(loaded, settings)).is_dir() else str(path)


def _label(model: str, stored: str | None) -> str:
    """Who is said to have answered; of stored answers that is what was written with them, else their file's name."""
    return author_of(model) if stored is not None and model == stored else model


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
