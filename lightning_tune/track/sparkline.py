"""A curve in one line of text."""

import math
from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.-:=+*#"
_GAP = "×"
_ASCII_GAP = "x"


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """Draw values as at most `width` characters, from the lowest to the highest of them.

    More values than characters are averaged in equal groups; a group without a finite value is a cross.

    Example:
        >>> sparkline([1, 2, 3, 8], width=8)
        '▁▂▃█'
        >>> sparkline([1, float("nan"), 3], width=8, ascii_only=True)
        '_x#'
    """
    levels, gap = (ASCII, _ASCII_GAP) if ascii_only else (BLOCKS, _GAP)
    points = _squeeze(values, width)
    finite = [point for point in points if math.isfinite(point)]
    if not finite:
        return gap * len(points)
    low, span = min(finite), max(finite) - min(finite)
    return "".join(
        levels[_level((point - low) / span if span else 0.5, len(levels))] if math.isfinite(point) else gap
        for point in points
    )


def _level(height: float, count: int) -> int:
    """Return the level of a height in [0, 1] (which is not finite where the span overflows)."""
    return min(count - 1, int(height * count)) if math.isfinite(height) else count - 1


def _squeeze(values: Sequence[float], width: int) -> list[float]:
    """Return at most `width` values: the means of the finite ones in equal groups."""
    count = len(values)
    if width < 1:
        return []
    if count <= width:
        return list(values)
    bounds = [round(index * count / width) for index in range(width + 1)]
    return [_mean(values[start:end]) for start, end in zip(bounds, bounds[1:], strict=False)]


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(value / len(finite) for value in finite) if finite else math.nan
