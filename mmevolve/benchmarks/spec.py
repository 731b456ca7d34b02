"""A benchmark's spec: one small YAML file with strict keys, every mistake at once and each with its line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from mmevolve.benchmarks.read import EXTRACTORS
from mmevolve.benchmarks.right import SCORERS
from mmevolve.config.accept import Surroundings, mismatches
from mmevolve.config.errors import ConfigError, Place, Problem, config_error
from mmevolve.config.load import load
from mmevolve.config.nearest import hint
from mmevolve.config.ranges import Range
from mmevolve.config.signatures import Signature, own_signature
from mmevolve.config.tree import Items, Keyed, plain

Kind = Literal["answer", "critique", "correction", "pairwise"]
Repeat = Literal["once", "rotations", "blind"]
AnswerIs = Literal["text", "letter", "index", "number", "raw", "ranks"]
Rows = Literal["visco_critique", "visco_correction", "clean_twins", "first_rotations", "hallusionbench"]
Level = Literal["A", "AS", "ASE"]
PLAIN_FIGURES = ("accuracy", "circular", "gain", "leakage", "f1", "precision", "recall", "yes_rate", "first_error")
PLAIN_FIGURES += ("correction", "fixed", "broken")
WRITTEN_FIGURES = ("answer_f1", "explanation_f1", "viscore_local")  # of what a critic writes
CRITIQUE_FIGURES = (*WRITTEN_FIGURES, "false_alarm", "step_auroc", "step_auprc", "wrong_share", "ece", "brier")
PLAIN_FIGURES += CRITIQUE_FIGURES
GROUPED_FIGURES = ("macro", "worst", "best")  # written `macro of subject`
FIELDS = {
    "answer": {"question"},
    "critique": {"question", "steps", "answer"},
    "correction": {"question", "before", "critique"},
}
FIELDS["pairwise"] = {"question", "first", "second"}
_FIELD = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True)
class Source:
    """Where a benchmark's rows lie and which column feeds what; columns that no field takes go to the samples' `meta`.

    Attributes:
        path: table (.jsonl, .csv, .parquet) below the data folder.
        hub: name on the Hugging Face hub, `owner/dataset`; asked only when the user says `--data hub`.
        config: configuration of the hub data set, or several whose rows follow each other, each with its name in the
            column `config`.
        world: `shapes`, the embedded world: nothing is needed.
        split: split of a hub data set, or of the world.
        id: column of unique names; null numbers the rows.
        question: column of the questions.
        image: column of the images, or several; null when the rows have none.
        answer: column of the reference answers; null when there are none.
        choices: column of the option lists, or one column an option.
        choices_text: how a text in the column of options is read: JSON, or a list as Python prints it.
        answer_is: what an answer to a question with options is: an option's text, its letter, its index from 0, its
            number from 1, what the score rule compares as it stands, or the ranks of the options, the least being best.
        where: column -> value, or list of values, that a row must have.
        repeated_choices: rows with the same option twice: `error`, or `keep` where the benchmark really has them.
        without_image: rows whose image column is empty: `error`, `keep`, or `drop` where only the others belong to it.
        pictures: false when the table's pictures are not published with it: only stored answers can be scored.
        part: what part of the benchmark this is, when that is not just its first rows.
        rows: what makes plain rows of published ones: those of VISCO, to be criticised or corrected; or each solution
            with errors and, beside it, the same without; the first rotation of each question of MMBench; or those of
            HallusionBench with names for its figures and its questions.
        critiques: for `visco_correction`, results of an evaluation on `visco_critique` whose critiques are shown; by
            default the annotators' are.
        level: what of a critique is shown: the verdict on the answer (A), also on the steps (AS), also why (ASE).
    """

    path: str | None = None
    hub: str | None = None
    config: str | tuple[str, ...] | None = None
    world: Literal["shapes"] | None = None
    split: str | None = None
    id: str | None = "id"
    question: str = "question"
    image: str | tuple[str, ...] | None = "image"
    answer: str | None = "answer"
    choices: str | tuple[str, ...] | None = "choices"
    choices_text: Literal["json", "python"] = "json"
    answer_is: AnswerIs = "letter"
    where: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    repeated_choices: Literal["error", "keep"] = "error"
    without_image: Literal["error", "keep", "drop"] = "error"
    pictures: bool = True
    part: str = ""
    rows: Rows | None = None
    critiques: str | None = None
    level: Level = "ASE"

    @property
    def place(self) -> str:
        """What the source is called in messages."""
        return self.path or (f"hub {self.hub}" if self.hub else f"world {self.world}")


@dataclass(frozen=True)
class Published:
    """A number that others reported on the whole benchmark.

    Attributes:
        model: whose answers.
        score: fraction in [0, 1].
        figure: what was counted.
        source: who says so.
    """

    model: str
    score: Annotated[float, Range(-1.0, 1.0)]
    figure: str = "accuracy"
    source: str = ""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: short, as in `--benchmark NAME`.
        title: its bare name, with the split; a subset's scores are never called that.
        items: questions of the whole benchmark, so that less is called a subset; null for a world without end.
        version: release or date of the data.
        licence: of the data.
        paper: authors, year, arXiv number.
        needs: where its data can be got, in a few words.
        sources: places to look for it, the first that is here wins.
        prompt: text put to the model, with `{question}` and what its kind adds.
        paraphrases: the same request in other words, each a whole prompt with the same fields: for `--control prompts`.
        extract: rules that read the answer out of a response, the first that finds one wins.
        score: rule that compares it with the reference answer.
        figures: what is counted; the first is the score.
        kind: `answer`; `critique`: which steps of a given solution are wrong; `correction`: a better answer after a
            critique; `pairwise`: which of two responses is better.
        repeat: how often each question is asked: once; with its options rotated through every place; or again without
            its image.
        by: columns of `meta` by whose values accuracy is also given.
        apart: column -> value of rows that only count in `by`.
        cluster: what is resampled whole: `item`, `image`, `answer`, a column of `meta`, or several: `a and b`.
        chance: what guessing scores: a number, or `choices` for the mean of 1 / number of options.
        max_tokens: longest response.
        show_choices: whether options are put under the question; false where the question already holds them.
        published: scores reported by others.
        notes: what a reader of the numbers must know.
        unconfirmed: facts of this file for which no public source was found, or only others' word.
    """

    name: str
    title: str
    items: int | None
    version: str
    licence: str
    paper: str
    needs: str
    sources: tuple[Source, ...]
    prompt: str
    extract: tuple[str, ...]
    score: str
    figures: tuple[str, ...] = ("accuracy",)
    kind: Kind = "answer"
    repeat: Repeat = "once"
    by: tuple[str, ...] = ()
    apart: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    cluster: str = "item"
    chance: float | Literal["choices"] | None = None
    max_tokens: Annotated[int, Range(1)] = 512
    show_choices: bool = True
    paraphrases: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    notes: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """What decides how a response is judged, for the store's keys."""
        return {"benchmark": self.name, "kind": self.kind, "extract": list(self.extract), "score": self.score}


