"""Torture: runs killed with SIGKILL at random instants and at placed faults, resumed, and compared byte for byte.

    python eval/torture/run.py [--kills 200] [--seed 0] [--recipes bstar mstar ...] [--folder runs/torture]
    ... --scripted      a run without weights in place of the recipes: seconds, for the tests

Every recipe of recipes/shapes runs as small as it gets: the rehearsal's tiny VLM with four questions. First
uninterrupted, then in chains: up to six tries in a row that die, then one that comes to its end; what it leaves is
compared with the uninterrupted run, all but times (`artefacts.LEFT_OUT`). In three of ten tries the clock is wrong, and
then all files' times are. Chains go round the recipes until there are enough kills. Then each recipe's folder meets a
full disk, a damaged table and checkpoint, a second process, and a place where nothing may be written.

What is finished is a line of `kills.jsonl`: stopped, the same command goes on. The last lines are JSON.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))

import attempts
from hazards import HAZARDS
from targets import Target, of_recipe

import mmevolve
from mmevolve.text import stable_seed

RECIPES = Path("recipes/shapes")
IN_A_ROW = 6


def main() -> int:
    words = argparse.ArgumentParser(description="Kill runs, resume them, compare what they leave.")
    words.add_argument("--kills", type=int, default=200)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--recipes", nargs="*", help="stems of recipes in recipes/shapes; all unless told")
    words.add_argument("--folder", type=Path, default=Path("runs/torture"))
    words.add_argument("--scripted", action="store_true")
    words.add_argument("--only-kills", action="store_true", help="without the full disk and the other hazards")
    words.add_argument("--minutes", type=float, help="stop after so long; the same command goes on")
    given = words.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    given.folder.mkdir(parents=True, exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(given.folder.resolve())
    targets = scripted(given.folder) if given.scripted else recipes(given)
    lines = Lines(given.folder.resolve() / "kills.jsonl", given.seed)
    until = None if given.minutes is None else time.monotonic() + 60 * given.minutes
    torture(targets, lines, given, until)
    print("\n".join(table(lines.kept)))
    print(json.dumps(figures(lines.kept)))
    if not given.scripted:
        from mmevolve.results import record

        command = "python eval/torture/run.py" + (f" --kills {given.kills}" if given.kills != 200 else "")
        record("Torture: killed runs end with the same bytes", table(lines.kept), command=command)
    return 1 if any(line["wrong"] for line in lines.kept) else 0


def scripted(folder: Path) -> list[Target]:
    from scripted import Learner
    from scripted import main as work

    attempts.MODELS.append(Learner)
    return [Target("scripted", folder.resolve(), work)]


def recipes(given: argparse.Namespace) -> list[Target]:
    import torch

    import mmevolve.training.fit  # noqa: F401 imported once for all tries
    from mmevolve.launch import run
    from mmevolve.models.reward import StepRewardModel
    from mmevolve.models.vlm import TransformersVLM

    torch.set_num_threads(1)
    attempts.MODELS.extend([TransformersVLM, StepRewardModel])
    found = sorted(RECIPES.glob("*.yaml"))
    if given.recipes:
        found = [path for path in found if path.stem in given.recipes]
    return [of_recipe(path, given.folder.resolve(), run) for path in found]


class Lines:
    """What is finished, one line each; lines of another version of the package, or of another seed, are put aside."""

    def __init__(self, path: Path, seed: int):
        self.path, self.kept = path, []
        mine = f"{sources()}-{seed}"
        if path.exists():
            old = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
            if old and old[0].get("of") == mine:
                self.kept = old[1:]
                print(f"going on after {sum(len(line['kills']) for line in self.kept)} kills", flush=True)
                return
            path.rename(path.with_suffix(".old.jsonl"))
        path.write_text(json.dumps({"of": mine}) + "\n")

    def has(self, name: str, what: str) -> bool:
        return any((line["target"], line["what"]) == (name, what) for line in self.kept)

    def add(self, **line: object) -> None:
        self.kept.append(line)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def sources() -> str:
    """A digest of the package's code."""
    digest = hashlib.sha256()
    for file in sorted(Path(mmevolve.__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def torture(targets: list[Target], lines: Lines, given: argparse.Namespace, until: float | None) -> None:
    """Chains round the targets until there are enough kills; then the other hazards."""
    ready: set[str] = set()

    def late() -> bool:
        return until is not None and time.monotonic() > until

    def begun(target: Target) -> None:
        if target.name not in ready:
            target.uninterrupted()
            gc.collect()
            gc.freeze()  # pages that the tries share are not touched by the collector
            ready.add(target.name)

    turn = 0
    while sum(len(line["kills"]) for line in lines.kept) < given.kills and not late():
        target, chain = targets[turn % len(targets)], turn // len(targets)
        turn += 1
        what = f"chain {chain}"
        if lines.has(target.name, what):
            continue
        begun(target)
        draw = Random(stable_seed(given.seed, target.name, what))
        folder = target.whole.with_name("tried")
        target.prepare(folder)
        kills = target.tries(folder, draw, draw.randint(1, IN_A_ROW))
        wrong = target.rest(folder)
        lines.add(target=target.name, what=what, kills=kills, wrong=wrong)
        if wrong:
            shutil.move(folder, target.whole.with_name(f"differs-{chain}"))
        print(f"{target.name:<22} {what:<9} {len(kills)} kills {wrong[:3] or ''}", flush=True)
    for name, hazard in {} if given.only_kills else HAZARDS.items():
        for target in targets:
            if late() or lines.has(target.name, name):
                continue
            begun(target)
            wrong = hazard(target, target.whole.with_name("tried"), Random(stable_seed(given.seed, target.name, name)))
            lines.add(target=target.name, what=name, kills=[], wrong=wrong)
            print(f"{target.name:<22} {name:<9} {wrong[:3] or ''}", flush=True)


def table(lines: list[dict]) -> list[str]:
    """By recipe, by stage, by place, and the other hazards."""
    chains = [line for line in lines if line["what"].startswith("chain")]
    said = ["| run | chains | kills | chains that came to their end | that differ |", "|---|---|---|---|---|"]
    for name in [*dict.fromkeys(line["target"] for line in chains), "all"]:
        own = [line for line in chains if name in (line["target"], "all")]
        wrong = [line for line in own if line["wrong"]]
        ended = [line for line in own if not any(str(w).startswith("exit code") for w in line["wrong"])]
        said.append(f"| {name} | {len(own)} | {sum(len(x['kills']) for x in own)} | {len(ended)} | {len(wrong)} |")
    said += ["", "| killed in | kills | | killed at | kills |", "|---|---|---|---|---|"]
    stages = Counter(kill["stage"] for line in chains for kill in line["kills"]).most_common()
    places = Counter(kill["at"] for line in chains for kill in line["kills"]).most_common()
    for i in range(max(len(stages), len(places))):
        left = f"| {stages[i][0]} | {stages[i][1]} | " if i < len(stages) else "| | | "
        said.append(left + (f"| {places[i][0]} | {places[i][1]} |" if i < len(places) else "| | |"))
    others = [line for line in lines if not line["what"].startswith("chain")]
    if others:
        said += ["", "| hazard | runs | noticed or harmless, mended, and the same bytes |", "|---|---|---|"]
        for name in HAZARDS:
            own = [line for line in others if line["what"] == name]
            said.append(f"| {name} | {len(own)} | {sum(not line['wrong'] for line in own)} |")
    wrong = [line for line in lines if line["wrong"]]
    return [*said, *([""] if wrong else []), *(f"- {x['target']}, {x['what']}: {x['wrong'][:3]}" for x in wrong)]


def figures(lines: list[dict]) -> dict:
    chains = [line for line in lines if line["what"].startswith("chain")]
    return {
        "kills": sum(len(line["kills"]) for line in chains),
        "chains": len(chains),
        "clock_set_back": sum(kill["back"] for line in chains for kill in line["kills"]),
        "differ": sum(bool(line["wrong"]) for line in chains),
        "hazards": sum(not line["what"].startswith("chain") for line in lines),
        "hazards_wrong": sum(bool(x["wrong"]) for x in lines if not x["what"].startswith("chain")),
    }


if __name__ == "__main__":
    raise SystemExit(main())
