"""What a person sees while a run goes on: a live line a stage with the time left, one table line a round."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

SHOWN = {
    "held_out/accuracy": "accuracy",
    "samples/accuracy": "pass@1",
    "samples/pass@8": "pass@8",
    "samples/right_answer_wrong_step": "right answer, wrong step",
    "step_auroc_prm": "step AUROC",
}


class Console:
    """Writes to one stream; the live line is only drawn on a terminal.

    Args:
        stream: where to write.
        quiet: write nothing.
    """

    def __init__(self, stream: object = None, *, quiet: bool = False):
        self.stream = sys.stderr if stream is None else stream
        self.quiet = quiet
        self.live = not quiet and getattr(self.stream, "isatty", lambda: False)()
        self.seconds: dict[str, float] = {}
        self._what, self._start, self._drawn = "", 0.0, 0.0

    def begin(self, what: str) -> None:
        """A stage starts."""
        self._what, self._start, self._drawn = what, time.monotonic(), 0.0
        self._line(f"  {what} ...")

    def tick(self, done: int, total: int) -> None:
        """A stage is `done` of `total` units far."""
        now = time.monotonic()
        if not self.live or now - self._drawn < 0.2:
            return
        self._drawn = now
        left = (now - self._start) / max(done, 1) * (total - done)
        width = 24
        bar = "█" * round(width * done / max(total, 1))
        self._line(f"  {self._what:<44} {bar:<{width}} {done}/{total}  {clock(left)} left")

    def end(self, rows: int) -> None:
        """The stage that began last is finished."""
        spent = time.monotonic() - self._start
        self.seconds[self._what] = round(spent, 2)
        self._line("")
        self.say(f"  {self._what:<44} {rows:>7,} rows  {spent:6.1f} s")

    def say(self, text: str = "") -> None:
        """A line that stays."""
        if not self.quiet:
            print(text, file=self.stream, flush=True)

    def round(self, loop: str, at: int | str, numbers: Mapping[str, float]) -> None:
        """One line a measured point: the numbers a person follows, those that are there."""
        shown = [f"{short} {numbers[name]:.3f}" for name, short in SHOWN.items() if name in numbers]
        shown += [f"{name} {words}" for name, words in _benchmarks(numbers)]
        if "rows" in numbers:
            shown.append(f"{numbers['rows']:,.0f} rows trained")
        if shown:
            where = f"{loop} round {at}" if isinstance(at, int) else f"{loop} {at}"
            self.say(f"  ── {where}: " + "   ".join(shown))

    def _line(self, text: str) -> None:
        if self.live:
            print(f"\r\033[K{text}", end="", file=self.stream, flush=True)


def _benchmarks(numbers: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Each benchmark that was measured, and its accuracy with the interval's ends, which held-out sets do not tell."""
    for key, value in numbers.items():
        name, accuracy, rest = key.partition("/accuracy")
        if accuracy and not rest and f"{key}/low" in numbers:
            low, high = (numbers.get(f"{key}/{end}", math.nan) for end in ("low", "high"))
            ends = f" ({low:.3f} to {high:.3f})" if math.isfinite(low) and math.isfinite(high) else ""
            yield name, f"{value:.3f}{ends}"


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss."""
    whole = int(seconds + 0.5)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


_CURRENT: ContextVar[Console] = ContextVar("mmevolve.console")


def current() -> Console:
    """The console of this run; silence when none was set."""
    return _CURRENT.get(None) or Console(quiet=True)


@contextmanager
def shown_on(console: Console) -> Iterator[Console]:
    """Make a console the current one for a while."""
    token = _CURRENT.set(console)
    try:
        yield console
    finally:
        _CURRENT.reset(token)
