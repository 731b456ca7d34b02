"""From a spec and a data folder to samples: the first source that is here, or every problem of it at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmevolve.benchmarks.reshape import reshaped
from mmevolve.benchmarks.rows import samples_of
from mmevolve.benchmarks.spec import Benchmark, Source
from mmevolve.data.rows import Row, read_rows
from mmevolve.data.shapes.dataset import shapes
from mmevolve.types import ImageRef, Sample

HUB = "hub"
FOLDERS = ("data", "eval/data")  # where data is looked for when nothing is said
WORLD_ITEMS = 700  # questions of the embedded world, 100 a family
SHOWN = 60
VARIANT, ITEM = "benchmark_variant", "benchmark_item"  # keys of `meta` where a question is asked more than once


class BadData(ValueError):
    """Data of a benchmark that cannot be used.

    Attributes:
        problems: one sentence each, all of them.
    """

    def __init__(self, what: str, problems: Sequence[str]):
        self.problems = tuple(problems)
        more = len(problems) - SHOWN
        lines = [*problems[:SHOWN], *([f"and {more} more of the same kinds"] if more > 0 else [])]
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{what}: {count}, nothing was scored\n  " + "\n  ".join(lines))


class NotHere(ValueError):
    """A benchmark whose data is nowhere; the sentence says what it needs."""


@dataclass(frozen=True)
class Loaded:
    """A benchmark's questions, ready to be asked.

    Attributes:
        spec: the benchmark.
        samples: the questions in the order of the data, each as often as it is asked.
        known: ids of all questions of the source, those beyond a limit too.
        part: why this is not the whole benchmark, in words; empty when it is.
        place: where the data came from.
    """

    spec: Benchmark
    samples: tuple[Sample, ...]
    known: frozenset[str]
    part: str
    place: str

    @property
    def label(self) -> str:
        """What a score on these questions may be called: never the bare name when they are a subset."""
        return f"{self.spec.title}, subset: {self.part}" if self.part else self.spec.title

    @property
    def slug(self) -> str:
        """The same as one word."""
        return f"{self.spec.name}_subset" if self.part else self.spec.name


def load_samples(
    spec: Benchmark,
    *,
    data: str | None = None,
    limit: int | None = None,
    pictures: bool = True,
    opened: bool = True,
) -> Loaded:
    """The benchmark's questions from the first source that is here.

    Args:
        spec: the benchmark.
        data: the data folder, one table file, or `hub`; by default `./data` and `./eval/data`.
        limit: only the first so many questions.
        pictures: false to score stored answers, for which no image is needed.
        opened: read the images through of the questions that are asked; otherwise they are only looked for.

    Raises:
        NotHere: when no source is here, with what is needed.
        BadData: with every problem of the data.
        ValueError: when the limit is not positive.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1")
    source, path = _source(spec, data, pictures)
    if source.world is not None:
        whole = shapes(n=WORLD_ITEMS, split=source.split or "test")  # type: ignore[arg-type]
        part = f"first {limit:,} of {WORLD_ITEMS}" if limit is not None and limit < WORLD_ITEMS else ""
        return Loaded(spec, tuple(whole[:limit]), frozenset(s.id for s in whole), part, source.place)
    wanted = pictures and source.pictures
    try:
        rows = _hub_rows(source) if source.hub == path else read_rows(path)
        root = Path(path).parent if Path(path).exists() else None
        rows = reshaped(rows, source)
        samples, count, problems = samples_of(spec, source, rows, root, most=limit if opened else 0, pictures=wanted)
    except ValueError as error:
        raise BadData(f"{spec.name}, '{path}'", [str(error)]) from error
    if problems:
        raise BadData(f"{spec.name}, '{path}'", problems)
    asked = samples[:limit]
    part = _part(spec, source, count, len(asked))
    every = tuple(variant for sample in asked for variant in variants(spec, sample))
    return Loaded(spec, every, frozenset(v.id for s in samples for v in variants(spec, s)), part, path)


