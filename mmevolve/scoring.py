"""`mmevolve score RUN --critic NAME`: a critic of the run's recipe, as trained, on every stored attempt.

What it says goes into tables beside the old ones, each once; then its evaluation page is printed and written as
`score_NAME.html`, and its numbers as `score_NAME.json`, in the run folder. With benchmarks of labelled steps, it judges
their solutions too.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmevolve import verbs
from mmevolve.config import ConfigError, Recipe, build, load
from mmevolve.config.nearest import hint
from mmevolve.config.read_yaml import parse
from mmevolve.config.references import references
from mmevolve.config.signatures import own_signature
from mmevolve.config.tree import TARGET, Entry, Items, Keyed, Leaf, Node, reference, target_text, walk
from mmevolve.console import Console, shown_on
from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.oracle import Oracle
from mmevolve.durable import put_text
from mmevolve.labelled_steps import judged_benchmark
from mmevolve.launch import lock, loop_name, quiet_libraries
from mmevolve.metrics.best_of_n import BestOfN
from mmevolve.metrics.by_kind import StepAUROCByKind
from mmevolve.metrics.calibration import Calibration
from mmevolve.metrics.reward import StepAUROC
from mmevolve.metrics.step_errors import FalseAlarm, FirstError, StepAUPRC, best_threshold
from mmevolve.metrics.vote_curve import WeightedVote
from mmevolve.report.critic_page import CURVE, blocks, curves, page, page_lines
from mmevolve.report.folder import At, RunFolder, is_run, open_run
from mmevolve.store import RunStore, StoreError
from mmevolve.types import Critique, Group, Sample
from mmevolve.watched import undone

SCORED = "scored"  # the critic's name among the top-level objects


def score(
    run: str,
    critic: str,
    *,
    benchmarks: Sequence[str] = (),
    data: str | None = None,
    limit: int | None = None,
    allow: Collection[str] = (),
) -> int:
    """Judge a run's stored attempts and print the critic's page; 2 for a mistake of the user's.

    Args:
        run: the run folder.
        critic: name of a critic of the run's recipe, a part such as `critics.Vote`, or a call in YAML's braces.
        benchmarks: of labelled steps, such as `chocolate` and `vlrmbench_steps`, to judge too.
        data: the folder of their data; by default `./data` and `./eval/data`.
        limit: only the first so many solutions of each.
        allow: packages that the recipe may call beside our own.
    """
    if not is_run(run):
        print(f"'{run}' is not a run folder; runs are made by `mmevolve run RECIPE`", file=sys.stderr)
        return 2
    quiet_libraries()
    with lock(Path(run)) as free:
        if not free:
            print(f"{run} is in use by another process: wait for it", file=sys.stderr)
            return 2
        console = Console()
        try:
            with shown_on(console):
                judge, trained = trained_critic(run, critic, allow)
                for line in trained:
                    console.say(line)
                found = list(judged(open_run(run), judge))
                for name in benchmarks:
                    label, groups = judged_benchmark(RunStore(run, "scored"), judge, name, data=data, limit=limit)
                    found.append(Place("", 0, label, tuple(groups)))
        except (StoreError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            print(error, file=sys.stderr)
            return 2
    if not found:
        print(f"{run} has no attempts yet: nothing to judge", file=sys.stderr)
        return 2
    numbers = {place.label: measured(place.groups, judge.name) for place in found}
    file = Path(run) / f"score_{judge.name}.json"
    put_text(file, json.dumps(_without_nan(numbers), indent=1) + "\n")
    tables, drawn = list(blocks(judge.name, numbers)), list(curves(judge.name, numbers))
    html = Path(run) / f"score_{judge.name}.html"
    put_text(html, page(judge.name, trained, tables, drawn))
    print("\n".join(page_lines(judge.name, tables, drawn)))
    print(f"\npage in {html}, numbers in {file}, every critique in round=*/score_{judge.name}*.parquet")
    return 0


@dataclass(frozen=True)
class Place:
    """Attempts of one loop, one round and one set of questions, with what the critic now says of them.

    Attributes:
        loop: the loop's name; empty for solutions of a benchmark.
        at: `before` or the round.
        what: `sampled` for what was trained from, else the evaluation's name.
        groups: attempts and critiques.
    """

    loop: str
    at: At
    what: str
    groups: tuple[Group, ...]

    @property
    def label(self) -> str:
        if not self.loop:
            return self.what
        return f"{self.loop}/{self.at if isinstance(self.at, str) else f'round={self.at:03d}'}/{self.what}"


def trained_critic(run: str, critic: str, allow: Collection[str] = ()) -> tuple[Any, list[str]]:
    """A critic built from the run's recipe, its models as the run left them, and one line a model on where from.

    Raises:
        ConfigError: when the recipe has no such critic, with the nearest, or a model of it was not trained yet.
        ValueError: when a checkpoint belongs to another model, or to another tokenizer.
    """
    folder = Path(run)
    file = next((f for n in ("resolved.yaml", "recipe.yaml") if (f := folder / n).is_file()), folder / "recipe.yaml")
    recipe = load(file)
    node = critic_node(recipe, critic)
    loops = _loops(recipe)
    names = needed(recipe, node, loops)
    entries = tuple(e for e in recipe.nodes.entries if e.key in names)
    small = replace(recipe, nodes=replace(recipe.nodes, entries=(*entries, Entry(SCORED, node, node.place))))
    made = build(small, allow=allow)
    return made[SCORED], list(as_trained(loops, made, RunStore(run)))


def critic_node(recipe: Recipe, critic: str) -> Keyed:
    """The call that makes a critic: of the recipe by its name, a part by its path, or as written.

    Raises:
        ConfigError: when there is none of that name, with the nearest.
    """
    if critic.lstrip().startswith("{"):
        node = parse(critic, "--critic")
        if isinstance(node, Keyed):
            return node
    found: dict[str, Keyed] = {}
    for node in walk(recipe.nodes):
        text = target_text(node)
        if isinstance(node, Keyed) and text is not None and text.removeprefix("mmevolve.").startswith("critics."):
            found[_name(node, text)] = node
    if critic in found:
        return found[critic]
    place = recipe.nodes.place
    if "." in critic:
        return Keyed((Entry(TARGET, Leaf(critic, place), place),), place)
    raise ConfigError(f"the recipe has no critic '{critic}'{hint(critic, found)}", str(recipe.path))


def needed(recipe: Recipe, node: Node, loops: Sequence[Keyed]) -> set[str]:
    """Top-level names that a critic needs, and those from which its models were trained."""
    names: set[str] = set()
    todo = [name for name, _ in references(node)]
    while todo:
        name = todo.pop()
        if name in names:
            continue
        names.add(name)
        inner = recipe.nodes.get(name)
        todo += [other for other, _ in references(inner)] if inner is not None else []
        taught = [loop for loop in loops if reference(loop.get("student")) == name]
        todo += [policy for loop in taught if (policy := reference(loop.get("policy"))) is not None]
    return names


def as_trained(loops: Sequence[Keyed], made: Mapping[str, Any], store: RunStore) -> Iterator[str]:
    """Take the models of a recipe through its loops as a run does, loading instead of training; says what is loaded.

    Raises:
        ConfigError: when a model that a loop teaches has no checkpoint there yet.
        ValueError: when a checkpoint is another model's, or another tokenizer's.
    """
    for loop in loops:
        policy, student = reference(loop.get("policy")), reference(loop.get("student"))
        learner = student or policy
        if learner not in made:
            continue
        settings = {str(e.key): e.value.value for e in loop.entries if isinstance(e.value, Leaf)}
        name = loop_name(settings)
        stage = store.stage(name)
        rounds = sorted(int(f.parent.name[6:]) for f in stage.folder.glob("round=*/checkpoint") if f.is_dir())
        gone = undone(stage)
        rounds = [r for r in rounds if r not in gone]
        if not rounds:
            if student is not None:
                what = f"'{student}' is not trained yet: loop '{name}' has no finished round in {store.path}"
                raise ConfigError(f"{what}; go on with the run first", str(Path(store.path) / "recipe.yaml"))
            continue
        model, folder = made[learner], stage.checkpoint(rounds[-1])
        if student is not None and settings.get("student_from") != "itself" and hasattr(model, "start_from"):
            model.start_from(made[str(policy)])
        refuse_other_words(model, folder)
        model.load(folder, f"{name}/round={rounds[-1]:03d}")
        yield f"{learner}: {name}/round={rounds[-1]:03d}"


def refuse_other_words(model: Any, folder: Path) -> None:
    """Stop when a checkpoint was trained with another tokenizer: its weights would read other words than it learned.

    Raises:
        ValueError: naming both sizes and the first word that differs.
    """
    file = folder / "tokenizer.json"
    holder = getattr(model, "trunk", model)
    tokenizer = getattr(getattr(holder, "encoder", None), "tokenizer", None)
    if tokenizer is None or not file.is_file():
        return
    kept = json.loads(file.read_text(encoding="utf-8"))["model"].get("vocab", {})
    theirs = dict(kept) if isinstance(kept, dict) else {word: i for i, (word, _) in enumerate(kept)}
    own = tokenizer.get_vocab()
    odd = next((word for word, i in sorted(theirs.items(), key=lambda e: e[1]) if own.get(word) != i), None)
    if odd is not None:
        raise ValueError(
            f"{folder} was trained with another tokenizer than '{model.name}': {len(theirs)} words against {len(own)}, "
            f"the first that differs is {odd!r}; give the model that the run was started with"
        )


def judged(folder: RunFolder, critic: Any) -> Iterator[Place]:
    """Every place of a run where attempts are stored, judged; tables that are there already are read."""
    for loop in folder.loops:
        store = RunStore(folder.path, loop)
        for at in folder.points(loop):
            for file in sorted(store.round_folder(at).glob("*trajectories.parquet")):
                what = file.stem.removesuffix("trajectories").rstrip("_")
                attempts = store.table(at, file.stem)
                batch = _questions(folder, store, at, what)
                ids = {t.sample_id for t in attempts}
                batch = [s for s in batch if s.id in ids]
                if not attempts or len(batch) < len(ids):
                    continue  # its questions were not kept: an older run
                table = f"score_{critic.name}" + (f"_{what}" if what else "")
                said = store.once(at, table, verbs.critique, [critic], attempts, batch)
                old = store.table(at, f"{what}_critiques" if what else "critiques")
                known = [c for c in old if c.critic != critic.name] + list(said)
                groups = verbs.group(batch, attempts, [*known, *_facts(known, batch, attempts, critic.name)])
                yield Place(loop, at, what or "sampled", tuple(groups))


def measured(groups: Sequence[Group], name: str) -> dict[str, float]:
    """Every number of the page that these groups allow, under the metrics' own names."""
    numbers: dict[str, float] = {"attempts": sum(len(g.trajectories) for g in groups)}
    said = [c for g in groups for c in g.by(name).values()]
    numbers["judged"] = sum(c.score is not None for c in said)
    steps = any(c.step_scores for c in said)
    oracle = all("oracle" in {c.critic for c in g.critiques} for g in groups if g.trajectories)
    if oracle and steps and name != "oracle":
        for metric in (StepAUROC(name), StepAUPRC(name), FirstError(name), FalseAlarm(name), StepAUROCByKind(name)):
            numbers |= metric(groups)
        numbers |= _tuned(groups, name)
    shares = all(0 <= x <= 1 for c in said for x in (*c.step_scores, 0 if c.score is None else c.score))
    if shares and numbers["judged"]:
        numbers |= Calibration(name)(groups)
        if oracle and steps:
            numbers |= Calibration(name, "oracle", over="steps")(groups)
    least = min((len(g.trajectories) for g in groups), default=0)
    ks = tuple(k for k in CURVE if k <= least)
    if len(ks) > 1:
        numbers |= BestOfN(ks, name)(groups)
        if all(c.score is None or c.score >= 0 for c in said):
            numbers |= WeightedVote(ks, name)(groups)
    return numbers


