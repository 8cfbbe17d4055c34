import json
import math

import numpy as np
import pytest

from lightning_tune.core.encode import Encoding
from lightning_tune.core.events import LegStarted, Reported, TrialStarted
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.curves.posterior import extrapolate
from lightning_tune.errors import ArgumentError
from lightning_tune.schedule.curves_of import (
    MOST,
    UNLIMITED,
    Curves,
    curves_of,
    ends_in_words,
    limits_of,
    plain_bounds,
    plain_pair,
    unit_cube,
)


def history_of(*groups, mode="min", repeats=1, legs=(20.0,)):
    """Return a history of groups, each a list of members, each a dict from step to value."""
    monitors = "value" if isinstance(mode, str) else [f"value_{place}" for place in range(len(mode))]
    history, seq = History(Objective.of(monitors, mode), repeats), iter(range(1, 10**6))
    number = 0
    for members in groups:
        first = number
        for curve in members:
            fresh = {"config": {}, "seed": number, "space_version": 1, "origin": "search", "time": 0.0}
            events = [TrialStarted(trial=number, group=first, seq=next(seq), **fresh)]
            steps = sorted(curve)
            for leg, budget in enumerate(legs):
                events.append(LegStarted(trial=number, leg=leg, budget=budget, time=0.0, seq=next(seq)))
                below = legs[leg - 1] if leg else 0.0
                for step in steps:
                    last = leg == len(legs) - 1
                    if below < step <= budget or (last and step > budget):
                        value = curve[step]
                        values = value if isinstance(value, tuple) else (value,)
                        events.append(Reported(number, leg, step, values, 0.0, seq=next(seq)))
            history.extend(events)
            number += 1
    return history


def costs(history, **settings):
    found = curves_of(history, history.groups, **{"full": 20.0, **settings})
    return found.costs.tolist(), found.spacing


def same(found, wanted):
    return np.array_equal(np.array(found), np.array(wanted), equal_nan=True)


def test_whole_epochs_are_columns_and_short_curves_end_in_nan():
    found, spacing = costs(history_of([{1.0: 5.0, 2.0: 4.0, 3.0: 3.0}], [{1.0: 7.0}]))
    assert same(found, [[5.0, 4.0, 3.0], [7.0, math.nan, math.nan]])
    assert spacing == 1.0


@pytest.mark.parametrize("unit", [0.5, 100.0, 12.25])
def test_a_column_is_the_spacing_of_the_reports_whatever_the_unit(unit):
    found, spacing = costs(history_of([{unit: 5.0, 2 * unit: 4.0, 3 * unit: 3.0}]), full=10 * unit)
    assert same(found, [[5.0, 4.0, 3.0]])
    assert spacing == unit


def test_the_trial_that_reports_most_often_sets_the_grid():
    found, spacing = costs(history_of([{2.0: 5.0, 4.0: 4.0}], [{1.0: 7.0, 2.0: 6.0, 3.0: 5.0}]))
    assert same(found, [[math.nan, 5.0, math.nan, 4.0], [7.0, 6.0, 5.0, math.nan]])
    assert spacing == 1.0


def test_seconds_that_are_not_even_are_rounded_to_columns():
    found, spacing = costs(history_of([{9.8: 4.0, 20.3: 3.0, 29.9: 2.0, 40.4: 1.0}]), full=100.0)
    assert spacing == pytest.approx(np.median([9.8, 10.5, 9.6, 10.5]))
    assert same(found, [[4.0, 3.0, 2.0, 1.0]])


def test_there_are_no_more_columns_than_fit_and_the_last_report_in_one_stands_for_it():
    history = history_of([{float(step): float(-step) for step in range(1, 1001)}], legs=(1000.0,))
    found, spacing = costs(history, full=1000.0)
    assert len(found[0]) == MOST
    assert spacing == 2.0
    assert found[0][9] == -20.0 or found[0][9] == -21.0


def test_higher_is_better_is_turned_round_and_what_is_not_finite_is_left_out():
    history = history_of([{1.0: 0.5, 2.0: math.nan, 3.0: 0.7, 4.0: math.inf}], mode="max")
    assert same(costs(history)[0], [[-0.5, math.nan, -0.7, math.nan]])


def test_a_group_is_the_mean_of_its_members_where_all_have_a_report():
    history = history_of([{1.0: 1.0, 2.0: 2.0}, {1.0: 3.0}], repeats=2)
    assert same(costs(history)[0], [[2.0, math.nan]])


