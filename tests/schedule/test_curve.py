import importlib.util
import json
import math
import pickle
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tune.core.budget import Budget
from lightning_tune.core.events import Decided, LegStarted, Reported, TrialEnded, TrialStarted
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.curves.noise import noise
from lightning_tune.curves.posterior import extrapolate
from lightning_tune.errors import ArgumentError, SweepExistsError
from lightning_tune.loop.optimize import optimize
from lightning_tune.schedule import (
    ASHA,
    ByPredictedEnd,
    CurveStopping,
    FullBudget,
    Hyperband,
    MedianStopping,
    PopulationBased,
    Scheduler,
    SuccessiveHalving,
)
from lightning_tune.search import GridSearch, RandomSearch
from lightning_tune.store import MemoryStore
from lightning_tune.testing.functions import run_function, story
from lightning_tune.testing.scheduler_contract import SchedulerContract

spec = importlib.util.spec_from_file_location("random_sweeps", Path(__file__).with_name("random_sweeps.py"))
random_sweeps = importlib.util.module_from_spec(spec)
spec.loader.exec_module(random_sweeps)

FULL = 20.0


def learning(config, step):
    """Return a loss that falls like a power, to an end that depends on two hyperparameters, with noise."""
    end = 0.1 + (config["a"] - 0.3) ** 2 + 0.5 * (config["b"] - 0.6) ** 2
    noise = random_sweeps.chance("noise", config["a"], step) - 0.5
    return end + step ** -(0.3 + 1.5 * config["b"]) + 0.02 * noise


SPACE = Space({"a": Float(0.0, 1.0), "b": Float(0.0, 1.0)})


class TestAlone(SchedulerContract):
    trials = 12

    def scheduler(self) -> Scheduler:
        return CurveStopping(threshold=0.3)


class TestWithHalving(SchedulerContract):
    trials = 12

    def scheduler(self) -> Scheduler:
        return CurveStopping(SuccessiveHalving(6, 3, 3), threshold=0.4, min_budget=2)


class TestWithASHA(SchedulerContract):
    trials = 12

    def scheduler(self) -> Scheduler:
        return CurveStopping(ASHA(min_budget=3), threshold=0.4, min_budget=2)


class TestSeveralObjectives(random_sweeps.Several, SchedulerContract):
    trials = 12

    def scheduler(self) -> Scheduler:
        return CurveStopping(threshold=0.3)


class ByHand:
    """The rule with plain dictionaries, replayed beside the events of a sweep; costs of one objective."""

    def __init__(self, *, threshold, min_delta, min_trials, interval, min_budget, full):
        self.__dict__.update(vars())
        self.curves, self.failed = defaultdict(dict), set()

    def stops(self, trial, step):
        curve = self.curves[trial]
        early = len(curve) < 4 if self.min_budget is None else step < self.min_budget
        if early or step % self.interval or step >= self.full:
            return False
        best = {number: min(values.values()) for number, values in self.curves.items()}
        best = {n: value for n, value in best.items() if n not in self.failed and math.isfinite(value)}
        done = [n for n in best if max(self.curves[n]) >= self.full]
        if len(done) < self.min_trials or not best or best[trial] == min(best.values()):
            return False
        values = [curve[float(at)] for at in range(1, int(step) + 1)]
        leader = min(done, key=lambda n: (best[n], n))
        then = min(value for at, value in self.curves[leader].items() if at <= step)
        if min(values) <= then - self.min_delta + 2 * noise(np.array([values]))[0]:
            return False
        ahead = extrapolate([values], at=self.full, mode="min")
        return ahead.prob_better(min(best.values()) - self.min_delta)[0] < self.threshold


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**9),
    st.sampled_from([0.02, 0.05, 0.2, 0.5]),
    st.sampled_from([0.0, 0.05]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.one_of(st.none(), st.integers(1, 6)),
    st.integers(6, 14),
)
def test_decisions_equal_the_rule_by_hand(seed, threshold, min_delta, min_trials, interval, first, full):
    rule = {"threshold": threshold, "min_delta": min_delta, "min_trials": min_trials, "interval": interval}
    schedule = CurveStopping(min_budget=first, **rule)
    _, events = random_sweeps.sweep(schedule, seed, trials=8, max_budget=full)
    decided = {(event.trial, event.step): event for event in events if isinstance(event, Decided)}
    by_hand = ByHand(min_budget=first, full=full, **rule)
    for event in events:
        if isinstance(event, TrialEnded) and event.state == "failed":
            by_hand.failed.add(event.trial)
        if not isinstance(event, Reported):
            continue
        by_hand.curves[event.trial][event.step] = (
            event.values[0] if math.isfinite(event.values[0]) else math.inf
        )
        answer = decided.get((event.trial, event.step))
        if not math.isfinite(event.values[0]):
            assert answer.reason.startswith("diverged")
            continue
        stops = by_hand.stops(event.trial, event.step)
        assert (answer is not None and answer.action == "stop") == stops, event


