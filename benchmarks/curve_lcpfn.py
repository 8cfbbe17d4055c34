"""LC-PFN (Adriaensen et al., NeurIPS 2023) as a peer: its own network, prior and training function.

    python benchmarks/curve_lcpfn.py        # trains it, up to an hour on one core

Its published weights are not in the package, so the smallest of the configurations that its paper compares
(three layers of width 128) is trained here on its own prior, on 240,000 drawn curves; the paper's smallest
set has 100,000 and its largest ten million. The result is kept in the user's cache, out of the repository.
"""

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from curve_cuts import Cut
from recording import CACHE

Array = npt.NDArray[np.float64]
LENGTH = 100
"""Steps of the curves that it is trained on."""
SIZE = {"emsize": 128, "nlayers": 3, "num_borders": 1000, "lr": 1e-3, "batch_size": 100, "epochs": 24}
"""The rate is ten times the function's default, which is meant for ten million curves."""
TRAINED = CACHE / "lcpfn.pt"
NEAREST = 1e-6
"""Normalised values keep so far from 0 and 1, where the map to the metric is not defined."""


def train() -> None:
    """Train and keep the network."""
    import torch

    lcpfn = _package()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - its prior draws from NumPy's global generator
    CACHE.mkdir(parents=True, exist_ok=True)
    batches = lcpfn.create_get_batch_func(lcpfn.sample_from_prior)
    model = lcpfn.train_lcpfn(batches, seq_len=LENGTH, **SIZE)[2]
    torch.save(model, TRAINED)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bars:
    """What the network says of normalised ends, and how they are read as the metric.

    Attributes:
        criterion: the network's bar distribution.
        logits: (num_curves, num_bars).
        maps: of each curve, (to the normalised value, back to the metric), on tensors.
        falls: whether the normalised value falls where the metric rises.
    """

    criterion: Any
    logits: Any
    maps: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]]
    falls: bool

    def log_prob(self, values: Array) -> Array:
        """Return the log density at one value a curve: that of the normalised one, times the map's slope."""
        import torch

        result = np.empty(len(values))
        for row, (forward, _) in enumerate(self.maps):
            value = torch.tensor([float(values[row])], dtype=torch.float64, requires_grad=True)
            normal = forward(value)
            (slope,) = torch.autograd.grad(normal.sum(), value)
            density = -self.criterion(self.logits[None, [row]], normal.detach().float()[None])
            result[row] = float(density) + float(torch.log(slope.abs()))
        return np.nan_to_num(result, nan=-np.inf)

    def quantile(self, q: Array) -> Array:
        """Return quantiles (num_curves, num_levels) at levels (num_levels,)."""
        import torch

        levels = 1.0 - q if self.falls else q
        normal = torch.stack([self.criterion.icdf(self.logits, float(level)) for level in levels], dim=1)
        normal = normal.double().clamp(NEAREST, 1.0 - NEAREST)
        back = [unmap(normal[row]) for row, (_, unmap) in enumerate(self.maps)]
        return np.asarray(torch.stack(back).numpy())


class LCPFN:
    """The trained network, as a method."""

    def __init__(self) -> None:
        import torch

        _package()
        self.model = torch.load(TRAINED, weights_only=False).eval()

    def __call__(self, cut: Cut) -> Bars:
        """Return what it says of each curve's end."""
        import torch

        maps = [_maps(cut, row) for row in range(len(cut.at))]
        with torch.no_grad():
            logits = [self._logits(cut, row, maps[row][0]) for row in range(len(cut.at))]
        return Bars(
            criterion=self.model.criterion, logits=torch.stack(logits), maps=maps, falls=not cut.rises
        )

    def _logits(self, cut: Cut, row: int, forward: Callable[[Any], Any]) -> Any:
        """Return what the network says of one curve, whose end is at its last position or before."""
        import torch

        steps, costs = cut.observed(row)
        scale = max(1.0, cut.at[row] / LENGTH)
        positions = np.arange(1.0, np.floor(steps[-1] / scale) + 1)
        nearest = np.abs(steps[None] - scale * positions[:, None]).argmin(axis=1)
        values = (-costs if cut.rises else costs)[nearest]
        x = torch.tensor(np.append(positions, cut.at[row] / scale), dtype=torch.float32)
        y = forward(torch.tensor(values, dtype=torch.float64)).float().clamp(0.0, 1.0)
        return self.model((x[:, None, None], y[:, None]), single_eval_pos=len(positions))[0, 0]


def _maps(cut: Cut, row: int) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return its own normaliser: an accuracy is taken as it is, a loss by its first report."""
    import torch

    utils = importlib.import_module("lcpfn.utils")
    if cut.rises:
        return utils.identity_normalizer()  # type: ignore[no-any-return]
    _, costs = cut.observed(row)
    first = max(float(costs[0]), 1e-6)
    return utils.pfn_normalize(  # type: ignore[no-any-return]
        lb=torch.tensor(0.0, dtype=torch.float64), soft_lb=0.0, soft_ub=first, minimize=True
    )


def _package() -> Any:
    """Return the package, mended for torch 2: some names that it takes from torch are private there now."""
    import torch

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = importlib.import_module("lcpfn")
        layer = importlib.import_module("lcpfn.layer")
    if not hasattr(layer, "MultiheadAttention"):
        for name in ("MultiheadAttention", "Linear", "Dropout", "LayerNorm"):
            setattr(layer, name, getattr(torch.nn, name))
        layer.F = torch.nn.functional
        forward = layer.TransformerEncoderLayer.forward
        layer.TransformerEncoderLayer.forward = lambda self, source, mask=None, padding=None, **_: forward(
            self, source, mask, padding
        )
    return package


if __name__ == "__main__":
    train()
