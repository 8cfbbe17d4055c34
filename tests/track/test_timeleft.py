import random

import pytest

from lightning_tune.track.timeleft import time_left


def test_nothing_is_known_before_a_trial_has_ended() -> None:
    assert time_left([], remaining=5) is None


def test_nothing_is_left() -> None:
    assert time_left([3.0, 4.0], remaining=0) == (0.0, 0.0)


def test_equal_trials_leave_no_doubt() -> None:
    assert time_left([10.0] * 5, remaining=4) == pytest.approx((40, 40))
    assert time_left([10.0] * 5, remaining=4, elapsed_s=[5.0, 99.0]) == pytest.approx((25, 25))
    assert time_left([10.0] * 5, remaining=4, workers=2) == pytest.approx((20, 20))
    assert time_left([10.0] * 5, remaining=1, workers=8) == pytest.approx((10, 10))


def test_one_trial_alone_leaves_much_doubt() -> None:
    left = time_left([10.0], remaining=10)
    assert left is not None
    assert left[0] < 60
    assert left[1] > 150


def test_four_in_five_ranges_hold_what_comes() -> None:
    generator = random.Random(0)
    hits = 0
    for _ in range(500):
        times = [generator.gauss(20, 5) for _ in range(24)]
        left = time_left(times[:8], remaining=16)
        assert left is not None
        hits += left[0] <= sum(times[8:]) <= left[1]
    assert 0.7 < hits / 500 < 0.9
