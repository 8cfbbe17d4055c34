"""The fourteen problems of `search_quality.py`: 2 to 20 dimensions, with and without noise.

Some were looked at while our searchers' settings were chosen ("tuning"), the others were not ("reporting").
The pipeline went over to the first kind when its rows showed that a model alone fails there. Where the
value at the centre of the usual box would be close to the optimum, the box is shifted, since some methods
begin there.

    python benchmarks/search_problems.py    # measures `by_chance`, and how low random search gets
"""

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import search_functions as functions
import search_tables as tables

from lightning_tune import Choice, Float, Int, Space

Config = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A function of configurations that is to be minimised.

    Attributes:
        optimum: the least value, without noise; of a table, the least that anybody has found.
        by_chance: the median of the best of 30 random configurations, without noise: normalised regret is 1
            here, 0 at the optimum.
        noise: the standard deviation of what is added to a value when it is observed.
    """

    name: str
    space: Space
    value: Callable[[Config], float]
    optimum: float
    by_chance: float
    half: Literal["tuning", "reporting"]
    noise: float = 0.0

    def normalised(self, value: float, optimum: float | None = None) -> float:
        """Return the regret of a value in units of random search's after 30 trials."""
        least = self.optimum if optimum is None else optimum
        return (value - least) / (self.by_chance - least)

    def observed(self, config: Config, seed: int, number: int) -> float:
        """Return what evaluation `number` of the run under a seed sees."""
        value = self.value(config)
        if not self.noise:
            return value
        return value + self.noise * float(np.random.default_rng([seed, number, 77]).standard_normal())


def box(dimensions: int, low: float, high: float) -> Space:
    """Return a cube whose keys are x0, x1, ..."""
    return Space({f"x{place}": Float(low, high) for place in range(dimensions)})


def of_point(
    function: Callable[[functions.Point], float], used: int | None = None
) -> Callable[[Config], float]:
    """Return a function of points as one of configurations; with `used`, of its first so many values."""
    return functools.partial(_at, function, used)


def _at(function: Callable[[functions.Point], float], used: int | None, config: Config) -> float:
    return function(np.array(list(config.values())[:used], dtype=float))


