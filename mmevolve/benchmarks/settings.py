"""How `mmevolve eval` asks benchmarks and where its results go, and what of that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmevolve.config.nearest import hint
from mmevolve.controls.overlap import COSINE, KINDS, REFUSED


@dataclass(frozen=True)
class Settings:
    """How benchmarks are asked and where results go.

    Attributes:
        limit: only the first so many questions.
        data: data folder, one table, or `hub`.
        answers: file of stored answers, in place of asking the model.
        partial: with stored answers, score what both the file and the data have.
        n: attempts a question.
        temperature: 0 is greedy; by default 0 for one attempt and 1 for several.
        max_tokens: longest response; by default what each spec says.
        seed: of the draws.
        batch: attempts drawn together: speed, and what a kill can lose.
        dtype: of the model's weights.
        out: results folder; by default `runs/eval/<model>`.
        log: also write lmms-eval's files into this folder.
        base: what the language model below the model scores without images, for leakage.
        against: results of an earlier evaluation, of one benchmark or the folder of several, compared by question.
        url: base URLs of servers that serve the model, with commas between them.
        server: what serves it.
        control: controls with commas between them, each asked beside the benchmark: `blind,swapped,circular`.
        overlap: a table of training samples; a benchmark that shares with it what `refuse` names is not scored.
        embedder: a CLIP model that finds near-duplicate pictures for `overlap`; its weights behind an `@` where it is
            one of open_clip's names: `mmevolve:tiny_clip`, `ViT-B-32@laion2b_s34b_b79k`, a folder.
        cosine: from which similarity of embeddings pictures are near-duplicates.
        refuse: kinds of overlap that stop the evaluation, with commas between them, or `none`; others are only said.
        judge: a model that is asked whether an explanation names the same error as its reference; by default the
            offline rule of shared words.
        html: the page that shows every response; by default `report.html` in the results folder.
    """

    limit: int | None = None
    data: str | None = None
    answers: str | None = None
    partial: bool = False
    n: int = 1
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int = 0
    batch: int = 1
    dtype: str = "float32"
    out: str | None = None
    log: str | None = None
    base: float | None = None
    against: str | None = None
    url: str | None = None
    server: str = "vllm"
    control: str | None = None
    overlap: str | None = None
    embedder: str | None = None
    cosine: float | None = None
    refuse: str | None = None
    judge: str | None = None
    html: str | None = None

    @property
    def refused(self) -> tuple[str, ...]:
        """Kinds of overlap that stop the evaluation."""
        if self.refuse is None:
            return REFUSED
        return tuple(word.strip() for word in self.refuse.split(",") if word.strip() != "none")

    @property
    def near(self) -> float:
        """The least cosine of near-duplicates."""
        return COSINE if self.cosine is None else self.cosine


def odd(settings: Settings) -> Iterator[str]:
    """One sentence for each setting that cannot be, or has nothing to do with the others."""
    for name in ("n", "batch", "max_tokens", "limit"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            yield f"--{name.replace('_', '-')} is {value}, expected at least 1"
    if settings.temperature is not None and settings.temperature < 0:
        yield f"--temperature is {settings.temperature}, expected at least 0"
    if settings.n > 1 and settings.temperature == 0:
        yield "--n above 1 with --temperature 0 gives the same response every time: leave one of them out"
    if settings.html is not None and Path(settings.html).is_dir():
        yield f"--html '{settings.html}' is a folder, expected a file"
    if settings.overlap is None:
        for name in ("embedder", "cosine", "refuse"):
            if getattr(settings, name) is not None:
                yield f"--{name} is about --overlap TABLE, which is not given"
    for kind in settings.refused:
        if kind not in KINDS:
            yield f"--refuse: no kind of overlap '{kind}'{hint(kind, (*KINDS, 'none'))}"
    if "embedding" in settings.refused and settings.embedder is None:
        yield "--refuse embedding needs --embedder MODEL, which finds such pictures"
    if settings.cosine is not None:
        if not 0 < settings.cosine <= 1:
            yield f"--cosine is {settings.cosine}, expected a number above 0, at most 1"
        if settings.embedder is None:
            yield "--cosine is about --embedder MODEL, which is not given"
