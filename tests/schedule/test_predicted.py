import importlib.util
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.core.events import LegStarted, Reported, TrialEnded, TrialStarted
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.curves.posterior import extrapolate
from lightning_tune.errors import ArgumentError
from lightning_tune.loop.optimize import optimize
from lightning_tune.schedule import (
    ASHA,
    ByPredictedEnd,
    CurveStopping,
    Hyperband,
    MedianStopping,
    Scheduler,
    SuccessiveHalving,
)
from lightning_tune.schedule.predicted import check_ends
from lightning_tune.schedule.ranking import check_rank, name_of
from lightning_tune.search import GridSearch, RandomSearch
from lightning_tune.testing.functions import run_function
from lightning_tune.testing.scheduler_contract import SchedulerContract

spec = importlib.util.spec_from_file_location("random_sweeps", Path(__file__).with_name("random_sweeps.py"))
random_sweeps = importlib.util.module_from_spec(spec)
spec.loader.exec_module(random_sweeps)

STEPS = np.arange(1.0, 13.0)


class TestInHyperband(SchedulerContract):
    trials = 13

    def scheduler(self) -> Scheduler:
        return Hyperband(rank=ByPredictedEnd(at=9))


class TestInASHA(SchedulerContract):
    def scheduler(self) -> Scheduler:
        return ASHA(rank=ByPredictedEnd(at=9))


class TestSeveralObjectives(random_sweeps.Several, SchedulerContract):
    def scheduler(self) -> Scheduler:
        return SuccessiveHalving(9, 3, 3, rank=ByPredictedEnd(at=9))


def history_of(*curves, mode="min", budget=20.0):
    """Return a history of running trials, each a list of values or of tuples of them."""
    monitors = "value" if isinstance(mode, str) else [f"value_{place}" for place in range(len(mode))]
    history, seq = History(Objective.of(monitors, mode)), iter(range(1, 10**6))
    for number, curve in enumerate(curves):
        fresh = {"config": {}, "seed": number, "space_version": 1, "origin": "search", "time": 0.0}
        events = [
            TrialStarted(trial=number, group=number, seq=next(seq), **fresh),
            LegStarted(trial=number, leg=0, budget=budget, time=0.0, seq=next(seq)),
        ]
        for place, value in enumerate(curve):
            values = value if isinstance(value, tuple) else (float(value),)
            events.append(Reported(number, 0, place + 1.0, values, 0.0, seq=next(seq)))
        history.extend(events)
    return history


def random_curves(seed, number=8):
    rng = np.random.default_rng(seed)
    ends, rates = rng.random((number, 1)), 0.2 + rng.random((number, 1))
    return ends + STEPS**-rates + 0.02 * rng.standard_normal((number, len(STEPS)))


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("level", [1.0, 4.0, 9.0, 12.0])
def test_the_order_is_that_of_the_predicted_medians_of_what_was_reported_by_then(level, mode):
    curves = random_curves(int(level))
    curves = curves if mode == "min" else -curves
    history = history_of(*curves.tolist(), mode=mode)
    medians = [extrapolate([curve[: int(level)]], at=27, mode=mode).quantile(0.5)[0] for curve in curves]
    wanted = sorted(range(8), key=lambda row: medians[row], reverse=mode == "max")
    assert ByPredictedEnd(at=27)(history, level, history.groups) == wanted


def test_a_curve_that_still_falls_is_put_before_one_that_is_better_and_flat():
    flat = [0.5 + 0.001 * (-1) ** step for step in range(12)]
    falls = [1.2 - 0.05 * step for step in range(1, 13)]
    history = history_of(flat, falls)
    assert history.rung(12.0).ranked[0][1] == 0
    assert ByPredictedEnd(at=60)(history, 12.0, history.groups) == [1, 0]


def test_ties_go_to_the_lower_number_and_groups_may_come_in_any_order():
    curve = random_curves(0)[0].tolist()
    history = history_of(curve, curve, curve)
    assert ByPredictedEnd(at=27)(history, 6.0, list(reversed(history.groups))) == [0, 1, 2]