def test_random_sweeps_have_stops_to_compare():
    """The check above can fail: some trials are stopped for their curves, and others are completed."""
    history, _ = random_sweeps.sweep(CurveStopping(threshold=0.2), 1, trials=20, max_budget=12)
    states = [trial.state for trial in history]
    assert sum("chance to beat" in trial.reason for trial in history) > 3
    assert states.count("completed") > 1


def test_it_saves_most_epochs_and_finds_the_same_best():
    for seed in range(3):
        whole, short = (
            run_function(
                SPACE, RandomSearch(), learning, max_trials=20, max_budget=FULL, schedule=schedule, seed=seed
            )
            for schedule in (FullBudget(), CurveStopping())
        )
        assert short.best.config == whole.best.config
        assert short.best.score == whole.best.score
        assert short.num_reports < 0.7 * whole.num_reports == 0.7 * 20 * FULL


def test_it_saves_epochs_of_another_schedule_too_and_nobody_waits_for_who_was_stopped():
    stopped = 0
    for inner in (SuccessiveHalving(16, 5, 2), Hyperband(), ASHA(min_budget=5), ASHA(stopping=True)):
        bare, both = (
            run_function(
                SPACE, RandomSearch(), learning, max_trials=32, max_budget=FULL, schedule=schedule, seed=4
            )
            for schedule in (inner, CurveStopping(inner, threshold=0.1))
        )
        assert len(both) == len(bare) == 32
        assert both.num_reports <= bare.num_reports
        assert not both.open_groups or isinstance(inner, ASHA)
        assert any(trial.step == FULL for trial in both)
        curves = [trial for trial in both if "chance to beat" in trial.reason]
        stopped += len(curves)
        for trial in curves:
            assert trial.state == "stopped"
            assert trial.step < trial.budget  # at its rung the other schedule decides
    assert stopped > 3


def ended(history, seq, number, state="completed", step=FULL):
    history.extend(
        [TrialEnded(trial=number, leg=0, step=step, state=state, reason="", time=0.0, seq=next(seq))]
    )


def history_of(*curves, mode="min", budgets=(FULL,)):
    """Return a history of trials; those whose curve comes to the full budget are completed."""
    monitors = "value" if isinstance(mode, str) else [f"value_{place}" for place in range(len(mode))]
    history, seq = History(Objective.of(monitors, mode)), iter(range(1, 10**6))
    for number, curve in enumerate(curves):
        fresh = {"config": {}, "seed": number, "space_version": 1, "origin": "search", "time": 0.0}
        events = [
            TrialStarted(trial=number, group=number, seq=next(seq), **fresh),
            LegStarted(trial=number, leg=0, budget=budgets[0], time=0.0, seq=next(seq)),
        ]
        for place, value in enumerate(curve):
            values = tuple(value) if isinstance(value, tuple) else (value,)
            events.append(Reported(number, 0, place + 1.0, values, 0.0, seq=next(seq)))
        history.extend(events)
        if len(curve) >= budgets[0]:
            ended(history, seq, number)
    return history


def judged(schedule, history, full=FULL):
    """Return the decision on the last report of the last trial."""
    trial = history.trials[-1]
    last = trial.reports[-1]
    report = Reported(trial.number, last.leg, last.step, last.values, last.time)
    return schedule.resolve(Budget(full=full)).judge(report, history)


def falling(end, length=int(FULL)):
    return [end + 1.0 / step**1.5 for step in range(1, length + 1)]


