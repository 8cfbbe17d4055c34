"""The learning curves of a history as arrays, on one grid of steps, for `curves.posterior.extrapolate`.

Reports need not come at whole epochs: a column is the least spacing at which any of the trials reports, in
units of the budget. Values are costs, so that lower is better whatever the mode, and one rule serves every
objective. What a metric cannot leave (`bounds`) is given in the user's own direction, and turned into costs
here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lightning_tune.core.encode import Encoding
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.trial import Group, Trial
from lightning_tune.errors import ArgumentError

if TYPE_CHECKING:
    from lightning_tune.curves.prediction import Prediction

Array = npt.NDArray[np.float64]
Pair: TypeAlias = tuple[float | None, float | None]
"""(low, high) of a metric in the user's own direction, None for no bound."""
Bounds: TypeAlias = Pair | Sequence[Pair | None] | None
"""One pair, or with several objectives one for each."""
Limits: TypeAlias = tuple[float, float]
"""(low, high) of a cost, infinite where there is no bound."""
UNLIMITED: Limits = (-math.inf, math.inf)
Reports = tuple[list[float], list[float]]
"""Steps and costs of one trial, in the order they came."""
MOST = 500
"""Columns; where reports come more often, the last one within a column stands for it."""
ONE_OF_MANY = math.sqrt(0.5)
"""The mark of the option that is taken: two options lie 1 apart, as the ends of a number's range do."""
MIDDLE = 0.5
"""Where an inactive number lies: as far as can be from saying anything."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curves:
    """Curves on one grid.

    Attributes:
        costs: (num_curves, num_columns), NaN where there is no finite report; column c is c + 1 spacings.
        spacing: of the columns, in units of the budget.
        limits: (low, high), what the costs cannot leave, and do not.
    """

    costs: Array
    spacing: float
    limits: Limits = UNLIMITED

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which curves have a report, (num_curves,)."""
        return np.asarray(np.isfinite(self.costs).any(axis=1))

    def only(self, rows: npt.NDArray[np.bool_]) -> "Curves":
        """Return some of the curves."""
        return replace(self, costs=self.costs[rows])

    def columns(self, budgets: npt.ArrayLike) -> Array:
        """Return where budgets lie, counted from 1 as `extrapolate` does, in fractions of columns."""
        return np.maximum(1.0, np.asarray(budgets, dtype=np.float64) / self.spacing)

    def predicted(self, budgets: npt.ArrayLike) -> "Prediction":
        """Return what the costs will have come to at budgets, each curve by itself.

        Args:
            budgets: one for all, (num_curves,), or (num_curves, num_at).
        """
        from lightning_tune.curves.posterior import extrapolate

        return extrapolate(self.costs, at=self.columns(budgets), mode="min", bounds=self.limits)


def curves_of(
    history: History,
    groups: Sequence[Group],
    *,
    full: float,
    objective: int = 0,
    upto: float = math.inf,
    limits: Limits = UNLIMITED,
) -> Curves:
    """Return the curves of groups, each the mean over its members where all of them have a report.

    Args:
        history: whose groups they are.
        groups: one a row.
        full: the full budget, finite; the grid has at most `MOST` columns up to there.
        objective: which of several.
        upto: a budget beyond which nothing is looked at; the report that reached it counts.
        limits: what the costs cannot leave; one that does is moved to the nearer end.

    Example:
        >>> from lightning_tune.search import RandomSearch
        >>> from lightning_tune.testing.functions import run_function
        >>> from lightning_tune import Float
        >>> history = run_function(
        ...     {"x": Float(0, 1)}, RandomSearch(), lambda config, step: 1 / step, max_trials=1, max_budget=4
        ... )
        >>> curves_of(history, history.groups, full=8, upto=2).costs
        array([[1. , 0.5]])
    """
    members = [[_reports(history, trial, objective, upto) for trial in group.members] for group in groups]
    spacing = _spacing([reports for each in members for reports in each], full)
    last = max((steps[-1] for each in members for steps, _ in each if steps), default=spacing)
    rows = [[_row(reports, spacing, _column(last, spacing)) for reports in each] for each in members]
    costs = [np.mean(np.clip(each, *limits), axis=0) for each in rows]  # NaN where a member has none
    return Curves(
        costs=np.stack(costs) if costs else np.empty((0, 1)),
        spacing=spacing,
        limits=limits,
    )


def plain_bounds(bounds: Any) -> Any:
    """Return a user's bounds as tuples, which compare, hash and are recorded alike; None for none at all.

    Raises:
        ArgumentError: they are neither a pair that ascends, nor a list of such pairs.

    Example:
        >>> plain_bounds([0, 1]), plain_bounds([(0, math.inf), None]), plain_bounds((None, None))
        ((0.0, 1.0), ((0.0, None), None), None)
    """
    given = bounds.tolist() if isinstance(bounds, np.ndarray) else bounds
    if not isinstance(given, list | tuple) or not any(map(_is_pair, given)):
        return plain_pair(given)
    pairs = tuple(plain_pair(pair, f"bounds[{place}]") for place, pair in enumerate(given))
    return None if pairs == (None,) * len(pairs) else pairs


