"""The numeric dimensions of a space: `Float` and `Int`, each with its map to the unit interval and back.

A dimension with n values gives each its bin of [0, 1]: equal bins, or with `log=True` bins that are equally
wide in the logarithm. A value sits inside its bin, so that decoding what was encoded is exact.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from lightning_tune.core.bins import bin_centre, bin_index, spread
from lightning_tune.core.bounds import check_log, check_order, check_step, check_whole, checked_real
from lightning_tune.core.plain import show
from lightning_tune.errors import SpaceError

MAX_VALUES = 2**53
MAX_LOG_INT = 2**40


@dataclass(frozen=True, slots=True, repr=False)
class Float:
    """A real number between two bounds, both included.

    Args:
        low: the lower bound.
        high: the upper bound.
        log: search the logarithm: 1e-4 to 1e-3 gets as many trials as 1e-3 to 1e-2.
        step: only `low`, `low + step`, `low + 2 * step`, ... up to `high` (decimal arithmetic: 0.1 + 2 * 0.1
            is 0.3).

    Raises:
        SpaceError: a bound is no finite number, the bounds are equal or the wrong way round, `log` with a
            bound that is not positive, or a step that is not positive, too large, too small, or together with
            `log`.

    Example:
        >>> Float(1e-4, 1e-2, log=True).from_unit(0.5)
        0.001
        >>> Float(0.1, 0.5, step=0.1).num_values
        5
    """

    low: float
    high: float
    log: bool = field(default=False, kw_only=True)
    step: float | None = field(default=None, kw_only=True)
    num_values: int | None = field(default=None, init=False, compare=False)
    _parts: tuple[int, int, int] = field(default=(0, 0, 1), init=False, compare=False)

    def __post_init__(self) -> None:
        low, high = (checked_real(getattr(self, name), name) for name in ("low", "high"))
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)
        check_order(low, high)
        if not math.isfinite(high - low):
            raise SpaceError(f"`high - low` must be a finite number: {low!r} to {high!r} is too wide.")
        check_log(self.log, low)
        if self.log and not math.isfinite(high / low):
            raise SpaceError(f"`high / low` must be a finite number: {low!r} to {high!r} is too wide.")
        if self.step is not None:
            self._set_step(checked_real(self.step, "step"))

    def _set_step(self, step: float) -> None:
        low, high, exact = (Fraction(repr(number)) for number in (self.low, self.high, step))
        check_step(step, float(high - low), self.log)
        if step < math.ulp(max(abs(self.low), abs(self.high))):
            raise SpaceError(
                f"`step` must be larger than the spacing of floats between the bounds, got {step!r}."
            )
        number = (high - low) // exact + 1
        if number > MAX_VALUES:
            raise SpaceError(
                f"`step` must leave at most 2**53 values, got {step!r} for {self.low!r} to {self.high!r}."
            )
        scale = math.lcm(low.denominator, exact.denominator)
        object.__setattr__(self, "step", step)
        object.__setattr__(self, "num_values", number)
        object.__setattr__(self, "_parts", (int(low * scale), int(exact * scale), scale))

    def __repr__(self) -> str:
        return _repr("Float", self.low, self.high, self.log, self.step)

    def check(self, value: Any, key: str) -> float:
        """Return the value as the float of this dimension that it is.

        Raises:
            SpaceError: no number, out of bounds, or off the step; names `key`.
        """
        if type(value) is int and abs(value) <= MAX_VALUES:
            value = float(value)
        if type(value) is not float:
            raise SpaceError(
                f"`{key}` must be a number from {self.low!r} to {self.high!r}, got {show(value)}."
            )
        if not self.low <= value <= self.high:
            raise SpaceError(f"`{key}` must lie between {self.low!r} and {self.high!r}, got {value!r}.")
        if self.num_values is None or self.step is None:
            return value
        index = self._nearest(value)
        if abs(value - self._at(index)) > 1e-9 * self.step:
            first = index if value > self._at(index) else index - 1
            raise _off_step(
                self, value, key, [self._at(i) for i in (first, first + 1) if i < self.num_values]
            )
        return self._at(index)

    def to_unit(self, value: float) -> float:
        """Return where a (checked) value lies in [0, 1]."""
        if self.num_values is not None:
            return bin_centre(self._nearest(value), self.num_values)
        if self.log:
            return min(math.log(value / self.low) / math.log(self.high / self.low), 1.0)
        return min((value - self.low) / (self.high - self.low), 1.0)

    def from_unit(self, unit: float) -> float:
        """Return the value at a place in [0, 1]; never outside of the bounds."""
        if self.num_values is not None:
            return self._at(bin_index(unit, self.num_values))
        if unit >= 1.0:
            return self.high
        if self.log:
            value = self.low * math.pow(self.high / self.low, unit)
        else:
            value = self.low + unit * (self.high - self.low)
        return min(max(value, self.low), self.high)

    def grid_size(self, points: int) -> int:
        """Return the length of `grid(points)`."""
        return points if self.num_values is None else min(points, self.num_values)

    def grid(self, points: int) -> Sequence[float]:
        """Return values evenly spaced from bound to bound (the centre for one point)."""
        if self.num_values is not None:
            return [self._at(index) for index in spread(self.num_values, points)]
        if points == 1:
            return [self.from_unit(0.5)]
        return [self.from_unit(position / (points - 1)) for position in range(points)]

    def _at(self, index: int) -> float:
        first, step, scale = self._parts
        return (first + index * step) / scale

    def _nearest(self, value: float) -> int:
        """Return the index of the step nearest to a value within the bounds, in exact arithmetic."""
        (first, step, scale), (top, bottom) = self._parts, value.as_integer_ratio()
        index = (2 * (top * scale - first * bottom) + step * bottom) // (2 * step * bottom)
        return min(max(index, 0), (self.num_values or 1) - 1)


@dataclass(frozen=True, slots=True, repr=False)
class Int:
    """A whole number between two bounds, both included.

    Args:
        low: the lower bound.
        high: the upper bound.
        log: search the logarithm: each number n gets the share of n - 0.5 to n + 0.5 in it.
        step: only `low`, `low + step`, `low + 2 * step`, ... up to `high`.

    Raises:
        SpaceError: a bound is no int, the bounds are equal or the wrong way round, the range has more than
            2**53 values, `log` with a bound below 1 or above 2**40, or a step that is below 1, too large, or
            together with `log`.

    Example:
        >>> Int(16, 512, log=True).from_unit(0.5)
        89
        >>> Int(0, 10, step=5).num_values
        3
    """

    low: int
    high: int
    log: bool = field(default=False, kw_only=True)
    step: int | None = field(default=None, kw_only=True)
    num_values: int = field(default=0, init=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            check_whole(getattr(self, name), name)
        check_order(self.low, self.high)
        check_log(self.log, self.low)
        if self.log and self.high > MAX_LOG_INT:
            raise SpaceError(
                f"`high` must be at most 2**40 with `log=True`, got {self.high!r}: use Float(..., log=True) "
                f"and round."
            )
        if self.step is not None:
            check_whole(self.step, "step")
            if self.step == 1:
                object.__setattr__(self, "step", None)
            else:
                check_step(self.step, self.high - self.low, self.log)
        object.__setattr__(self, "num_values", (self.high - self.low) // (self.step or 1) + 1)
        if self.num_values > MAX_VALUES:
            raise SpaceError(
                f"the range from `low` to `high` must have at most 2**53 values, got {self.num_values}: "
                "give a larger `step`, or use Float and round."
            )

    def __repr__(self) -> str:
        return _repr("Int", self.low, self.high, self.log, self.step)

    def check(self, value: Any, key: str) -> int:
        """Return the value.

        Raises:
            SpaceError: no int, out of bounds, or off the step; names `key`.
        """
        if type(value) is not int:
            hint = f": write {int(value)}" if type(value) is float and value.is_integer() else ""
            raise SpaceError(
                f"`{key}` must be an int from {self.low} to {self.high}, got {show(value)}{hint}."
            )
        if not self.low <= value <= self.high:
            raise SpaceError(f"`{key}` must lie between {self.low} and {self.high}, got {show(value)}.")
        if self.step is not None and (value - self.low) % self.step:
            below = value - (value - self.low) % self.step
            raise _off_step(self, value, key, [i for i in (below, below + self.step) if i <= self.high])
        return value

    def to_unit(self, value: int) -> float:
        """Return where a (checked) value lies in [0, 1]."""
        if not self.log:
            return bin_centre((value - self.low) // (self.step or 1), self.num_values)
        bottom, top = self.low - 0.5, self.high + 0.5
        return math.log(value / bottom) / math.log(top / bottom)

    def from_unit(self, unit: float) -> int:
        """Return the value at a place in [0, 1]; never outside of the bounds."""
        if not self.log:
            return self.low + bin_index(unit, self.num_values) * (self.step or 1)
        bottom, top = self.low - 0.5, self.high + 0.5
        return min(max(math.floor(bottom * math.pow(top / bottom, unit) + 0.5), self.low), self.high)

    def grid_size(self, points: int) -> int:
        """Return the length of `grid(points)`."""
        return min(points, self.num_values)

    def grid(self, points: int) -> Sequence[int]:
        """Return values evenly spaced from bound to bound (the centre for one point).

        All values where there are no more than `points`; always `min(points, num_values)` different ones.
        """
        step = self.step or 1
        if points >= self.num_values:
            return range(self.low, self.low + self.num_values * step, step)
        if points == 1:
            return [self.from_unit(0.5)]
        if not self.log:
            return [self.low + index * step for index in spread(self.num_values, points)]
        ratio = self.high / self.low
        values: list[int] = []
        for position in range(points):
            wanted = round(self.low * ratio ** (position / (points - 1)))
            least = values[-1] + 1 if values else self.low
            values.append(min(max(wanted, least), self.high - (points - 1 - position)))
        return values


def _off_step(dimension: Float | Int, value: float, key: str, nearest: Sequence[float]) -> SpaceError:
    """Return the error for a value between two steps, or above the last."""
    near = f"the nearest {'are' if len(nearest) > 1 else 'is'} {' and '.join(map(repr, nearest))}"
    return SpaceError(
        f"`{key}` must be {dimension.low!r} plus a whole number of steps of {dimension.step!r}, "
        f"got {value!r}: {near}."
    )


def _repr(name: str, low: float, high: float, log: bool, step: float | None) -> str:
    settings = (", log=True" if log else "") + (f", step={step!r}" if step is not None else "")
    return f"{name}({low!r}, {high!r}{settings})"