def test_several_objectives_are_taken_one_by_one():
    history = history_of([{1.0: (1.0, 0.1), 2.0: (2.0, 0.2)}], mode=["min", "max"])
    assert same(costs(history, objective=0)[0], [[1.0, 2.0]])
    assert same(costs(history, objective=1)[0], [[-0.1, -0.2]])


def test_nothing_is_seen_beyond_the_report_that_reached_a_budget():
    history = history_of([{1.0: 4.0, 3.0: 3.0, 5.0: 2.0, 7.0: 1.0}], legs=(4.0, 20.0))
    assert same(costs(history, upto=2.0)[0][0][-1:], [3.0])
    early, _ = costs(history, upto=4.0)  # the report at 5 is of the leg after
    assert [value for value in early[0] if not math.isnan(value)] == [4.0, 3.0]


def test_no_groups_and_groups_without_reports_are_no_error():
    assert curves_of(history_of(), [], full=9.0).costs.shape[0] == 0
    history = history_of([{}], [{1.0: 3.0}])
    assert curves_of(history, history.groups, full=9.0).known.tolist() == [False, True]


def test_predictions_are_those_of_extrapolate_at_the_same_place():
    curve = [[1.0, 0.7, 0.55, 0.5, 0.46]]
    found = Curves(costs=np.array(curve), spacing=0.5).predicted(5.0)
    assert found.quantile(0.5) == pytest.approx(extrapolate(curve, at=10, mode="min").quantile(0.5))
    assert Curves(costs=np.array(curve), spacing=2.0).columns([1.0, 2.0, 5.0]).tolist() == [1.0, 1.0, 2.5]


def test_the_cube_has_numbers_as_they_are_and_an_option_a_column():
    space = Space(
        {
            "lr": Float(1e-4, 1e-2, log=True),
            "depth": Int(1, 3),
            "size": Choice(["s", "m", "l"], ordered=True),
            "optimizer": Choice({"sgd": {"momentum": Float(0.0, 1.0)}, "adam": {}, "lion": {}}),
        }
    )
    encoding = Encoding(space)
    sgd = {"lr": 1e-3, "depth": 2, "size": "l", "optimizer": "sgd", "momentum": 0.9}
    adam, lion = ({"lr": 1e-3, "depth": 2, "size": "l", "optimizer": name} for name in ("adam", "lion"))
    cube = unit_cube(encoding, np.stack([encoding.encode(config) for config in (sgd, adam, lion)]))
    assert cube.shape == (3, 7)
    assert ((cube >= 0) & (cube <= 1)).all()
    assert cube[0].tolist() == pytest.approx([0.5, 0.5, 5 / 6, 0.5**0.5, 0, 0, 0.9])
    assert np.linalg.norm(cube[1] - cube[2]) == pytest.approx(1.0)  # options are as far as a whole range
    assert cube[1][-1] == 0.5


