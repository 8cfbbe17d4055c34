"""The network that turns what is seen of a curve into a mixture: `scripts/fit_curves.py` trained it.

A few small perceptrons, each trained from another seed; their mixtures are joined with equal weights. Plain
NumPy: torch is not needed, and a batch of a hundred curves takes about a millisecond.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_softmax

from lightning_tune.curves.anchors import Anchors

Array = npt.NDArray[np.float64]
FILE = Path(__file__).with_name("prior.npz")
LEAST_SCALE, MOST_SCALE = 1e-3, 0.4
"""Of a part: near 0.5 its standard deviation is beyond all measure, and at 0.5 there is none."""
FARTHEST = 5.0
"""A standardised feature is cut off there: beyond it nothing was trained on."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Parts:
    """A mixture of logistic densities; all arrays are (..., num_parts)."""

    weights: Array
    places: Array
    scales: Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Network:
    """An ensemble of perceptrons with two hidden layers.

    Attributes:
        centre: (num_columns,), the means of what they were trained on.
        spread: (num_columns,), its standard deviations.
        layers: (weights, biases) of each layer, (num_members, num_in, num_out) and (num_members, num_out).
    """

    centre: Array
    spread: Array
    layers: tuple[tuple[Array, Array], ...]

    @property
    def num_parts(self) -> int:
        """The number of parts of a mixture."""
        weights, biases = self.layers[-1]
        return int(len(weights) * biases.shape[1] // 3)

    def parts(self, columns: Array, anchors: Anchors) -> Parts:
        """Return the mixture of each row of features (..., num_columns), from its anchors on."""
        rows = columns.reshape(-1, columns.shape[-1])
        hidden = np.clip((rows - self.centre) / self.spread, -FARTHEST, FARTHEST)[None]
        for weights, biases in self.layers[:-1]:
            hidden = hidden @ weights + biases[:, None]
            hidden = hidden * expit(hidden)  # SiLU
        weights, biases = self.layers[-1]
        logits, places, logs = np.split(hidden @ weights + biases[:, None], 3, axis=-1)
        shares = np.exp(log_softmax(logits, axis=-1)) / len(weights)
        places, logs = anchors.rows().spread(places, logs)
        scales = np.exp(np.clip(logs, np.log(LEAST_SCALE), np.log(MOST_SCALE)))
        shape = (*columns.shape[:-1], -1)
        return Parts(
            **{
                name: np.moveaxis(each, 0, 1).reshape(shape)
                for name, each in (("weights", shares), ("places", places), ("scales", scales))
            }
        )


@lru_cache(maxsize=1)
def shipped() -> Network:
    """Return the network that comes with the package."""
    return load(FILE)


def load(path: Path) -> Network:
    """Return a network that `save` wrote."""
    with np.load(path) as file:
        arrays = {name: file[name].astype(np.float64) for name in file.files}
    layers = tuple(
        (arrays[f"weights{place}"], arrays[f"biases{place}"]) for place in range(len(arrays) // 2 - 1)
    )
    return Network(centre=arrays["centre"], spread=arrays["spread"], layers=layers)


def save(network: Network, path: Path) -> None:
    """Write a network in single precision."""
    layers = {
        f"{name}{place}": array.astype(np.float32)
        for place, layer in enumerate(network.layers)
        for name, array in zip(("weights", "biases"), layer, strict=True)
    }
    centre, spread = network.centre.astype(np.float32), network.spread.astype(np.float32)
    arrays: dict[str, Any] = {"centre": centre, "spread": spread, **layers}
    np.savez_compressed(path, **arrays)