def test_the_reason_speaks_in_the_users_own_direction():
    rising = [[1.0 - value for value in falling(end, n)] for end, n in ((0.05, 20), (0.4, 7))]
    decision = judged(CurveStopping(), history_of(*rising, mode="max"))
    assert decision.action == "stop"
    number = r"(0\.\d+)"
    start = r"at 7 epochs: (\S+)% chance to beat 0.93882 at 20 epochs"
    pattern = rf"{start} \(predicted {number} \[{number}, {number}\]\)"
    found = re.fullmatch(pattern, decision.reason)
    ahead = extrapolate([rising[1]], at=20, mode="max")
    numbers = [100 * ahead.prob_better(0.93882)[0], *(ahead.quantile(q)[0] for q in (0.5, 0.05, 0.95))]
    assert [float(number) for number in found.groups()] == pytest.approx(numbers, rel=0.06, abs=2e-4)
    assert numbers[0] < 5


def test_a_margin_is_named_and_makes_it_harder():
    close = (
        [
            *falling(0.4),
        ],
        [*falling(0.397, 16)],
    )
    assert judged(CurveStopping(), history_of(*close)).action == "continue"
    decision = judged(CurveStopping(min_delta=0.2), history_of(*close))
    assert "chance to beat 0.41118 by 0.2 at 20 epochs" in decision.reason


def test_the_best_of_now_is_never_stopped():
    """Its curve rises again, so its last value will be worse than its best: what counts is the best."""
    overfits = [0.1 + 0.02 * step for step in range(15)]
    assert extrapolate([overfits], at=FULL, mode="min").prob_better(0.3)[0] < 0.05
    assert judged(CurveStopping(), history_of(falling(0.3), overfits)).action == "continue"
    assert judged(CurveStopping(), history_of(falling(0.01), overfits)).action == "stop"


def test_who_is_where_the_best_was_at_the_same_budget_goes_on():
    """A plateau that the best one had, too, is no reason to stop, however flat it is."""
    late = [2.3 - 0.0001 * step if step < 12 else 0.5 for step in range(20)]
    flat = [2.31 - 0.0001 * step for step in range(8)]
    assert extrapolate([flat], at=FULL, mode="min").prob_better(0.5)[0] < 0.05
    level = [value - 0.01 for value in flat]
    assert judged(CurveStopping(), history_of(late, level)).action == "continue"
    assert judged(CurveStopping(), history_of(late, flat)).action == "stop"


def test_nobody_is_stopped_before_enough_trials_have_come_to_the_end():
    curves = [falling(0.0, 19), falling(3.0, 10)]
    assert judged(CurveStopping(), history_of(*curves)).action == "continue"
    assert judged(CurveStopping(), history_of(falling(0.0), falling(3.0, 10))).action == "stop"
    assert (
        judged(CurveStopping(min_trials=2), history_of(falling(0.0), falling(3.0, 10))).action == "continue"
    )


def test_trials_at_the_end_without_a_score_do_not_count():
    assert judged(CurveStopping(), history_of([math.nan] * 20, falling(0.0, 9), falling(3.0, 9))).reason == ""


def test_a_curve_is_judged_from_its_fourth_report_on_or_from_the_smallest_budget():
    for length, stops in ((3, False), (4, True)):
        history = history_of(falling(0.0), falling(3.0, length))
        assert (judged(CurveStopping(), history).action == "stop") == stops
    for length, stops in ((5, False), (6, True)):
        history = history_of(falling(0.0), falling(3.0, length))
        assert (judged(CurveStopping(min_budget=6), history).action == "stop") == stops


def test_the_end_of_the_budget_stops_nobody():
    assert judged(CurveStopping(), history_of(falling(0.0), falling(3.0, 19))).action == "stop"
    assert judged(CurveStopping(), history_of(falling(0.0), falling(3.0, 20))).action == "continue"


