import pytest

from lightning_tune.core.space import Float, Int, Space
from lightning_tune.errors import ArgumentError
from lightning_tune.loop.baselines import baselines_of

SPACE = Space({"lr": Float(0.0, 1.0), "width": Int(1, 9)})


def test_own_values_come_first_filled_up_with_the_centre_and_doubles_once():
    configs, notes = baselines_of([{"lr": 0.25, "width": 5}, {"lr": 0.5, "width": 2}], {"lr": 0.25}, SPACE)
    assert configs == [{"lr": 0.25, "width": 5}, {"lr": 0.5, "width": 2}]
    assert notes == []


def test_own_values_outside_the_space_are_left_out_with_a_note():
    configs, notes = baselines_of(None, {"lr": 3.0, "width": 5}, SPACE)
    assert configs == []
    assert "outside the space" in notes[0]


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ({"lr": 2.0, "width": 1}, "`baseline` is not a configuration of the space.*lr"),
        ([{"lr": 0.5, "width": 1}, {"lr": 0.5}], r"`baseline\[1\]`.*width"),
        ([3], r"`baseline\[0\]` must be a configuration"),
    ],
)
def test_wrong_baselines_name_the_key(baseline, message):
    with pytest.raises(ArgumentError, match=message):
        baselines_of(baseline, {}, SPACE)
