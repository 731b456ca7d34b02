"""The arms of the M-STaR studies: a recipe and its overrides each."""

from __future__ import annotations

from dataclasses import dataclass, field

from arms import Arm

QUICKSTART = "recipes/quickstart.yaml"
FIRST: Arm = (QUICKSTART, [])


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        title: of its section in the results.
        arms: name -> recipe and overrides; the quickstart itself is `step_reward`, and runs first.
        differences: (a, b) pairs reported as a - b.
        paper: the same differences in M-STaR's tables, where it has them: points on MathV360K's test set and MathVista.
        distance: (low, high) arms between which the step reward's share is given.
        rounds: give a table round by round as well.
        says: a line below the tables: how the arms differ beside what their names say.
    """

    title: str
    arms: dict[str, Arm]
    differences: list[tuple[str, str]]
    distance: tuple[str, str] | None = None
    rounds: bool = False
    says: str = ""
    paper: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)


def quickstart(**changes: object) -> Arm:
    """The quickstart with changes to its third loop; `__` stands for a dot."""
    return QUICKSTART, [f"loop.2.{key.replace('__', '.')}={value}" for key, value in changes.items()]


def ranked(k: int, above: float = 0.5) -> Arm:
    return quickstart(selector__k=k, selector__above=above)


def refreshed(rounds: int, steps: int) -> Arm:
    """The same questions and as many steps, in other portions."""
    return quickstart(rounds=rounds, fraction=1 / rounds, train__steps=steps)


MONITOR = "{_target_: data.shapes, n: 100, split: validation, seed: 0, families: $families}"
STEPS = "{_target_: critics.StepReward, model: $prm, fold: min}"


def controlled(objective: str) -> Arm:
    """M-STaR's controller: a grid on 100 held-out questions every two rounds."""
    grid = f"{{_target_: schedules.Temperature, objective: {objective}, low: 0.4, high: 1.6, step: 0.3}}"
    return quickstart(schedule=grid, probe_data=MONITOR)


def balanced() -> Arm:
    """B-STaR: temperature and threshold each round, rows by reward above the threshold; n* = 2."""
    reward = f"{{_target_: critics.AnswerPlusStep, verifier: $answer, steps: {STEPS}}}"
    balance = (
        "{_target_: schedules.Balance, budget: 1600, queries: 800, low: 0.4, high: 1.6, step: 0.3, "
        "low_threshold: -0.5, high_threshold: 1.5, step_threshold: 0.25}"
    )
    return quickstart(
        critics=f"[$answer, {STEPS}, {reward}, $oracle]",
        selector="{_target_: selectors.Above, rank_by: reward, above: 1.0}",
        schedule=balance,
        probe_data=MONITOR,
    )


def half_labelled(mix_in: int) -> Arm:
    """Half of the questions lose their label; from round `mix_in` on a vote weighted by the step reward stands in."""
    data = "{_target_: data.shapes, n: 3200, split: train, seed: 3, families: $families}"
    vote = f"{{_target_: critics.WeightedVote, weights: {STEPS}}}"
    recipe, changes = quickstart(
        critics__0=f"{{_target_: critics.PseudoAnswer, vote: {vote}, verifier: $answer, mix_in: {mix_in}}}"
    )
    return recipe, [*changes, f"train_data={{_target_: data.unlabelled, data: {data}, share: 0.5}}"]