def test_with_several_objectives_a_trial_goes_on_if_it_may_beat_each_of_the_front_in_something():
    def both(first, second, length=20):
        return list(zip(falling(first, length), falling(second, length), strict=True))

    corners = [both(0.0, 3.0), both(3.0, 0.0)]
    middle = judged(CurveStopping(), history_of(*corners, both(1.0, 1.0, 9), mode=["min", "min"]))
    assert middle.action == "continue"
    front = [*corners, both(0.5, 0.5)]
    behind = judged(CurveStopping(), history_of(*front, both(2.0, 2.0, 9), mode=["min", "min"]))
    assert behind.action == "stop"
    assert "chance to beat 0.51118, 0.51118 in any objective at 20 epochs" in behind.reason


def test_who_was_stopped_on_the_way_has_no_place_at_a_synchronous_rung():
    """The first has the lowest value by far, but only early: at the rung at 6 another takes its place."""
    inner = SuccessiveHalving(4, 6, 2)
    space = Space({"kind": Choice(["full", "lucky", "middling", "poor"])})

    def curve(config, step):
        kinds = {"full": 0.2, "middling": 0.5, "poor": 0.8}
        if config["kind"] == "lucky":
            return -0.1 + 0.2 * step if step < 9 else 1.0
        return kinds[config["kind"]] + 1.0 / step

    class Stops(CurveStopping):
        def judge(self, report, history):
            lucky = history.trials[report.trial].config["kind"] == "lucky"
            decision = super().judge(report, history)
            return type(decision)(action="stop", reason="by hand") if lucky and report.step == 3 else decision

    history = run_function(
        space, GridSearch(), curve, max_trials=4, max_budget=12, schedule=Stops(inner, threshold=1e-9)
    )
    states = {trial.config["kind"]: (trial.state, trial.step) for trial in history}
    assert states["lucky"] == ("stopped", 3)
    assert states["full"] == ("completed", 12)
    assert states["middling"] == ("completed", 12)
    assert states["poor"] == ("stopped", 6)


@pytest.mark.parametrize("inner", [SuccessiveHalving(8, 5, 2), ASHA(min_budget=5), Hyperband(eta=2)])
def test_killed_anywhere_it_ends_as_if_it_had_not_been(inner):
    schedule = CurveStopping(inner, threshold=0.4, min_budget=2)
    given = {"max_trials": 40, "max_budget": FULL, "schedule": schedule, "seed": 2}
    whole = run_function(SPACE, RandomSearch(), learning, **given)
    assert any("chance to beat" in trial.reason for trial in whole)
    store = MemoryStore()
    for kill_after in (7, 30, 11, 25):
        run_function(SPACE, RandomSearch(), learning, store=store, kill_after=kill_after, **given)
    assert story(run_function(SPACE, RandomSearch(), learning, store=store, **given)) == story(whole)


def test_half_epochs_are_judged_when_they_pass_a_level():
    history, seq = history_of(falling(0.0)), iter(range(10**6, 2 * 10**6))
    fresh = {"config": {}, "seed": 1, "space_version": 1, "origin": "search", "time": 0.0}
    history.extend(
        [
            TrialStarted(trial=1, group=1, seq=next(seq), **fresh),
            LegStarted(trial=1, leg=0, budget=FULL, time=0.0, seq=next(seq)),
        ]
    )
    actions = []
    for place in range(1, 8):
        history.extend([Reported(1, 0, place / 2, (3.0 + 1 / place,), 0.0, seq=next(seq))])
        actions.append(judged(CurveStopping(), history).action)
    assert actions == ["continue"] * 3 + ["stop", "continue", "stop", "continue"]


def test_it_has_its_schedules_settings():
    inner = Hyperband()
    schedule = CurveStopping(inner).resolve(Budget(full=27))
    bare = inner.resolve(Budget(full=27))
    assert (schedule.num_trials, schedule.full_budget, schedule.pauses) == (bare.num_trials, 27, True)
    assert schedule.record()["schedule"] == bare.record()
    assert schedule.notes() == bare.notes()
    assert not schedule.allows_repeats
    assert pickle.loads(pickle.dumps(schedule)).record() == schedule.record()


def test_alone_a_larger_budget_is_no_other_sweep():
    records = [CurveStopping().resolve(Budget(full=high)).record() for high in (10.0, 20.0)]
    assert records[0] == records[1]


