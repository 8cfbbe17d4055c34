import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tune.track.sparkline import ASCII, BLOCKS, sparkline


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 8, ""),
        ([1.0, 2.0], 0, ""),
        ([1.0], 8, "▅"),
        ([2.0, 2.0, 2.0], 8, "▅▅▅"),
        (list(range(8)), 8, BLOCKS),
        ([0, 0, 0, 0, 7, 7], 3, "▁▁█"),
        ([0, math.nan, 1], 8, "▁×█"),
        ([math.nan, math.inf], 8, "××"),
        ([0, math.inf, 4, 4], 2, "▁█"),
        ([-1e308, 1e308], 2, "▁█"),
    ],
)
def test_sparkline(values: list[float], width: int, line: str) -> None:
    assert sparkline(values, width) == line


def test_sparkline_in_ascii() -> None:
    assert sparkline([*range(8), math.nan], 9, ascii_only=True) == ASCII + "x"


@given(st.lists(st.floats()), st.integers(1, 20))
def test_any_curve_fits(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(len(values), width)
    assert set(line) <= set(BLOCKS) | {"×"}
