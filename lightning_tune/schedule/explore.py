"""Exploration of population-based training: a configuration near one that did well, and still of the space.

Jaderberg et al. 2017 (see `population.py`), section 4.1: every hyperparameter is multiplied by 0.8 or by 1.2,
or drawn anew. A configuration is walked key by key, so that it stays valid whatever changes: where another
option of a choice is drawn, the keys that it brings are drawn too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightning_tune.core.bins import bin_centre
from lightning_tune.core.choice import Choice, Dimension
from lightning_tune.core.dimensions import Float, Int
from lightning_tune.core.events import JSON, Config
from lightning_tune.core.nodes import Node, branch_of
from lightning_tune.core.plain import copied, identity
from lightning_tune.core.space import Space


@dataclass(frozen=True, kw_only=True, slots=True)
class Explorer:
    """Draws configurations around a given one.

    Attributes:
        factors: a number is multiplied by one of these, and clipped to its bounds. Where only certain values
            are allowed (a whole number, a step) it moves by one of them at least. An ordered choice moves to
            a neighbour; another choice stays.
        resample: how likely each value is drawn anew instead, from the whole of its dimension.

    Example:
        >>> space = Space({"lr": Float(1e-4, 1e-1, log=True), "depth": Int(1, 8)})
        >>> explorer = Explorer(factors=(0.8, 1.2), resample=0.0)
        >>> explorer(space, {"lr": 0.01, "depth": 2}, np.random.default_rng(1))
        {'lr': 0.012, 'depth': 3}
    """

    factors: Sequence[float]
    resample: float

    def __call__(self, space: Space, config: Config, rng: np.random.Generator) -> Config:
        """Return a configuration of the space near `config`, which is one of it."""
        explored: Config = {}
        self._walk(space.nodes, config, rng, explored)
        return explored

    def _walk(
        self, nodes: Sequence[Node], given: Config | None, rng: np.random.Generator, explored: Config
    ) -> None:
        """Fill in the values below one option; without `given`, which took another option, all are drawn."""
        for node in nodes:
            key, dimension = node.key, node.dimension
            if dimension is None:
                explored[key] = copied(node.constant)
            elif given is None or rng.random() < self.resample:
                explored[key] = dimension.from_unit(rng.random())
            else:
                explored[key] = self._moved(dimension, given[key], rng)
            if node.branches:
                same = given is not None and identity(given[key]) == identity(explored[key])
                self._walk(branch_of(node, explored), given if same else None, rng, explored)

    def _moved(self, dimension: Dimension, value: JSON, rng: np.random.Generator) -> JSON:
        if isinstance(dimension, Choice):
            return _neighbour(dimension, value, rng) if dimension.ordered else copied(value)
        assert isinstance(value, int | float)  # a checked value of a number
        return _multiplied(dimension, value, self.factors[int(rng.integers(len(self.factors)))])


def _neighbour(choice: Choice, value: JSON, rng: np.random.Generator) -> JSON:
    """Return the option before or after one, whichever there are."""
    place = choice.index(value, "value")
    beside = [other for other in (place - 1, place + 1) if 0 <= other < choice.num_values] or [place]
    return choice.option(beside[int(rng.integers(len(beside)))])


def _multiplied(dimension: Float | Int, value: float, factor: float) -> float:
    """Return the allowed value nearest to the product, another than `value` if there is one that way."""
    product = value * factor
    wanted = min(max(product, dimension.low), dimension.high)
    if dimension.num_values is None:
        return wanted
    step = dimension.step or 1
    here, nearest = (round((number - dimension.low) / step) for number in (value, wanted))
    if nearest == here and factor != 1:
        nearest += 1 if product > value or (product == value and factor > 1) else -1
    index = min(max(nearest, 0), dimension.num_values - 1)
    if isinstance(dimension, Float):
        return dimension.from_unit(bin_centre(index, dimension.num_values))
    return int(dimension.low + index * step)