def _hub_rows(source: Source) -> Iterator[Row]:
    """Rows of a data set on the hub; of several configurations one after the other, counted through."""
    if source.config is None or isinstance(source.config, str):
        yield from read_rows(str(source.hub), split=source.split, config=source.config)
        return
    number = 0
    for config in source.config:
        for row in read_rows(str(source.hub), split=source.split, config=config):
            yield replace(row, number=(number := number + 1), values={**row.values, "config": config})


def pictures_of(loaded: Loaded, data: str | None) -> dict[str, tuple[ImageRef, ...]]:
    """Images by question, where they are here: stored answers are scored without any. They are not opened."""
    if any(s.images for s in loaded.samples):
        return {s.id: s.images for s in loaded.samples}
    try:
        return {s.id: s.images for s in load_samples(loaded.spec, data=data, opened=False).samples}
    except ValueError:  # none are here, or not all of them; scoring needs none
        return {}


def _source(spec: Benchmark, data: str | None, pictures: bool) -> tuple[Source, str]:
    """The first source that is here, and its path or hub name."""
    usable = [s for s in spec.sources if s.pictures or not pictures]
    if not pictures:
        usable.sort(key=lambda s: bool(s.part))  # without need for images, the fullest table
    if data == HUB:
        hub = next((s for s in usable if s.hub), None)
        if hub is None:
            raise NotHere(f"{spec.name}: its spec names no data set on the hub; {lacking(spec, pictures=pictures)}")
        return hub, str(hub.hub)
    for source in usable:
        if source.world is not None:
            return source, source.place
        if source.path is None:
            continue
        if data is not None and Path(data).is_file():
            return source, data
        for folder in (data,) if data is not None else FOLDERS:
            if (Path(folder) / source.path).is_file():
                return source, str(Path(folder) / source.path)
    raise NotHere(f"{spec.name}: {lacking(spec, pictures=pictures)}")


def lacking(spec: Benchmark, *, pictures: bool = True) -> str:
    """One line: what the benchmark needs to run."""
    tables = [s.path for s in spec.sources if s.path and (s.pictures or not pictures)]
    ways = [f"{tables[0]} with its images below --data FOLDER"] if tables else []
    hubs = [s.hub for s in spec.sources if s.hub]
    ways += [f"--data hub ({hubs[0]})"] if hubs else []
    return f"needs {' or '.join(ways)}; {spec.needs}"


def here(spec: Benchmark, data: str | None) -> tuple[bool, str]:
    """Whether a model can be asked here, and in one line where from or what is needed."""
    for pictures in (True, False):
        try:
            _, place = _source(spec, data, pictures)
        except NotHere:
            continue
        if pictures:
            return True, place
        return False, f"stored answers only ({place} has no images); {lacking(spec)}"
    return False, lacking(spec)


def _part(spec: Benchmark, source: Source, there: int, asked: int) -> str:
    of = f" of {spec.items:,}" if spec.items is not None else ""
    named = f" ({source.part})" if source.part else ""
    if asked < there or source.part or (spec.items is not None and there != spec.items):
        return f"{'first ' if asked < there else ''}{asked:,}{of}{named}"
    return ""


def variants(spec: Benchmark, sample: Sample) -> list[Sample]:
    """The question as often as it is asked: with rotated options, or again without its images."""
    if spec.repeat == "once":
        return [sample]
    if spec.repeat == "blind":
        return [_variant(sample, 0), replace(_variant(sample, 1), images=())]
    return [_rotated(sample, by) for by in range(max(1, len(sample.choices)))]


def _variant(sample: Sample, number: int) -> Sample:
    meta = {**sample.meta, ITEM: sample.id, VARIANT: number}
    return replace(sample, id=f"{sample.id}~{number}" if number else sample.id, meta=meta)


def _rotated(sample: Sample, by: int) -> Sample:
    """Every option `by` places further up, the first to the end; the gold letter goes with its option."""
    turned = sample.choices[by:] + sample.choices[:by]
    answer = sample.answer
    if by and answer is not None:
        answer = chr(ord("A") + (ord(answer) - ord("A") - by) % len(sample.choices))
    return replace(_variant(sample, by), choices=turned, answer=answer)
