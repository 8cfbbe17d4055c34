"""From observations to an acquisition function: columns, hyperparameters, fantasies.

Beside the columns of the space there is one for the budget, where trials were judged at several, and one a
sweep where there are earlier ones; each has a length scale of its own, so how much a small budget or
another sweep tells is learned. Candidates are asked about at the largest budget, in this sweep.

Cost is bounded: hyperparameters are fitted on at most 256 rows, the posterior rests on at most 512 (the best
half of them, and others evenly from all), however long the sweep.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lightning_tune.search.gp.acquisition import Acquisition, Belief
from lightning_tune.search.gp.data import Rows, Seen
from lightning_tune.search.gp.earlier import most_telling
from lightning_tune.search.gp.fit import Evidence, fit_hyper, refit, round_number
from lightning_tune.search.gp.kernel import Matrix, Vector, squared_distances
from lightning_tune.search.gp.laplace import draw_hyper
from lightning_tune.search.gp.layout import Layout
from lightning_tune.search.gp.outputs import standardise
from lightning_tune.search.gp.surrogate import Hyper, Surrogate

FITTED = 256
"""Rows that hyperparameters are fitted on."""
MODELLED = 512
"""Rows that the posterior rests on."""
FANTASIES = 8
"""Versions of what the running trials may cost."""
DOUBTED_WORK = 400_000
"""Rows squared times hyperparameters beyond which only the likeliest ones count: little is left in doubt."""
NEAR = 0.1
"""Points that are closer, times the root of the dimension, speak for one place in the statistics of costs."""
ANCHORS = 5
"""Points of the lowest posterior mean, near which better ones are looked for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Modelled:
    """The columns of this sweep's rows and those of earlier ones, and their costs.

    Attributes:
        layout: how points become columns.
        rows: this sweep's observations, at most `MODELLED`.
        earlier: (points, costs) of each earlier sweep.
        noise_sd: the standard deviation of the noise in the objective's unit, None where it is learned.
    """

    layout: Layout
    rows: Rows
    earlier: Sequence[tuple[Matrix, Vector]]
    noise_sd: float | None

    @property
    def owner(self) -> npt.NDArray[np.int64]:
        """The axis of each column, the context's included."""
        axes = self.layout.axes
        context = [axes] * self._budgets + [axes + self._budgets] * self._sources
        return np.concatenate([self.layout.owner, np.array(context, dtype=np.int64)])

    def features(self, points: Matrix, levels: Vector, source: int = 0) -> Matrix:
        """Return the columns of points seen at budgets, in this sweep (0) or an earlier one."""
        columns = [self.layout.features(points)]
        if self._budgets:
            columns.append(levels[:, None])
        if self._sources:
            columns.append(np.tile(self._source(source), (len(points), 1)))
        return np.concatenate(columns, axis=1)

    @property
    def context(self) -> Vector:
        """What a candidate's columns are followed by: the largest budget, this sweep."""
        return np.concatenate([np.ones(self._budgets), self._source(0)])

    @property
    def _budgets(self) -> int:
        return int(len(self.rows) > 0 and self.rows.levels.min() < 1.0)

    @property
    def _sources(self) -> int:
        return len(self.earlier) + 1 if self.earlier else 0

    def _source(self, source: int) -> Vector:
        column: Vector = (np.arange(self._sources) == source) * np.sqrt(0.5)
        return column

    def observations(self, rows: Rows) -> tuple[Matrix, Vector, float]:
        """Return columns and standardised costs of rows and earlier sweeps, and the scale of this one's."""
        own = standardise(rows.levelled(), self._crowding(rows.points))
        columns = [self.features(rows.points, rows.levels)]
        costs = [own.costs]
        for place, (points, values) in enumerate(self.earlier):
            columns.append(self.features(points, np.ones(len(points)), place + 1))
            costs.append(standardise(values, self._crowding(points)).costs)
        return np.concatenate(columns), np.concatenate(costs), own.scale

    @cached_property
    def _observed(self) -> tuple[Matrix, Vector, float]:
        """The same of all rows."""
        return self.observations(self.rows)

    def _crowding(self, points: Matrix) -> Vector:
        """Return how many points each has around it, itself included, of shape (num,)."""
        features = self.layout.features(points)
        near = NEAR**2 * self.layout.axes
        apart = squared_distances(features, features, np.full(features.shape[1], 0.5 / near))
        return np.asarray(np.exp(-apart).sum(axis=1))

    def hyper(self) -> Hyper:
        """Fit hyperparameters: at length on a first part of the rows, and from there to all of them."""
        base = min(round_number(len(self.rows)), FITTED // 2)
        found = self._fit(self.rows.take(np.arange(min(base, len(self.rows)))), None)
        if base >= len(self.rows):
            return found
        return self._fit(self.rows.take(most_telling(self.rows.costs, FITTED)), found)

    def hypers(self, rng: np.random.Generator) -> list[Hyper]:
        """Return the likeliest hyperparameters, and while rows are few others that may be true.

        These are a draw around them, and the same with the other kernel. The likelier kernel alone would do
        worse: on what is smooth here and rough there, either is wrong somewhere.
        """
        mode = self.hyper()
        if len(self.rows) ** 2 * (len(mode.lengths) + 2) > DOUBTED_WORK:
            return [mode]
        columns, costs, scale = self._observed
        evidence = Evidence.of(columns, self.owner, costs, self._noise(scale), self._related, mode.smooth)
        other = replace(evidence, smooth=not mode.smooth)
        other_mode = refit(other, mode)
        return [mode, draw_hyper(evidence, mode, rng), other_mode, draw_hyper(other, other_mode, rng)]

    def _fit(self, rows: Rows, start: Hyper | None) -> Hyper:
        columns, costs, scale = self.observations(rows)
        return fit_hyper(columns, self.owner, costs, self._noise(scale), start, self._related)

    @property
    def _related(self) -> int:
        """The number of axes that are contexts."""
        return int(self.owner.max()) + 1 - self.layout.axes

    def _noise(self, scale: float) -> float | None:
        return None if self.noise_sd is None else (self.noise_sd / scale) ** 2

    def condition(
        self,
        pending: Matrix,
        rng: np.random.Generator,
        hyper: Hyper | None = None,
        fantasies: int = FANTASIES,
    ) -> Surrogate:
        """Return the posterior, in as many versions as there are fantasies of the pending points.

        The hyperparameters are the likeliest ones unless they are given.
        """
        hyper = hyper or self.hyper()
        columns, costs, _ = self._observed
        surrogate = Surrogate.fit(columns, self.owner, costs[:, None], hyper)
        if not len(pending):
            return surrogate
        waiting = self.features(pending, np.ones(len(pending)))
        drawn = draw(*surrogate.joint(waiting), hyper.noise, rng, fantasies)
        versions = np.concatenate([np.tile(costs[:, None], fantasies), drawn])
        return Surrogate.fit(np.concatenate([columns, waiting]), self.owner, versions, hyper)


def acquire(
    layout: Layout,
    seen: Seen,
    *,
    earlier: Sequence[tuple[Matrix, Vector]],
    noise_sd: float | None,
    belief: Belief | None,
    rng: np.random.Generator,
) -> tuple[Acquisition, Matrix]:
    """Return the acquisition function of a history, and the best points to look around, best first."""
    rows = seen.rows.take(most_telling(seen.rows.costs, MODELLED))
    modelled = Modelled(layout=layout, rows=rows, earlier=earlier, noise_sd=noise_sd)
    hypers = modelled.hypers(rng)
    fantasies = FANTASIES // len(hypers)
    surrogates = [modelled.condition(seen.pending, rng, hyper, fantasies) for hyper in hypers]
    points = np.concatenate([rows.points, seen.pending])
    known = modelled.features(points, np.ones(len(points)))
    means = [surrogate.mean(known) for surrogate in surrogates]
    order = np.argsort(means[0][: len(rows)].mean(axis=1), kind="stable")
    _, first = np.unique(rows.points[order], axis=0, return_index=True, equal_nan=True)
    acquisition = Acquisition(
        layout=layout,
        surrogates=surrogates,
        best=[mean.min(axis=0) for mean in means],
        context=modelled.context,
        belief=belief,
    )
    return acquisition, rows.points[order[np.sort(first)[:ANCHORS]]]


def draw(mean: Matrix, covariance: Matrix, noise: float, rng: np.random.Generator, number: int) -> Matrix:
    """Draw the costs of pending points, of shape (num, number); each draw comes with its mirror image."""
    from scipy.linalg import cholesky

    size = len(covariance)
    diagonal = noise + 1e-8 * max(float(np.trace(covariance)), 1e-8)
    factor = cholesky(covariance + diagonal * np.eye(size), lower=True, check_finite=False)
    normal = rng.standard_normal((size, number // 2))
    return np.asarray(mean + factor @ np.concatenate([normal, -normal], axis=1))