@pytest.mark.parametrize(
    ("schedule", "budget", "trials", "sentence"),
    [
        (
            CurveStopping(),
            Budget(full=27),
            20,
            "20 trials of 27 epochs, stopped below a 5% chance to beat the best: at most 540 epochs",
        ),
        (
            CurveStopping(threshold=0.01, max_budget=1000),
            Budget(unit="steps"),
            None,
            "trials of 1000 steps, stopped below a 1% chance to beat the best, until the search or a limit "
            "ends it",
        ),
        (
            CurveStopping(Hyperband()),
            Budget(full=9),
            None,
            "15 trials, 3 brackets, rungs at 1, 3, 9: at most 63 epochs; stopped below a 5% chance to beat "
            "the best",
        ),
    ],
)
def test_the_cost_is_said_in_numbers(schedule, budget, trials, sentence):
    assert schedule.resolve(budget).cost(trials, 1) == sentence


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"threshold": 0}, "`threshold` must be a probability above 0 and below 1, got 0"),
        ({"threshold": True}, "`threshold` must be a probability"),
        ({"min_delta": -1}, "`min_delta` must be a finite number of at least 0, got -1"),
        ({"min_trials": 0}, "`min_trials` must be an integer of at least 1, got 0"),
        ({"interval": 0}, "`interval` must be a number above 0"),
        ({"min_budget": 9, "max_budget": 3}, "`min_budget` must be at most `max_budget`"),
        ({"schedule": "hyperband"}, "must be a Scheduler, such as Hyperband.., or None, got 'hyperband'"),
        ({"schedule": PopulationBased()}, "`schedule` of CurveStopping must not be PopulationBased"),
        ({"schedule": CurveStopping()}, "`schedule` of CurveStopping must not be CurveStopping"),
    ],
)
def test_bad_settings_are_refused(arguments, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        CurveStopping(**arguments)


@pytest.mark.parametrize(
    ("arguments", "budget", "sentence"),
    [
        ({}, Budget(grows="data", full=1.0), "CurveStopping follows trials as they train on"),
        ({}, Budget(unit="steps"), "`max_budget` of CurveStopping must be given: it is counted in steps"),
        ({"schedule": MedianStopping()}, Budget(), "`max_budget` of MedianStopping must be given"),
        ({"max_budget": 30}, Budget(full=27), "`max_budget` of CurveStopping is 30, but"),
        ({"schedule": ASHA(), "max_budget": 9}, Budget(full=27), "is that of its schedule: give it to ASHA"),
        ({"interval": 27}, Budget(full=27), "`interval` of CurveStopping must be below the largest budget"),
        (
            {"min_budget": 2.5},
            Budget(full=27),
            "`min_budget` of CurveStopping must be a whole number of epochs",
        ),
    ],
)
def test_settings_that_do_not_fit_the_budget_are_refused(arguments, budget, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        CurveStopping(**arguments).resolve(budget)


def test_a_curve_of_numbers_that_say_nothing_stops_nobody():
    same = np.full(20, 0.5).tolist()
    assert judged(CurveStopping(), history_of(same, same[:9])).action == "continue"


def accuracies(end, length=int(FULL)):
    return [end - 0.6 / step for step in range(1, length + 1)]


def test_bounds_are_those_of_the_prediction_in_either_mode():
    """A curve that rises steadily is led far beyond 1 without them, and beats whatever the best is."""
    best = [0.998 - 0.3 / step**2 for step in range(1, 21)]
    tried = [0.5 + 0.15 * math.sqrt(step) for step in range(1, 8)]
    free, within = (extrapolate([tried], at=FULL, mode="max", bounds=bounds) for bounds in (None, (0, 1)))
    chances = [float(found.prob_better(best[-1])[0]) for found in (free, within)]
    assert chances[1] < 0.5 * chances[0]
    between = CurveStopping(threshold=sum(chances) / 2)
    bounded = CurveStopping(threshold=sum(chances) / 2, bounds=(0, 1))
    history = history_of(best, tried, mode="max")
    assert judged(between, history).action == "continue"
    decision = judged(bounded, history)
    assert decision.action == "stop"
    low, middle, high = (float(within.quantile(q)[0]) for q in (0.05, 0.5, 0.95))
    assert decision.reason.endswith(f"(predicted {middle:.4g} [{low:.4g}, {high:.4g}])")
    mirrored = history_of(*([1.0 - value for value in curve] for curve in (best, tried)))
    assert judged(bounded, mirrored).action == "stop"
    assert judged(between, mirrored).action == "continue"


def test_values_that_are_reported_out_of_bounds_count_as_the_nearer_end():
    curves = ([*accuracies(0.9, 19), 1.3], [0.5, 0.6, 0.61, 0.62, -0.4, 0.63, 0.635])
    clipped = [np.clip(curve, 0.0, 1.0).tolist() for curve in curves]
    schedule = CurveStopping(bounds=(0, 1), threshold=0.5)
    found, wanted = (judged(schedule, history_of(*each, mode="max")) for each in (curves, clipped))
    assert found.action == wanted.action == "stop"
    assert found.reason == wanted.reason.replace("to beat 1 at", "to beat 1.3 at")


def test_with_several_objectives_each_has_bounds_of_its_own():
    def both(first, second, length=20):
        return list(zip(accuracies(first, length), falling(second, length), strict=True))

    modes = ["max", "min"]
    history = history_of(both(0.95, 0.1), both(0.7, 2.0, 9), mode=modes)
    schedule = CurveStopping(bounds=[(0, 1), (0, None)], threshold=0.5)
    schedule.check_objective(history.objective)
    reason = judged(schedule, history).reason
    curves = np.array(both(0.7, 2.0, 9)).T
    told = []
    for curve, mode, bounds in zip(curves, modes, [(0, 1), (0, None)], strict=True):
        found = extrapolate([curve], at=FULL, mode=mode, bounds=bounds)
        low, middle, high = (float(found.quantile(q)[0]) for q in (0.05, 0.5, 0.95))
        told.append(f"{middle:.4g} [{low:.4g}, {high:.4g}]")
    assert reason.endswith(f"(predicted {', '.join(told)})")


def test_bounds_that_do_not_fit_the_objectives_are_refused_the_inner_schedules_too():
    two = Objective.of(["a", "b"])
    wrong = "must be a list of 2 pairs .low, high., one for each of a, b, or None; got .0.0, 1.0."
    with pytest.raises(ArgumentError, match=f"`bounds` of CurveStopping {wrong}"):
        CurveStopping(bounds=(0, 1)).check_objective(two)
    inner = ASHA(rank=ByPredictedEnd(at=20, bounds=(0, 1)))
    with pytest.raises(ArgumentError, match=f"`bounds` of ByPredictedEnd {wrong}"):
        CurveStopping(inner, bounds=[(0, 1), None]).check_objective(two)
    for fits in (CurveStopping(bounds=(None, None)), CurveStopping(), CurveStopping(MedianStopping())):
        fits.check_objective(two)


def test_a_search_with_such_bounds_evaluates_nothing(tmp_path):
    called = []
    with pytest.raises(ArgumentError, match="`bounds` of CurveStopping must be one pair"):
        optimize(
            called.append,
            SPACE,
            schedule=CurveStopping(bounds=[(0, 1), (0, 1)]),
            max_trials=3,
            max_budget=4,
        )
    assert not called


def test_a_search_goes_on_with_the_bounds_it_had_and_no_others(tmp_path):
    def curve(config):
        for step in range(1, 7):
            yield learning(config, step)

    def again(bounds):
        settings = {"search": "random", "max_budget": 6, "store": tmp_path / "store.db", "name": "bounded"}
        return optimize(curve, SPACE, schedule=CurveStopping(bounds=bounds), max_trials=3, **settings)

    assert len(again((0, None)).trials) == len(again([0.0, math.inf]).trials) == 3
    for other in (None, (0, 9)):
        with pytest.raises(SweepExistsError, match="bounds"):
            again(other)


def test_settings_are_plain_json():
    schedule = CurveStopping(Hyperband(), bounds=np.array([0.0, math.inf])).resolve(Budget(full=27))
    assert schedule.record()["bounds"] == [0.0, None]
    assert json.loads(json.dumps(schedule.record(), allow_nan=False)) == schedule.record()
    with pytest.raises(ArgumentError, match="`bounds` must be ascending, got .1, 0."):
        CurveStopping(bounds=(1, 0))