def test_those_that_failed_or_diverged_have_no_place():
    curves = random_curves(1, 3).tolist()
    history = history_of(curves[0], curves[1][:1], curves[2], [0.1, math.nan])
    end = TrialEnded(trial=1, leg=0, step=1, state="failed", reason="", time=0.0, seq=10**7)
    history.extend([end])
    assert sorted(ByPredictedEnd(at=27)(history, 2.0, history.groups)) == [0, 2]
    assert ByPredictedEnd(at=27)(history, 2.0, []) == []


def test_at_the_end_it_is_the_order_of_the_last_values():
    history = history_of([0.1, 0.9, 0.8], [0.9, 0.5, 0.6], [0.7, 0.7, 0.7])
    assert ByPredictedEnd(at=3)(history, 3.0, history.groups) == [1, 2, 0]


def test_with_several_objectives_who_is_dominated_in_the_medians_comes_last():
    first, second = random_curves(2, 4), random_curves(3, 4)
    first[3], second[3] = first.max(axis=0) + 1.0, second.max(axis=0) + 1.0
    both = [list(zip(a.tolist(), (-b).tolist(), strict=True)) for a, b in zip(first, second, strict=True)]
    history = history_of(*both, mode=["min", "max"])
    assert ByPredictedEnd(at=27)(history, 8.0, history.groups)[-1] == 3


def test_a_rung_sends_on_whose_curve_leads_farthest():
    space = Space({"kind": Choice(["flat", "falls", "worse", "worst"])})

    def curve(config, step):
        if config["kind"] == "falls":
            return 1.2 - 0.05 * step
        return {"flat": 0.5, "worse": 2.0, "worst": 3.0}[config["kind"]] + 0.001 * (-1) ** step

    kept = {}
    for name, settings in (("score", {}), ("end", {"rank": ByPredictedEnd(at=20)})):
        schedule = SuccessiveHalving(4, 10, 4, **settings)
        history = run_function(space, GridSearch(), curve, max_trials=4, max_budget=20, schedule=schedule)
        kept[name] = [trial.config["kind"] for trial in history if trial.state == "completed"]
    assert kept == {"score": ["flat"], "end": ["falls"]}


def test_it_is_an_order_with_a_name_and_travels():
    rank = ByPredictedEnd(at=27)
    check_rank(rank)
    assert name_of(rank) == "lightning_tune.schedule.predicted.ByPredictedEnd(at=27)"
    again = pickle.loads(pickle.dumps(rank))
    assert again == rank
    assert hash(again) == hash(rank)
    assert name_of(again) == name_of(rank)
    assert Hyperband(rank=rank).describe()["rank"] == {"name": "ByPredictedEnd", "at": 27, "bounds": None}
    records = [Hyperband(rank=ByPredictedEnd(at=at)).resolve(Budget(full=27)).record() for at in (27, 9)]
    assert records[0] != records[1]


@pytest.mark.parametrize("at", [0, -1, math.inf, "27", True])
def test_a_budget_that_is_none_is_refused(at):
    with pytest.raises(ArgumentError, match="`at` of ByPredictedEnd must be a budget above 0, got"):
        ByPredictedEnd(at=at)


def test_repeats_are_ranked_by_their_mean():
    def curve(config, step):
        return config["x"] + 1.0 / step

    history = run_function(
        {"x": Float(0.0, 1.0)},
        RandomSearch(),
        curve,
        max_trials=4,
        max_budget=8,
        repeats=2,
        schedule=SuccessiveHalving(4, 4, 2, rank=ByPredictedEnd(at=8)),
    )
    completed = [group for group in history.groups if group.state == "completed"]
    assert len(completed) == 2
    assert {group.config["x"] for group in completed} == set(
        sorted(g.config["x"] for g in history.groups)[:2]
    )