def load_spec(path: str | Path) -> Benchmark:
    """The spec in a YAML file.

    Raises:
        ConfigError: with every mistake, each with file, line and the nearest valid name.
    """
    nodes = load(path).nodes
    problems = [*_strict(nodes, "benchmarks.Benchmark", {"sources", "published"})]
    for key, part in (("sources", "benchmarks.Source"), ("published", "benchmarks.Published")):
        listed = nodes.get(key)
        if listed is None:
            continue
        if not isinstance(listed, Items):
            problems.append(Problem(f"'{key}' must be a list of mappings", listed.place))
            continue
        for item in listed.items:
            if isinstance(item, Keyed):
                problems += _strict(item, part, set())
            else:
                problems.append(Problem(f"each of '{key}' must be a mapping", item.place))
    if problems:
        raise config_error(sorted(problems, key=lambda p: p.place))
    words = {str(entry.key): _frozen(plain(entry.value)) for entry in nodes.entries}
    words["sources"] = tuple(Source(**source) for source in words["sources"])
    words["published"] = tuple(Published(**row) for row in words.get("published", ()))
    spec = Benchmark(**words)
    problems = [Problem(said, _place(nodes, key)) for key, said in _senseless(spec)]
    if problems:
        raise config_error(problems)
    return spec


def _strict(node: Keyed, part: str, skip: set[str]) -> Iterator[Problem]:
    """Keys that a part does not have, keys that it needs, values of the wrong type."""
    signature = own_signature(part)
    assert signature is not None
    what = part.rpartition(".")[2].lower()
    for entry in node.entries:
        parameter = signature.get(entry.key)
        if parameter is None:
            yield Problem(f"a {what} has no '{entry.key}'{hint(str(entry.key), signature.names())}", entry.place)
        elif entry.key not in skip:
            for wrong in mismatches(parameter.type, entry.value, _ALONE):
                yield Problem(f"'{entry.key}' is {wrong.got}, expected {wrong.expected}{wrong.near}", wrong.node.place)
    lacking = [p.name for p in signature.parameters if p.required and node.get(p.name) is None]
    written = node.written()
    for name in (name for name in lacking if name not in written):
        yield Problem(f"a {what} needs '{name}': {_doc(signature, name)}", node.place)


