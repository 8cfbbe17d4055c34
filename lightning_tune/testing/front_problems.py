"""Problems with several objectives whose Pareto fronts are known: ZDT1, ZDT2 and DTLZ2.

Zitzler, Deb & Thiele, *Comparison of Multiobjective Evolutionary Algorithms*, 2000; Deb, Thiele, Laumanns &
Zitzler, *Scalable Test Problems for Evolutionary Multiobjective Optimization*, 2005.
"""

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lightning_tune.core.events import Config
from lightning_tune.core.pareto import hypervolume
from lightning_tune.core.space import Float, Space
from lightning_tune.search.base import Searcher
from lightning_tune.testing.functions import run_function


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontProblem:
    """A function of the unit cube with several values, all to be minimised.

    Attributes:
        function: from the places on the axes to the values.
        axes: how many there are.
        reference: the point up to which dominated volume counts.
        most: the volume that the whole front dominates.
    """

    function: Callable[[list[float]], tuple[float, ...]]
    axes: int
    reference: tuple[float, ...]
    most: float

    @property
    def space(self) -> Space:
        """The unit cube."""
        return Space({f"x{axis}": Float(0.0, 1.0) for axis in range(self.axes)})

    def __call__(self, config: Config, step: float) -> tuple[float, ...]:
        """Return the values of a configuration, as a trial reports them."""
        return self.function([config[f"x{axis}"] for axis in range(self.axes)])

    def volume(self, search: Searcher, trials: int, seeds: int = 3) -> float:
        """Return the median over seeds of the share of `most` that a search comes to dominate."""
        found = []
        for seed in range(seeds):
            modes = ["min"] * len(self.reference)
            history = run_function(self.space, search, self, max_trials=trials, mode=modes, seed=seed)
            costs = [trial.costs for trial in history if trial.costs is not None]
            found.append(hypervolume(costs, self.reference) / self.most)
        return statistics.median(found)


def zdt1(x: list[float]) -> tuple[float, float]:
    """Return values whose front, where all but the first are 0, is b = 1 - sqrt(a)."""
    g = 1.0 + 9.0 * sum(x[1:]) / (len(x) - 1)
    return x[0], g * (1.0 - math.sqrt(x[0] / g))


def zdt2(x: list[float]) -> tuple[float, float]:
    """Return values whose front, where all but the first are 0, is hollow: b = 1 - a^2."""
    g = 1.0 + 9.0 * sum(x[1:]) / (len(x) - 1)
    return x[0], g * (1.0 - (x[0] / g) ** 2)


def dtlz2(x: list[float], objectives: int) -> tuple[float, ...]:
    """Return values whose front, where all but the first few are 1/2, is the unit sphere's positive part."""
    radius = 1.0 + sum((place - 0.5) ** 2 for place in x[objectives - 1 :])
    values = []
    for index in range(objectives):
        angles = [0.5 * math.pi * place for place in x[: objectives - 1 - index]]
        value = radius * math.prod(map(math.cos, angles))
        values.append(value * math.sin(0.5 * math.pi * x[objectives - 1 - index]) if index else value)
    return tuple(values)


PROBLEMS: Mapping[str, FrontProblem] = {
    "zdt1": FrontProblem(function=zdt1, axes=5, reference=(1.1, 5.0), most=5.5 - 1.0 / 3.0),
    "zdt2": FrontProblem(function=zdt2, axes=5, reference=(1.1, 5.0), most=5.5 - 2.0 / 3.0),
    "dtlz2": FrontProblem(
        function=lambda x: dtlz2(x, 2), axes=6, reference=(1.5, 1.5), most=2.25 - math.pi / 4.0
    ),
    "dtlz2_3": FrontProblem(
        function=lambda x: dtlz2(x, 3), axes=6, reference=(1.5, 1.5, 1.5), most=3.375 - math.pi / 6.0
    ),
}
