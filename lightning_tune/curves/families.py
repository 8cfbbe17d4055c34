"""Parametric families of learning curves: what a metric may do as training goes on.

Those of Domhan, Springenberg & Hutter, *Speeding up Automatic Hyperparameter Optimization of Deep Neural
Networks by Extrapolation of Learning Curves*, IJCAI 2015 (table 1), and of Mohr, Viering, Loog & van Rijn,
*LCDB 1.0*, ECML 2022 (Viering & Loog, *The Shape of Learning Curves: a Review*, TPAMI 2023). A metric that
falls is the same family with the sign of its amplitude turned, or of the whole; one that is bounded has its
bounds as limits.

Notation: x is the step, counted from 1 and not necessarily whole. Parameters lie in `bounds`, in which every
family is finite and smooth for x of at least 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Array = npt.NDArray[np.float64]
ANY = (-math.inf, math.inf)
POSITIVE = (0.0, math.inf)
DOMHAN = "Domhan et al. 2015, table 1"
LCDB = "Mohr et al. 2022, LCDB, table 1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A family of curves.

    Attributes:
        name: a short name.
        formula: the value at step x, in the names of `parameters`.
        source: where it is from.
        parameters: their names, in the order of `theta`.
        bounds: (low, high) of each parameter, both excluded.
        function: `(x, *parameters) -> (value, slope by each parameter)`; all of them broadcast.
    """

    name: str
    formula: str
    source: str
    parameters: tuple[str, ...]
    bounds: tuple[tuple[float, float], ...]
    function: Callable[..., tuple[Array, list[Array]]]

    def value(self, steps: npt.ArrayLike, theta: npt.ArrayLike) -> Array:
        """Return the curves at steps.

        Args:
            steps: (num_steps,), each at least 1.
            theta: (..., num_parameters), within `bounds`.

        Returns:
            (..., num_steps).
        """
        return self._evaluate(steps, theta)[0]

    def gradient(self, steps: npt.ArrayLike, theta: npt.ArrayLike) -> Array:
        """Return the derivatives by the parameters, of shape (..., num_steps, num_parameters)."""
        value, slopes = self._evaluate(steps, theta)
        return np.stack([np.broadcast_to(slope, value.shape) for slope in slopes], axis=-1)

    def contains(self, theta: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return whether parameters (..., num_parameters) lie within the bounds, of shape (...)."""
        given = np.asarray(theta, dtype=np.float64)
        low, high = np.array(self.bounds).T
        inside: npt.NDArray[np.bool_] = np.asarray(((given > low) & (given < high)).all(axis=-1))
        return inside

    def _evaluate(self, steps: npt.ArrayLike, theta: npt.ArrayLike) -> tuple[Array, list[Array]]:
        x, given = np.asarray(steps, dtype=np.float64), np.asarray(theta, dtype=np.float64)
        if given.shape[-1:] != (len(self.parameters),):
            raise ValueError(
                f"`theta` of {self.name} must have {len(self.parameters)} numbers in its last axis "
                f"({', '.join(self.parameters)}), got the shape {given.shape}."
            )
        return self.function(x, *(given[..., [place]] for place in range(len(self.parameters))))


def _pow3(x: Array, c: Array, a: Array, alpha: Array) -> tuple[Array, list[Array]]:
    power = x**-alpha
    return c - a * power, [np.ones_like(power), -power, a * power * np.log(x)]


def _pow4(x: Array, c: Array, a: Array, b: Array, alpha: Array) -> tuple[Array, list[Array]]:
    base = a * x + b
    power = base**-alpha
    by_base = alpha * power / base
    return c - power, [np.ones_like(power), by_base * x, by_base, power * np.log(base)]


def _log_log_linear(x: Array, a: Array, b: Array) -> tuple[Array, list[Array]]:
    inner = a * np.log(x) + b
    return np.log(inner), [np.log(x) / inner, 1.0 / inner]


def _log_power(x: Array, a: Array, b: Array, c: Array) -> tuple[Array, list[Array]]:
    apart = np.log(x) - b
    share = expit(-c * apart)  # 1 / (1 + (x / e^b)^c)
    slope = a * share * (1.0 - share)
    return a * share, [share, slope * c, -slope * apart]


def _mmf(x: Array, alpha: Array, beta: Array, kappa: Array, delta: Array) -> tuple[Array, list[Array]]:
    apart = np.log(kappa) + np.log(x)
    share = expit(-delta * apart)  # 1 / (1 + (kappa x)^delta)
    slope = (alpha - beta) * share * (1.0 - share)
    return alpha - (alpha - beta) * share, [1.0 - share, share, slope * delta / kappa, slope * apart]


def _janoschek(x: Array, alpha: Array, beta: Array, kappa: Array, delta: Array) -> tuple[Array, list[Array]]:
    power = x**delta
    left = np.exp(-kappa * power)
    slope = (alpha - beta) * left * power
    value = alpha - (alpha - beta) * left
    return value, [1.0 - left, left, slope, slope * kappa * np.log(x)]


def _weibull(x: Array, alpha: Array, beta: Array, kappa: Array, delta: Array) -> tuple[Array, list[Array]]:
    power = (kappa * x) ** delta
    left = np.exp(-power)
    slope = (alpha - beta) * left * power
    value = alpha - (alpha - beta) * left
    return value, [1.0 - left, left, slope * delta / kappa, slope * np.log(kappa * x)]


def _exp3(x: Array, c: Array, a: Array, b: Array) -> tuple[Array, list[Array]]:
    left = np.exp(-b * x)
    return c + a * left, [np.ones_like(left), left, -a * x * left]


def _exp4(x: Array, c: Array, a: Array, b: Array, alpha: Array) -> tuple[Array, list[Array]]:
    power = x**alpha
    left = np.exp(b - a * power)
    return c - left, [np.ones_like(left), left * power, -left, left * a * power * np.log(x)]


def _inverse_log(x: Array, c: Array, a: Array) -> tuple[Array, list[Array]]:
    share = np.broadcast_to(1.0 / np.log(x + 1.0), np.broadcast_shapes(x.shape, c.shape))
    return c - a * share, [np.ones_like(share), -share]


def _vapour_pressure(x: Array, a: Array, b: Array, c: Array) -> tuple[Array, list[Array]]:
    value = np.exp(a + b / x + c * np.log(x))
    return value, [value, value / x, value * np.log(x)]


def _hill(x: Array, y_max: Array, eta: Array, kappa: Array) -> tuple[Array, list[Array]]:
    apart = np.log(x) - np.log(kappa)
    share = expit(eta * apart)  # x^eta / (kappa^eta + x^eta)
    slope = y_max * share * (1.0 - share)
    return y_max * share, [share, slope * apart, -slope * eta / kappa]


FAMILIES = {
    family.name: family
    for family in (
        Family(
            name="pow3",
            formula="c - a x^-alpha",
            source=DOMHAN,
            parameters=("c", "a", "alpha"),
            bounds=(ANY, ANY, POSITIVE),
            function=_pow3,
        ),
        Family(
            name="pow4",
            formula="c - (a x + b)^-alpha",
            source=DOMHAN,
            parameters=("c", "a", "b", "alpha"),
            bounds=(ANY, POSITIVE, POSITIVE, POSITIVE),
            function=_pow4,
        ),
        Family(
            name="log_log_linear",
            formula="log(a log(x) + b)",
            source=DOMHAN,
            parameters=("a", "b"),
            bounds=(POSITIVE, POSITIVE),
            function=_log_log_linear,
        ),
        Family(
            name="log_power",
            formula="a / (1 + (x / e^b)^c)",
            source=DOMHAN,
            parameters=("a", "b", "c"),
            bounds=(ANY, ANY, ANY),
            function=_log_power,
        ),
        Family(
            name="mmf",
            formula="alpha - (alpha - beta) / (1 + (kappa x)^delta)",
            source=DOMHAN + " (Morgan, Mercer & Flodin 1975)",
            parameters=("alpha", "beta", "kappa", "delta"),
            bounds=(ANY, ANY, POSITIVE, POSITIVE),
            function=_mmf,
        ),
        Family(
            name="janoschek",
            formula="alpha - (alpha - beta) exp(-kappa x^delta)",
            source=DOMHAN,
            parameters=("alpha", "beta", "kappa", "delta"),
            bounds=(ANY, ANY, POSITIVE, POSITIVE),
            function=_janoschek,
        ),
        Family(
            name="weibull",
            formula="alpha - (alpha - beta) exp(-(kappa x)^delta)",
            source=DOMHAN,
            parameters=("alpha", "beta", "kappa", "delta"),
            bounds=(ANY, ANY, POSITIVE, POSITIVE),
            function=_weibull,
        ),
        Family(
            name="exp3",
            formula="c + a exp(-b x)",
            source=LCDB,
            parameters=("c", "a", "b"),
            bounds=(ANY, ANY, POSITIVE),
            function=_exp3,
        ),
        Family(
            name="exp4",
            formula="c - exp(b - a x^alpha)",
            source=DOMHAN,
            parameters=("c", "a", "b", "alpha"),
            bounds=(ANY, POSITIVE, ANY, POSITIVE),
            function=_exp4,
        ),
        Family(
            name="inverse_log",
            formula="c - a / log(x + 1)",
            source=DOMHAN + " (there log x, which is 0 at the first step)",
            parameters=("c", "a"),
            bounds=(ANY, ANY),
            function=_inverse_log,
        ),
        Family(
            name="vapour_pressure",
            formula="exp(a + b / x + c log(x))",
            source=DOMHAN,
            parameters=("a", "b", "c"),
            bounds=(ANY, ANY, ANY),
            function=_vapour_pressure,
        ),
        Family(
            name="hill",
            formula="y_max x^eta / (kappa^eta + x^eta)",
            source=DOMHAN + " (Hill 1910)",
            parameters=("y_max", "eta", "kappa"),
            bounds=(ANY, POSITIVE, POSITIVE),
            function=_hill,
        ),
    )
}
"""By name."""
