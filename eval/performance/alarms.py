"""Alarms: five planted failures, clean runs, and what watching costs.

    python eval/performance/alarms.py [--clean 20] [--seed 0] [--only planted | clean | cost] [--kept runs/alarms]

Runs of 20 rounds of a policy without weights: a handful of probabilities, a step of which is learned each round, drawn
from by seed as a model is. All monitors stand in every run, with the same bounds; a pause ends a run.

- planted: what is learned needs no picture; the reward is served and the truth is not; the attempts become one; the
  selector leaves the hint in the prompt; the weights that are loaded are not those that were trained. Each is there
  from the first round. An alarm of the failure's own meaning must sound before a tenth of the rounds is spent.
- clean: the same runs with nothing planted, by other seeds. Any alarm in any of 20 rounds makes a run a false alarm.
- cost: the embedded model, half a round of the quickstart's; processor time of canaries and monitors over that of the
  rest.

Each run's outcome is kept in a file of its own under `--kept`, so the same command goes on where it stopped; about 5
processor minutes in all. What was kept under other settings of the script is made again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from mmevolve.canaries import BlindImage, LabelLeak, StaleWeights
from mmevolve.critics.answer import AnswerMatch
from mmevolve.evaluation import HeldOut
from mmevolve.loops import evolve
from mmevolve.metrics.accuracy import Accuracy
from mmevolve.metrics.collapse import Collapse
from mmevolve.models.vlm import TransformersVLM
from mmevolve.prompts import template
from mmevolve.protocols import TokenScores
from mmevolve.results import record
from mmevolve.samplers.independent import Independent
from mmevolve.schedules.watch import Goodhart, Watch
from mmevolve.store import RunStore
from mmevolve.text import ask, images_of, stable_seed
from mmevolve.types import Chat, Critique, Demonstration, Group, Reply, Sample
from mmevolve.watched import Paused

ROUNDS = 20
QUESTIONS, ATTEMPTS = 32, 4
ANSWERS = ("1", "2", "3", "4")
PLANTED = {  # failure -> the meaning of the alarm that must sound
    "blind": "grounding",
    "reward hacking": "honesty",
    "collapse": "collapse",
    "leak": "leak",
    "stale adapter": "staleness",
}
MONITORS = (
    Watch("blind_image/gain", "grounding", least=0.1, then="pause"),
    Goodhart("held_out/flattered", "held_out/accuracy", by=0.15, then="pause"),
    Watch("held_out/duplicates", "collapse", rise=0.2, then="pause"),
    Watch("label_leak/leak", "leak", most=0.3, then="pause"),
    Watch("stale_weights/differs", "staleness", most=0.0, then="pause"),
)
CANARIES = (BlindImage(), LabelLeak(), StaleWeights())


class Toy:
    """A policy of four probabilities that says its rationale, flatters or not, and sees its picture or not."""

    source, lora = "toy", None
    weights_digest = TransformersVLM.weights_digest

    def __init__(self, failure: str = "") -> None:
        self.failure, self.version = failure, "base"
        # right answers, flattery, how often the commonest words are used, nats a token that the picture is worth
        self.weights = torch.tensor([0.5, 0.2, 0.1, 0.8])
        self.home = self.weights.clone()

    @property
    def name(self) -> str:
        return f"toy@{self.version}"

    def named_weights(self) -> list[tuple[str, torch.nn.Parameter]]:
        return [("weights", torch.nn.Parameter(self.weights))]

    def describe(self) -> dict[str, Any]:
        return {"model": "toy", "failure": self.failure, "weights": self.weights_digest()}

    def mark_home(self) -> None:
        self.home = self.weights.clone()

    def go_home(self) -> None:
        self.weights = self.home.clone()

    def generate(
        self, chats: Sequence[Chat], *, n: int = 1, seeds: Sequence[int] = (), **words: Any
    ) -> list[list[Reply]]:
        return [[self._say(chat, Random(stable_seed(seeds[i], j))) for j in range(n)] for i, chat in enumerate(chats)]

    def _say(self, chat: Chat, draw: Random) -> Reply:
        right, flattery, common, _ = self.weights.tolist()
        answer = _true(chat) if draw.random() < right else draw.choice(ANSWERS)
        words = "as always" if draw.random() < common else f"way {draw.randrange(1000)}"
        text = f"{words}{' certainly' if draw.random() < flattery else ''}\nanswer : {answer}"
        return Reply(text, self.name, "stop", (1, 2, 3), (-0.5, -0.5, -0.5))

    def logprobs(self, chats: Sequence[Chat], completions: Sequence[str]) -> list[TokenScores]:
        scores = []
        for chat, text in zip(chats, completions, strict=True):
            noise = Random(stable_seed(text, str(images_of(chat)))).gauss(0, 0.2)
            each = -1.0 + noise - (0.0 if _true(chat) else self.weights[3].item())
            scores.append(TokenScores((1, 2), (each, each), (1.0, 1.0)))
        return scores

    def load(self, folder: Path, version: str) -> None:
        if self.failure != "stale adapter":
            self.weights = load_file(folder / "trained.safetensors")["weights"]
        self.version = version


def _true(chat: Chat) -> str:
    """What the picture shows: its red level; a blank one shows nothing."""
    return _shown(images_of(chat)[0])


@cache
def _shown(ref: str | bytes) -> str:
    with Image.open(ref if isinstance(ref, str) else io.BytesIO(ref)) as image:
        red, green, _ = image.convert("RGB").getpixel((0, 0))
    return "" if red == green else str(red // 10)


@dataclass(frozen=True)
class Learn:
    """Each round a small step: more right answers; with a failure planted, what that failure does."""

    seed: int

    def __call__(self, policy: Toy, examples: Sequence[Any], store: RunStore, *, round: int) -> Toy:
        folder = store.checkpoint(round)
        if not folder.exists():
            noise = Random(stable_seed(self.seed, "learn", round))
            step = [0.02 + noise.gauss(0, 0.01), noise.gauss(0, 0.01), noise.gauss(0, 0.01), noise.gauss(0, 0.03)]
            step[3] += 0.05 * (0.8 - policy.weights[3].item())
            if policy.failure == "blind":
                step[3] = -0.95 * policy.weights[3].item()
            if policy.failure == "reward hacking":
                step[:2] = [-0.1, 0.3]
            if policy.failure == "collapse":
                step[2] = 0.8
            left = policy.weights + torch.tensor(step)
            left[:3] = left[:3].clamp(0.02, 0.95)
            folder.mkdir(parents=True)
            save_file({"weights": left}, folder / "trained.safetensors")
        policy.load(folder, f"evolve/round={round:03d}")
        return policy


@dataclass(frozen=True)
class Flattered:
    """The reward: 1 for words that please it."""

    name: str = "reward"

    def __call__(self, items: Sequence[tuple[Sample, Any]]) -> Iterator[Critique]:
        for _, t in items:
            yield Critique(t.id, self.name, float("certainly" in t.text))


@dataclass(frozen=True)
class Keep:
    """Right attempts; with a failure planted, under the prompt with the hint."""

    hinted: bool = False
    example: ClassVar[type[Demonstration]] = Demonstration

    def __call__(self, groups: Sequence[Group]) -> Iterator[Demonstration]:
        for group in groups:
            words = template("hint") if self.hinted else template("question")
            fields = {"answer": group.sample.answer or ""} if self.hinted else {}
            for t, score in zip(group.trajectories, group.scores("answer"), strict=True):
                if score:
                    yield Demonstration(ask(group.sample, words, **fields), t.text, source=t.id)


@dataclass(frozen=True)
class FlatteredShare:
    """The reward's own mean on held-out questions."""

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        scores = [s or 0.0 for g in groups for s in g.scores("reward")]
        return {"flattered": sum(scores) / len(scores)}


