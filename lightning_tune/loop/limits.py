"""When a sweep has had enough: numbers of trials, seconds, a target, patience."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from lightning_tune.core.checks import whole_or_none
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.errors import ArgumentError

_COUNTED: WeakKeyDictionary[History, dict[tuple[float, float], tuple[int, float, int]]] = WeakKeyDictionary()
"""For each history and setting: how many ended groups were looked at, the best cost, how many since."""
Duration: TypeAlias = float | int | timedelta | str | Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What ends a sweep. None is no limit.

    A target and patience compare trials by one number, and there is none with several objectives.

    Attributes:
        max_trials: configurations in all, over every call of `fit`; failed ones count.
        max_time_s: seconds of this call of `fit`.
        target: a score that is good enough.
        patience: configurations in a row that may end without an improvement.
        min_delta: how much better an improvement must be, in the monitor's own unit.
    """

    max_trials: int | None = None
    max_time_s: float | None = None
    target: float | None = None
    patience: int | None = None
    min_delta: float = 0.0

    @classmethod
    def of(
        cls,
        *,
        max_trials: int | None,
        max_time: Duration | None,
        target: float | None,
        patience: int | None,
        min_delta: float,
    ) -> "Limits":
        """Check a user's limits.

        Raises:
            ArgumentError: naming the argument, what it got and what it takes.
        """
        whole_or_none("max_trials", max_trials, 1)
        whole_or_none("patience", patience, 1)
        if target is not None and not _finite(target):
            raise ArgumentError(f"`target` must be a finite number, or None, got {target!r}.")
        if not _finite(min_delta) or min_delta < 0:
            raise ArgumentError(f"`min_delta` must be a finite number of at least 0, got {min_delta!r}.")
        return cls(
            max_trials=max_trials,
            max_time_s=None if max_time is None else seconds(max_time),
            target=target,
            patience=patience,
            min_delta=float(min_delta),
        )

    def check(self, objective: Objective) -> None:
        """See that trials have the one number that some limits stand on.

        Raises:
            ArgumentError: there are several objectives, and a target or patience was given.
        """
        for name, limit in (("target", self.target), ("patience", self.patience)):
            if limit is not None and not objective.scalar:
                raise ArgumentError(
                    f"`{name}={limit!r}` needs one number a trial, and there are "
                    f"{len(objective.monitor)} objectives: pass `score=` a callable that makes one number of "
                    "their values (lower is better), or end the sweep by `max_trials=` or `max_time=`."
                )

    def over(self, history: History, elapsed_s: float, full_budget: float = 0.0) -> str | None:
        """Return the limit that ends the sweep, in words, or None.

        Args:
            history: all trials so far.
            elapsed_s: seconds since this call of `fit` began.
            full_budget: the budget below which a configuration that was stopped at a rung has not had its
                chance, and does not count for `patience`.
        """
        if self.out_of_time(elapsed_s):
            return f"max_time of {timedelta(seconds=self.max_time_s or 0.0)} is over"
        best = None if self.target is None else history.best_group
        if best is not None and self.meets_target(history, best.cost):
            return f"target {self.target:g} reached: {history.objective.value(best.cost):g}"
        if self.patience is not None:
            without = self._without_improvement(history, full_budget)
            if without >= self.patience:
                return f"no improvement in the last {without} trials"
        return None

    def more(self, history: History) -> float:
        """Return how many configurations may still be started; those that were go on."""
        return math.inf if self.max_trials is None else max(0, self.max_trials - history.num_groups)

    def out_of_time(self, elapsed_s: float) -> bool:
        """Return whether `max_time` is over."""
        return self.max_time_s is not None and elapsed_s >= self.max_time_s

    def meets_target(self, history: History, cost: float) -> bool:
        """Return whether a cost is as good as the target."""
        return self.target is not None and cost <= history.objective.threshold(self.target)

    def _without_improvement(self, history: History, full_budget: float) -> int:
        """Count the groups that ended since the last one that improved, in the order they ended.

        What was counted before is remembered, so that each group is looked at once.
        """
        key = (self.min_delta, full_budget)
        seen, best, without = _COUNTED.setdefault(history, {}).get(key, (0, math.inf, 0))
        for group in history.ended_groups[seen:]:
            if group.state == "stopped" and group.budget < full_budget:
                continue
            if group.cost < best - self.min_delta or (math.isinf(best) and math.isfinite(group.cost)):
                best, without = group.cost, 0
            else:
                without += 1
        _COUNTED[history][key] = (len(history.ended_groups), best, without)
        return without


def seconds(duration: Duration) -> float:
    """Return a duration in seconds.

    A number, a timedelta, "DD:HH:MM:SS" or {"hours": 1}, as Trainer's `max_time`.

    Raises:
        ArgumentError: it is none of these, or not positive.

    Example:
        >>> seconds("00:01:30:00"), seconds({"minutes": 2}), seconds(0.5)
        (5400.0, 120.0, 0.5)
    """
    value: float | None = None
    if isinstance(duration, timedelta):
        value = duration.total_seconds()
    elif isinstance(duration, str):
        match = re.fullmatch(r"(\d+):(\d\d):(\d\d):(\d\d)", duration.strip())
        if match:
            days, hours, minutes, rest = map(int, match.groups())
            value = timedelta(days=days, hours=hours, minutes=minutes, seconds=rest).total_seconds()
    elif isinstance(duration, Mapping):
        try:
            value = timedelta(**duration).total_seconds()
        except TypeError:
            value = None
    elif _finite(duration):
        value = float(duration)
    if value is None or value <= 0:
        raise ArgumentError(
            "`max_time` must be positive: a number of seconds, a timedelta, 'DD:HH:MM:SS' or {'hours': 1}, "
            f"got {duration!r}."
        )
    return value


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