BRANIN = Problem(
    name="branin",
    space=Space({"x0": Float(-5, 10), "x1": Float(0, 15)}),
    value=of_point(functions.branin),
    optimum=0.39788735772973816,
    by_chance=1.5928,
    half="tuning",
)
HARTMANN6 = Problem(
    name="hartmann6",
    space=box(6, 0, 1),
    value=of_point(functions.hartmann6),
    optimum=-3.322368011415515,
    by_chance=-1.4788,
    half="tuning",
)
ACKLEY10 = Problem(
    name="ackley10",
    space=box(10, -20, 32.768),
    value=of_point(functions.ackley),
    optimum=0.0,
    by_chance=19.237,
    half="tuning",
)
NOISY_HARTMANN6 = Problem(
    name="noisy_hartmann6",
    space=box(6, 0, 1),
    value=of_point(functions.hartmann6),
    optimum=-3.322368011415515,
    by_chance=-1.4788,
    half="tuning",
    noise=0.1,
)
MIXED = Problem(
    name="mixed",
    space=Space(
        {
            "x": Float(0, 1),
            "y": Float(-2, 2),
            "z": Float(0, 1),
            "n": Int(1, 20),
            "kind": Choice(["a", "b", "c"]),
            "flag": Choice([True, False]),
        }
    ),
    value=functions.mixed,
    optimum=0.0,
    by_chance=0.47192,
    half="tuning",
)
SVM_DIGITS = Problem(
    name="svm_digits",
    space=Space(
        {
            "C": Float(1e-3, 1e3, log=True),
            "kernel": Choice(
                {
                    "linear": {},
                    "rbf": {"gamma": Float(1e-4, 10, log=True)},
                    "poly": {
                        "degree": Int(2, 5),
                        "coef0": Float(0, 2),
                        "poly_gamma": Float(1e-3, 10, log=True),
                    },
                }
            ),
        }
    ),
    value=tables.svm_digits,
    optimum=0.025006546216287062,
    by_chance=0.032488,
    half="tuning",
)
BOOSTING_DIABETES = Problem(
    name="boosting_diabetes",
    space=Space(
        {
            "n_estimators": Int(10, 100, log=True),
            "learning_rate": Float(1e-2, 1, log=True),
            "max_depth": Int(1, 6),
            "subsample": Float(0.3, 1),
            "min_samples_leaf": Int(1, 50, log=True),
            "max_features": Float(0.1, 1),
        }
    ),
    value=tables.boosting_diabetes,
    optimum=51.6502247939218,
    by_chance=53.752,
    half="tuning",
)
LOG_GOLDSTEIN_PRICE = Problem(
    name="log_goldstein_price",
    space=box(2, -2, 2),
    value=of_point(functions.log_goldstein_price),
    optimum=float(np.log(3)),
    by_chance=3.7702,
    half="reporting",
)
SHEKEL4 = Problem(
    name="shekel4",
    space=box(4, 0, 10),
    value=of_point(functions.shekel),
    optimum=-10.536443153483534,
    by_chance=-0.78997,
    half="reporting",
)
LEVY8 = Problem(
    name="levy8",
    space=box(8, -16, 10),
    value=of_point(functions.levy),
    optimum=0.0,
    by_chance=49.61,
    half="reporting",
)
HARTMANN6_OF_20 = Problem(
    name="hartmann6_of_20",
    space=box(20, 0, 1),
    value=of_point(functions.hartmann6, used=6),
    optimum=-3.322368011415515,
    by_chance=-1.4819,
    half="reporting",
)
NOISY_ROSENBROCK4 = Problem(
    name="noisy_rosenbrock4",
    space=box(4, -5, 10),
    value=of_point(functions.rosenbrock),
    optimum=0.0,
    by_chance=3256.7,
    half="reporting",
    noise=25.0,
)
PIPELINE_CANCER = Problem(
    name="pipeline_cancer",
    space=Space(
        {
            "preparation": Choice(
                {
                    "standard": {},
                    "robust": {"quantile": Float(0, 45)},
                    "pca": {"components": Int(2, 25), "whiten": Choice([False, True])},
                }
            ),
            "classifier": Choice(
                {
                    "logistic": {"strength": Float(1e-4, 1e3, log=True)},
                    "svm": {
                        "C": Float(1e-3, 1e3, log=True),
                        "kernel": Choice(
                            {
                                "linear": {},
                                "rbf": {"gamma": Float(1e-4, 1, log=True)},
                                "poly": {
                                    "degree": Int(2, 5),
                                    "coef0": Float(0, 2),
                                    "poly_gamma": Float(1e-4, 1, log=True),
                                },
                            }
                        ),
                    },
                    "neighbours": {
                        "neighbours": Int(1, 100, log=True),
                        "weights": Choice(["uniform", "distance"]),
                    },
                    "tree": {"depth": Int(1, 10), "leaf": Int(1, 60, log=True)},
                }
            ),
        }
    ),
    value=tables.pipeline_cancer,
    optimum=0.0031788996571651684,
    by_chance=0.0040921,
    half="tuning",
)
NETWORK_DIGITS = Problem(
    name="network_digits",
    space=Space(
        {
            "width": Int(4, 64, log=True),
            "learning_rate_init": Float(1e-4, 1, log=True),
            "alpha": Float(1e-6, 10, log=True),
            "batch_size": Choice([16, 32, 64, 128], ordered=True),
            "activation": Choice(["relu", "tanh", "logistic"]),
            "solver": Choice(["sgd", "adam"]),
        }
    ),
    value=tables.network_digits,
    optimum=0.15068925370663863,
    by_chance=0.22041,
    half="reporting",
)

PROBLEMS = {
    problem.name: problem
    for problem in (
        BRANIN,
        HARTMANN6,
        ACKLEY10,
        NOISY_HARTMANN6,
        MIXED,
        SVM_DIGITS,
        BOOSTING_DIABETES,
        LOG_GOLDSTEIN_PRICE,
        SHEKEL4,
        LEVY8,
        HARTMANN6_OF_20,
        NOISY_ROSENBROCK4,
        PIPELINE_CANCER,
        NETWORK_DIGITS,
    )
}


def random_values(problem: Problem, count: int) -> list[float]:
    """Return the values, without noise, of so many random configurations, in ascending order."""
    rng = np.random.default_rng(12345)
    return sorted(problem.value(problem.space.sample(rng)) for _ in range(count))


def main() -> None:
    """Print `by_chance` of the problems that are named (of all, without names), and the least value."""
    for name in sys.argv[1:] or PROBLEMS:
        values = random_values(PROBLEMS[name], 20_000 if PROBLEMS[name].space.keys()[0] == "x0" else 5_000)
        median_of_best = float(np.quantile(values, 1 - 0.5 ** (1 / 30)))
        print(
            f"{name}: by_chance={median_of_best!r}, least={values[0]!r}, median={np.median(values)!r}",
            flush=True,
        )


if __name__ == "__main__":
    main()
