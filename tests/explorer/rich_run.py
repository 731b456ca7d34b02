"""A made-up run with everything that the explorer shows: revisions, regions, critiques in words, alarms.

Of every question's seven attempts: 0 gold and kept; 1 lucky, its revision `~1` harmed by critique; 2 wrong, its first
revision wrong, its second mended; and 3 without an answer, with markup in it.
"""

from pathlib import Path

from mmevolve.critics.oracle import Oracle
from mmevolve.data.shapes.dataset import shapes, world_of
from mmevolve.data.shapes.program import rationale
from mmevolve.store import RunStore
from mmevolve.types import Critique, Demonstration, Step, Trajectory

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> & \u202eevil"
KINDS = ("0", "1", "1~1", "2", "2~1", "2~2", "3")
PER = len(KINDS)
SELECTOR = {
    "_target_": "mmevolve.selectors.top_k.TopK", "k": 1, "require": "answer", "rank_by": "prm", "above": 0.5,
    "dedup": True, "whole": True, "prompt": "question",
}  # fmt: skip
RECIPE = "# A run that was made up.\nseed: 0\nloop: {_target_: loops.evolve, name: evolve}\n"


def rich_run(path: Path, *, questions: int = 6, rounds: int = 2, evaluation: bool = True) -> str:
    """Make the folder; gives its path."""
    run = str(path / "rich")
    Path(run).mkdir(parents=True)
    Path(run, "recipe.yaml").write_text(RECIPE)
    store = RunStore(run, "evolve")
    data = shapes(n=questions, split="train", families=["total"])
    for r in range(rounds):
        folder = store.round_folder(r)
        attempts = [(s, attempt(s, kind, r)) for s in data for kind in KINDS]
        store.write(folder / "samples.parquet", data)
        store.write(folder / "trajectories.parquet", [t for _, t in attempts])
        store.write(folder / "critiques.parquet", [c for s, t in attempts for c in judged(s, t)])
        kept = [t for _, t in attempts if t.id.endswith("/0")]
        store.write(
            folder / "examples.parquet", [Demonstration((), t.text, source=t.id) for t in kept], {"selector": SELECTOR}
        )
        store.checkpoint(r).mkdir(parents=True)
    if evaluation:
        held = shapes(n=3, split="test", families=["total"])
        folder = store.round_folder(rounds - 1)
        done = [attempt(s, "0", 0) for s in held]
        store.write(folder / "held_out_samples.parquet", held)
        store.write(folder / "held_out_trajectories.parquet", done)
        store.write(folder / "held_out_critiques.parquet", [Critique(t.id, "answer", 1.0) for t in done])
    return run


def attempt(sample, kind, r):
    """An attempt of a known kind."""
    scene, program = world_of(sample)
    steps = list(rationale(program, scene))
    right = kind in ("0", "1", "2~2")
    answer = sample.answer if right else str(int(sample.answer) + 1)
    if kind != "0":
        steps[0] = Step("red circles : a1 a2 a3 = 3", "perception", ((0.0, 0.0, 0.25, 0.25), (0.5, 0.5, 0.75, 0.75)))
    if kind == "2~2":
        steps[0] = rationale(program, scene)[0]
    steps[-1] = Step(f"answer : {answer}", "answer")
    if kind == "3":
        steps, answer = [Step(EVIL), Step("I do not know")], None
    parent = {"1~1": "1", "2~1": "2", "2~2": "2~1"}.get(kind)
    name = f"{sample.id}/{r}/"
    return Trajectory(
        name + kind, sample.id, f"tiny@{'base' if r == 0 else f'evolve/round={r - 1:03d}'}", tuple(steps), answer, r,
        parent=name + parent if parent else None, stop_reason="length" if kind == "3" else "stop",
        sampling={"temperature": 1.0, "seed": 7, "prompt": "question"},
    )  # fmt: skip


def judged(sample, t):
    """The verifier, a learned score, the oracle, and a critic that writes."""
    right = t.answer == sample.answer
    (oracle,) = Oracle()([(sample, t)])
    learned = tuple(0.95 if s else 0.6 if right else 0.15 for s in oracle.step_scores)
    words = (
        "The first step misreads the picture: look at the circles again." if min(learned) < 0.9 else "All steps hold."
    )
    error = None if t.answer is not None else "the server gave no answer in 3 tries"
    return [
        Critique(t.id, "answer", float(right)),
        Critique(t.id, "prm", min(learned), learned, sees_image=True),
        oracle,
        Critique(t.id, "judge", None if error else 0.8, text="" if error else words, sees_image=True, error=error),
    ]