@pytest.mark.parametrize("mode", ["min", "max"])
def test_bounds_are_those_of_the_predictions_and_change_the_order(mode):
    """A high accuracy that still rises is led beyond 1 without them, and is put before the steadier one."""
    steps = np.arange(1.0, 5.0)
    curves = [1.0 - 0.4 * 0.75**steps, 0.985 - 0.2 * 0.2**steps, 0.97 - 0.3 * 0.5**steps]
    curves = curves if mode == "max" else [1.0 - curve for curve in curves]
    history = history_of(*(curve.tolist() for curve in curves), mode=mode)
    orders = []
    for bounds in (None, (0, 1), (0.9, 1) if mode == "max" else (0, 0.1)):
        clipped = np.clip(curves, *(bounds or (None, None))) if bounds else np.array(curves)
        found = extrapolate(clipped, at=60, mode=mode, bounds=bounds).quantile(0.5)
        wanted = sorted(range(3), key=lambda row, found=found: found[row], reverse=mode == "max")
        rank = ByPredictedEnd(at=60, bounds=bounds)
        assert rank(history, 4.0, history.groups) == wanted
        orders.append(wanted)
    assert len({tuple(order) for order in orders}) > 1


def test_values_out_of_bounds_do_not_end_a_sweep():
    def curve(config, step):
        return 2.0 * config["x"] - 1.0 / step  # from below 0 to above 1

    history = run_function(
        {"x": Float(0.0, 1.0)},
        RandomSearch(),
        curve,
        mode="max",
        max_trials=8,
        max_budget=8,
        schedule=SuccessiveHalving(8, 2, 2, rank=ByPredictedEnd(at=8, bounds=(0, 1))),
    )
    assert min(report.values[0] for trial in history for report in trial.reports) < 0
    assert max(report.values[0] for trial in history for report in trial.reports) > 1
    assert [trial.state for trial in history].count("completed") == 2


def test_bounds_are_part_of_its_name():
    rank = ByPredictedEnd(at=27, bounds=[0, 1])
    check_rank(rank)
    assert name_of(rank).endswith("ByPredictedEnd(at=27, bounds=(0.0, 1.0))")
    assert pickle.loads(pickle.dumps(rank)) == rank == ByPredictedEnd(at=27, bounds=(0.0, 1.0))
    assert hash(rank) == hash(ByPredictedEnd(at=27, bounds=(0, 1)))
    described = Hyperband(rank=rank).describe()["rank"]
    assert described == {"name": "ByPredictedEnd", "at": 27, "bounds": [0.0, 1.0]}
    with pytest.raises(ArgumentError, match="`bounds` must be ascending"):
        ByPredictedEnd(at=27, bounds=(1, 0))


@pytest.mark.parametrize("schedule", [ASHA, Hyperband, SuccessiveHalving])
def test_bounds_that_do_not_fit_the_objectives_are_refused(schedule):
    bounded = schedule(rank=ByPredictedEnd(at=27, bounds=(0, 1)))
    bounded.check_objective(Objective.of("value"))
    with pytest.raises(ArgumentError, match="`bounds` of ByPredictedEnd must be a list of 2 pairs"):
        bounded.check_objective(Objective.of(["a", "b"]))


@pytest.mark.parametrize(
    ("schedule", "name"),
    [
        (ASHA(rank=ByPredictedEnd(at=9)), "ASHA"),
        (Hyperband(rank=ByPredictedEnd(at=9)), "Hyperband"),
        (SuccessiveHalving(27, 1, 3, rank=ByPredictedEnd(at=9)), "SuccessiveHalving"),
        (CurveStopping(Hyperband(rank=ByPredictedEnd(at=9))), "Hyperband"),
    ],
)
def test_an_end_before_the_schedules_own_is_refused_before_anything_is_evaluated(schedule, name):
    called = []
    sentence = f"`at` of ByPredictedEnd must be at least the largest budget of {name}, 27, .*; got 9"
    with pytest.raises(ArgumentError, match=sentence):
        optimize(called.append, {"x": Float(0, 1)}, schedule=schedule, max_trials=3, max_budget=27)
    assert not called


def test_an_end_at_the_schedules_own_or_beyond_is_no_error():
    for at in (27, 100):
        for schedule in (
            ASHA(rank=ByPredictedEnd(at=at)),
            CurveStopping(Hyperband(rank=ByPredictedEnd(at=at))),
        ):
            check_ends(schedule.resolve(Budget(full=27)))
    check_ends(
        SuccessiveHalving(4, 3, 3, rank=ByPredictedEnd(at=9)).resolve(Budget(full=27))
    )  # rungs at 3, 9
    check_ends(MedianStopping().resolve(Budget(full=27)))
