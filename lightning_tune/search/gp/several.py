"""Several objectives: from observations to an acquisition function over the whole front.

Each objective has a Gaussian process of its own on the same columns. With two or three objectives a
candidate is worth the hypervolume that it is expected to add to the front of the posterior means (of those,
not of the observations, so that noise makes no front). With more, boxes multiply and almost everything is on
the front: there the objectives are scalarised with random weights, anew for each suggestion, and improvement
is expected in that one number (ParEGO, Knowles 2006).

The reference point lies beyond the front's worst in each objective by a tenth of the front's range, as usual
(Ishibuchi, Imada, Setoguchi & Nojima 2018). A front that was only found in part would then be all that is
looked for; so at times, by lot, it lies beyond the front that may be around the known one: what
lower confidence bounds say of variations of its points.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lightning_tune.core.pareto import non_dominated
from lightning_tune.search.front import best_first, chebyshev, places, scaled, thinned
from lightning_tune.search.gp.acquisition import Acquisition, Belief
from lightning_tune.search.gp.data import Seen
from lightning_tune.search.gp.earlier import most_telling
from lightning_tune.search.gp.hypervolume import HypervolumeImprovement
from lightning_tune.search.gp.kernel import Matrix, Vector
from lightning_tune.search.gp.layout import Layout
from lightning_tune.search.gp.model import MODELLED, Modelled, acquire
from lightning_tune.search.gp.surrogate import Surrogate

Cube = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
BOXED = 3
"""Up to so many objectives there is a volume to improve."""
FRONT = 64
"""Points of a front that are cut at; the most crowded of a larger one are left out."""
MARGIN = 0.1
"""How far beyond the front the reference lies, in units of its range."""
ANCHORS = 8
"""Points of the front near which better ones are looked for."""
WIDE = {2: 0.5, 3: 0.25}
"""How often the reference lies beyond the front that there may be, by the number of objectives; with three
the rarer one did a little better on DTLZ2, no more is known of it."""
VARIED = 256
"""Variations of points of the front, whose costs the models are asked for."""


def acquire_front(
    layout: Layout,
    seen: Sequence[Seen],
    *,
    noise_sds: Sequence[float | None],
    belief: Belief | None,
    rng: np.random.Generator,
) -> tuple[HypervolumeImprovement | Acquisition, Matrix]:
    """Return the acquisition function of a history, and points of the front to look around.

    Args:
        layout: how points become columns.
        seen: what the history holds in each objective.
        noise_sds: the noise of each, None where it is learned; that of a scalarisation always is.
        belief: a prior over good regions.
        rng: draws what pending trials may cost, the weights, and the points to look around.
    """
    costs = np.stack([each.rows.costs for each in seen], axis=1)
    if len(seen) > BOXED:
        weights = rng.dirichlet(np.ones(len(seen)))
        rows = replace(seen[0].rows, costs=chebyshev(scaled(costs), weights))
        return acquire(layout, replace(seen[0], rows=rows), earlier=(), noise_sd=None, belief=belief, rng=rng)
    models = Models.fit(layout, seen, most_telling(places(costs), MODELLED), noise_sds, rng)
    means = models.means(models.points)
    middle = means.mean(axis=1)
    reference = reference_point(middle)
    if rng.random() < WIDE[len(seen)]:
        hoped = models.hopes(_varied(layout, models.points[non_dominated(middle)], rng))
        reference = np.maximum(reference, reference_point(np.concatenate([middle, hoped])))
    known = np.concatenate([means, models.means(seen[0].pending)])
    acquisition = HypervolumeImprovement.over(
        [_front(known[:, version]) for version in range(known.shape[1])],
        reference,
        layout=layout,
        surrogates=models.surrogates,
        context=models.columns.context,
        belief=belief,
    )
    return acquisition, models.points[_anchors(middle, rng)]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Models:
    """The Gaussian processes of all objectives.

    Attributes:
        points: (num_points, axes), those that were observed, each once.
        columns: how points become columns, the same for all.
        surrogates: one an objective.
    """

    points: Matrix
    columns: Modelled
    surrogates: Sequence[Surrogate]

    @classmethod
    def fit(
        cls,
        layout: Layout,
        seen: Sequence[Seen],
        kept: Integers,
        noise_sds: Sequence[float | None],
        rng: np.random.Generator,
    ) -> "Models":
        """Fit one to each objective, on the rows that are kept."""
        models = [
            Modelled(layout=layout, rows=each.rows.take(kept), earlier=(), noise_sd=noise_sd)
            for each, noise_sd in zip(seen, noise_sds, strict=True)
        ]
        surrogates = [model.condition(each.pending, rng) for model, each in zip(models, seen, strict=True)]
        rows = models[0].rows
        _, first = np.unique(rows.points, axis=0, return_index=True, equal_nan=True)
        return cls(points=rows.points[np.sort(first)], columns=models[0], surrogates=surrogates)

    def means(self, points: Matrix) -> Cube:
        """Return the posterior means at the largest budget, of shape (num, versions, objectives)."""
        at = self.columns.features(points, np.ones(len(points)))
        return np.stack([surrogate.mean(at) for surrogate in self.surrogates], axis=2)

    def hopes(self, points: Matrix) -> Matrix:
        """Return lower confidence bounds, a standard deviation below the means, (num, objectives)."""
        at = self.columns.features(points, np.ones(len(points)))
        found = [surrogate.posterior(at) for surrogate in self.surrogates]
        return np.stack([mean.mean(axis=1) - np.sqrt(variance) for mean, variance in found], axis=1)


def reference_point(costs: Matrix) -> Vector:
    """Return the point up to which volume counts, (num_objectives,), by costs (num_points, ...)."""
    front = costs[non_dominated(costs)]
    spread = np.ptp(front, axis=0)
    result: Vector = front.max(axis=0) + MARGIN * np.where(spread > 0.0, spread, 1.0)
    return result


def _front(means: Matrix) -> Matrix:
    front = np.unique(means[non_dominated(means)], axis=0)
    return front[thinned(front, FRONT)]


def _varied(layout: Layout, front: Matrix, rng: np.random.Generator) -> Matrix:
    """Return variations of points, each with about one of its axes drawn anew, (VARIED, axes)."""
    base = front[rng.integers(len(front), size=VARIED)]
    moves = rng.random(base.shape) < 1.0 / layout.axes
    moves[np.arange(VARIED), rng.integers(layout.axes, size=VARIED)] = True
    return layout.settle(np.where(moves, rng.random(base.shape), base))


def _anchors(means: Matrix, rng: np.random.Generator) -> Integers:
    """Return which points to look around: of the front by lot, and others if it is small."""
    best = best_first(means, FRONT)
    front = best[non_dominated(means[best])]
    chosen = rng.permutation(front)[:ANCHORS]
    return np.concatenate([chosen, best[len(front) :][: ANCHORS - len(chosen)]])
