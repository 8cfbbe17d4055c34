"""When failures end a sweep: only those of the user's code, and only many of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lightning_tune.core.checks import whole_or_none
from lightning_tune.core.history import History
from lightning_tune.core.trial import Trial
from lightning_tune.errors import MonitorError, SweepFailedError
from lightning_tune.execute.base import LegEnd
from lightning_tune.loop.result import Result

_FIRST = 3


@contextmanager
def keeping(result: Callable[[], Result]) -> Iterator[None]:
    """Let what ends a sweep take along what was found until then."""
    try:
        yield
    except SweepFailedError as error:
        error.result = result()
        raise


@dataclass(kw_only=True)
class FailurePolicy:
    """Counts the trials that raised during one call of `fit`.

    NaN, divergence and running out of memory are outcomes and are not counted.

    Attributes:
        max_failures: how many trials may raise.
    """

    max_failures: int
    _ended: int = 0
    _raised: int = 0

    @classmethod
    def of(cls, max_failures: int | None, max_trials: int | None) -> "FailurePolicy":
        """Check a user's `max_failures`; None is the larger of 3 and a tenth of `max_trials`."""
        allowed = whole_or_none("max_failures", max_failures, 0)
        return cls(max_failures=max(_FIRST, (max_trials or 0) // 10) if allowed is None else allowed)

    def check(self, end: LegEnd, history: History) -> None:
        """Count a trial that has ended.

        Raises:
            SweepFailedError: the first three trials have all raised, or more than `max_failures`.
            MonitorError: the monitor was never logged in any trial.
        """
        self._ended += 1
        if end.kind == "unmonitored" and history.num_reports == 0:
            raise MonitorError(end.reason) from end.exception
        if end.kind not in ("exception", "unmonitored"):
            return
        self._raised += 1
        if self._raised == self._ended == _FIRST:
            self._fail(f"the first {_FIRST} trials all raised", end)
        if self._raised > self.max_failures:
            self._fail(f"{self._raised} trials raised, and `max_failures` is {self.max_failures}", end)

    def check_any_succeeded(self, history: History) -> None:
        """At the end of a sweep, raise if nothing but exceptions came of it."""
        if self._raised and all(trial.cause in ("exception", "unmonitored") for trial in history):
            last: Trial = history.trials[-1]
            raise SweepFailedError(f"all {len(history)} trials raised; the last: {last.reason}\n{last.error}")

    def _fail(self, sentence: str, end: LegEnd) -> None:
        raise SweepFailedError(
            f"{sentence}; the last: {end.reason}. What was found so far is in `result` of this error, and "
            "in the store: mend the cause and start again with the same `name=` (and `store=`) to go on.\n"
            f"{end.error}"
        ) from end.exception
