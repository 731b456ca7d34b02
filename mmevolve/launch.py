"""Run and plan a recipe: check, lock, build, run, sum up, report."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import platform
import resource
import sys
import time
import warnings
from collections.abc import Collection, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from mmevolve import ranks
from mmevolve.config import ConfigError, Recipe, build, check_recipe, load, resolved
from mmevolve.console import Console, shown_on
from mmevolve.durable import put_text

PACKAGES = ("mmevolve", "torch", "transformers", "peft", "lightning", "datasets", "tokenizers", "numpy", "pyarrow")

# A disk that is full or a place where this user may not write; any other error of the system is told in full.
NO_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)

CHANGED = 0.3  # share of verdicts that a run is expected to change, for what its held-out questions can show


def run(path: str, overrides: Sequence[str] = (), *, dry_run: bool = False, allow: Collection[str] = ()) -> int:
    """Run a recipe to its end, or go on where it was stopped. Gives the exit code."""
    recipe = ready(path, overrides, dry_run=dry_run, allow=allow)
    if recipe is None:
        return 2
    folder = run_folder(recipe)
    try:
        with lock(folder) as free:
            if not free:
                print(
                    f"{folder} is in use by another process: wait for it, or give this run another store.path",
                    file=sys.stderr,
                )
                return 2
            return _help(recipe, allow) if ranks.helps() else _run(recipe, folder, Console(), allow)
    except OSError as error:
        if error.errno not in NO_WRITING or os.environ.get("MMEVOLVE_TRACEBACK"):
            raise
        print(
            f"cannot use {error.filename or folder}: {error.strerror}; finished tables are whole, make room or "
            "give this run another store.path, and run the same command again",
            file=sys.stderr,
        )
        return 2


def _help(recipe: Recipe, allow: Collection[str]) -> int:
    """Work along in a process that a trainer started for another device: the first one writes and speaks."""
    said = ", ".join(f"{name}={os.environ[name]}" for name in ranks.NAMES if name in os.environ)
    print(f"this process works along ({said}) and waits for the first of its run, which writes", file=sys.stderr)
    quiet_libraries()
    from mmevolve.store import StoreError
    from mmevolve.watched import Halted

    try:
        build(recipe, allow=allow)
    except (ConfigError, StoreError, ValueError, Halted) as error:
        print(f"a process of another device stopped: {error}", file=sys.stderr)
    return 0  # the first process meets the same and gives the exit code


def ready(path: str, overrides: Sequence[str], *, dry_run: bool = False, allow: Collection[str] = ()) -> Recipe | None:
    """A recipe that passed the check, made small for a rehearsal; None when it has mistakes, each printed."""
    try:
        recipe = load(path, overrides)
        if dry_run:
            from mmevolve.rehearse import rehearsal

            recipe = rehearsal(recipe)
        problems = [p for p in check_recipe(recipe, allow=allow) if not p.warning]
    except ConfigError as error:
        print(error, file=sys.stderr)
        return None
    if problems:
        print("\n".join(str(p) for p in problems), file=sys.stderr)
        return None
    return recipe


def _run(recipe: Recipe, folder: Path, console: Console, allow: Collection[str]) -> int:
    from mmevolve.finale import closing_lines
    from mmevolve.report.page import write as write_report
    from mmevolve.summary import summarise, write_summary
    from mmevolve.training.logs import log_rounds

    start = time.monotonic()
    note_run(recipe, folder)
    for line in plan_lines(recipe):
        console.say(line)
    again = f"mmevolve run {recipe.path}"
    quiet_libraries()
    from mmevolve.store import StoreError
    from mmevolve.watched import Halted

    try:
        with shown_on(console):
            build(recipe, allow=allow)
    except KeyboardInterrupt:
        console.say(f"\nstopped; everything finished is kept in {folder}. Go on with: {again}")
        return 130
    except Halted as error:
        console.say(f"\n{error}")
        return 3
    except (ConfigError, StoreError, ValueError) as error:
        if os.environ.get("MMEVOLVE_TRACEBACK"):
            raise
        print(f"\n{error}", file=sys.stderr)
        return 2
    finally:
        seconds = time.monotonic() - start + spent_before(folder)
        with contextlib.suppress(OSError):  # a full disk has been told already, and times are only times
            keep_times(folder, console, seconds)
    summary = summarise(str(folder), loop_names(recipe), seconds=round(seconds, 1), peak_rss_bytes=peak_memory())
    write_summary(str(folder), summary)
    log_rounds(folder, summary["rounds"])
    write_report(str(folder))
    print("\n".join(closing_lines(summary, run=str(folder))))
    return 0


def plan(path: str, overrides: Sequence[str] = (), *, allow: Collection[str] = ()) -> int:
    """Print what a recipe would do and what of it is finished."""
    recipe = ready(path, overrides, allow=allow)
    if recipe is None:
        return 2
    print("\n".join(plan_lines(recipe)))
    return 0


def plan_lines(recipe: Recipe) -> list[str]:
    """The run in words: one line a loop with its sampling volume, and what is already on disk."""
    plain = json.loads(json.dumps(recipe.plain()))
    folder = run_folder(recipe)
    header = [line.lstrip("# ").rstrip() for line in recipe.text.splitlines()[:1]]
    lines = [*header, f"run folder {folder}"]
    for loop in loops_of(plain):
        name, rounds = loop_name(loop), rounds_of(loop, plain)
        if "train" not in loop:
            state = "finished" if (folder / name / "before" / "metrics.parquet").exists() else "to do"
            lines.append(f"  {name:<10} {'once':<8} {'measured, nothing is trained':<40} {state}")
            continue
        done = sum((folder / name / f"round={r:03d}" / "metrics.parquet").exists() for r in range(rounds))
        state = "finished" if done == rounds else f"{done} finished" if done else "to do"
        lines.append(f"  {name:<10} {rounds} round{'s' if rounds != 1 else ' '}  {volume(loop, plain):<40} {state}")
    return [*lines, *detectable(plain), ""]


def detectable(plain: dict[str, Any]) -> list[str]:
    """What the held-out questions of a recipe can show of a run, where their number is written down."""
    from mmevolve.statistics import minimum_detectable_effect

    for loop in loops_of(plain):
        held = shared(loop.get("evaluations"), plain)
        for evaluation in (deref(node, plain) for node in (held if isinstance(held, list) else [])):
            n = shared(deref(evaluation.get("data"), plain).get("n"), plain)
            if evaluation.get("name") == "held_out" and isinstance(n, int) and n > 0:
                least = 100 * minimum_detectable_effect(n, discordant=CHANGED)
                said = f"a gain of {least:.1f} points" if math.isfinite(least) else "no gain"
                return [f"  {n:,} held-out questions can show {said} (80 % power, {CHANGED:.0%} of verdicts changed)"]
    return []


def rounds_of(loop: dict[str, Any], plain: dict[str, Any]) -> int:
    """A loop's rounds: as written, or passes over the questions by the share of them that a round takes."""
    rounds, passes = (shared(loop.get(name), plain) for name in ("rounds", "passes"))
    return int(rounds or (round(passes / shared(loop.get("fraction", 1.0), plain)) if passes else 1))


