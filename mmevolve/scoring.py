"""`mmevolve score RUN --critic NAME`: a critic of the run's recipe, as trained, on every stored attempt.

What it says goes into tables beside the old ones, each once; then its evaluation page is printed, and its numbers are
written to `score_NAME.json` in the run folder.
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
from mmevolve.launch import lock, loop_name, quiet_libraries
from mmevolve.metrics.best_of_n import BestOfN
from mmevolve.metrics.by_kind import KINDS, StepAUROCByKind
from mmevolve.metrics.calibration import Calibration
from mmevolve.metrics.reward import StepAUROC
from mmevolve.metrics.step_errors import FalseAlarm, FirstError, StepAUPRC, best_threshold
from mmevolve.metrics.vote_curve import WeightedVote
from mmevolve.report.folder import At, RunFolder, is_run, open_run
from mmevolve.store import RunStore, StoreError
from mmevolve.types import Critique, Group, Sample

SCORED = "scored"  # the critic's name among the top-level objects
CURVE = (1, 2, 4, 8, 16, 32, 64)


def score(run: str, critic: str, *, allow: Collection[str] = ()) -> int:
    """Judge a run's stored attempts and print the critic's page; 2 for a mistake of the user's.

    Args:
        run: the run folder.
        critic: name of a critic of the run's recipe, a part such as `critics.Vote`, or a call in YAML's braces.
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
    file.write_text(json.dumps(_without_nan(numbers), indent=1) + "\n", encoding="utf-8")
    print("\n".join(page(judge.name, found, numbers)))
    print(f"\nnumbers in {file}, every critique in round=*/score_{judge.name}*.parquet")
    return 0


@dataclass(frozen=True)
class Place:
    """Attempts of one loop, one round and one set of questions, with what the critic now says of them.

    Attributes:
        loop: the loop's name.
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
        name = loop_name({str(e.key): e.value.value for e in loop.entries if isinstance(e.value, Leaf)})
        stage = store.stage(name)
        rounds = sorted(int(f.parent.name[6:]) for f in stage.folder.glob("round=*/checkpoint") if f.is_dir())
        if not rounds:
            if student is not None:
                what = f"'{student}' is not trained yet: loop '{name}' has no finished round in {store.path}"
                raise ConfigError(f"{what}; go on with the run first", str(Path(store.path) / "recipe.yaml"))
            continue
        model, folder = made[learner], stage.checkpoint(rounds[-1])
        if student is not None and hasattr(model, "start_from"):
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


def page(name: str, places: Sequence[Place], numbers: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The critic's evaluation page: reading of steps, calibration, curves, one row a place."""
    kinds = [(kind, f"step_auroc_{name}_{kind}") for kind in KINDS]
    blocks = {
        "steps against the oracle": [
            ("AUROC", f"step_auroc_{name}"),
            ("AUPRC wrong", f"step_auprc_wrong_{name}"),
            ("(guessing)", f"step_auprc_wrong_{name}_base"),
            ("first error", f"first_error_{name}_f1"),
            ("tuned", f"first_error_{name}_tuned_f1"),
            ("false alarm", f"false_alarm_{name}"),
        ],
        "AUROC by type of step": [pair for kind, key in kinds for pair in ((kind, key), ("(wrong)", f"{key}_wrong"))],
        "scores as probabilities": [
            ("ECE answers", f"ece_{name}_attempts"),
            ("Brier", f"brier_{name}_attempts"),
            ("overrating", f"overrating_{name}_attempts"),
            ("ECE steps", f"ece_{name}_steps"),
            ("Brier steps", f"brier_{name}_steps"),
        ],
    }
    lines = [f"critic '{name}'"]
    for title, columns in blocks.items():
        lines += _block(title, columns, places, numbers)
    for place in places:
        lines += _curve(name, place.label, numbers[place.label])
    return lines


def _block(
    title: str,
    columns: Sequence[tuple[str, str]],
    places: Sequence[Place],
    numbers: Mapping[str, Mapping[str, float]],
) -> list[str]:
    rows = [p for p in places if any(key in numbers[p.label] for _, key in columns)]
    if not rows:
        return []
    wide = max(len(p.label) for p in rows)
    lines = ["", f"{title:<{wide}}  " + "  ".join(f"{label:>11}" for label, _ in columns)]
    return lines + [
        f"{p.label:<{wide}}  " + "  ".join(f"{_shown(numbers[p.label].get(key)):>11}" for _, key in columns)
        for p in rows
    ]


def _curve(name: str, label: str, own: Mapping[str, float]) -> list[str]:
    """Best-of-N, weighted vote, majority and oracle of one place, one column a k; nothing for single attempts."""
    ks = [k for k in CURVE if f"majority@{k}" in own]
    if not ks:
        return []
    curves = {
        "best of k": f"best_of@{{}}_{name}",
        "weighted vote": f"weighted_vote@{{}}_{name}",
        "majority": "majority@{}",
        "oracle": "oracle@{}",
    }
    lines = ["", f"{label}, accuracy of one answer from k", f"{'':<14}" + "".join(f"{f'k={k}':>8}" for k in ks)]
    return lines + [
        f"{title:<14}" + "".join(f"{_shown(own.get(key.format(k))):>8}" for k in ks) for title, key in curves.items()
    ]


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


def _shown(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _without_nan(numbers: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    return {p: {k: None if math.isnan(v) else v for k, v in own.items()} for p, own in numbers.items()}
