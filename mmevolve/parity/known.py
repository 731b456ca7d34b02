"""What was looked into: disagreements with their reasons, and what the extractors of two other tools read."""

from __future__ import annotations

# (benchmark/file, kind, row) -> reason.
KNOWN = {
    ("mathvision/Gemini-Pro", "scoring", "3013"): (
        "published as wrong, but 4/3 and \\frac{4}{3} are equal by the official code"
    ),
    ("mathvision/Qwen-VL-Max-CoT", "extraction", "1787"): (
        "published answer is not that of the official code, which keeps `A)`"
    ),
    ("mathvision/Qwen-VL-Plus", "extraction", "2394"): (
        "published answer does not follow from the published response, which is `B`"
    ),
    ("scienceqa/test_sqa_llava_13b_v0", "extraction", "3247"): "D is stated where options are fewer: a random draw",
}

# Share of rows on which the option extractors of lmms-eval 0.7 and VLMEvalKit (August 2026, rule stage) agree with the
# official reading, measured on the full published files.
HARNESSES = {
    "mmmu_pro/gpt-4o_standard10_options_cot": (0.958, 0.401),
    "mmmu_pro/gpt-4o_standard10_options_direct": (0.917, 0.861),
    "mmmu_pro/gpt-4o_vision_cot": (0.943, 0.123),
    "mmmu_pro/gpt-4o_vision_direct": (0.951, 0.786),
    "mmmu/qwen_vl": (0.832, 0.660),
    "mmmu/llava1.5_13b": (1.000, 0.996),
}
# Accuracy by the same two extractors on the same files.
HARNESS_TOTALS = {
    "mmmu_pro/gpt-4o_standard10_options_cot": (0.5347, 0.2566),
    "mmmu_pro/gpt-4o_standard10_options_direct": (0.4249, 0.3965),
    "mmmu_pro/gpt-4o_vision_cot": (0.4815, 0.0595),
    "mmmu_pro/gpt-4o_vision_direct": (0.4173, 0.3682),
    "m3cot/gpt4v_direct": (0.5302, 0.3020),
    "m3cot/llava-7b_cot": (0.3507, 0.3175),
}
