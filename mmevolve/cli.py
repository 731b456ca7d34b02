"""The command line: `mmevolve VERB ...`. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from mmevolve.commands.arguments import parser
from mmevolve.commands.engine import NotThere, code, engine
from mmevolve.config.errors import ConfigError
from mmevolve.config.nearest import hint


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; 0 when it went well, 2 for a mistake of the user's, 130 when interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a letter is no reason to stop
    options = _parse(list(sys.argv[1:] if arguments is None else arguments))
    _share_the_cores()
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a part of the user's own lies where the command is typed
    try:
        return _VERBS[options.verb](options)
    except ConfigError as error:
        print(error, file=sys.stderr)
    except NotThere as error:
        print(f"mmevolve {options.verb}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on where this one stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `mmevolve ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 2


def _share_the_cores() -> None:
    """Let GNU OpenMP wait for its own threads a short while only; read when torch is loaded, so before that.

    By itself it waits spinning, and where another program has a core, the thread that is waited for cannot run: beside
    two busy programs on two cores a small run took 143 s, with this 66 s; alone it takes 22 s either way.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def _parse(words: list[str]) -> argparse.Namespace:
    """The options; overrides may stand before and after them."""
    reader = parser()
    if words and not words[0].startswith("-") and words[0] not in _VERBS:
        reader.error(f"there is no verb '{words[0]}'{hint(words[0], _VERBS)}")
    options, rest = reader.parse_known_args(words)
    unknown = [word for word in rest if word.startswith("-") or options.verb not in _TAKES_MORE]
    if unknown:
        reader.error(f"mmevolve {options.verb} does not take {' '.join(unknown)}")
    if rest:
        more = getattr(options, _TAKES_MORE[options.verb])
        more.extend(rest)
    return options


def _run(options: argparse.Namespace) -> int:
    run = engine("mmevolve.launch", "run")
    return code(run(options.recipe, options.overrides, dry_run=options.dry_run, allow=options.allow))


def _plan(options: argparse.Namespace) -> int:
    return code(engine("mmevolve.launch", "plan")(options.recipe, options.overrides, allow=options.allow))


def _check(options: argparse.Namespace) -> int:
    from mmevolve.commands.check import check_recipes

    overrides = [word for word in options.recipes if "=" in word]
    paths = [word for word in options.recipes if "=" not in word]
    if options.contracts:
        contracts = code(engine("mmevolve.contracts", "main")(options.contracts))
        return contracts or (check_recipes(paths, overrides, options.allow) if paths else 0)
    if not paths:
        raise ConfigError("name at least one recipe: mmevolve check recipes/quickstart.yaml", "check")
    return check_recipes(paths, overrides, options.allow)


def _status(options: argparse.Namespace) -> int:
    return code(engine("mmevolve.browse", "status")(options.run))


def _show(options: argparse.Namespace) -> int:
    return code(engine("mmevolve.browse", "show")(options.run, options.sample, options.n))


def _report(options: argparse.Namespace) -> int:
    if options.other is None:
        print(engine("mmevolve.report.page", "write")(options.run))
    else:
        print(engine("mmevolve.report.compare_page", "write")(options.run, options.other))
    return 0


def _score(options: argparse.Namespace) -> int:
    names = [name.strip() for name in (options.benchmark or "").split(",") if name.strip()]
    score = engine("mmevolve.scoring", "score")
    more = {"benchmarks": names, "data": options.data, "limit": options.limit, "allow": options.allow}
    return code(score(options.run, options.critic, **more))


def _critique(options: argparse.Namespace) -> int:
    names = [name.strip() for name in (options.controls or "").split(",") if name.strip()]
    more = {"controls": names, "threshold": options.threshold, "out": options.out, "allow": options.allow}
    return code(engine("mmevolve.critique", "critique")(options.target, options.critic, **more))


def _correct(options: argparse.Namespace) -> int:
    names = None if options.gate is None else [name.strip() for name in options.gate.split(",") if name.strip()]
    more = {"critic": options.critic, "steps": options.steps, "gate": names, "html": options.html}
    return code(engine("mmevolve.correct", "correct")(options.run, **more))


def _explore(options: argparse.Namespace) -> int:
    return code(engine("mmevolve.explorer.serve", "explore")(options.run, options.out, options.port))


def _trace(options: argparse.Namespace) -> int:
    return code(engine("mmevolve.lineage.say", "trace")(options.run, options.row, json=options.json))


def _forget(options: argparse.Namespace) -> int:
    return code(engine("mmevolve.lineage.say", "forget")(options.run, options.image, json=options.json))


def _ls(options: argparse.Namespace) -> int:
    from mmevolve.commands.listing import print_listing

    return print_listing(options.what, options.data)


def _eval(options: argparse.Namespace) -> int:
    if options.model == "parity":
        return code(engine("mmevolve.parity", "main")(options.data, options.json))
    if options.benchmark is None:
        raise ConfigError("name a benchmark with --benchmark; `mmevolve ls benchmarks` lists them", "eval")
    other = ("verb", "model", "benchmark", "json")
    words = {name: value for name, value in vars(options).items() if name not in other}
    return code(engine("mmevolve.evaluation", "main")(options.model, options.benchmark, **words))


def _schema(options: argparse.Namespace) -> int:
    import json

    from mmevolve.config.schema import schema

    print(json.dumps(schema(), indent=1))
    return 0


def _explain(options: argparse.Namespace) -> int:
    from mmevolve.config.explain import explain

    print("\n".join(explain(options.key)))
    return 0


_VERBS = {
    "run": _run,
    "check": _check,
    "plan": _plan,
    "status": _status,
    "show": _show,
    "ls": _ls,
    "eval": _eval,
    "report": _report,
    "score": _score,
    "critique": _critique,
    "correct": _correct,
    "explore": _explore,
    "trace": _trace,
    "forget": _forget,
    "schema": _schema,
    "explain": _explain,
}
_TAKES_MORE = {"run": "overrides", "plan": "overrides", "check": "recipes"}
