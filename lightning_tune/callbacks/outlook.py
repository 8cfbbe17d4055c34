"""What a run's curve says of its end, and whether it is worth training on, with the reason in words.

A run is hopeless when its chance to beat a target by its end is small (Domhan, Springenberg & Hutter,
*Speeding Up Automatic Hyperparameter Optimization of Deep Neural Networks by Extrapolation of Learning
Curves*, IJCAI 2015). With costs counted, it is when no later epoch's expected improvement is worth the epochs
until then (Dai, Yu, Low & Jaillet, *Bayesian Optimization Meets Bayesian Optimal Stopping*, ICML 2019, weigh
the two likewise).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightning_tune.core.objective import Mode
from lightning_tune.curves.bounds import Bounds, limits
from lightning_tune.curves.improvement import expected_improvement
from lightning_tune.curves.posterior import extrapolate
from lightning_tune.curves.prediction import Prediction
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule.settings import is_number

NUM_HORIZONS = 10
"""At most so many later epochs are weighed, nearer ones more closely."""
LEVELS = (0.05, 0.5, 0.95)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """When a run is hopeless.

    Attributes:
        mode: "min" or "max".
        threshold: the chance below which it is, in (0, 1); of no meaning if costs are counted.
        min_delta: by how much a target must be beaten, at least 0; if costs are counted, the improvement that
            a whole training must bring to be worth it.
        cost_aware: whether costs are counted.
        bounds: what the metric cannot leave.

    Raises:
        ArgumentError: a value that it cannot have.
    """

    mode: Mode
    threshold: float = 0.05
    min_delta: float = 0.0
    cost_aware: bool = False
    bounds: Bounds | None = None

    def __post_init__(self) -> None:
        if not is_number(self.threshold) or not 0.0 < self.threshold < 1.0:
            raise ArgumentError(f"`threshold` must be a probability between 0 and 1, got {self.threshold!r}.")
        if not is_number(self.min_delta) or self.min_delta < 0.0:
            raise ArgumentError(f"`min_delta` must be a number of at least 0, got {self.min_delta!r}.")
        if not isinstance(self.cost_aware, bool):
            raise ArgumentError(f"`cost_aware` must be True or False, got {self.cost_aware!r}.")
        if self.cost_aware and self.min_delta == 0.0:
            raise ArgumentError(
                "`min_delta` must be above 0 with `cost_aware=True`, got 0: it is the improvement that a "
                "whole training must bring to be worth its cost."
            )
        limits(self.bounds)

    def look(self, curve: Mapping[int, float], end: int) -> "View | Arrival":
        """Predict what a curve comes to; at its end that is its last value, and nothing is predicted.

        Args:
            curve: values by epoch, counted from 1; those that are not finite are no reports. One is finite,
                and that of the last epoch if it is there.
            end: the last epoch, at or after the newest.

        Raises:
            ArgumentError: a value is out of bounds.
        """
        epoch = max(curve)
        if epoch == end:
            return Arrival(rule=self, epoch=epoch, value=curve[epoch])
        values = np.full((1, epoch), np.nan)
        for step, value in curve.items():
            values[0, step - 1] = value if math.isfinite(value) else math.nan
        later = end - epoch
        steps = np.geomspace(1.0, later, NUM_HORIZONS) if self.cost_aware else np.array([later])
        horizons = epoch + np.unique(steps.round())
        prediction = extrapolate(values, at=horizons[None], mode=self.mode, bounds=self.bounds)
        low, median, high = prediction.at(-1).quantile(LEVELS)[0]
        return View(
            rule=self,
            epoch=epoch,
            horizons=horizons,
            prediction=prediction,
            predicted=float(median),
            low=float(low),
            high=float(high),
        )

    def goal(self, target: float) -> float:
        """Return what must be passed to beat a target; with costs counted that is the target itself."""
        delta = 0.0 if self.cost_aware else self.min_delta
        return target + delta if self.mode == "max" else target - delta

    def shown(self, named: str, target: float) -> str:
        """Return in words what is to be beaten, and by how much."""
        delta = "" if self.cost_aware or not self.min_delta else f" by {self.min_delta:g} or more"
        return f"{named}{target:.4g}{delta}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What a run has to expect, as plain numbers that every rank can be told.

    Attributes:
        predicted: the median of the value at the end.
        low: that which it exceeds with a probability of 95%.
        high: that which it exceeds with a probability of 5%.
        chance: the probability that it beats the target; 1 where there is none. At the end 1 or 0: it did
            or it did not.
        hopeless: whether the run is not worth training on.
        reason: all that in words.
    """

    predicted: float
    low: float
    high: float
    chance: float
    hopeless: bool
    reason: str

    @property
    def metrics(self) -> dict[str, float]:
        """What is logged of it, by name."""
        return {
            "tune/predicted_final": self.predicted,
            "tune/predicted_final_low": self.low,
            "tune/predicted_final_high": self.high,
            "tune/p_beats_best": self.chance,
        }


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class View:
    """A prediction, before it is known what is to be beaten.

    Attributes:
        rule: when a run is hopeless.
        epoch: the newest that is known.
        horizons: (num_horizons,), epochs after it, the end last; the end alone unless costs are counted.
        prediction: of shape (1, num_horizons).
        predicted: the median at the end.
        low: the 5% quantile there.
        high: the 95% quantile there.
    """

    rule: Rule
    epoch: int
    horizons: npt.NDArray[np.float64]
    prediction: Prediction
    predicted: float
    low: float
    high: float

    def against(self, target: float | None, named: str = "") -> Outlook:
        """Return what a run has to expect where a target is to be beaten.

        Args:
            target: a value; None where there is nothing to beat yet.
            named: what it is, in words that go before it.
        """
        chance, hopeless, told = 1.0, False, "nothing to beat yet"
        if target is not None:
            chance = self._chance(target)
            shown = self.rule.shown(named, target)
            if self.rule.cost_aware:
                hopeless, told = self._weigh(target, shown)
            else:
                hopeless, told = chance < self.rule.threshold, f"{_percent(chance)} to beat {shown}"
        return Outlook(
            predicted=self.predicted,
            low=self.low,
            high=self.high,
            chance=chance,
            hopeless=hopeless,
            reason=f"epoch {self.epoch}: {told} by epoch {self._end} ({self._interval})",
        )

    @property
    def _end(self) -> int:
        return int(self.horizons[-1])

    def _chance(self, target: float) -> float:
        return float(self.prediction.at(-1).prob_better(self.rule.goal(target))[0])

    def _weigh(self, target: float, shown: str) -> tuple[bool, str]:
        """Return whether no later epoch is worth its cost, and the one that is the most, in words."""
        gains = expected_improvement(self.prediction, target)[0]
        costs = self.rule.min_delta * (self.horizons - self.epoch) / self._end
        best = int(np.argmax(gains - costs))
        told = (
            f"{gains[best]:.2g} to be gained over {shown} by epoch {int(self.horizons[best])}, worth it from "
            f"{costs[best]:.2g} on; {_percent(self._chance(target))} to beat it"
        )
        return bool((gains < costs).all()), told

    @property
    def _interval(self) -> str:
        places = _decimals(self.high - self.low)
        low, middle, high = (f"{value:.{places}f}" for value in (self.low, self.predicted, self.high))
        return f"predicted {middle} [{low}, {high}]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A curve that has come to its end, where nothing is left to predict.

    Attributes:
        rule: when a run is hopeless; this one is not, for it has nothing left to train.
        epoch: the last.
        value: its value.
    """

    rule: Rule
    epoch: int
    value: float

    def against(self, target: float | None, named: str = "") -> Outlook:
        """Return whether a target was beaten.

        Args:
            target: a value; None where there is nothing to beat yet.
            named: what it is, in words that go before it.
        """
        beaten, told = True, "nothing to beat yet"
        if target is not None:
            goal = self.rule.goal(target)
            beaten = self.value > goal if self.rule.mode == "max" else self.value < goal
            told = f"{'beats' if beaten else 'does not beat'} {self.rule.shown(named, target)}"
        return Outlook(
            predicted=self.value,
            low=self.value,
            high=self.value,
            chance=float(beaten),
            hopeless=False,
            reason=f"epoch {self.epoch}: {told} at the end ({self.value:.4g})",
        )


def _percent(chance: float) -> str:
    if 0.0 < chance < 0.001:
        return "less than 0.1% chance"
    return f"{100.0 * chance:.2g}% chance" if chance < 0.995 else f"{100.0 * chance:.4g}% chance"


def _decimals(width: float) -> int:
    """Return how many decimals show an interval to two digits of its width."""
    if not 0.0 < width < math.inf:
        return 4
    return min(max(1 - math.floor(math.log10(width)), 0), 9)