def _tuned(groups: Sequence[Group], name: str) -> dict[str, float]:
    """First-error F1 on every second question, at the threshold that is best on the others."""
    try:
        threshold = best_threshold(groups[::2], name)
    except ValueError:  # no chain of one of the two kinds: nothing to tune on
        return {}
    found = FirstError(name, threshold=threshold)(groups[1::2])
    return {f"first_error_{name}_tuned_f1": found[f"first_error_{name}_f1"], f"threshold_{name}": threshold}


def _facts(known: Sequence[Critique], batch: Sequence[Sample], attempts: Sequence[Any], name: str) -> list[Critique]:
    """What rules know of the attempts where the run did not ask them: the answer, and the embedded world's oracle."""
    by_id = {s.id: s for s in batch}
    items = [(by_id[t.sample_id], t) for t in attempts]
    there = {c.critic for c in known} | {name}
    world = all(s.meta.get("world") == "shapes" for s in batch)
    facts = [critic for critic in (AnswerMatch(), *([Oracle()] if world else [])) if critic.name not in there]
    return [c for critic in facts for c in critic(items)]


def _questions(folder: RunFolder, store: RunStore, at: At, what: str) -> list[Sample]:
    kept = store.table(at, f"{what}_samples" if what else "samples")
    return kept or (list(folder.questions(what).values()) if what else [])


def _loops(recipe: Recipe) -> list[Keyed]:
    node = recipe.nodes.get("loop")
    calls = node.items if isinstance(node, Items) else (node,)
    return [call for call in calls if isinstance(call, Keyed)]


def _name(node: Keyed, text: str) -> str:
    """The name of a critic's column: as written, else the part's default."""
    written = node.get("name")
    if isinstance(written, Leaf):
        return str(written.value)
    signature = own_signature(text)
    default = signature.get("name") if signature is not None else None
    return str(default.default).strip("'\"") if default is not None else text.rpartition(".")[2]


def _without_nan(numbers: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    return {p: {k: None if math.isnan(v) else v for k, v in own.items()} for p, own in numbers.items()}
