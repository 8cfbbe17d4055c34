"""What a metric may come to: a distribution for each curve and step that was asked about.

A mixture of logistic densities of v = asinh((y - centre) / unit), with the last report as centre and the
curve's own noise as unit: near the last report that is the metric itself, far off its logarithm, so that a
loss that explodes costs no more than it must. Within bounds the mixture is cut off at them and scaled up to
1 again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit, logsumexp

from lightning_tune.errors import ArgumentError

Array = npt.NDArray[np.float64]
HALVINGS = 60
"""Of the interval in which a quantile is looked for: to the last bit."""
NODES = 128
"""Of the quadrature of moments within bounds."""
REACH = 40.0
"""Beyond so many scales a part has no mass."""
TAIL = 1e-9
ARRAYS = ("centre", "unit", "weights", "places", "scales")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Prediction:
    """Distributions of a metric at later steps.

    All methods and properties have the shape of `centre`, here called (...): (num_curves,), or
    (num_curves, num_at) where several steps of a curve were asked about. `mean` and `std` are those of the
    whole distribution: where nothing bounds a loss that may explode they are far from `quantile(0.5)`, which
    is the better guess.

    Attributes:
        centre: (...), where v is 0.
        unit: (...), how far from it v is asinh(1).
        weights: (..., num_parts), which sum to 1.
        places: (..., num_parts), of each part, in v.
        scales: (..., num_parts), of each part, in v; below 0.5, so that there is a standard deviation.
        bounds: (low, high), either of which may be infinite.
        rises: whether higher values are better.

    Example:
        >>> import numpy as np
        >>> found = Prediction(
        ...     centre=np.array([0.8]),
        ...     unit=np.array([0.01]),
        ...     weights=np.array([[0.5, 0.5]]),
        ...     places=np.array([[0.0, 1.0]]),
        ...     scales=np.array([[0.2, 0.2]]),
        ...     bounds=(0.0, 1.0),
        ...     rises=True,
        ... )
        >>> bool(found.quantile(0.05)[0] < found.mean[0] < found.quantile(0.95)[0])
        True
    """

    centre: Array
    unit: Array
    weights: Array
    places: Array
    scales: Array
    bounds: tuple[float, float]
    rises: bool

    def __repr__(self) -> str:
        low, middle, high = (self.quantile(q).tolist() for q in (0.05, 0.5, 0.95))
        return f"<Prediction {self.centre.shape}: median {middle}, 90% from {low} to {high}>"

    @property
    def mean(self) -> Array:
        """The expected value."""
        return self._moments[0]

    @property
    def std(self) -> Array:
        """The standard deviation."""
        return self._moments[1]

    def quantile(self, q: npt.ArrayLike) -> Array:
        """Return the value that is exceeded with probability 1 - q.

        Args:
            q: a probability; or (num_levels,) of them, which gives (..., num_levels).

        Raises:
            ArgumentError: `q` is not a probability, nor a list of them.
        """
        levels = np.asarray(q)
        if levels.ndim > 1 or levels.dtype.kind not in "fi" or not ((levels >= 0) & (levels <= 1)).all():
            raise ArgumentError(f"`q` must be a probability from 0 to 1, or a list of them, got {q!r}.")
        found = self._quantiles(np.broadcast_to(levels, (*self.centre.shape, levels.size)))
        return found if levels.ndim else found[..., 0]

    def log_prob(self, values: npt.ArrayLike) -> Array:
        """Return the logarithm of the density at values that broadcast against (...); -inf out of bounds."""
        given = self._given("values", values)
        low, high = self.bounds
        place = (given - self.centre) / self.unit
        off = (np.arcsinh(place)[..., None] - self.places) / self.scales
        parts = (
            np.log(np.maximum(self.weights, 1e-300)) + log_expit(off) + log_expit(-off) - np.log(self.scales)
        )
        density = logsumexp(parts, axis=-1) - 0.5 * np.log1p(_squared(place)) - np.log(self.unit)
        inside = (given >= low) & (given <= high)
        return np.where(inside, density - np.log(self._mass), -np.inf)

    def cdf(self, values: npt.ArrayLike) -> Array:
        """Return the probability of at most these values, which broadcast against (...)."""
        given = np.clip(self._given("values", values), *self.bounds)
        below = self._below(np.arcsinh((given - self.centre) / self.unit)[..., None])[..., 0]
        share: Array = np.clip((below - self._cut[0]) / self._mass, 0.0, 1.0)
        return share

    def prob_better(self, target: npt.ArrayLike) -> Array:
        """Return the probability of better values than a target, which broadcasts against (...)."""
        worse = self.cdf(self._given("target", target))
        return 1.0 - worse if self.rises else worse

    def at(self, place: int) -> "Prediction":
        """Return the predictions of one of the steps that were asked about, of shape (num_curves,).

        Args:
            place: which, counted from 0; a negative one from the end.

        Raises:
            ArgumentError: there is no such place, or one step a curve was asked about.
        """
        if self.centre.ndim < 2:
            raise ArgumentError("`at` chooses among several steps a curve, and one was asked about.")
        number = self.centre.shape[1]
        if not -number <= place < number:
            raise ArgumentError(f"`place` must be from {-number} to {number - 1}, got {place!r}.")
        return replace(self, **{name: getattr(self, name)[:, place] for name in ARRAYS})

    def rows(self, rows: npt.NDArray[Any]) -> "Prediction":
        """Return the predictions of some curves, by their numbers or a mask."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ARRAYS})

    def _given(self, name: str, values: npt.ArrayLike) -> Array:
        """Return values that broadcast against (...).

        Raises:
            ArgumentError: they are no numbers, NaN, or of another shape.
        """
        try:
            given = np.asarray(values, dtype=np.float64)
            np.broadcast_shapes(given.shape, self.centre.shape)
        except (TypeError, ValueError) as error:
            raise ArgumentError(
                f"`{name}` must be a number, or numbers of the shape {self.centre.shape}, got {values!r}."
            ) from error
        if np.isnan(given).any():
            raise ArgumentError(f"`{name}` must not be NaN, got {values!r}.")
        return given

    @cached_property
    def _cut(self) -> tuple[Array, Array]:
        """The mass below the lower bound, and that below the upper one."""
        low, high = (
            self._below(np.arcsinh((bound - self.centre) / self.unit)[..., None])[..., 0]
            for bound in self.bounds
        )
        return low, high

    @cached_property
    def _mass(self) -> Array:
        """The mass within the bounds, which is not let vanish."""
        return np.maximum(self._cut[1] - self._cut[0], TAIL)

    def _below(self, v: Array) -> Array:
        """Return the mass below places (..., num), of the mixture without bounds."""
        off = (v[..., None] - self.places[..., None, :]) / self.scales[..., None, :]
        mass: Array = (self.weights[..., None, :] * expit(off)).sum(axis=-1)
        return mass

    def _quantiles(self, q: Array) -> Array:
        """Return quantiles (..., num) by bisection in v."""
        low_mass, _ = self._cut
        wanted = low_mass[..., None] + q * self._mass[..., None]
        reach = np.log(1.0 / TAIL)
        least = (self.places - reach * self.scales).min(axis=-1)
        most = (self.places + reach * self.scales).max(axis=-1)
        low, high = (np.broadcast_to(end[..., None], wanted.shape).copy() for end in (least, most))
        for _ in range(HALVINGS):
            middle = (low + high) / 2.0
            short = self._below(middle) < wanted
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        values = self.centre[..., None] + self.unit[..., None] * np.sinh((low + high) / 2.0)
        return np.asarray(np.clip(values, *self.bounds))

    @cached_property
    def _moments(self) -> tuple[Array, Array]:
        if np.isfinite(self.bounds).any():
            return self._moments_within()
        # E exp(s L) = pi s / sin(pi s) for a standard logistic L and |s| < 1
        first = (self.weights * np.sinh(self.places) * _spread(self.scales)).sum(axis=-1)
        second = self.weights * (np.cosh(2.0 * self.places) * _spread(2.0 * self.scales) - 1.0) / 2.0
        variance = np.maximum(second.sum(axis=-1) - first**2, 0.0)
        return self.centre + self.unit * first, self.unit * np.sqrt(variance)

    def _moments_within(self) -> tuple[Array, Array]:
        """Return the moments between the bounds, by quadrature of each part."""
        low, high = (self.scaled(bound) for bound in self.bounds)
        density, moved = self.quadrature(low, high)
        density *= (self.weights / self._mass[..., None])[..., None]
        first = (density * moved).sum(axis=(-2, -1))
        variance = np.maximum((density * moved**2).sum(axis=(-2, -1)) - first**2, 0.0)
        return np.clip(self.centre + self.unit * first, *self.bounds), self.unit * np.sqrt(variance)

    def scaled(self, value: float) -> Array:
        """Return how many scales a value is off each part, (..., num_parts), at most `REACH`."""
        place = np.arcsinh((value - self.centre) / self.unit)[..., None]
        return np.asarray(np.clip((place - self.places) / self.scales, -REACH, REACH))

    def quadrature(self, start: Array, stop: Array) -> tuple[Array, Array]:
        """Return weights and nodes, (..., num_parts, `NODES`), that integrate each part between two places.

        By Gauss and Legendre. The places are in scales off the part, (..., num_parts), as `scaled` gives
        them; a weight has the part's density in it, a node is how many units it is off the centre.
        """
        nodes, shares = _rule()
        half = (stop - start)[..., None] / 2.0
        off = (start + stop)[..., None] / 2.0 + half * nodes
        beyond = expit(-np.abs(off))
        density = beyond * (1.0 - beyond) * shares * half
        return density, np.sinh(self.places[..., None] + self.scales[..., None] * off)


def gathered(each: Sequence[Prediction], how: Callable[[list[Array]], Array]) -> Prediction:
    """Return several predictions as one, whose arrays `how` makes of theirs; the rest is the first one's."""
    arrays: dict[str, Any] = {name: how([getattr(one, name) for one in each]) for name in ARRAYS}
    return replace(each[0], **arrays)


@lru_cache(maxsize=1)
def _rule() -> tuple[Array, Array]:
    """Return the nodes and the weights, which take milliseconds to find."""
    return np.polynomial.legendre.leggauss(NODES)


def _spread(scale: Array) -> Array:
    return np.pi * scale / np.sin(np.pi * scale)


def _squared(values: Array) -> Array:
    return np.minimum(np.abs(values), 1e150) ** 2