STUDIES = {
    "controls": Study(
        "Quickstart and its controls",
        {
            "step_reward": FIRST,
            "outcome_only": ("recipes/shapes/outcome_only.yaml", []),
            "random_2": ("recipes/shapes/random_2.yaml", []),
            "more_sft": ("recipes/shapes/more_sft.yaml", []),
            "oracle": ("recipes/shapes/oracle.yaml", []),
        },
        [
            *[("step_reward", b) for b in ("shipped model", "after warm-up", "outcome_only", "random_2", "more_sft")],
            ("oracle", "outcome_only"),
            ("oracle", "step_reward"),
        ],
        ("outcome_only", "oracle"),
    ),
    "carry": Study(
        "What lives on from round to round",
        {
            "step_reward": FIRST,
            "iterative_rft": quickstart(train__carry="weights"),
            "rest_em": quickstart(train__carry="nothing"),
        },
        [("step_reward", "iterative_rft"), ("iterative_rft", "rest_em"), ("step_reward", "rest_em")],
        says="All refresh the data every 25 %; the paper compares these three at 100 %.",
        paper={
            ("step_reward", "iterative_rft"): (-0.1, 1.0),
            ("iterative_rft", "rest_em"): (0.0, 0.6),
            ("step_reward", "rest_em"): (-0.1, 1.6),
        },
    ),
    "intervals": Study(
        "How often the data are refreshed",
        {
            "step_reward": FIRST,
            "every_100": refreshed(1, 180),
            "every_50": refreshed(2, 90),
            "every_12.5": refreshed(8, 22),
        },
        [("step_reward", b) for b in ("every_100", "every_50", "every_12.5")],
        says="step_reward refreshes every 25 %. Same 3,200 questions and 180 steps in each (176 at 12.5 %).",
        paper={
            ("step_reward", "every_100"): (0.9, 0.5),
            ("step_reward", "every_50"): (0.0, 1.0),
            ("step_reward", "every_12.5"): (0.8, 1.1),
        },
    ),
    "selectors": Study(
        "Which right attempts are trained on",
        {
            "step_reward": FIRST,
            "top_1": ranked(1),
            "top_4": ranked(4),
            "threshold": ranked(8),
            "random_2": ("recipes/shapes/random_2.yaml", []),
            "outcome_only": ("recipes/shapes/outcome_only.yaml", []),
        },
        [
            *[("step_reward", b) for b in ("top_1", "top_4", "threshold", "random_2")],
            ("threshold", "random_2"),
            ("random_2", "outcome_only"),
        ],
        says="step_reward is top 2 above 0.5; threshold is all above 0.5; outcome_only is every right attempt.\n"
        "top_1 keeps the most honest rows: right answers with a wrong step are fewest there, at the same accuracy.",
        paper={
            ("step_reward", "top_1"): (2.3, 0.2),
            ("step_reward", "top_4"): (1.3, 0.8),
            ("step_reward", "threshold"): (1.5, 1.7),
            ("step_reward", "random_2"): (4.3, 3.7),
            ("threshold", "random_2"): (2.8, 2.0),
            ("random_2", "outcome_only"): (-2.1, -1.7),
        },
    ),
    "controllers": Study(
        "Temperature by a controller",
        {
            "step_reward": FIRST,
            "reward_pass@2": controlled("{_target_: metrics.RewardPassAtK, k: 2}"),
            "pass@8": controlled("{_target_: metrics.PassAtK, k: 8}"),
            "b_star": balanced(),
        },
        [
            ("reward_pass@2", "step_reward"),
            ("reward_pass@2", "pass@8"),
            ("reward_pass@2", "b_star"),
            ("b_star", "step_reward"),
        ],
        says="step_reward keeps temperature 1; b_star also selects by its own threshold on 1[answer] + r_prm.",
        paper={("reward_pass@2", "step_reward"): (0.6, 0.3), ("reward_pass@2", "pass@8"): (3.1, 1.5)},
    ),
    "unlabelled": Study(
        "Questions without a label",
        {
            "step_reward": FIRST,
            "labelled_half": half_labelled(mix_in=99),
            "vote_from_0": half_labelled(mix_in=0),
            "vote_from_50": half_labelled(mix_in=2),
        },
        [
            ("vote_from_0", "labelled_half"),
            ("vote_from_50", "labelled_half"),
            ("vote_from_50", "vote_from_0"),
            ("step_reward", "labelled_half"),
        ],
        says="Half of the questions have no label, but in step_reward, which is the oracle for them from round 0 on.",
        paper={
            ("vote_from_0", "labelled_half"): (-2.0, -1.0),
            ("vote_from_50", "labelled_half"): (-2.4, -1.0),
            ("vote_from_50", "vote_from_0"): (-0.4, 0.0),
            ("step_reward", "labelled_half"): (-2.4, -0.1),
        },
    ),
    "rounds": Study(
        "Rounds until the gain stops",
        {
            "step_reward": FIRST,
            "ten_rounds": (
                QUICKSTART,
                [
                    "loop.2.rounds=10",
                    "loop.2.fraction=0.1",
                    "train_data={_target_: data.shapes, n: 8000, split: train, seed: 3, families: $families}",
                    "loop.2.metrics=[{_target_: metrics.Accuracy, name: sampled_accuracy}, {_target_: metrics."
                    "RewardPassAtK, k: 2, rank_by: prm}, {_target_: metrics.StepAUROC, rank_by: prm}, {_target_: "
                    "metrics.Honesty, rank_by: prm, truth: oracle}, {_target_: metrics.DistinctPaths}, {_target_: "
                    "metrics.Entropy}, {_target_: metrics.Collapse}]",
                ],
            ),
        },
        [("ten_rounds", "step_reward")],
        rounds=True,
        says="The paper: pass@k keeps falling, so exploration stops the gain; reward-pass@2 saturates early.",
    ),
}