def _doc(signature: Signature, name: str) -> str:
    parameter = signature.get(name)
    return parameter.doc if parameter is not None else ""


_ALONE = Surroundings(follow=lambda name: None, target=lambda node: None, signature=lambda node: None)


def _senseless(spec: Benchmark) -> Iterator[tuple[str, str]]:
    """What fits its type and still cannot be: the key, and a sentence."""
    for name in spec.extract:
        if name not in EXTRACTORS:
            yield "extract", f"no extraction rule '{name}'{hint(name, EXTRACTORS)}"
    if not spec.extract:
        yield "extract", "'extract' is empty, expected at least one extraction rule"
    if spec.score not in SCORERS:
        yield "score", f"no score rule '{spec.score}'{hint(spec.score, SCORERS)}"
    for name in spec.figures:
        head, of, column = name.partition(" of ")
        if of and (head not in GROUPED_FIGURES or not column):
            yield "figures", f"no figure '{name}'{hint(head, GROUPED_FIGURES)}, written 'macro of subject'"
        elif not of and name in GROUPED_FIGURES:
            yield "figures", f"the figure '{name}' needs a column: '{name} of subject'"
        elif not of and name not in PLAIN_FIGURES:
            yield "figures", f"no figure '{name}'{hint(name, PLAIN_FIGURES)}"
    if not spec.figures:
        yield "figures", "'figures' is empty, expected at least one"
    for name in CRITIQUE_FIGURES if spec.kind != "critique" else ():
        if name in spec.figures:
            yield "figures", f"the figure '{name}' needs `kind: critique`"
    for figure, repeat in (("circular", "rotations"), ("gain", "blind"), ("leakage", "blind")):
        if figure in spec.figures and spec.repeat != repeat:
            yield "figures", f"the figure '{figure}' needs `repeat: {repeat}`"
    asked = set(_FIELD.findall(spec.prompt))
    for name in sorted(asked - FIELDS[spec.kind]):
        yield "prompt", f"the prompt's field '{{{name}}}' is unknown{hint(name, FIELDS[spec.kind])}"
    if "question" not in asked:
        yield "prompt", "the prompt has no field '{question}'"
    for i, text in enumerate(spec.paraphrases, start=1):
        if set(_FIELD.findall(text)) != asked:
            fields = ", ".join(f"{{{name}}}" for name in sorted(asked))
            yield "paraphrases", f"paraphrase {i} has other fields than the prompt: expected {fields}"
    if not spec.sources:
        yield "sources", "'sources' is empty, expected at least one place to look for the data"
    for i, source in enumerate(spec.sources, start=1):
        if sum(place is not None for place in (source.path, source.hub, source.world)) != 1:
            yield "sources", f"source {i} needs one of 'path', 'hub' and 'world'"
        if source.config is not None and source.hub is None:
            yield "sources", f"source {i} has a 'config', which only a data set on the hub has"
    if isinstance(spec.chance, float | int) and not 0 <= spec.chance <= 1:
        yield "chance", f"'chance' is {spec.chance}, expected a fraction from 0 to 1"


def _place(nodes: Keyed, key: str) -> Place:
    return next((entry.place for entry in nodes.entries if entry.key == key), nodes.place)


def _frozen(value: object) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value


def find(name: str) -> Path:
    """The spec file of a benchmark: a path, or a name: in `./eval/benchmarks`, else one of those that are shipped.

    Raises:
        ConfigError: when there is none, with the nearest.
    """
    if name.endswith((".yaml", ".yml")):
        if Path(name).is_file():
            return Path(name)
        raise ConfigError(f"there is no file '{name}'", "--benchmark")
    known = {file.stem: file for file in spec_files()}
    if name not in known:
        more = hint(name, known) or ": `mmevolve ls benchmarks` lists them"
        raise ConfigError(f"no benchmark '{name}'{more}", "--benchmark")
    return known[name]


def spec_files() -> list[Path]:
    """Every spec by its name: those in `./eval/benchmarks`, then of those that are shipped the ones of other names.

    The shipped ones are `specs/` in the package: package data of an installed one, in a checkout a link to
    `eval/benchmarks`.
    """
    package = Path(__file__).resolve().parent
    linked, beside = package / "specs", package.parents[1] / "eval" / "benchmarks"
    shipped = linked if linked.is_dir() else beside  # a checkout on a file system without links
    found: dict[str, Path] = {}
    for folder in (Path("eval/benchmarks"), shipped):
        for file in folder.glob("*.yaml") if folder.is_dir() else ():
            found.setdefault(file.stem, file)
    return [found[name] for name in sorted(found)]
