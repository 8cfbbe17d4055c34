"""What a screen shows of where a running trial's curve leads: the middle and the 90% interval of its end."""

from collections.abc import Callable
from dataclasses import dataclass

from lightning_tune.core.trial import Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Foreseen:
    """The value at the end of a trial, as it is predicted.

    Attributes:
        low: exceeded with a probability of 95%.
        middle: exceeded with a probability of one half.
        high: exceeded with a probability of 5%.
    """

    low: float
    middle: float
    high: float


Foresees = Callable[[Trial], Foreseen | None]
"""Tells of a trial; None where there is nothing to say (yet)."""


def fan(found: Foreseen, *, ascii_only: bool = False) -> str:
    """Return a prediction in a few characters, with the digits that its width leaves certain.

    Example:
        >>> fan(Foreseen(low=0.9012, middle=0.9311, high=0.9498))
        '→ 0.931 [0.901, 0.950]'
        >>> fan(Foreseen(low=80.0, middle=812.0, high=1500.0), ascii_only=True)
        '-> 8.1e+02 [8.0e+01, 1.5e+03]'
    """
    width = found.high - found.low
    decimals = next((places for places in range(1, 7) if width >= 2 * 10.0**-places), 7) + 1
    largest = max(abs(found.low), abs(found.high))
    form = f".{min(decimals, 6)}f" if largest < 100 and width >= 1e-6 else ".1e" if largest >= 100 else ".4g"
    low, middle, high = (format(value, form) for value in (found.low, found.middle, found.high))
    return f"{'->' if ascii_only else '→'} {middle} [{low}, {high}]"
