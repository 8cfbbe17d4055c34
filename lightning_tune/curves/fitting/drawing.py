"""Curves drawn from the families, with what happens to real ones: so that nothing is unheard of.

Many begin after a plateau, a third has a step of the learning rate, a tenth diverges; noise, its decay and a
slow random walk vary from hardly any to a fifth of the whole range.
"""

import numpy as np
import numpy.typing as npt

from lightning_tune.curves.families import FAMILIES

Array = npt.NDArray[np.float64]
FALLS = 0.92
"""How many of the curves get better."""
SMALL = 0.15
"""How many move by a hundredth of the others: mostly noise is seen of them."""
MIXED = STEPS_OF_RATE = HEAVY_TAILED = 0.3
PLATEAUS = 0.4
SHRINKING = 0.5
"""How often noise gets less with time."""
WANDERING = 0.6
DIVERGING = 0.1


def draw(number: int, length: int, rng: np.random.Generator) -> Array:
    """Return costs that were drawn, of shape (number, length); lower is better."""
    times = np.arange(1.0, length + 1)
    return np.array([_drawn(times, rng) for _ in range(number)])


def _drawn(times: Array, rng: np.random.Generator) -> Array:
    length = len(times)
    shape = _shape(times, rng)
    if rng.random() < MIXED:
        share = rng.random()
        shape = share * shape + (1 - share) * _shape(times, rng)
    size = (-1.0 if rng.random() < FALLS else 0.5) * (0.01 if rng.random() < SMALL else 1.0)
    costs = size * shape / max(float(np.ptp(shape)), 1e-9)
    noise = np.full(length, _log_uniform(1e-4, 0.2, rng))
    if rng.random() < STEPS_OF_RATE:
        costs, noise = _with_step_of_rate(costs, noise, times, rng)
    if rng.random() < SHRINKING:
        noise = noise * times ** -rng.uniform(0.0, 0.5)
    if rng.random() < WANDERING:
        costs = costs + _walk(times, rng)
    rough = rng.standard_t(2, length) if rng.random() < HEAVY_TAILED else rng.standard_normal(length)
    costs = costs + noise * rough
    if rng.random() < DIVERGING:
        costs = costs + _divergence(times, rng)
    return np.asarray(costs * _log_uniform(0.05, 20.0, rng) + rng.standard_normal())


def _shape(times: Array, rng: np.random.Generator) -> Array:
    """Return a curve of a family, from 0 at the beginning on."""
    length = len(times)
    name = ("weibull", "mmf", "pow4")[rng.integers(3)]
    if name == "pow4":
        parameters = (0.0, 1.0, _log_uniform(0.3, 60.0, rng), _log_uniform(0.1, 2.0, rng))
    else:
        parameters = (1.0, 0.0, 1.0 / _log_uniform(0.5, 3.0 * length, rng), _log_uniform(0.5, 4.0, rng))
    late = rng.uniform(0.0, 0.7) * length if rng.random() < PLATEAUS else 0.0
    curve = FAMILIES[name].value(np.append(1.0, np.maximum(times - late, 1.0)), parameters)
    return np.asarray(curve[1:] - curve[0])


def _with_step_of_rate(
    costs: Array, noise: Array, times: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return costs that fall, and noise that shrinks, at once somewhere."""
    when = rng.uniform(0.05, 1.0) * len(times)
    after = times >= when
    reached = 1.0 - np.exp(-np.maximum(times - when, 0.0) / rng.uniform(0.3, 3.0))
    fallen = costs - _log_uniform(0.02, 0.6, rng) * after * reached
    return fallen, np.where(after, noise * rng.uniform(0.1, 1.0), noise)


def _walk(times: Array, rng: np.random.Generator) -> Array:
    """Return a random walk in the logarithm of time."""
    gaps = np.diff(np.log(np.append(times, len(times) + 1)))
    return np.asarray(
        _log_uniform(1e-4, 0.2, rng) * np.cumsum(rng.standard_normal(len(times)) * np.sqrt(gaps))
    )


def _divergence(times: Array, rng: np.random.Generator) -> Array:
    """Return what is added from some step on: a jump that grows exponentially, or stays."""
    when = int(rng.integers(1, len(times)))
    growth = np.minimum((times - times[when]) * rng.uniform(0.0, 1.0), 40.0)
    height = rng.random() * np.exp(rng.uniform(-2.0, 3.0) + growth)
    return np.where(np.arange(len(times)) >= when, height, 0.0)


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