def volume(loop: dict[str, Any], plain: dict[str, Any]) -> str:
    """What one round of a loop does, in a few words."""
    steps = shared(deref(loop.get("train"), plain).get("steps"), plain)
    whole = shared(loop.get("steps"), plain)  # of all rounds together
    steps = round(whole / rounds_of(loop, plain)) if whole else steps
    trained = f", {steps:,} gradient steps" if steps else ""
    if "sampler" not in loop:
        return f"given rows{trained}"
    data = deref(loop.get("data"), plain)
    attempts = f"{shared(deref(loop['sampler'], plain).get('n', 8), plain)} attempts"
    count = shared(data.get("n", data.get("limit")), plain)
    share = shared(loop.get("fraction", 1.0), plain)
    questions = f"{round(count * share):,} questions x " if count else "each question x "
    return f"{questions}{attempts}{trained}"


def deref(node: Any, plain: dict[str, Any]) -> dict[str, Any]:
    """A node, or the top-level node that a `$name` stands for; an empty dictionary for anything else."""
    node = shared(node, plain)
    return node if isinstance(node, dict) else {}


def shared(node: Any, plain: dict[str, Any]) -> Any:
    """What a `$name` stands for; anything else as it is."""
    return plain.get(node[1:]) if isinstance(node, str) and node.startswith("$") else node


def loops_of(plain: dict[str, Any]) -> list[dict[str, Any]]:
    """A recipe's loop calls in order, one or several; calls of other things are left out."""
    loop = plain.get("loop", [])
    calls = loop if isinstance(loop, list) else [loop]
    return [call for call in calls if isinstance(call, dict) and "store" in call]


def loop_name(loop: dict[str, Any]) -> str:
    """The folder of a loop's tables: its name, or what it is called by default."""
    return str(loop.get("name") or str(loop.get("_target_", "")).rpartition(".")[2])


def loop_names(recipe: Recipe) -> list[str]:
    """Names of a recipe's loops in order."""
    return [loop_name(loop) for loop in loops_of(recipe.plain())]


def run_folder(recipe: Recipe) -> Path:
    """Where a recipe keeps its run: the store's path.

    Raises:
        ConfigError: when the recipe has no store with a path.
    """
    path = deref(recipe.plain().get("store"), recipe.plain()).get("path")
    if not isinstance(path, str):
        raise ConfigError("the recipe has no store: give it a top-level store with a path", str(recipe.path), 1, 1)
    return Path(path)


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[bool]:
    """Hold a run folder; False when another process has it.

    Processes that a trainer started for its other devices share their parent's hold.
    """
    if ranks.helps():
        yield True
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def note_run(recipe: Recipe, folder: Path) -> None:
    """Keep the recipe, as written and resolved, and the environment beside the tables."""
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    environment = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        **versions,
    }
    put_text(folder / "recipe.yaml", recipe.text)
    put_text(folder / "resolved.yaml", resolved(recipe))
    put_text(folder / "environment.json", json.dumps(environment, indent=1))


def keep_times(folder: Path, console: Console, seconds: float) -> None:
    """Add this process's stage times to what earlier tries of the same run took."""
    times = {**_times(folder), **console.seconds, "total": round(seconds, 2)}
    put_text(folder / "timings.json", json.dumps(times, indent=1))


def spent_before(folder: Path) -> float:
    """Seconds that finished earlier runs of this folder took."""
    return float(_times(folder).get("total", 0.0))


def _times(folder: Path) -> dict[str, float]:
    """Times so far; none where the file is not there or damaged: they are only times, and no run ends for them."""
    try:
        found = json.loads((folder / "timings.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def quiet_libraries() -> None:
    """Keep other libraries' banners and progress bars out of the way; their warnings and errors stay."""
    import logging

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
    from transformers.utils import logging as hf

    hf.set_verbosity_error()
    hf.disable_progress_bar()