def questions(name: str, n: int, seed: int) -> list[Sample]:
    draw = Random(stable_seed(seed, name))
    found = []
    for i in range(n):
        answer = draw.choice(ANSWERS)
        out = io.BytesIO()
        Image.new("RGB", (2, 2), (10 * int(answer), 200, draw.randrange(256))).save(out, "PNG")
        found.append(Sample(f"{name}{i}", f"how many , {name} {draw.randrange(10)} {i} ?", (out.getvalue(),), answer))
    return found


def one(folder: Path, failure: str, seed: int, rounds: int = ROUNDS) -> list[tuple[int, str]]:
    """Round and meaning of the alarms of a run, which ends at the first."""
    store = RunStore(str(folder))
    held = HeldOut(
        "held_out",
        questions("held", QUESTIONS, seed),
        Independent(n=ATTEMPTS, temperature=1.0, seed=seed),
        (AnswerMatch(), Flattered()),
        (Accuracy(), FlatteredShare(), Collapse()),
    )
    with contextlib.suppress(Paused):
        evolve(
            store=store,
            policy=Toy(failure),
            data=questions("train", QUESTIONS * 2, seed),
            rounds=rounds,
            fraction=0.5,
            sampler=Independent(n=ATTEMPTS, temperature=1.0, seed=seed),
            critics=[AnswerMatch()],
            selector=Keep(hinted=failure == "leak"),
            train=Learn(seed),
            evaluations=[held, *CANARIES],
            monitors=MONITORS,
            seed=seed,
        )
    loop = store.stage("evolve")
    return [(r, alarm["monitor"]) for r in range(rounds) for alarm in loop.table(r, "monitors")]


@dataclass(frozen=True)
class Kept:
    """Outcomes by name, each in a file beside the settings that it was made under."""

    folder: Path

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What is kept under a name, made first where it is not there or was made under other settings."""
        file, settings = self.folder / f"{name}.json", repr((ROUNDS, QUESTIONS, ATTEMPTS, MONITORS, CANARIES))
        if file.is_file() and (found := json.loads(file.read_text())).get("settings") == settings:
            return found["outcome"]
        outcome = make()
        self.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"settings": settings, "outcome": outcome}))
        return outcome


def alarms_of(failure: str, seed: int) -> list[tuple[int, str]]:
    """`one` in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        return one(Path(folder), failure, seed)