def plain_pair(bounds: Any, name: str = "bounds") -> Pair | None:
    """Return a user's (low, high) as a tuple of floats, None for no bound; None where neither is one.

    Args:
        bounds: of one metric.
        name: what an error calls it.

    Raises:
        ArgumentError: it is no such pair, or does not ascend.
    """
    if bounds is None:
        return None
    from lightning_tune.curves.bounds import limits

    low, high = (end if math.isfinite(end) else None for end in limits(bounds, name))
    return None if low is None and high is None else (low, high)


def limits_of(bounds: Bounds, objective: Objective, owner: str) -> tuple[Limits, ...]:
    """Return what each cost cannot leave: bounds in costs, the mirror image where higher is better.

    Args:
        bounds: as `plain_bounds` returns them; with a callable `score` those of the cost that it makes.
        objective: what is monitored.
        owner: what has the argument `bounds`, for the error.

    Raises:
        ArgumentError: there is not one pair an objective.

    Example:
        >>> limits_of((0.0, 1.0), Objective.of("val_acc", "max"), "CurveStopping")
        ((-1.0, -0.0),)
    """
    number = 1 if objective.scalar else len(objective.monitor)
    if bounds is None:
        return (UNLIMITED,) * number
    from lightning_tune.curves.bounds import limits

    pairs: Sequence[Any] = bounds if any(map(_is_pair, bounds)) else (bounds,)
    if len(pairs) != number:
        names = ", ".join(objective.monitor)
        one = "`score` makes one number" if callable(objective.score) else f"{names} is one objective"
        takes = (
            f"one pair (low, high), or None, as {one}"
            if number == 1
            else f"a list of {number} pairs (low, high), one for each of {names}, or None"
        )
        raise ArgumentError(f"`bounds` of {owner} must be {takes}; got {bounds!r}.")
    ends = [limits(pair) for pair in pairs]
    mirrored = zip(*(objective.values(each) for each in zip(*ends, strict=True)), strict=True)
    return tuple((min(pair), max(pair)) for pair in mirrored)


def ends_in_words(found: Sequence["Prediction"], objective: Objective) -> str:
    """Return the median of one curve's end and its 90% interval, in the user's own direction.

    Args:
        found: of shape (1,) each, one an objective.
        objective: what is monitored.
    """
    levels = zip(*(each.quantile((0.05, 0.5, 0.95))[0].tolist() for each in found), strict=True)
    low, middle, high = (objective.values(each) for each in levels)
    return ", ".join(
        f"{m:.4g} [{min(a, b):.4g}, {max(a, b):.4g}]" for m, a, b in zip(middle, low, high, strict=True)
    )


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def unit_cube(encoding: Encoding, points: Array) -> Array:
    """Return where configurations lie for the curves of others to tell of theirs, in the unit cube.

    Args:
        encoding: of the space.
        points: (num, num_axes), encoded; NaN where an axis is inactive.

    Returns:
        (num, num_columns): a column an axis, of an unordered choice one an option. An inactive number lies in
        the middle, an inactive choice takes no option.

    Example:
        >>> from lightning_tune import Choice, Float, Space
        >>> encoding = Encoding(Space({"x": Float(0, 1), "act": Choice(["relu", "gelu"])}))
        >>> unit_cube(encoding, np.array([encoding.encode({"x": 0.25, "act": "gelu"})])).round(2)
        array([[0.25, 0.  , 0.71]])
    """
    columns: list[Array] = []
    for axis, kind in enumerate(encoding.kinds):
        along = points[:, axis : axis + 1]
        if kind == "categorical":
            number = encoding.num_values(axis) or 1
            taken = np.minimum(np.floor(along * number), number - 1)
            columns.append(np.where(taken == np.arange(number), ONE_OF_MANY, 0.0))
        else:
            columns.append(np.where(np.isnan(along), MIDDLE, along))
    return np.concatenate(columns, axis=1) if columns else np.zeros((len(points), 1))


def _reports(history: History, trial: Trial, objective: int, upto: float) -> Reports:
    """Return a trial's steps and costs up to a budget, within the legs that led there."""
    last = next((begun.leg for begun in trial.legs if begun.budget >= upto), trial.leg)
    steps: list[float] = []
    costs: list[float] = []
    for row in trial.rows:
        report = history.report(row)
        if report.leg > last:
            break
        steps.append(report.step)
        costs.append(history.objective.costs(report.values)[objective])
        if report.step >= upto:
            break
    return steps, costs


def _spacing(reports: Sequence[Reports], full: float) -> float:
    """Return the least of the trials' usual spacings, but so many that they fit."""
    usual = [float(np.median(np.diff(steps, prepend=0.0))) for steps, _ in reports if steps]
    return max(min(usual, default=1.0), full / MOST)


def _column(step: float, spacing: float) -> int:
    """Return the column of a step, counted from 1."""
    return max(1, round(step / spacing))


def _row(reports: Reports, spacing: float, width: int) -> Array:
    row = np.full(width, np.nan)
    for step, cost in zip(*reports, strict=True):
        row[_column(step, spacing) - 1] = cost if math.isfinite(cost) else math.nan
    return row
