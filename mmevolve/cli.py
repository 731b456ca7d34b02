"""The command line: `mmevolve VERB ...`. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from mmevolve import __version__
from mmevolve.commands.engine import NotThere, code, engine
from mmevolve.config.errors import ConfigError
from mmevolve.config.nearest import hint

_ABOUT = "Train vision-language models on their own judged answers."
_START = """\
start here:
  mmevolve ls recipes                          what can be run
  mmevolve check recipes/quickstart.yaml       every mistake at once, before anything is loaded
  mmevolve run recipes/quickstart.yaml         run it; the same command again resumes it
  mmevolve show runs/quickstart -n 3           look at what was sampled and judged
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; 0 when it went well, 2 for a mistake of the user's, 130 when interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a letter is no reason to stop
    options = _parse(list(sys.argv[1:] if arguments is None else arguments))
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


def _parse(words: list[str]) -> argparse.Namespace:
    """The options; overrides may stand before and after them."""
    parser = _parser()
    if words and not words[0].startswith("-") and words[0] not in _VERBS:
        parser.error(f"there is no verb '{words[0]}'{hint(words[0], _VERBS)}")
    options, rest = parser.parse_known_args(words)
    unknown = [word for word in rest if word.startswith("-") or options.verb not in _TAKES_MORE]
    if unknown:
        parser.error(f"mmevolve {options.verb} does not take {' '.join(unknown)}")
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
    return code(engine("mmevolve.report.page", "write")(options.run))


def _score(options: argparse.Namespace) -> int:
    return code(engine("mmevolve.launch", "score")(options.run, options.critic))


def _ls(options: argparse.Namespace) -> int:
    from mmevolve.commands.listing import print_listing

    return print_listing(options.what)


def _eval(options: argparse.Namespace) -> int:
    if options.model == "parity":
        if options.data is None:
            raise ConfigError("parity compares two folders' numbers: name one with --data FOLDER", "eval parity")
        return code(engine("mmevolve.parity", "main")(options.data, options.json))
    if options.benchmark is None:
        raise ConfigError("name a benchmark with --benchmark; `mmevolve ls benchmarks` lists them", "eval")
    return code(engine("mmevolve.evaluation", "main")(options.model, options.benchmark, options.limit))


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
}
_TAKES_MORE = {"run": "overrides", "plan": "overrides", "check": "recipes"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mmevolve", description=_ABOUT, epilog=_START, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"mmevolve {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    run = _recipe_verb(verbs, "run", "run a recipe, or go on with one that was interrupted")
    run.add_argument("--dry-run", action="store_true", help="rehearse every stage on CPU with a model without weights")

    check = verbs.add_parser("check", help="find every mistake in recipes without loading anything")
    check.add_argument("recipes", nargs="*", metavar="RECIPE", help="recipes, and overrides a.b=value for all of them")
    check.add_argument(
        "--contracts", metavar="MODULE", help="put the parts of a module through the public contract test"
    )
    _allow(check)

    _recipe_verb(verbs, "plan", "what would run, what is cached, and what it would cost")

    status = verbs.add_parser("status", help="how far a run is")
    status.add_argument("run", metavar="RUN", help="a run folder, such as runs/quickstart")

    show = verbs.add_parser("show", help="look at samples, trajectories and critiques of a run")
    show.add_argument("run", metavar="RUN", help="a run folder, such as runs/quickstart")
    show.add_argument("--sample", metavar="ID", help="only this sample")
    show.add_argument("-n", type=int, default=10, metavar="N", help="how many groups (10)")

    listing = verbs.add_parser("ls", help="list recipes, parts and benchmarks")
    listing.add_argument("what", nargs="?", default="all", choices=["recipes", "parts", "benchmarks", "all"])

    evaluate = verbs.add_parser("eval", help="measure a model on a benchmark; or `eval parity`")
    evaluate.add_argument(
        "model", metavar="MODEL", help="a model's name or folder; `parity` compares with golden numbers"
    )
    evaluate.add_argument("--benchmark", metavar="NAME", help="one of `mmevolve ls benchmarks`, or a YAML file")
    evaluate.add_argument("--limit", type=int, metavar="N", help="only the first N questions")
    evaluate.add_argument("--data", metavar="FOLDER", help="for parity: the folder of golden numbers")
    evaluate.add_argument("--json", action="store_true", help="for parity: print the result as JSON")

    report = verbs.add_parser("report", help="write the run's report as one HTML file")
    report.add_argument("run", metavar="RUN")

    score = verbs.add_parser("score", help="judge the stored trajectories of a run again, by another critic")
    score.add_argument("run", metavar="RUN")
    score.add_argument("--critic", required=True, metavar="NAME", help="a critic of the run's recipe")
    return parser


def _recipe_verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text)
    verb.add_argument("recipe", metavar="RECIPE", help="a YAML file, such as recipes/quickstart.yaml")
    verb.add_argument(
        "overrides", nargs="*", metavar="a.b=value", help="settings to change, by their path in the recipe"
    )
    _allow(verb)
    return verb


def _allow(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="PKG",
        help="a package the recipe may call, beside torch, lightning, peft",
    )