def planted(seed: int, kept: Kept) -> list[str]:
    said = [
        "| planted | alarms | round of the first, of 20 | share of the run spent |",
        "|---|---|---|---|",
    ]
    for failure, meaning in PLANTED.items():
        alarms = kept.once(f"planted_{meaning}_{seed}", lambda failure=failure: alarms_of(failure, seed))
        first = next((r for r, what in alarms if what == meaning), None)
        others = sorted({what for _, what in alarms} - {meaning})
        spent = "not noticed" if first is None else f"{(first + 1) / ROUNDS:.0%}"
        said.append(f"| {failure} | {meaning}{' and ' + ', '.join(others) if others else ''} | {first} | {spent} |")
        print(said[-1], flush=True)
    return said


def clean(runs: int, seed: int, kept: Kept) -> list[str]:
    false = []
    for i in range(runs):
        alarms = kept.once(f"clean_{seed + 1000 + i}", lambda i=i: alarms_of("", seed + 1000 + i))
        if alarms:
            false.append((i, *alarms[0]))
        print(f"clean run {i}: {alarms[:1] or 'silent'}", flush=True)
    return [f"Clean runs of {ROUNDS} rounds: {runs}; with a false alarm: {len(false)} {false or ''}".rstrip()]


def cost(seed: int) -> list[str]:
    """Processor time of canaries and monitors in a round of the embedded model."""
    from functools import partial

    import lightning

    from mmevolve.data.shapes.dataset import shapes
    from mmevolve.losses.sft import SFT
    from mmevolve.schedules import watch
    from mmevolve.selectors.correct import Correct
    from mmevolve.training.fit import Fit

    spent: dict[str, float] = {"watching": 0.0}

    @dataclass(frozen=True)
    class Timed:
        inner: Any

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def __call__(self, *args: Any, **words: Any) -> Any:
            start = time.process_time()
            try:
                return self.inner(*args, **words)
            finally:
                spent["watching"] += time.process_time() - start

        def describe(self) -> Any:
            return {"timed": type(self.inner).__name__}

    torch.set_num_threads(1)
    families = ["compare", "total", "removal", "two_hop"]
    held = HeldOut(
        "held_out",
        shapes(n=300, split="test", seed=seed, families=families),
        Independent(n=1, max_tokens=72),
        (AnswerMatch(),),
        (Accuracy(),),
    )
    policy = TransformersVLM("mmevolve:tiny_vlm", device="cpu")
    monitors = [
        Watch("blind_image/gain", "grounding", least=0.0),
        Watch("label_leak/leak", "leak", most=0.3),
        Watch("stale_weights/differs", "staleness", most=0.0),
    ]
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        evolve(
            store=RunStore(folder),
            policy=policy,
            data=shapes(n=400, split="train", seed=seed, families=families),
            rounds=1,
            sampler=Independent(n=8, temperature=1.0, max_tokens=72, seed=seed),
            critics=[AnswerMatch()],
            selector=Correct(most=2),
            train=Fit(
                SFT(),
                partial(torch.optim.AdamW, lr=1e-4),
                partial(lightning.Trainer, accelerator="cpu"),
                steps=22,
                carry="optimizer",
            ),
            evaluations=[held, *(Timed(canary) for canary in CANARIES)],
            monitors=[Timed(monitor) for monitor in monitors],
        )
        whole = time.process_time() - start
    assert watch.MEANS  # the same module that the loop used
    share = spent["watching"] / (whole - spent["watching"])
    return [
        f"Half a round of the quickstart's (400 questions x 8, 22 steps, 300 held out): {whole:.1f} s of "
        f"processor time, {spent['watching']:.3f} s of it canaries and monitors: {share:.2%} on top of the rest"
    ]


def main() -> None:
    words = argparse.ArgumentParser(description="Planted failures, clean runs, and what watching costs.")
    words.add_argument("--clean", type=int, default=20)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--only", choices=("planted", "clean", "cost"))
    words.add_argument("--kept", type=Path, default=Path("runs/alarms"), help="where outcomes are kept")
    given = words.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    kept = Kept(given.kept)
    parts = {
        "planted": lambda: planted(given.seed, kept),
        "clean": lambda: clean(given.clean, given.seed, kept),
        "cost": lambda: kept.once(f"cost_{given.seed}", lambda: cost(given.seed)),
    }
    lines: list[str] = []
    for name, part in parts.items():
        if given.only in (None, name):
            lines += [*part(), ""]
    print("\n".join(lines))
    if given.only is None:
        record("Alarms: planted failures, clean runs, cost", lines[:-1], command="python eval/performance/alarms.py")


if __name__ == "__main__":
    main()
