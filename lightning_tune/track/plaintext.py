"""Text for a terminal: the user's own made harmless, and numbers, sizes and durations in few characters."""

import math
import unicodedata
from collections.abc import Sequence
from typing import IO

from lightning_tune.core.budget import Budget

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: str) -> str:
    r"""Return text in one line without what could move the cursor, recolour, or turn the reading direction.

    C0 and C1 controls, bidirectional controls and lone surrogates go; line breaks and tabs become spaces.

    Example:
        >>> clean("a\tb\x1b[31mred\u202e")
        'a b[31mred'
    """
    return "".join(_harmless(character) for character in text).strip()


def encodable(text: str, stream: IO[str]) -> str:
    """Return text with what the stream's encoding lacks replaced by "?"."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def is_unicode(stream: IO[str]) -> bool:
    """Return whether blocks, stars and dots can be written to a stream."""
    return "utf" in (getattr(stream, "encoding", None) or "utf-8").lower()


def number(value: float | None) -> str:
    """Return a score in at most seven or so characters, "-" for none."""
    if value is None:
        return "-"
    if value == 0 or 0.001 <= abs(value) < 1000:
        return f"{value:.4f}"
    return f"{value:.4g}"


def scores(values: Sequence[float]) -> str:
    """Return a score, or one an objective, "-" for none.

    Example:
        >>> scores([0.25]), scores([0.25, 1200]), scores([])
        ('0.2500', '0.2500, 1200', '-')
    """
    return ", ".join(map(number, values)) or number(None)


def step(value: float) -> str:
    """Return a step; a validation within an epoch has one that is no whole number."""
    return f"{value:g}" if value < 1e6 and float(value).is_integer() else f"{value:.3g}"


def epochs(value: float) -> str:
    """Return a number of epochs with the word."""
    return f"{step(value)} epoch" if value == 1 else f"{step(value)} epochs"


def trained(budget: Budget, value: float, leg: float) -> str:
    """Return how far a trial has trained, with its unit.

    Args:
        budget: what trials spend.
        value: the trial's step.
        leg: the budget of its newest leg, which stands for it where each leg trains anew.

    Example:
        >>> trained(Budget(), 2, 9), trained(Budget(grows="data"), 0.1, 0.25)
        ('2 epochs', '25% of the data')
    """
    if not budget.resumes:
        return budget.amount(leg)
    return epochs(value) if budget.unit == "epochs" else budget.amount(_rounded(budget, value))


def spent(budget: Budget, total: float) -> str:
    """Return what a sweep has trained in all.

    Args:
        budget: what trials spend.
        total: how much of it; where each leg trains anew, how many trainings (of data, full ones).
    """
    if budget.resumes:
        return trained(budget, total, total)
    return f"{total:.3g} {'full trainings' if budget.grows == 'data' else 'trainings'}"


def progress(budget: Budget, value: float, whole: float | None) -> str:
    """Return a step and the budget it goes to, without the unit: "2/9", "8.33%/25%"."""
    return "/".join(_figure(budget, part) for part in (value, whole) if part is not None)


def unit(budget: Budget) -> str:
    """Return the heading of a column of steps: "epoch", "step", "data", "depth"."""
    if budget.grows == "data":
        return "data"
    return budget.argument or budget.unit.removesuffix("s")


def _figure(budget: Budget, value: float) -> str:
    if budget.grows == "data":
        return budget.figure(value)
    whole = budget.resumes and budget.unit == "epochs"
    return step(value) if whole or not budget.resumes else budget.figure(_rounded(budget, value))


def _rounded(budget: Budget, value: float) -> float:
    """Return seconds in three figures, and the rest as it is."""
    return (
        round(value, max(0, 2 - math.floor(math.log10(value))))
        if budget.unit == "seconds" and value
        else value
    )


def size(count: float) -> str:
    """Return bytes in the unit that fits.

    Example:
        >>> size(812), size(4_200_000)
        ('812 B', '4.2 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.1f} {unit}" if unit != "B" and count < 9.95 else f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration_range(low_s: float, high_s: float) -> str:
    """Return a range of seconds as a person would say it.

    Example:
        >>> duration_range(170, 310), duration_range(0, 40), duration_range(61, 62)
        ('3-6 min', 'under 40 s', 'about 60 s')
    """
    unit, seconds, grain = _unit(high_s)
    low, high = math.floor(low_s / seconds / grain + 0.5) * grain, math.ceil(high_s / seconds / grain) * grain
    if low <= 0:
        return f"under {high:g} {unit}"
    if high - low <= grain and low_s > 0.8 * high_s:
        return f"about {low:g} {unit}"
    return f"{low:g}-{high:g} {unit}"


def _unit(seconds: float) -> tuple[str, float, float]:
    """Return the unit that fits, its seconds, and the grain to round to."""
    if seconds < 20:
        return "s", 1, 1
    if seconds < 90:
        return "s", 1, 5
    if seconds < 90 * 60:
        return "min", 60, 1
    if seconds < 48 * 3600:
        return "h", 3600, 0.5
    return "d", 86400, 0.5


def _harmless(character: str) -> str:
    if character in "\t\n\v\f\r\x85\u2028\u2029":
        return " "
    if character in _BIDI or unicodedata.category(character) == "Cc":
        return ""
    return "\ufffd" if unicodedata.category(character) == "Cs" else character
