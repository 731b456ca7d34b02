"""Studies of self-correction in miniature: arms over seeds, paired by question, beside what the papers found.

- `scl`: a review without training, and what training on the pairs of that review does (SCL).
- `score`: SCoRe, its ablations, and SFT on corrections, at equal samples of the same questions (SCoRe).
- `control`: the five arms of feedback on the models that `scl` and `score` trained: is a review worth more than drawing
  again, and are they better at hearing what is wrong?
- `rise`: five turns before and after RISE.
- `refined`: critiques of wrong attempts while a policy explores, beside exploring without (critique in the loop).
- `content`: what feedback is worth beside drawing again, and its content beside another question's feedback, before
  and after training on corrections that follow feedback, and on right answers alone (Stechly et al.).

    python eval/studies/self_correction.py --study scl --seeds 5 --jobs 2       (resumes)
    python eval/studies/self_correction.py --study scl --seeds 1 --more train_data.n=48 held_out.n=24     (a rehearsal)
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from arms import Arm, run_arms
from self_correction_page import Figures, Finding, Study, page

from mmevolve.metrics.feedback_effect import EFFECTS, chains
from mmevolve.metrics.over_turns import turns
from mmevolve.metrics.turn_edits import edit_ratio
from mmevolve.metrics.turns import pairs
from mmevolve.results import record
from mmevolve.samplers.feedback import ARMS
from mmevolve.types import Group

SHAPES = "recipes/shapes/{}.yaml"
FAMILIES = "[compare, total, removal, two_hop]"
QUESTIONS = 800  # of SCoRe's arms
ROUNDS, SAMPLED = 2, 8  # of each of SCoRe's stages; attempts and revisions of a question in all of an arm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", required=True, choices=[*STUDIES])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, help="seeds run side by side, one thread each")
    parser.add_argument("--out", default="runs/self_correction")
    parser.add_argument(
        "--more", nargs="*", default=[], help="overrides of every arm: a rehearsal, nothing is recorded"
    )
    args = parser.parse_args()
    study, out = STUDIES[args.study], Path(args.out)
    arms = {name: (recipe, [*own, *args.more]) for name, (recipe, own) in study.arms.items()}
    arms = {name: (recipe, [word.replace("OUT/", f"{out}/") for word in own]) for name, (recipe, own) in arms.items()}
    run_arms(arms, out, args.seeds, args.jobs, study.shared)
    lines = page(study, out, args.seeds)
    print("\n".join(lines))
    if not args.more:
        command = f"python eval/studies/self_correction.py --study {args.study} --seeds {args.seeds}"
        record(study.title, lines, command=command)


def two_turns(groups: Sequence[Group]) -> Figures:
    """Of each question, greedy: right before and after the review, what changed, and how far the texts are apart."""
    found: Figures = {}
    for pair in pairs(groups, "answer"):
        kept, broken, fixed, _ = pair.outcomes
        numbers = {
            "t1": kept + broken,
            "t2": kept + fixed,
            "gain": fixed - broken,
            "fixed": fixed,
            "broken": broken,
            "edits": edit_ratio(pair.before.text, pair.after.text),
            "unchanged": float(pair.before.text == pair.after.text),
        }
        for name, value in numbers.items():
            found.setdefault(name, {})[pair.group.sample.id] = value
    return found


def five_turns(groups: Sequence[Group]) -> Figures:
    """Of each question: right at the first, second and last turn, and what the turns after the first are worth."""
    found: Figures = {}
    for group in groups:
        verdict = dict(zip((t.id for t in group.trajectories), group.scores("answer"), strict=True))
        (chain,) = turns(group.trajectories)
        right = [float((verdict[t.id] or 0) > 0) for t in chain]
        numbers = {"t1": right[0], "t2": right[:2][-1], "last": right[-1], "gain": right[-1] - right[0]}
        for name, value in numbers.items():
            found.setdefault(name, {})[group.sample.id] = value
    return found


def answered(groups: Sequence[Group]) -> Figures:
    """Of each question: whether its one answer is right, and whether every step of it is true."""
    found: Figures = {"right": {}, "true": {}}
    for group in groups:
        found["right"][group.sample.id] = float((group.scores("answer")[0] or 0) > 0)
        found["true"][group.sample.id] = float((group.scores("errors")[0] or 0) > 0)
    return found


def told(groups: Sequence[Group]) -> Figures:
    """Of each question: right at first, at the end of each arm of `samplers.Feedback`, and their two differences."""
    found: Figures = {}
    for group in groups:
        verdict = dict(zip((t.id for t in group.trajectories), group.scores("answer"), strict=True))
        (chain,) = chains(group)
        last = {arm: float((verdict[chain.last(arm).id] or 0) > 0) for arm in chain.later}
        numbers = {"first": float((verdict[chain.first.id] or 0) > 0), **last}
        numbers |= {name: last[after] - last[before] for name, (before, after) in EFFECTS.items()}
        for name, value in numbers.items():
            found.setdefault(name, {})[group.sample.id] = value
    return found


def arm(recipe: str, **changes: object) -> Arm:
    """A recipe of the embedded world with changes; `__` stands for a dot."""
    return SHAPES.format(recipe), [f"{key.replace('__', '.')}={value}" for key, value in changes.items()]


# SCoRe's first stage is left out by giving its rounds to the second, so that all arms draw as many attempts. One family
# of questions: over four at once the same compute moved first and second turns by less than the seeds differed.
compared_with_score = partial(arm, families="[removal]", train_data__n=QUESTIONS, train_data__seed=3)
score = partial(compared_with_score, "score")
second_alone = partial(score, loop__0__rounds=0, loop__1__rounds=2 * ROUNDS)
LONE = f"{{_target_: samplers.Independent, n: {SAMPLED}, temperature: 1.0, max_tokens: 72, seed: $seed}}"
TWICE = (
    f"{{_target_: samplers.Review, n: {SAMPLED // 2}, temperature: 1.0, max_tokens: 72, review: check, seed: $seed}}"
)

TURNS = {
    "t1": "first turn",
    "t2": "second turn",
    "gain": "second less first",
    "fixed": "wrong to right",
    "broken": "right to wrong",
    "edits": "edit ratio",
    "unchanged": "said again word for word",
}

# Three times the recipe's questions: what breaks a right answer is rare, and rarer afterwards.
REVIEWED = (
    f"[{{_target_: evaluation.HeldOut, name: review, data: {{_target_: data.shapes, n: 1800, split: test, seed: 0, "
    f"families: {FAMILIES}}}, sampler: {{_target_: samplers.Review, temperature: 0.0, max_tokens: 72, review: check}}, "
    "critics: [$answer], metrics: [{_target_: metrics.SelfCorrection}]}]"
)

reviewed = partial(arm, "self_correction_dpo", evaluations=REVIEWED)

# Feedback is drawn from the seed, too; the audit of lucky guesses is not read here.
FEEDBACK = (
    "[{_target_: evaluation.HeldOut, name: feedback, data: $held_out, sampler: {_target_: samplers.Feedback, verifier: "
    "$answer, critic: $oracle, donors: $held_out, attempts: 3, words: world, max_tokens: 72, seed: $seed}, critics: "
    "[$answer], metrics: [{_target_: metrics.FeedbackEffect}]}]"
)
TOLD, START = "corrections after feedback", "before training"
BOTH = "scl, both turns"
after_feedback = partial(
    arm,
    "feedback_control",
    evaluations=FEEDBACK,
    held_out__n=300,
    train_data=f"{{_target_: data.shapes, n: 1600, split: train, seed: 3, families: {FAMILIES}}}",
    loop__sampler="{_target_: samplers.Independent, n: 4, temperature: 1.0, max_tokens: 72, seed: $seed}",
    loop__critics="[$answer, $oracle]",
    loop__train__steps=200,
    loop__train__optimizer__lr=1e-4,
)

# What earlier studies trained, by the folder of the same seed; `--out` must be theirs.
NAMED = FEEDBACK.replace("$oracle", "{_target_: critics.Oracle}")  # the recipe has none of that name
asked_again = partial(arm, "self_refine", evaluations=NAMED, families="[removal]", held_out__n=150)
TRAINED = {
    "scl": "scl-SEED/evolve/round=000",
    BOTH: "scl,_both_turns-SEED/evolve/round=000",
    "SCoRe": "SCoRe-SEED/second_stage/round=001",
    "Pair-SFT": "Pair-SFT-SEED/evolve/round=000",
    "RISE": "RISE-SEED/evolve/round=001",
}
BASE = "mmevolve:tiny_vlm_dialogue"
LOOP = "critiques in the loop"

STUDIES = {
    "scl": Study(
        "Reviewing without training, and SCL",
        {"scl": reviewed(), BOTH: reviewed(loop__0__selector__teach="both", loop__0__selector__review="check")},
        two_turns,
        "review",
        TURNS,
        "before SCL",
        [
            Finding("a review without training loses accuracy", "61.7 to 38.6 (MiniCPM)", -1, "gain", "before SCL"),
            Finding("SCL raises first turns", "50.9 to 52.7 (LLaVA)", +1, "t1", "scl", "before SCL"),
            Finding("SCL raises second turns", "", +1, "t2", "scl", "before SCL"),
            Finding("fewer answers go from right to wrong", "", -1, "broken", "scl", "before SCL"),
            Finding("and fewer of those that were right", "", -1, "broken", "scl", "before SCL", of="t1"),
            Finding("SCL does not teach to review", "", 0, "gain", "scl", "before SCL"),
            Finding("with rows of both turns, SCL raises first turns", "", +1, "t1", BOTH, "before SCL"),
            Finding("and second turns", "", +1, "t2", BOTH, "before SCL"),
            Finding("and fewer answers go from right to wrong", "", -1, "broken", BOTH, "before SCL"),
            Finding("and fewer of those that were right", "", -1, "broken", BOTH, "before SCL", of="t1"),
        ],
        shared={BOTH: ("scl", ("evolve/before", "images"))},
        gate=True,
        says="Greedy; wrong to right and right to wrong are shares of all questions; both turns: the same pairs "
        "under the conversation of the review as well, which is ours. Paper: arXiv:2410.04055, on RealWorldQA.",
    ),
    "score": Study(
        "SCoRe, its ablations, and SFT on corrections",
        {
            "SCoRe": score(),
            "no shaping": score(loop__1__selector__alpha=0),
            "no stage one": second_alone(),
            "single turn": second_alone(
                loop__1__sampler=LONE,
                loop__1__selector="{_target_: selectors.Advantages, kind: rloo}",
                loop__1__metrics="[{_target_: metrics.Accuracy, name: sampled_accuracy}]",
            ),
            "Pair-SFT": compared_with_score("pair_sft", loop__0__sampler__n=SAMPLED),
            "STaR": compared_with_score("two_turn_star", loop__0__sampler=TWICE),
        },
        two_turns,
        "review",
        TURNS,
        "untrained",
        [
            Finding("untrained, a second turn loses", "-11.2", -1, "gain", "untrained"),
            Finding("after SCoRe it gains", "+4.4", +1, "gain", "SCoRe"),
            Finding("SCoRe raises first turns", "52.6 to 60.0", +1, "t1", "SCoRe", "untrained"),
            Finding("SCoRe raises second turns", "41.4 to 64.4", +1, "t2", "SCoRe", "untrained"),
            Finding("it gains more than Pair-SFT", "+4.4 v. +1.8", +1, "gain", "SCoRe", "Pair-SFT"),
            Finding("and than STaR", "+4.4 v. +0.4", +1, "gain", "SCoRe", "STaR"),
            Finding("its second turns are better than Pair-SFT's", "64.4 v. 54.2", +1, "t2", "SCoRe", "Pair-SFT"),
            Finding("and than STaR's", "64.4 v. 54.0", +1, "t2", "SCoRe", "STaR"),
            Finding("without stage one it gains less", "+2.2 v. +4.4", -1, "gain", "no stage one", "SCoRe"),
            Finding("without shaping it gains less", "+2.6 v. +4.4", -1, "gain", "no shaping", "SCoRe"),
            Finding("trained on single turns it gains less", "-2.4 v. +4.4", -1, "gain", "single turn", "SCoRe"),
            Finding("after STaR edits are smaller", "Section 4", -1, "edits", "STaR", "untrained"),
            Finding("after Pair-SFT edits are smaller", "Section 4", -1, "edits", "Pair-SFT", "untrained"),
            Finding("SCoRe edits more than Pair-SFT", "", +1, "edits", "SCoRe", "Pair-SFT"),
        ],
        shared={"no shaping": ("SCoRe", ("first_stage", "images"))},
        gate=True,
        says=f"Paper: Gemini 1.5 Flash on MATH, arXiv:2409.12917. Every arm draws {SAMPLED * QUESTIONS:,} attempts and "
        f"revisions of the same {QUESTIONS:,} questions or half of them, all of one family (removal), and trains "
        "whole weights under a frozen eye. STaR as SCoRe has it: second turns are not rationalized. Edit ratio: "
        "Levenshtein distance over both lengths together.",
    ),
    "control": Study(
        "Five arms of feedback after training on corrections",
        {"base, asked": asked_again(policy__name=BASE)}
        | {f"{name}, asked": asked_again(policy__name=f"OUT/{place}/checkpoint") for name, place in TRAINED.items()},
        told,
        "feedback",
        {
            "first": "first attempt",
            **{name: name.replace("_", " ") for name in ARMS},
            "effect": "feedback effect",
            "content_effect": "content effect",
        },
        "base, asked",
        [
            Finding(f"after {name}, {what} is above 0", "", +1, figure, f"{name}, asked")
            for name in TRAINED
            for figure, what in (("effect", "the feedback effect"), ("content_effect", "the content effect"))
        ],
        says="Held-out questions of one family (removal), three attempts an arm, the answer rule stops it, the oracle "
        "names the wrong steps; effect: all wrong steps told less drawn again; content: less another question's steps.",
    ),
    "rise": Study(
        "RISE: five turns",
        {"RISE": arm("rise", families="[removal]", train_data__n=QUESTIONS)},
        five_turns,
        "five_turns",
        {"t1": "first turn", "t2": "second turn", "last": "fifth turn", "gain": "fifth less first"},
        "before RISE",
        [
            Finding("before, turns after the first gain nothing", "", 0, "gain", "before RISE"),
            Finding("after RISE they gain", "+8.2 (LLaMA3-8B)", +1, "gain", "RISE"),
            Finding("by more than before", "", +1, "gain", "RISE", "before RISE"),
            Finding("RISE raises first turns", "", +1, "t1", "RISE", "before RISE"),
            Finding("and fifth turns", "", +1, "last", "RISE", "before RISE"),
        ],
        says=f"Greedy; paper: arXiv:2407.18219, GSM8K. {QUESTIONS:,} questions of one family (removal), two rounds.",
    ),
    "refined": Study(
        "Critique in the loop",
        {
            LOOP: arm("critique_in_the_loop"),
            "without a critic": arm("critique_in_the_loop", refinements=0),
            "without, ten attempts": arm("critique_in_the_loop", refinements=0, n=10),
        },
        answered,
        "held_out",
        {"right": "right answers", "true": "every step true"},
        "before the rounds",
        [
            Finding("critiques in the loop raise accuracy", "", +1, "right", LOOP, "before the rounds"),
            Finding("by more than exploring without", "more", +1, "right", LOOP, "without a critic"),
            Finding("and than twice as many attempts", "more", +1, "right", LOOP, "without, ten attempts"),
            Finding("their steps are true more often", "", +1, "true", LOOP, "without, ten attempts"),
        ],
        shared={
            name: (LOOP, ("critic_sft", "policy_sft", "images", "evolve/before"))
            for name in ("without a critic", "without, ten attempts")
        },
        says="Greedy, 300 held-out questions of four families; three rounds of 300 questions, each from one start. "
        "Paper: arXiv:2411.16579, of which we read no figure.",
    ),
    "content": Study(
        "What feedback is worth, and its content",
        {
            TOLD: after_feedback(
                loop__selector="{_target_: selectors.Dialogues, review: check, words: world, seed: $seed}"
            ),
            "right answers": after_feedback(loop__selector="{_target_: selectors.Correct, most: 1}"),
        },
        told,
        "feedback",
        {
            "first": "first attempt",
            **{name: name.replace("_", " ") for name in ARMS},
            "effect": "feedback effect",
            "content_effect": "content effect",
        },
        START,
        [
            Finding("feedback is worth no more than drawing again", "no gain", 0, "effect", START),
            Finding("its content makes no difference", "none", 0, "content_effect", START),
            Finding("training on corrections raises the feedback effect", "", +1, "effect", TOLD, START),
            Finding("and the content effect", "", +1, "content_effect", TOLD, START),
            Finding("by more than right answers do", "", +1, "content_effect", TOLD, "right answers"),
        ],
        shared={"right answers": (TOLD, ("evolve/before", "images"))},
        says="Three attempts an arm, the answer rule stops it, the oracle names the wrong steps; effect: all wrong "
        "steps told less drawn again; content: less another question's steps. Paper: arXiv:2310.12397. Both trainings: "
        "1,600 questions, 4 attempts each, 200 steps.",
    ),
}  # fmt: skip

if __name__ == "__main__":
    main()
