"""How the network learns: from the log density of what came, and from how far off its distributions were.

The log density (in v) makes it honest; alone it would buy a little density for what hardly ever comes with
distributions that are far too wide. So the logarithm of the continuous ranked probability score (Gneiting &
Raftery 2007), in the metric itself, is added. Each data set counts the same, each of the drawn ones twice.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lightning_tune.curves.anchors import NUM_GUESSES, Anchors
from lightning_tune.curves.fitting.cutting import Pool, pool
from lightning_tune.curves.network import FARTHEST, LEAST_SCALE, MOST_SCALE, Network

Array = npt.NDArray[np.float64]
PARTS = 12
HIDDEN = 64
MEMBERS = 3
STEPS = 5_000
CUTS = 24
RATE = 3e-3
BATCH = 256
DECAY = 1e-2
JITTER = 0.05
"""Noise on what is seen, in standard deviations; the anchors have none."""
DRAWN_ODDS = 2.0
CRPS_COST = 0.5
LEAST_CRPS = 1e-3
"""In units of the noise: a distribution need not be better than that."""
LEAST_LOG = -12.0
"""Of a density, so that a few curves that nobody could foresee do not rule the gradient."""
PLACES = (0.0, -1.0, -3.0, 4.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0, -1.0, 1.0)
LOG_SCALES = (-2.5, -1.0, -0.9, -0.9, -0.7, 0.0, 0.3, 0.3, -0.7, 0.0, 0.3, 0.3)
"""Of the parts before training, four around each guess."""
OFFSETS = torch.cat([torch.zeros(1), torch.logspace(-3.0, 1.1, 40)])
"""From an outcome, in v: where a distribution is looked at to score it."""


def fit(sets: Sequence[Array], *, seed: int = 0) -> Network:
    """Return the network that was trained on curves.

    Args:
        sets: costs (num_curves, num_steps) of each data set, NaN where there is no report; lower is better.
        seed: decides the cuts, the draws and the beginnings; the same one gives the same network.
    """
    return train(pool(sets, np.random.default_rng(seed), cuts=CUTS), members=MEMBERS, steps=STEPS, seed=seed)


def train(data: Pool, *, members: int, steps: int, seed: int) -> Network:
    """Return an ensemble of so many perceptrons, each trained for so many steps on a pool."""
    centre, spread = data.columns.mean(axis=0), data.columns.std(axis=0) + 1e-3
    rows = torch.tensor(np.clip((data.columns - centre) / spread, -FARTHEST, FARTHEST), dtype=torch.float32)
    outcomes = torch.tensor(data.outcomes, dtype=torch.float32)
    nets = [
        [layer for layer in net if isinstance(layer, nn.Linear)]
        for net in (
            _member(rows, outcomes, data.anchors, _odds(data), steps, seed * 1000 + place)
            for place in range(members)
        )
    ]
    layers = tuple(
        (_stacked([layer.weight.T for layer in same]), _stacked([layer.bias for layer in same]))
        for same in zip(*nets, strict=True)
    )
    return Network(centre=centre, spread=spread, layers=layers)


def _odds(data: Pool) -> Tensor:
    """Return how often each row is drawn, up to a factor."""
    counts = np.bincount(data.owner)
    share = np.where(np.arange(len(counts)) >= len(counts) - data.num_drawn, DRAWN_ODDS, 1.0)
    return torch.tensor((share / counts)[data.owner])


def _stacked(tensors: Sequence[Tensor]) -> Array:
    return torch.stack(list(tensors)).detach().double().numpy()


def _member(
    rows: Tensor, outcomes: Tensor, anchors: Anchors, odds: Tensor, steps: int, seed: int
) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    net = _perceptron(rows.shape[1], generator)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    places, doubts, lowest, highest = (
        torch.tensor(each, dtype=torch.float32)
        for each in (anchors.places, anchors.doubts, anchors.lowest, anchors.highest)
    )
    order = _drawn(odds, steps * BATCH, generator)
    for step in range(steps):
        chosen = order[step * BATCH : (step + 1) * BATCH]
        seen, came = rows[chosen], outcomes[chosen]
        said = net(seen + JITTER * torch.randn(seen.shape, generator=generator))
        output = spread(said, places[chosen], doubts[chosen], lowest[chosen], highest[chosen])
        density = log_density(output, came).clamp(min=LEAST_LOG)
        loss = (CRPS_COST * torch.log(crps(output, came) + LEAST_CRPS) - density).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return net


def _drawn(odds: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Return rows drawn with odds, with replacement: by the inverse of their running sum."""
    passed = torch.cumsum(odds, dim=0)
    uniform = torch.rand(number, generator=generator, dtype=odds.dtype)
    return torch.searchsorted(passed, passed[-1] * uniform).clamp(max=len(odds) - 1)


def _perceptron(width: int, generator: torch.Generator) -> nn.Sequential:
    linear = [nn.Linear(width, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 3 * PARTS)]
    with torch.no_grad():
        for layer in linear:
            reach = layer.in_features**-0.5
            layer.weight.uniform_(-reach, reach, generator=generator)
            layer.bias.uniform_(-reach, reach, generator=generator)
        linear[-1].weight.mul_(0.1)
        linear[-1].bias.zero_()
        linear[-1].bias[PARTS : 2 * PARTS] = torch.tensor(PLACES)
        linear[-1].bias[2 * PARTS :] = torch.tensor(LOG_SCALES)
    return nn.Sequential(linear[0], nn.SiLU(), linear[1], nn.SiLU(), linear[2])


def spread(output: Tensor, places: Tensor, doubts: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
    """Return what the network said, (num, 3 PARTS), in v: as `Anchors.spread` does."""
    logits, said, logs = torch.split(output, PARTS, dim=1)
    each = PARTS // NUM_GUESSES
    around, wide = places.repeat_interleave(each, dim=1), doubts.repeat_interleave(each, dim=1)
    moved = torch.minimum(torch.maximum(around + wide * said, lowest), highest)
    logs = (torch.log(wide) + logs).clamp(float(np.log(LEAST_SCALE)), float(np.log(MOST_SCALE)))
    return torch.cat([logits, moved, logs], dim=1)


def log_density(output: Tensor, outcomes: Tensor) -> Tensor:
    """Return the log density of outcomes (num,) under mixtures (num, 3 PARTS)."""
    logits, places, logs = torch.split(output, PARTS, dim=1)
    off = (outcomes[:, None] - places) / logs.exp()
    tails = off + 2.0 * nn.functional.softplus(-off)
    return torch.logsumexp(torch.log_softmax(logits, dim=1) - logs - tails, dim=1)


def crps(output: Tensor, outcomes: Tensor) -> Tensor:
    """Return the score in units of the noise, (num,): the trapezoidal rule on both sides of the outcomes."""
    logits, places, logs = (each[:, None] for each in torch.split(output, PARTS, dim=1))
    weights = torch.softmax(logits, dim=-1)
    score = torch.zeros(len(outcomes))
    for side in (1.0, -1.0):
        v = outcomes[:, None] + side * OFFSETS
        beyond = (weights * torch.sigmoid(side * (places - v[..., None]) / logs.exp())).sum(dim=-1)
        score = score + torch.trapezoid(beyond**2 * torch.cosh(v.clamp(-40.0, 40.0)), OFFSETS, dim=1)
    return score
