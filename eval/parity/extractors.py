"""Our reading of multiple-choice answers against that of lmms-eval and VLMEvalKit, on published model outputs.

    python eval/parity/extractors.py --data ../shared/data --lmms-eval FOLDER --vlmevalkit FOLDER

runs the extractors of two checkouts (their own code, rule stage only, no judge) beside ours on every golden file of
questions with letters. Without the checkouts, what was measured on the full published files stands in their columns.
`--record` writes the tables into eval/results.md.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import logging
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmevolve import answers
from mmevolve.answers import m3cot, mmmu, mmmu_pro, options, refusal
from mmevolve.parity.files import answers_of, load, places, plain_name
from mmevolve.parity.known import HARNESS_TOTALS, HARNESSES

Reader = Callable[[str, Sequence[str]], str | None]
HEAD = ("set", "rows", "official rules", "own", "lmms-eval", "VLMEvalKit")


@dataclass(frozen=True)
class Item:
    """One response with its options; `official` is the published reading, `drawn` whether that is a random letter."""

    response: str
    choices: tuple[str, ...]
    official: str | None
    drawn: bool
    gold: str
    ruled: str | None


def items(rows: Sequence[dict], benchmark: str) -> Iterator[Item]:
    """The multiple-choice rows of a golden file."""
    for row in rows:
        if row.get("question_type", "multiple-choice") != "multiple-choice":
            continue
        said = row["response"] if isinstance(row["response"], str) else ""
        if benchmark == "mmmu":
            choices = tuple(row["index2ans"].values())
            ruled, official = mmmu.parse_choice(said, row["index2ans"]), row["parsed_pred"]
        elif benchmark == "mmmu_pro":
            choices = tuple(str(option) for option in ast.literal_eval(str(row["options"])))
            ruled, official = mmmu_pro.parse_choice(said, mmmu_pro.options_of(choices)), row["pred_indexs"]
        else:
            choices = tuple(row["choices"])
            ruled = official = m3cot.parse_choice(said, choices)
        yield Item(said, choices, official, ruled is None, row["answer"], ruled)


def _module(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.exists():
        raise SystemExit(f"no '{path}': name a checkout of the tool")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def readers(lmms: Path | None, vlm: Path | None) -> dict[str, Reader | None]:
    """Our extractor and, where a checkout is given, theirs."""
    found: dict[str, Reader | None] = {
        "own": lambda text, choices: answers.extract(text, choices=choices, strict=False)
    }
    found |= {"lmms-eval": None, "VLMEvalKit": None}
    if lmms is not None:
        read = _module(lmms / "lmms_eval/tasks/_task_utils/mcq_extract.py").extract_mcq_answer
        found["lmms-eval"] = lambda text, choices: read(text, list(options.letters(choices))) or None
    if vlm is not None:
        for name in ("vlmeval", "vlmeval.smp", "vlmeval.smp.log"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["vlmeval.smp.log"].get_logger = logging.getLogger
        infer = _module(vlm / "vlmeval/utils/matching_util.py").can_infer

        def one(text: str, choices: Sequence[str]) -> str | None:
            said = infer(text, dict(zip(options.letters(choices), choices, strict=False)))
            return said if said and said != "Z" else None

        found["VLMEvalKit"] = one
    return found


def _shown(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _letter_and_text(item: Item) -> str | None:
    """Where a response is a letter and that option's own text and nothing else: the letter."""
    said = options.normal(item.response)
    pairs = zip(options.letters(item.choices), item.choices, strict=False)
    named = [letter for letter, choice in pairs if said == f"{letter.lower()} {options.normal(choice)}"]
    return named[0] if len(named) == 1 and len(said) > 2 else None


def lines(folder: Path, tools: dict[str, Reader | None]) -> list[str]:
    """The tables, as Markdown."""
    _, goldens = places(folder)
    agreement, accuracy, plain = [], [], []
    for path in answers_of(goldens):
        benchmark = path.relative_to(goldens).parts[0]
        if benchmark not in ("mmmu", "mmmu_pro", "m3cot"):
            continue
        name, told = f"{benchmark}/{plain_name(path)}", list(items(load(path), benchmark))
        read = {tool: [f(i.response, i.choices) for i in told] if f else None for tool, f in tools.items()}
        ruled = {"official rules": [i.ruled for i in told], **read}
        here = [k for k, i in enumerate(told) if not i.drawn]
        stated = [k for k in here if not (read["own"][k] is None and refusal.declines(told[k].response))]

        def agree(said: list | None, rows: list[int], told: list[Item] = told) -> float | None:
            return None if said is None else _share([said[k] == told[k].official for k in rows])

        for rows, label in ((here, name), (stated, f"{name}, answered")):
            shares = [agree(said, rows) for said in ruled.values()]
            if name in HARNESSES and rows is here:
                measured = HARNESSES[name]
                shares[2:] = [m if s is None else s for s, m in zip(shares[2:], measured, strict=True)]
            agreement.append((label, str(len(rows)), *map(_shown, shares)))
        right = [_share([i.official == i.gold for i in told])]
        right += [None if said is None else _share([s == i.gold for s, i in zip(said, told, strict=True)])
                  for said in read.values()]  # fmt: skip
        if name in HARNESS_TOTALS and benchmark != "mmmu":
            right[2:] = [m if s is None else s for s, m in zip(right[2:], HARNESS_TOTALS[name], strict=True)]
        lost = _share([s is None for s in read["own"]])
        accuracy.append(
            (name, str(len(told)), *map(_shown, right), _shown(lost), _shown((right[1] or 0) + (lost or 0)))
        )
        said = [(k, _letter_and_text(i)) for k, i in enumerate(told)]
        said = [(k, letter) for k, letter in said if letter]
        if said:
            found = [_share([s[k] == letter for k, letter in said]) if s else None for s in ruled.values()]
            plain.append((name, str(len(said)), *map(_shown, found)))
    totals = ("set", "rows", "official", "own", "lmms-eval", "VLMEvalKit", "own unparsed", "own, unparsed right")
    return [
        "Agreement with the published official reading, percent; random draws are left out, `answered` leaves out",
        "responses that decline to answer, out of which the official rules read a pronoun as a letter:",
        "", *_table(HEAD, agreement), "",
        "Accuracy, percent; unparsed is wrong:", "", *_table(totals, accuracy), "",
        "Responses that are one letter and that option's own text and nothing else, percent read as that letter:",
        "", *_table(HEAD, plain),
        "",
        "- `official rules` is what the tasks of these benchmarks use here: the official reading, unparsed for a draw.",
        "- `own` reads a refusal as unparsed. Official rules and lmms-eval read the `I` of `I'm sorry` as option I, so",
        "  that MMMU-Pro's vision direct setting is the one set here where `own` is behind with refusals counted in.",
    ]  # fmt: skip


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def main() -> None:
    """Print the tables; record them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with golden files")
    parser.add_argument("--lmms-eval", type=Path, help="a checkout of lmms-eval")
    parser.add_argument("--vlmevalkit", type=Path, help="a checkout of VLMEvalKit")
    parser.add_argument("--record", action="store_true", help="write the tables into eval/results.md")
    wanted = parser.parse_args()
    said = lines(wanted.data, readers(wanted.lmms_eval, wanted.vlmevalkit))
    print("\n".join(said))
    if wanted.record:
        from mmevolve.results import record

        command = "python eval/parity/extractors.py --data DATA --lmms-eval LMMS --vlmevalkit VLM --record"
        record("Our reading of multiple-choice answers against lmms-eval and VLMEvalKit", said, command=command)


if __name__ == "__main__":
    main()
