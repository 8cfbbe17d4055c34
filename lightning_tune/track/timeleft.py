"""How long a sweep will take, as a range: from how long trials took and how much that varied."""

import math
import statistics
from collections.abc import Sequence

_QUANTILE = 1.28
"""The range holds 80% of a normal distribution."""
_UNKNOWN = 0.5
"""The spread, as a part of the mean, that one trial alone is given."""


def time_left(
    durations_s: Sequence[float], remaining: int, elapsed_s: Sequence[float] = (), workers: int = 1
) -> tuple[float, float] | None:
    """Return the low and high end of the seconds that are left; None while no trial has ended.

    Args:
        durations_s: how long the trials took that have ended.
        remaining: how many trials have not ended, the running ones included.
        elapsed_s: how long each running trial has run already.
        workers: how many trials run at once.

    Example:
        >>> low, high = time_left([10, 12, 14], remaining=5)
        >>> 40 < low < 60 < high < 80
        True
    """
    if not durations_s or remaining < 0:
        return None
    count, mean = len(durations_s), statistics.fmean(durations_s)
    spread = statistics.stdev(durations_s) if count > 1 else _UNKNOWN * mean
    # the trials that are left vary (remaining) and so does the mean that we know (remaining² / count)
    deviation = spread * math.sqrt(remaining + remaining**2 / count)
    middle = max(0.0, remaining * mean - sum(min(elapsed, mean) for elapsed in elapsed_s))
    at_once = max(1, min(workers, remaining))
    low, high = middle - _QUANTILE * deviation, middle + _QUANTILE * deviation
    return max(0.0, low) / at_once, high / at_once
