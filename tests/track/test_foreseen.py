import pytest

from lightning_tune.track.foreseen import Foreseen, fan


@pytest.mark.parametrize(
    ("low", "middle", "high", "shown"),
    [
        (0.10, 0.25, 0.60, "→ 0.25 [0.10, 0.60]"),
        (-0.0123, 0.0011, 0.0104, "→ 0.001 [-0.012, 0.010]"),
        (0.69314, 0.69315, 0.69316, "→ 0.693150 [0.693140, 0.693160]"),
        (2.0, 2.0, 2.0, "→ 2 [2, 2]"),
        (1.0, 3.0, 1e9, "→ 3.0e+00 [1.0e+00, 1.0e+09]"),
    ],
)
def test_an_interval_has_the_digits_that_it_leaves_certain(low, middle, high, shown: str):
    assert fan(Foreseen(low=low, middle=middle, high=high)) == shown


def test_no_other_characters_where_there_are_none():
    assert fan(Foreseen(low=0.1, middle=0.2, high=0.4), ascii_only=True).isascii()
