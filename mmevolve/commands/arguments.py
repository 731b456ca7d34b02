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
    listing.add_argument("--data", metavar="FOLDER", help="for benchmarks: where their data may lie (./data)")

    _eval_verb(verbs)

    report = verbs.add_parser("report", help="write a run's report, or what two runs differ in, as one HTML file")
    report.add_argument("run", metavar="RUN", help="a run folder, such as runs/quickstart")
    report.add_argument("other", nargs="?", metavar="RUN2", help="a second run, to be held against the first")

    _lineage_verbs(verbs)

    score = verbs.add_parser("score", help="judge the stored trajectories of a run again, and measure the critic")
    score.add_argument("run", metavar="RUN", help="a run folder, such as runs/quickstart")
    score.add_argument(
        "--critic",
        required=True,
        metavar="NAME",
        help="a critic of the run's recipe by its name, a part such as critics.Vote, or a call in YAML's braces",
    )
    score.add_argument("--benchmark", metavar="A,B", help="labelled steps to judge too: chocolate, ...")
    score.add_argument("--data", metavar="FOLDER", help="the folder of their data (./data)")
    score.add_argument("--limit", type=int, metavar="N", help="only the first N solutions of each")
    _allow(score)

    critique = verbs.add_parser("critique", help="put any critic to the answers of a run or of a file, and measure it")
    critique.add_argument("target", metavar="RUN|FILE", help="a run folder, or a .jsonl of image, question and answer")
    critique.add_argument(
        "--critic",
        required=True,
        metavar="NAME",
        help="a critic of the run's recipe by its name, a part such as critics.Vote, a call in YAML's braces, "
        "yes_no:MODEL, or the folder of a step-reward model",
    )
    critique.add_argument("--controls", metavar="A,B", help="judge again under them: blank, swapped, permuted")
    critique.add_argument(
        "--threshold", type=float, default=0.5, metavar="X", help="what scores below is called wrong (0.5)"
    )
    critique.add_argument("--out", metavar="FOLDER", help="the run folder that a file becomes (runs/critique/FILE)")
    _allow(critique)

    correct = verbs.add_parser("correct", help="what the second turns of a run fixed and harmed, as numbers and a page")
    correct.add_argument("run", metavar="RUN", help="a run folder, such as runs/self_correction_dpo")
    correct.add_argument("--critic", default="answer", metavar="NAME", help="whose verdicts count (answer)")
    correct.add_argument(
        "--steps", default="oracle", metavar="NAME", help="whose step scores say what was wrong (oracle)"
    )
    correct.add_argument("--gate", metavar="A,B", help="critics that the do-no-harm gate reads (all that may)")
    correct.add_argument("--html", metavar="FILE", help="the page (correction.html in the run)")

    verbs.add_parser("schema", help="print a JSON Schema of recipes, for editors")

    explain = verbs.add_parser("explain", help="what a part or a setting means")
    explain.add_argument("key", metavar="KEY", help="samplers.Independent, samplers.Independent.n, or a setting's name")
    return whole


def _lineage_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    explore = verbs.add_parser("explore", help="read every attempt and critique of a run in a browser")
    explore.add_argument("run", metavar="RUN", help="a run folder, such as runs/quickstart")
    explore.add_argument("--out", metavar="PLACE", help="write it to one FILE.html, or to a folder, and serve nothing")
    explore.add_argument("--port", type=int, default=0, metavar="N", help="of the server on this machine (a free one)")

    trace = verbs.add_parser("trace", help="what made a training row, or which rows a checkpoint was trained on")
    trace.add_argument("run", metavar="RUN", help="a run folder, such as runs/quickstart")
    trace.add_argument("row", metavar="ROW", help="LOOP/ROUND/NUMBER, an attempt's id, or a checkpoint as LOOP/ROUND")
    trace.add_argument("--json", action="store_true", help="print it as JSON")

    forget = verbs.add_parser("forget", help="what would have to be redone without a picture; changes nothing")
    forget.add_argument("run", metavar="RUN", help="a run folder, such as runs/quickstart")
    forget.add_argument("image", metavar="IMAGE", help="a picture's file or SHA-256, or the id of a sample")
    forget.add_argument("--json", action="store_true", help="print it as JSON")


def _eval_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("eval", help="measure a model on benchmarks; or `eval parity`")
    verb.add_argument(
        "model",
        metavar="MODEL",
        help="a model's name or folder, a critic (`yes_no:MODEL`, a step-reward folder, a call in braces), or a file "
        "of stored answers; `parity` compares with golden numbers",
    )
    verb.add_argument("--benchmark", metavar="A,B", help="some of `mmevolve ls benchmarks`, or YAML files")
    verb.add_argument("--limit", type=int, metavar="N", help="only the first N questions of each")
    verb.add_argument("--data", metavar="FOLDER", help="the data folder, one table, or `hub` (./data); golden numbers")
    verb.add_argument("--answers", metavar="FILE", help="stored answers that are scored in place of asking the model")
    verb.add_argument("--partial", action="store_true", help="score what both the answers and the data have")
    verb.add_argument("--n", type=int, default=1, metavar="N", help="attempts a question (1)")
    verb.add_argument("--temperature", type=float, metavar="T", help="0 is greedy (0 for one attempt, 1 for several)")
    verb.add_argument("--max-tokens", type=int, metavar="N", help="longest response (what each benchmark says)")
    verb.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws (0)")
    verb.add_argument("--batch", type=int, default=1, metavar="N", help="attempts drawn, and kept, together (1)")
    verb.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"], help="of the weights")
    verb.add_argument("--url", metavar="URL", help="servers that serve MODEL, with commas between them")
    verb.add_argument("--server", default="vllm", metavar="KIND", help="vllm, sglang, transformers or openai (vllm)")
    verb.add_argument("--base", type=float, metavar="SCORE", help="the language model's own score, for leakage")
    verb.add_argument("--against", metavar="FOLDER", help="an earlier evaluation's results, compared by question")
    verb.add_argument(
        "--control",
        metavar="A,B",
        help="ask changed questions too: blind, grey, swapped, permuted, circular, adjacent, reverse, shuffled, "
        "augmented, prompts, consistency",
    )
    verb.add_argument("--overlap", metavar="TABLE", help="training samples that the benchmark must not share")
    verb.add_argument(
        "--embedder",
        metavar="CLIP",
        help="finds near-duplicate pictures too: mmevolve:tiny_clip, a folder, or ViT-B-32@WEIGHTS of open_clip",
    )
    verb.add_argument("--cosine", type=float, metavar="C", help="from which similarity they are such (0.95)")
    verb.add_argument(
        "--refuse",
        metavar="A,B",
        help="kinds of overlap that stop the evaluation (bytes,pixels); also question, perceptual, ngram, embedding; "
        "none only says them",
    )
    verb.add_argument(
        "--judge", metavar="MODEL", help="says whether explanations name the reference's error (a rule: shared words)"
    )
    verb.add_argument("--html", metavar="FILE", help="the page of all responses (report.html where results go)")
    verb.add_argument("--out", metavar="FOLDER", help="where results go (runs/eval/MODEL)")
    verb.add_argument("--log", metavar="FOLDER", help="also write samples and results in the form of lmms-eval")
    verb.add_argument("--json", action="store_true", help="for parity: print the result as JSON")


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
