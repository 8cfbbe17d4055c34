"""Bayesian optimisation: a Gaussian process of the costs, and where it expects the largest improvement.

The parts are in `search/gp/`; this file says in which order they are asked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lightning_tune.core.checks import whole_or_none
from lightning_tune.core.decision import Done, Wait
from lightning_tune.core.describe import describe
from lightning_tune.core.events import JSON, Config
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError
from lightning_tune.search.base import Searcher
from lightning_tune.search.gp import start
from lightning_tune.search.gp.belief import TRUST, Believed, believe, check_prior
from lightning_tune.search.gp.data import Seen, see
from lightning_tune.search.gp.earlier import Earlier, earlier_sweeps
from lightning_tune.search.gp.kernel import Matrix
from lightning_tune.search.gp.layout import Layout, layout_of
from lightning_tune.search.gp.maximise import Maximiser, Worth
from lightning_tune.search.gp.model import acquire
from lightning_tune.search.gp.several import acquire_front
from lightning_tune.search.observed import encoding_of
from lightning_tune.search.random import RandomSearch

Vector = npt.NDArray[np.float64]
Placed = tuple[Matrix, Vector]
"""Points of an earlier sweep in this one's space, and their costs."""
Admissible = Callable[[Vector], bool]
"""Whether a point was not tried before, and is allowed."""
FEED = 4
"""Candidates for a place under a rare option: of many, the farthest is always a corner."""
EARLIER_STARTS = 2
"""Trials before the model where there are earlier sweeps."""


