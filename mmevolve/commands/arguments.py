"""The words of the command line, verb by verb."""

from __future__ import annotations

import argparse

from mmevolve import __version__

_ABOUT = "Train vision-language models on their own judged answers."
_START = """\
start here:
  mmevolve ls recipes                          what can be run
  mmevolve check recipes/quickstart.yaml       every mistake at once, before anything is loaded
  mmevolve run recipes/quickstart.yaml         run it; the same command again resumes it
  mmevolve show runs/quickstart -n 3           look at what was sampled and judged
"""


def parser() -> argparse.ArgumentParser:
    """All verbs with their words; parsing them imports nothing."""
    whole = argparse.ArgumentParser(
        "mmevolve", description=_ABOUT, epilog=_START, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    whole.add_argument("--version", action="version", version=f"mmevolve {__version__}")
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="VERB")

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

    verbs.add_parser("schema", help="print a JSON Schema of recipes, for editors")

    explain = verbs.add_parser("explain", help="what a part or a setting means")
    explain.add_argument("key", metavar="KEY", help="samplers.Independent, samplers.Independent.n, or a setting's name")
    return whole


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
