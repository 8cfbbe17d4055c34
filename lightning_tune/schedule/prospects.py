"""What it is worth to train a configuration on: the improvement to be expected at the end, by what it costs.

Freeze-thaw (Swersky, Snoek & Adams, *Freeze-Thaw Bayesian Optimization*, 2014, arXiv:1406.3896) asks after
every slice of training which paused trial to thaw, or whether to begin a new one. The measure here is the
expected improvement at the full budget, divided by the budget that is left to get there: simpler than the
paper's entropy, and nearer to DyHPO (Wistuba, Kadra & Grabocka, NeurIPS 2022) and ifBO (Rakotoarison,
Adriaensen, Mallik, Garibov, Bergman & Hutter, ICML 2024), which look at nearer horizons. Those were tried,
too: a curve of which there is little yet is so uncertain that each trial gets its first few slices, whatever
it promises.

What a curve says by itself depends on nothing but its own reports, so it is remembered: after a slice only
one curve is new. Each is predicted alone, whether it is remembered or not, so that both give the same to the
last bit.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lightning_tune.schedule.curves_of import Array, Curves

if TYPE_CHECKING:
    from lightning_tune.curves.prediction import Prediction

REMEMBERED = 1024
"""Curves of which it is remembered what they say by themselves."""
AT_ONCE = 600
"""Parts of mixtures that are integrated at once: their nodes fit into a processor's cache."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prospects:
    """What is to be had from training on.

    Attributes:
        worth: (num_curves,), the expected improvement a unit of the budget; 0 where nothing is left of it.
        chance: (num_curves,), the probability to beat the best at the full budget; 0 where nothing is left.
        ends: (num_curves,), what the costs will have come to there.
    """

    worth: Array
    chance: Array
    ends: "Prediction"


def prospects(curves: Curves, places: Array, spent: Array, full: float, best: float) -> Prospects:
    """Return what each curve promises; they teach about one another.

    Args:
        curves: of the sweep, and without a report those that might be begun.
        places: (num_curves, num_columns), configurations in the unit cube.
        spent: (num_curves,), the budget that each has trained to; 0 for new ones.
        full: the full budget.
        best: the lowest cost so far, finite.
    """
    from lightning_tune.curves.improvement import expected_improvement

    ends = together(curves, full, places)
    left = full - spent
    target = float(np.clip(best, *curves.limits))
    worth, chance = np.zeros((2, len(left)))
    single = _has_one_part(ends)
    for rows in (np.flatnonzero((left > 1e-9) & kind) for kind in (single, ~single)):
        some = ends.rows(rows)
        if single[rows].all():
            some = replace(
                some, weights=np.ones((len(rows), 1)), places=some.places[:, :1], scales=some.scales[:, :1]
            )
        at_once = max(1, AT_ONCE // some.places.shape[1])
        for block in np.split(np.arange(len(rows)), range(at_once, len(rows), at_once)):
            worth[rows[block]] = expected_improvement(some.rows(block), target) / left[rows[block]]
        chance[rows] = some.prob_better(target)
    return Prospects(worth=worth, chance=chance, ends=ends)


def together(curves: Curves, budget: float, places: Array) -> "Prediction":
    """Return what costs will have come to at a budget, (num_curves,), as `extrapolate` does with `configs`.

    Args:
        curves: of one sweep; one without a report is predicted from the others.
        budget: the same for all.
        places: (num_curves, num_columns), configurations in the unit cube.
    """
    from lightning_tune.curves.joint import shared
    from lightning_tune.curves.prediction import gathered

    column = float(curves.columns(budget))
    each = [alone(_reported(row).tobytes(), column) for row in curves.costs]
    return replace(shared(gathered(each, np.concatenate), places).at(0), bounds=curves.limits)


@lru_cache(maxsize=REMEMBERED)
def alone(reports: bytes, column: float) -> "Prediction":
    """Return what a curve says of a column by itself, (1, 1): costs as float64, NaN where there is none."""
    from lightning_tune.curves.network import shipped
    from lightning_tune.curves.posterior import HUGE, predict

    costs = np.clip(np.frombuffer(reports), -HUGE, HUGE)
    return predict(costs[None], np.array([[column]]), shipped())


def _reported(costs: Array) -> Array:
    """Return a curve up to its last report: the grid is as wide as the longest."""
    known = np.flatnonzero(np.isfinite(costs))
    return costs[: known[-1] + 1 if len(known) else 0]


def _has_one_part(found: "Prediction") -> npt.NDArray[np.bool_]:
    """Return whose parts are all the same, as of curves without a report: one part stands for all."""
    alike = (each == each[:, :1] for each in (found.places, found.scales))
    return np.asarray(np.logical_and(*alike).all(axis=1))