@dataclass(frozen=True, kw_only=True)
class BayesianSearch(Searcher):
    """Model the costs with a Gaussian process and try where the expected improvement is largest.

    A Matérn-5/2 or a Gaussian kernel, as the data say, with a length scale a hyperparameter (priors much as
    Hvarfner et al. 2024), choices and branches included; logarithmic expected improvement (Ament et al. 2023)
    over the best posterior mean, averaged over what the length scales may be as long as that is in doubt.
    Trials that are running are taken into account by drawing what they may cost; failed ones count as bad
    as the worst; trials judged at several budgets teach at each. A few trials are spread over the space
    first.

    Args:
        starts: how many trials come before the model, at least 2; None is 4 and one for each
            hyperparameter, at most 12. Baselines and enqueued trials count.
        noise: the standard deviation of the monitored value between two trainings with the same
            configuration, 0 where there is none; None learns it. With several objectives a number for all, or
            a list with one each.
        prior: where good values are believed to lie: a mapping from key to a value, or to (value, width)
            with the standard deviation as a share of the dimension's range (0.25 by default). For a choice
            a smaller width is a firmer belief. It counts for less as trials come in.
        history: earlier sweeps to learn from, whose space overlaps with this one: for each its
            `result.history`, (space, history), or a list of (config, cost) pairs, lower costs better, NaN for
            a failure. The best configuration of each is tried first; how much else they tell is learned.

    Raises:
        ArgumentError: an argument of another kind; when a sweep begins, a `prior` that does not fit its
            space, a `history` without any trial that does, and what does not fit its number of objectives.

    Example:
        >>> BayesianSearch(noise=0.0, prior={"lr": 1e-3, "optimizer": ("adam", 0.5)}).starts is None
        True
    """

    starts: int | None = None
    noise: float | Sequence[float | None] | None = None
    prior: Mapping[str, Any] | None = None
    history: Sequence[Any] = ()

    def __post_init__(self) -> None:
        whole_or_none("starts", self.starts, 2)
        if isinstance(self.noise, list):
            object.__setattr__(self, "noise", tuple(self.noise))
        for noise in self.noise if isinstance(self.noise, tuple) else (self.noise,):
            if noise is not None and (type(noise) not in (int, float) or not 0.0 <= noise < np.inf):
                raise ArgumentError(
                    f"`noise` must be a standard deviation of 0 or more, or None, got {self.noise!r}."
                )
        if self.prior is not None:
            check_prior(self.prior)
        object.__setattr__(self, "history", earlier_sweeps(self.history))

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config | Wait | Done:
        """Return the configuration of the largest expected improvement; first some that cover the space."""
        if not layout_of(space).axes:
            return RandomSearch().suggest(space, history, rng)  # constants: there is one configuration
        noise_sds = self._noise_sds(history.objective)
        earlier = [found for sweep in self.history if len((found := _placed(sweep, space))[1])]
        layout = _layout(space, earlier)
        seen = [see(layout, history, index) for index in range(len(noise_sds))]
        belief = None if not self.prior else believe(layout, self.prior)

        def admissible(point: Vector) -> bool:
            config = layout.encoding.decode(point)
            return history.find(config) is None and history.allows(config)

        if self._is_early(layout, seen[0]):
            point = self._cover(layout, seen[0], earlier, belief, admissible, rng)
        else:
            point = self._improve(layout, seen, noise_sds, earlier, belief, admissible, rng)
        return RandomSearch().suggest(space, history, rng) if point is None else layout.encoding.decode(point)

    def check(self, space: Space, objective: Objective) -> None:
        """Refuse a prior, earlier sweeps or a noise that do not fit the sweep."""
        self._noise_sds(objective)
        for place, sweep in enumerate(self.history):
            if sweep.costs and not len(_placed(sweep, space)[1]):
                raise ArgumentError(
                    f"`history[{place}]` must have trials with values of this space "
                    f"({', '.join(space.keys())}); none of its {len(sweep.costs)} has, the first being "
                    f"{dict(sweep.configs[0])!r}."
                )
        if self.prior:
            believe(_layout(space, []), self.prior)

    def size(self, space: Space) -> int | None:
        """Return the number of configurations of a finite space."""
        return space.cardinality

    def describe(self) -> dict[str, JSON]:
        """Return its name and settings as plain JSON; of earlier sweeps a digest."""
        return {**describe(self), "history": [sweep.describe() for sweep in self.history]}

    def _noise_sds(self, objective: Objective) -> Sequence[float | None]:
        """Return the noise of each objective.

        Raises:
            ArgumentError: `noise` of another number of objectives, or `history` with several.
        """
        number = 1 if objective.scalar else len(objective.monitor)
        one = self.noise
        noise_sds = tuple(one) if isinstance(one, Sequence) else (one,) * number
        if len(noise_sds) != number:
            raise ArgumentError(
                f"`noise` must be one number or one an objective ({number} here), got {list(noise_sds)!r}."
            )
        if self.history and number > 1:
            raise ArgumentError(
                f"`history` teaches one objective, this sweep has {number}: {', '.join(objective.monitor)}. "
                "Leave it out, or make one number of them with `score=` a callable."
            )
        return noise_sds

    def _is_early(self, layout: Layout, seen: Seen) -> bool:
        """Return whether there is too little to model: too few trials, or fewer than two finite costs."""
        wanted = self.starts or (EARLIER_STARTS if self.history else start.num_starts(layout.axes))
        return len(seen.tried) < wanted or int(np.isfinite(seen.rows.costs).sum()) < 2

    def _cover(
        self,
        layout: Layout,
        seen: Seen,
        earlier: Sequence[Placed],
        belief: Believed | None,
        admissible: Admissible,
        rng: np.random.Generator,
    ) -> Vector | None:
        """Return the best point of an earlier sweep, or one far from all others."""
        strata = max(self.starts or start.num_starts(layout.axes), len(seen.tried) + 1)
        spread = start.candidates(layout, seen.tried, strata, rng, belief)
        if len(seen.tried) < EARLIER_STARTS:
            leaders = [
                points[np.argsort(costs, kind="stable")[:1]]
                for points, costs in earlier
                if costs.min() < np.inf
            ]
            spread = np.concatenate([*map(layout.settle, leaders), spread])
        return next((point for point in spread if admissible(point)), None)

    def _improve(
        self,
        layout: Layout,
        seen: Sequence[Seen],
        noise_sds: Sequence[float | None],
        earlier: Sequence[Placed],
        belief: Believed | None,
        admissible: Admissible,
        rng: np.random.Generator,
    ) -> Vector | None:
        """Return the point of the largest expected improvement (of the front, with several objectives)."""
        tried = seen[0].tried
        if belief is not None:
            belief = replace(belief, weight=TRUST / len(tried))
        acquisition: Worth
        if len(seen) == 1:
            acquisition, anchors = acquire(
                layout, seen[0], earlier=earlier, noise_sd=noise_sds[0], belief=belief, rng=rng
            )
        else:
            acquisition, anchors = acquire_front(layout, seen, noise_sds=noise_sds, belief=belief, rng=rng)
        maximiser = Maximiser(layout=layout, acquisition=acquisition, admissible=admissible, rng=rng)
        starved = layout.starved(tried)
        if starved is None:
            return maximiser.best(anchors)
        point = self._feed(layout, seen[0], starved, admissible, rng)
        if point is None:
            point = replace(maximiser, held=starved).best(anchors)
        return maximiser.best(anchors) if point is None else point

    def _feed(
        self,
        layout: Layout,
        seen: Seen,
        starved: tuple[int, float],
        admissible: Admissible,
        rng: np.random.Generator,
    ) -> Vector | None:
        """Return a point under a rare option, away from the others there; None every other time."""
        own = seen.tried[np.abs(seen.tried[:, starved[0]] - starved[1]) < 1e-9]
        if len(own) % 2:
            return None
        spread = start.candidates(layout, own, start.num_starts(layout.axes), rng, number=FEED)
        spread = layout.hold(spread, *starved, rng)
        return next((point for point in spread if admissible(point)), None)


@lru_cache(maxsize=64)
def _placed(sweep: Earlier, space: Space) -> Placed:
    """Return an earlier sweep's trials in a space; worked out once."""
    return sweep.place(encoding_of(space))


def _layout(space: Space, earlier: Sequence[Placed]) -> Layout:
    """Return the layout of a space; a key that an earlier sweep lacked may be missing."""
    if not earlier:
        return layout_of(space)
    lacking = np.isnan(np.concatenate([points for points, _ in earlier])).any(axis=0)
    return layout_of(space, frozenset(np.flatnonzero(lacking).tolist()))
