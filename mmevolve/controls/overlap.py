"""Overlap between training samples and benchmarks: the same pictures, the same questions, and near ones.

Papers: Brown et al. 2020, arXiv:2005.14165, app. C (13-grams of words). Kinds, from sure to suspected:

    bytes       the same encoded picture
    pixels      the same decoded picture, in whatever lossless format
    question    the same words in question and options
    perceptual  pictures whose 256-bit DCT hashes differ in few bits: re-encoded, scaled, or a near variant
    ngram       13 words in a row in common, but for runs that over 10 training samples have: those are templates
    embedding   pictures that an embedder (open_clip, say) finds nearly alike

The first two are refused by default, and `question` where neither sample has a picture; a question such as `how many
circles are there?` is asked of many pictures, so with pictures it is only flagged, like all that is suspected.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from mmevolve.config.nearest import hint
from mmevolve.controls.fingerprint import SIDE, Fingerprint, fingerprint
from mmevolve.types import ImageRef, Sample

Kind = Literal["bytes", "pixels", "question", "perceptual", "ngram", "embedding"]
Embedder = Callable[[Sequence[ImageRef]], Sequence[Sequence[float]]]
"""Images in, one vector each out, of any length but 0; what a CLIP image tower gives."""
KINDS: tuple[Kind, ...] = get_args(Kind)
REFUSED: tuple[Kind, ...] = ("bytes", "pixels")
COSINE = 0.95
GRAM = 13
COMMON = 10  # a run of words in more training samples than this says nothing about one of them
_WORD = re.compile(r"[^\W_]+(?:[.,'][^\W_]+)*")
_BLOCK = 1_000_000  # pairs compared at once


@dataclass(frozen=True)
class Overlap:
    """One held-out sample that shares something with training samples.

    Attributes:
        kind: what is shared.
        sample: id of the held-out sample.
        trained: ids of all training samples that share it, those that share most first.
        degree: how much, at the nearest of them: 1 for what is the same; the share of equal bits; the share of the
            held-out question's own 13-grams, templates apart, that its question holds; the cosine.
        refused: whether it must not be; else it is flagged.
    """

    kind: Kind
    sample: str
    trained: tuple[str, ...]
    degree: float
    refused: bool


@dataclass(frozen=True)
class OverlapReport:
    """All overlaps of one training set with one benchmark.

    Attributes:
        found: every overlap, the sure kinds first, then in the benchmark's order.
        trained: training samples looked at.
        held_out: held-out samples looked at.
        checked: the kinds that were looked for.
    """

    found: tuple[Overlap, ...]
    trained: int
    held_out: int
    checked: tuple[Kind, ...]

    def counts(self) -> dict[str, int]:
        """Held-out samples that overlap, by kind that was looked for."""
        tally = Counter(o.kind for o in self.found)
        return {kind: tally[kind] for kind in self.checked}

    def lines(self) -> list[str]:
        """The report in sentences, one a kind."""
        said = []
        for kind, n in self.counts().items():
            of = [o for o in self.found if o.kind == kind]
            refused = sum(o.refused for o in of)
            most = max(of, key=lambda o: o.degree, default=None)
            like = f", most '{most.sample}' with '{most.trained[0]}' ({most.degree:.2f})" if most else ""
            said.append(f"{kind}: {n} of {self.held_out} held-out samples, {refused} refused{like}")
        return said

    def check(self, name: str = "the benchmark") -> None:
        """Stop when anything is refused.

        Raises:
            ValueError: naming the first such sample and how many there are, by kind.
        """
        bad = [o for o in self.found if o.refused]
        if bad:
            kinds = ", ".join(f"{n} by {kind}" for kind, n in Counter(o.kind for o in bad).items())
            raise ValueError(
                f"{len({o.sample for o in bad})} samples of {name} are also trained on ({kinds}), '{bad[0].sample}' "
                f"with '{bad[0].trained[0]}' first: train on others"
            )


def overlaps(
    train: Sequence[Sample],
    held_out: Sequence[Sample],
    *,
    embed: Embedder | None = None,
    bits: int = 20,
    cosine: float = COSINE,
    refuse: Collection[Kind] = REFUSED,
) -> OverlapReport:
    """Everything that training samples share with held-out ones.

    Args:
        train: what is trained on.
        held_out: the benchmark.
        embed: looks for near-duplicates too.
        bits: largest distance of perceptual hashes, of 256. At 20, on seven sets of diagrams, charts and photographs,
            99 of 100 pictures were found again as JPEG of quality 50, and 84 or more at half their size (56 of tables
            in small print); of pairs of different pictures of one set 0 to 5 in 1,000 were called alike.
        cosine: least similarity of embeddings.
        refuse: kinds that must not be; `question` here refuses the same question also where there are pictures.

    Raises:
        ValueError: when a setting does not fit, an image cannot be read or an embedder's vectors do not fit.
    """
    unknown = next((kind for kind in refuse if kind not in KINDS), None)
    if unknown is not None:
        raise ValueError(f"no kind of overlap '{unknown}'{hint(unknown, KINDS)}")
    if not 0 <= bits < SIDE * SIDE or not 0 < cosine <= 1:
        raise ValueError(f"bits={bits}, cosine={cosine}: expected 0 to {SIDE * SIDE - 1} bits and a cosine in (0, 1]")
    prints = {ref: fingerprint(ref) for s in (*train, *held_out) for ref in s.images}
    links: dict[Kind, Iterable[tuple[int, int, float]]] = {
        "bytes": _same(train, held_out, lambda s: [prints[ref].bytes for ref in s.images]),
        "pixels": _same(train, held_out, lambda s: [prints[ref].pixels for ref in s.images]),
        "question": _same(train, held_out, lambda s: [" ".join(words(s))] if words(s) else []),
        "perceptual": _near_prints(train, held_out, prints, bits),
        "ngram": _ngrams(train, held_out),
    }
    if embed is not None:
        links["embedding"] = _near_vectors(train, held_out, embed, cosine)
    found = []
    for kind, pairs in links.items():
        of: dict[int, dict[int, float]] = defaultdict(dict)
        for h, t, degree in pairs:
            of[h][t] = max(degree, of[h].get(t, degree))
        for h, near in sorted(of.items()):
            trained = sorted(near, key=lambda t: (-near[t], t))
            plain = kind == "question" and not held_out[h].images and any(not train[t].images for t in trained)
            ids = tuple(train[t].id for t in trained)
            found.append(Overlap(kind, held_out[h].id, ids, near[trained[0]], kind in refuse or plain))
    return OverlapReport(tuple(found), len(train), len(held_out), tuple(links))


def words(sample: Sample) -> list[str]:
    """Words of a question and its options: letters and digits of any script, lower case, without marks."""
    text = "\n".join((sample.question, *sample.choices))
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def grams(tokens: Sequence[str], n: int = GRAM) -> set[str]:
    """Runs of n words; of a text with fewer, none: it overlaps as a whole question or not at all."""
    return {" ".join(tokens[i : i + n]) for i in range(len(tokens) - n + 1)}


def _same(
    train: Sequence[Sample], held_out: Sequence[Sample], keys: Callable[[Sample], list[str]]
) -> Iterator[tuple[int, int, float]]:
    holders = _holders(train, keys)
    for h, sample in enumerate(held_out):
        for key in keys(sample):
            for t in holders.get(key, ()):
                yield h, t, 1.0


def _ngrams(train: Sequence[Sample], held_out: Sequence[Sample]) -> Iterator[tuple[int, int, float]]:
    asked = [grams(words(s)) for s in held_out]
    wanted = set().union(*asked) if asked else set()
    holders = _holders(train, lambda s: sorted(grams(words(s)) & wanted))
    common = {gram for gram, of in holders.items() if len(of) > COMMON}
    for h, every in enumerate(asked):
        own = every - common
        shared = Counter(t for gram in own & holders.keys() for t in holders[gram])
        for t, count in shared.items():
            yield h, t, count / len(own)


def _near_prints(
    train: Sequence[Sample], held_out: Sequence[Sample], prints: Mapping[ImageRef, Fingerprint], bits: int
) -> Iterator[tuple[int, int, float]]:
    """Pictures whose hashes are near and whose pixels are not the same, which is said already."""

    def hashes(samples: Sequence[Sample]) -> tuple[list[str], np.ndarray, dict[str, list[int]]]:
        seen = {prints[r].pixels: prints[r].perceptual for s in samples for r in s.images}
        kept = {pixels: code for pixels, code in seen.items() if code is not None}
        rows = [np.frombuffer(code.to_bytes(SIDE * SIDE // 8, "big"), dtype=np.uint64) for code in kept.values()]
        return (
            list(kept),
            np.array(rows, dtype=np.uint64).reshape(-1, SIDE * SIDE // 64),
            _holders(samples, lambda s: _pixels(s, prints)),
        )

    trained, codes, holders = hashes(train)
    asked, own, askers = hashes(held_out)
    step = max(1, _BLOCK // max(1, len(codes)))
    for start in range(0, len(own) if len(codes) else 0, step):
        distance = np.bitwise_count(own[start : start + step, None] ^ codes[None]).sum(axis=2)
        for i, j in np.argwhere(distance <= bits).tolist():
            if asked[start + i] != trained[j]:
                for h in askers[asked[start + i]]:
                    for t in holders[trained[j]]:
                        yield h, t, 1 - int(distance[i, j]) / (SIDE * SIDE)


def _near_vectors(
    train: Sequence[Sample], held_out: Sequence[Sample], embed: Embedder, cosine: float
) -> Iterator[tuple[int, int, float]]:
    trained, asked = (list(dict.fromkeys(r for s in part for r in s.images)) for part in (train, held_out))
    if not trained or not asked:
        return
    left, right = _unit(embed(asked), len(asked)), _unit(embed(trained), len(trained))
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"the embedder gave vectors of {left.shape[1]} and {right.shape[1]} numbers: expected one length"
        )
    askers = _holders(held_out, lambda s: list(s.images))
    holders = _holders(train, lambda s: list(s.images))
    step = max(1, _BLOCK // len(right))
    for start in range(0, len(left), step):
        near = left[start : start + step] @ right.T
        for i, j in np.argwhere(near >= cosine).tolist():
            for h in askers[asked[start + i]]:
                for t in holders[trained[j]]:
                    yield h, t, min(1.0, float(near[i, j]))


def _unit(vectors: Sequence[Sequence[float]], n: int) -> np.ndarray:
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.ndim != 2 or len(rows) != n or not np.isfinite(rows).all():
        raise ValueError(f"the embedder gave shape {rows.shape} for {n} images: expected a finite vector each")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)


def _pixels(sample: Sample, prints: Mapping[ImageRef, Fingerprint]) -> list[str]:
    return [prints[ref].pixels for ref in sample.images]


def _holders(samples: Sequence[Sample], keys: Callable[[Sample], list]) -> dict:
    """Key -> places of the samples that have it."""
    found: dict = defaultdict(list)
    for i, sample in enumerate(samples):
        for key in dict.fromkeys(keys(sample)):
            found[key].append(i)
    return dict(found)