def test_a_space_of_constants_has_one_place():
    encoding = Encoding(Space({"depth": 3}))
    assert unit_cube(encoding, np.empty((4, 0))).tolist() == [[0.0]] * 4


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (None, None),
        ((0, 1), (0.0, 1.0)),
        ([0, None], (0.0, None)),
        ((-math.inf, np.float32(1)), (None, 1.0)),
        ((None, None), None),
        (np.array([0.0, math.inf]), (0.0, None)),
        ([(0, 1), [0, None]], ((0.0, 1.0), (0.0, None))),
        ([None, (0, 1)], (None, (0.0, 1.0))),
        ([(None, None), None], None),
        (np.array([[0, 1], [2, 3]]), ((0.0, 1.0), (2.0, 3.0))),
    ],
)
def test_bounds_become_tuples_that_are_recorded_alike(given, plain):
    found = plain_bounds(given)
    assert found == plain
    assert hash(found) == hash(plain)
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(plain))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ((1, 0), "`bounds` must be ascending, got .1, 0."),
        ((0, 1, 2), "`bounds` must be .low, high., None for no bound, got .0, 1, 2."),
        ("01", "`bounds` must be .low, high., None for no bound, got '01'"),
        ((True, 1), "`bounds` must be .low, high."),
        ((0, math.nan), "`bounds` must be .low, high."),
        ([(0, 1), (1, 0)], r"`bounds\[1\]` must be ascending, got .1, 0."),
        ([(0, 1), 3], r"`bounds\[1\]` must be .low, high., None for no bound, got 3"),
    ],
)
def test_bounds_that_are_none_are_refused(given, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        plain_bounds(given)


def test_one_pair_is_no_list_of_them():
    assert plain_pair((0, 1)) == (0.0, 1.0)
    with pytest.raises(ArgumentError, match="`bounds` must be .low, high."):
        plain_pair([(0, 1), (0, 1)])


def test_limits_are_bounds_in_costs():
    one = Objective.of("acc", "max")
    assert limits_of((0.0, None), one, "Part") == ((-math.inf, 0.0),)
    assert limits_of((0.2, 1.0), Objective.of("loss"), "Part") == ((0.2, 1.0),)
    assert limits_of(((0.0, 1.0),), one, "Part") == ((-1.0, 0.0),)
    several = Objective.of(["acc", "loss"], ["max", "min"])
    assert limits_of(((0.0, 1.0), None), several, "Part") == ((-1.0, 0.0), UNLIMITED)
    assert limits_of(None, several, "Part") == (UNLIMITED, UNLIMITED)
    made = Objective.of(["acc", "loss"], ["max", "min"], score=sum)
    assert limits_of((0.2, 1.0), made, "Part") == ((0.2, 1.0),)  # a cost already


@pytest.mark.parametrize(
    ("bounds", "modes", "score", "sentence"),
    [
        ((0.0, 1.0), ["max", "min"], "best", "must be a list of 2 pairs .*, one for each of v0, v1, or None"),
        (((0.0, 1.0),) * 3, ["max", "min"], "best", "must be a list of 2 pairs .*"),
        (((0.0, 1.0),) * 2, ["max"], "best", "must be one pair .low, high., or None, as v0 is one objective"),
        (
            ((0.0, 1.0),) * 2,
            ["max", "min"],
            sum,
            "must be one pair .low, high., or None, as `score` makes one number",
        ),
    ],
)
def test_another_number_of_pairs_than_of_objectives_is_refused(bounds, modes, score, sentence):
    objective = Objective.of([f"v{place}" for place in range(len(modes))], modes, score)
    with pytest.raises(ArgumentError, match=f"`bounds` of Part {sentence}; got .*0.0, 1.0"):
        limits_of(bounds, objective, "Part")


def test_a_cost_beyond_its_limits_is_moved_to_the_nearer_end():
    history = history_of([{1.0: -0.2, 2.0: 0.5, 3.0: 1.2, 4.0: math.nan}], mode="max")
    found = curves_of(history, history.groups, full=20.0, limits=(-1.0, 0.0))
    assert same(found.costs, [[0.0, -0.5, -1.0, math.nan]])
    assert found.only(found.known).limits == (-1.0, 0.0)
    members = history_of([{1.0: 1.5}, {1.0: 0.5}], repeats=2)
    assert same(costs(members, limits=(0.0, 1.0))[0], [[0.75]])


def test_predictions_keep_to_the_limits():
    curve = [[-0.7, -0.88, -0.93, -0.95, -0.96]]
    found = Curves(costs=np.array(curve), spacing=1.0, limits=(-1.0, 0.0)).predicted(50.0)
    there = extrapolate([[-value for value in curve[0]]], at=50, mode="max", bounds=(0, 1))
    assert -found.quantile(0.05) == pytest.approx(there.quantile(0.95))
    free = Curves(costs=np.array(curve), spacing=1.0).predicted(50.0)
    assert free.quantile(0.01)[0] < -1.0 <= found.quantile(0.01)[0]


def test_ends_are_told_in_the_users_own_direction():
    rising = [[0.5, 0.7, 0.78, 0.82, 0.85]]
    there = extrapolate(rising, at=20, mode="max")
    low, middle, high = (float(there.quantile(q)[0]) for q in (0.05, 0.5, 0.95))
    found = Curves(costs=-np.array(rising), spacing=1.0).predicted(20.0)
    assert ends_in_words([found], Objective.of("acc", "max")) == f"{middle:.4g} [{low:.4g}, {high:.4g}]"
    both = ends_in_words([found, found], Objective.of(["acc", "loss"], ["max", "min"]))
    assert both == f"{middle:.4g} [{low:.4g}, {high:.4g}], {-middle:.4g} [{-high:.4g}, {-low:.4g}]"
