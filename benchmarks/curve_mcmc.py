"""Domhan, Springenberg & Hutter (IJCAI 2015) as a peer: a weighted sum of families, sampled with emcee.

As in the paper: y(x) = sum_k w_k f_k(x; theta_k) + noise, w_k >= 0, started from least-squares fits of each
family, sampled by the affine-invariant ensemble. The families are ours; those whose fit leads out of all
measure are left out of a curve. Curves are brought to [0, 1], rising, first. Fewer steps than in the paper,
where a curve takes minutes.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from curve_cuts import Cut
from scipy.optimize import least_squares
from scipy.special import logsumexp

from lightning_tune.curves.families import FAMILIES, Family

Array = npt.NDArray[np.float64]
NAMES = (
    "pow3", "pow4", "log_log_linear", "log_power", "mmf", "janoschek", "weibull", "exp4", "inverse_log",
    "vapour_pressure", "hill",
)  # fmt: skip
"""The eleven of the paper."""
STARTS = {
    "pow3": (0.8, 0.6, 0.5), "pow4": (1.0, 0.5, 1.5, 0.5), "log_log_linear": (0.3, 1.2),
    "log_power": (0.9, 1.0, -1.0), "mmf": (0.9, 0.1, 0.3, 1.0),
    "janoschek": (0.9, 0.1, 0.3, 0.7), "weibull": (0.9, 0.1, 0.3, 0.8),
    "exp4": (0.9, 0.4, 0.0, 0.7), "inverse_log": (1.0, 0.6), "vapour_pressure": (-0.1, -1.0, 0.0),
    "hill": (0.9, 1.0, 2.0),
}  # fmt: skip
WALKERS = 100
STEPS = 500
BURN_IN = 250
THIN = 10
MOST = 40
"""Observations of a curve; longer ones are averaged, or sampling would take minutes."""
RANGE = (-1.0, 2.0)
"""Where a normalised curve must stay at the end and at the beginning."""
LOG_NOISE = (-12.0, 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """A mixture of normal distributions for each curve, with equal weights.

    Attributes:
        means: (num_curves, num_samples).
        scales: (num_curves, num_samples).
    """

    means: Array
    scales: Array

    def log_prob(self, values: Array) -> Array:
        """Return the log density at one value a curve."""
        off = (values[:, None] - self.means) / self.scales
        parts = -0.5 * off**2 - np.log(self.scales) - 0.5 * np.log(2.0 * np.pi)
        return np.asarray(logsumexp(parts, axis=1) - np.log(self.means.shape[1]))

    def quantile(self, q: Array) -> Array:
        """Return quantiles (num_curves, num_levels): of draws, twenty a part."""
        noise = np.random.default_rng(0).standard_normal((20, *self.means.shape))
        draws = (self.means + self.scales * noise).transpose(1, 0, 2).reshape(len(self.means), -1)
        return np.quantile(draws, q, axis=1).T


def domhan(cut: Cut) -> Samples:
    """Return the posterior predictive distribution of each curve, one after the other."""
    means, scales = [], []
    for row in range(len(cut.at)):
        steps, costs = cut.observed(row)
        low, size = float(costs.min()), float(np.ptp(costs)) or 1e-6 * max(abs(float(costs[0])), 1e-6)
        mean, scale = _sample(*_averaged(steps, 1.0 - (costs - low) / size), float(cut.at[row]))
        cost = low + size * (1.0 - mean)
        means.append(-cost if cut.rises else cost)
        scales.append(size * scale)
    return Samples(means=np.array(means), scales=np.array(scales))


def _averaged(steps: Array, values: Array) -> tuple[Array, Array]:
    if len(steps) <= MOST:
        return steps, values
    edges = np.unique(np.round(np.linspace(0, len(steps), MOST + 1)).astype(int))
    counts = np.diff(edges)
    return np.add.reduceat(steps, edges[:-1]) / counts, np.add.reduceat(values, edges[:-1]) / counts


def _sample(steps: Array, values: Array, at: float) -> tuple[Array, Array]:
    """Return means and scales of the value at a later step, (num_samples,) each."""
    import emcee

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        fits = {name: _start(FAMILIES[name], steps, values) for name in NAMES}
        fits = {name: fit for name, fit in fits.items() if _leads(FAMILIES[name], fit, at)}
        model = _Model(tuple(fits), steps, values, at)
        centre = np.concatenate([*fits.values(), np.full(len(fits), 1.0 / len(fits)), [np.log(0.05)]])
        rng = np.random.RandomState(0)  # emcee's own kind
        start = centre + (1e-4 + 1e-3 * np.abs(centre)) * rng.standard_normal((WALKERS, len(centre)))
        start[:, model.weights] = np.abs(start[:, model.weights])
        sampler = emcee.EnsembleSampler(WALKERS, len(centre), model.log_posterior, vectorize=True)
        sampler.random_state = rng.get_state()
        sampler.run_mcmc(start, STEPS, skip_initial_state_check=True)
        chain = sampler.get_chain(discard=BURN_IN, thin=THIN, flat=True)
        ends = np.nan_to_num(model.curve(chain, np.array([at]))[:, 0], nan=RANGE[1])
        return np.clip(ends, *RANGE), np.exp(
            chain[:, -1]
        )  # a walker that never found its way stays where it is


def _start(family: Family, steps: Array, values: Array) -> Array:
    """Return the least-squares fit from the usual start."""
    low, high = np.array(family.bounds).T
    return np.asarray(
        least_squares(
            lambda theta: np.nan_to_num(
                family.value(steps, theta) - values, nan=1e3, posinf=1e3, neginf=-1e3
            ),
            STARTS[family.name],
            bounds=(np.where(np.isfinite(low), 1e-6, low), high),
            max_nfev=50,
        ).x
    )


def _leads(family: Family, theta: Array, at: float) -> bool:
    """Return whether a fit leads to where a curve may end."""
    end = float(family.value([at], theta)[0])
    return RANGE[0] < end < RANGE[1]


class _Model:
    """The density of all walkers' parameters, (num_walkers, num_parameters); the last is log noise."""

    def __init__(self, names: tuple[str, ...], steps: Array, values: Array, at: float) -> None:
        self.families = [FAMILIES[name] for name in names]
        sizes = [len(family.parameters) for family in self.families]
        self.places = np.concatenate([[0], np.cumsum(sizes)])
        self.weights = slice(self.places[-1], self.places[-1] + len(names))
        self.steps, self.values = np.append(steps, at), values

    def curve(self, theta: Array, steps: Array) -> Array:
        """Return the weighted sums, (num_walkers, num_steps)."""
        total = np.zeros((len(theta), len(steps)))
        for place, family in enumerate(self.families):
            own = theta[:, self.places[place] : self.places[place + 1]]
            total += theta[:, self.weights][:, [place]] * family.value(steps, own)
        return total

    def log_posterior(self, theta: Array) -> Array:
        """Return the log density up to a constant; -inf outside of what the paper allows."""
        inside = (theta[:, self.weights] >= 0).all(axis=1)
        for place, family in enumerate(self.families):
            inside &= family.contains(theta[:, self.places[place] : self.places[place + 1]])
        result = np.full(len(theta), -np.inf)
        if not inside.any():
            return result
        curve = self.curve(theta[inside], self.steps)
        logs = theta[inside, -1]
        misfit = ((curve[:, :-1] - self.values) ** 2).sum(axis=1)
        density = -0.5 * misfit * np.exp(-2.0 * logs) - len(self.values) * logs
        ends = curve[:, [0, -1]]
        sane = (
            ((ends > RANGE[0]) & (ends < RANGE[1])).all(axis=1)
            & (logs > LOG_NOISE[0])
            & (logs < LOG_NOISE[1])
        )
        result[inside] = np.where(sane & np.isfinite(density), density, -np.inf)
        return result
