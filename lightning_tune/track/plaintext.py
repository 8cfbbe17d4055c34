"""Text for a terminal: the user's own made harmless, and numbers, sizes and durations in few characters."""

import math
import unicodedata
from typing import IO

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


def step(value: float) -> str:
    """Return a step; a validation within an epoch has one that is no whole number."""
    return f"{value:g}" if value < 1e6 and float(value).is_integer() else f"{value:.3g}"


def epochs(value: float) -> str:
    """Return a number of epochs with the word."""
    return f"{step(value)} epoch" if value == 1 else f"{step(value)} epochs"


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
