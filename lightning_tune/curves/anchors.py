"""What the network starts from: three guesses at where a curve leads, each with how far it may be off.

The last report; the median of the families' mixture; the least-squares power law. The network says how far
off each is, in units of its own doubt, so that a forecast that is exact can be believed to the digit. Nothing
is put beyond what a curve may come to: far below anything it was, or a good deal above.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
NUM_GUESSES = 3
LEAST_DOUBT, MOST_DOUBT = 0.003, 1.0
BELOW, ABOVE = 16.0, 4.0
"""How far below the lowest and above the highest report a part of the mixture may lie, in v: four million
units, since a curve that was constant so far may fall yet, and thirty."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Anchors:
    """Guesses in v = asinh((y - last report) / noise).

    Attributes:
        places: (..., 3).
        doubts: (..., 3), standard deviations or near enough.
        lowest: (..., 1), below which nothing is expected.
        highest: (..., 1), above which nothing is expected.
    """

    places: Array
    doubts: Array
    lowest: Array
    highest: Array

    def spread(self, places: Array, log_scales: Array) -> tuple[Array, Array]:
        """Return places and log scales of parts in v, of what the network says in units of the doubts.

        Args:
            places: (..., num_parts), the same number of parts for each guess, one guess after the other.
            log_scales: (..., num_parts).
        """
        each = places.shape[-1] // NUM_GUESSES
        around, doubts = (np.repeat(array, each, axis=-1) for array in (self.places, self.doubts))
        moved = np.clip(around + doubts * places, self.lowest, self.highest)
        return moved, np.log(doubts) + log_scales

    def rows(self) -> "Anchors":
        """Return them as (num, ...), one row a curve and step."""
        return Anchors(
            places=self.places.reshape(-1, NUM_GUESSES),
            doubts=self.doubts.reshape(-1, NUM_GUESSES),
            lowest=self.lowest.reshape(-1, 1),
            highest=self.highest.reshape(-1, 1),
        )


def anchors_of(moved: Array, mixture: tuple[Array, Array], law: tuple[Array, Array]) -> Anchors:
    """Return the guesses of curves at one step.

    Args:
        moved: (num_curves, num_steps), from the last report, in units of the noise.
        mixture: (place, doubt) of the families' mixture, (num_curves,) each, in v.
        law: (place, doubt) of the power law.
    """
    nothing, one = np.zeros(len(moved)), np.ones(len(moved))
    doubts = [np.clip(doubt, LEAST_DOUBT, MOST_DOUBT) for _, doubt in (mixture, law)]
    return Anchors(
        places=np.stack([nothing, mixture[0], law[0]], axis=-1),
        doubts=np.stack([one, *doubts], axis=-1),
        lowest=np.arcsinh(moved.min(axis=1, keepdims=True)) - BELOW,
        highest=np.arcsinh(moved.max(axis=1, keepdims=True)) + ABOVE,
    )
