"""Logged metrics as JSON text.

Valid JSON for NaN and infinities too, which `json.dumps` alone does not write.
"""

import json
import math
from collections.abc import Mapping

_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def metrics_to_text(metrics: Mapping[str, float]) -> str:
    """Return metrics as one JSON object; numbers that JSON lacks are written as the words NaN and ±Infinity.

    Example:
        >>> metrics_to_text({"loss": 0.5, "bad": float("nan")})
        '{"loss": 0.5, "bad": "NaN"}'
    """
    return json.dumps(
        {name: value if math.isfinite(value) else _word(value) for name, value in metrics.items()}
    )


def text_to_metrics(text: str) -> dict[str, float]:
    """Read what `metrics_to_text` wrote."""
    return {
        name: _WORDS[value] if isinstance(value, str) else value for name, value in json.loads(text).items()
    }


def _word(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
