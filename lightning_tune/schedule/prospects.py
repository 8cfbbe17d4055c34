"""What it is worth to train a configuration on: the improvement to be expected at the end, by what it costs.

Freeze-thaw (Swersky, Snoek & Adams, *Freeze-Thaw Bayesian Optimization*, 2014, arXiv:1406.3896) asks after
every slice of training which paused trial to thaw, or whether to begin a new one. The measure here is the
expected improvement at the full budget, divided by the budget that is left to get there: simpler than the
paper's entropy, and nearer to DyHPO (Wistuba, Kadra & Grabocka, NeurIPS 2022) and ifBO (Rakotoarison,
Adriaensen, Mallik, Garibov, Bergman & Hutter, ICML 2024), which look at nearer horizons. Those were tried,
too: a curve of which there is little yet is so uncertain that each trial gets its first few slices, whatever
it promises.
"""

from dataclasses import dataclass

import numpy as np

from lightning_tune.schedule.curves_of import Array, Curves


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prospects:
    """What is to be had from training on.

    Attributes:
        worth: (num_curves,), the expected improvement a unit of the budget; 0 where nothing is left of it.
        chance: (num_curves,), the probability to beat the best at the full budget; 0 where nothing is left.
    """

    worth: Array
    chance: Array


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

    found = curves.predicted(full, places)
    left = full - spent
    ahead = left > 1e-9
    gains = expected_improvement(found, best) / np.where(ahead, left, 1.0)
    return Prospects(worth=np.where(ahead, gains, 0.0), chance=np.where(ahead, found.prob_better(best), 0.0))
