import importlib.util
import math
from pathlib import Path

import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.core.events import Decided, Reported, StopRequested, TrialEnded
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.execute import InlineExecutor
from lightning_tune.loop.limits import Limits
from lightning_tune.loop.stops import stops_of
from lightning_tune.schedule import ASHA, FullBudget, MedianStopping, SuccessiveHalving
from lightning_tune.search import RandomSearch
from lightning_tune.store import MemoryStore
from lightning_tune.testing.functions import FunctionWork, make_coordinator

path = Path(__file__).parents[1] / "schedule" / "random_sweeps.py"
spec = importlib.util.spec_from_file_location("random_sweeps", path)
random_sweeps = importlib.util.module_from_spec(spec)
spec.loader.exec_module(random_sweeps)

FULL = 9.0


def limits_of(**given):
    nothing = {"max_trials": 20, "max_time": None, "target": None, "patience": None, "min_delta": 0.0}
    return Limits.of(**{**nothing, **given})


def by_brute_force(events, mode, left_over):
    """Return {trial: (step, reason, score, target)} from the events alone; `left_over`: paused ones count."""
    better = min if mode == "min" else max
    reports, failed, stops, ended = [], set(), {}, set()

    def best(trials):
        values = [
            value
            for trial, _, value in reports
            if trial in trials and trial not in failed and math.isfinite(value)
        ]
        return better(values, default=None)

    def stop(trial, reason):
        step = max(step for number, step, _ in reports if number == trial)
        return step, reason, best({trial}), best({number for number, _, _ in reports})

    for event in events:
        if isinstance(event, Reported):
            reports.append((event.trial, event.step, event.values[0]))
        elif isinstance(event, Decided) and event.action == "stop":
            stops.setdefault(event.trial, stop(event.trial, event.reason))
        elif isinstance(event, TrialEnded):
            ended.add(event.trial)
            if event.state == "stopped":
                stops.setdefault(event.trial, stop(event.trial, event.reason))
            if event.state == "failed":
                failed.add(event.trial)
    stops = {trial: stop for trial, stop in stops.items() if trial not in failed}
    left = {trial for trial, _, _ in reports} - ended if left_over else ()
    return stops | {trial: stop(trial, None) for trial in left}


SCHEDULES = [
    MedianStopping(min_trials=2),
    ASHA(stopping=True),
    ASHA(),
    SuccessiveHalving(9, min_budget=1, eta=2),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=["median", "stopping", "asha", "halving"])
@pytest.mark.parametrize("target", [None, 0.0])
def test_stops_and_targets_equal_brute_force_over_the_events(schedule, target):
    stopped, left = 0, 0
    for seed in range(12):
        history, events = random_sweeps.sweep(schedule, seed, trials=20, max_budget=FULL, target=target)
        found = stops_of(history, events, limits_of(target=target), FULL)
        expected = by_brute_force(events, "min", left_over=target is not None)
        expected = {
            trial: stop for trial, stop in expected.items() if not (stop[1] or "").startswith("target ")
        }
        assert {row.trial: (row.step, row.score, row.target) for row in found} == {
            trial: (step, score, best) for trial, (step, _, score, best) in expected.items()
        }
        assert all(row.reason == expected[row.trial][1] for row in found if expected[row.trial][1])
        assert [row.trial for row in found] == sorted(expected)
        assert {(row.value, row.wrong, row.error) for row in found} <= {(None, None, "")}
        stopped += len(found)
        left += sum(" and then: target 0 reached" in row.reason for row in found)
    assert stopped > 12
    assert (left > 0) == (target is not None and schedule.pauses)


def test_the_targets_direction_is_the_users():
    store = MemoryStore()
    coordinator = make_coordinator(
        random_sweeps.SPACE, RandomSearch(), max_trials=20, max_budget=FULL, mode="max", store=store,
        schedule=MedianStopping(min_trials=2),
    )  # fmt: skip
    InlineExecutor().run(coordinator, FunctionWork(random_sweeps.curve_of(5)))
    events = list(store.read("test"))
    found = stops_of(coordinator.history, events, limits_of(), FULL)
    expected = by_brute_force(events, "max", left_over=False)
    assert found
    assert {row.trial: (row.step, row.reason, row.score, row.target) for row in found} == expected


def test_a_trial_that_a_user_stopped_is_not_the_schedules():
    store = MemoryStore()
    coordinator = make_coordinator(
        random_sweeps.SPACE, RandomSearch(), max_trials=3, max_budget=FULL, store=store
    )

    class Asking(FunctionWork):
        def __call__(self, task, channel):
            if task.trial == 1:
                store.append("test", [StopRequested(trial=1, reason="enough of it", time=0.0)])
                coordinator.journal.sync()
            super().__call__(task, channel)

    InlineExecutor().run(coordinator, Asking(lambda config, step: config["x"]))
    assert coordinator.history.trials[1].state == "stopped"
    assert stops_of(coordinator.history, store.read("test"), limits_of(max_trials=3), FULL) == []


@pytest.mark.parametrize("trouble", [True, False])
def test_a_trial_whose_repeat_failed_is_not_the_schedules(trouble):
    store = MemoryStore()
    coordinator = make_coordinator(
        random_sweeps.SPACE, RandomSearch(), max_trials=4, max_budget=4.0, store=store, repeats=2,
        schedule=SuccessiveHalving(4, min_budget=2, eta=2),
    )  # fmt: skip

    def value(config, step):
        calls.append(step)
        if trouble and len(calls) == 4:
            raise MemoryError
        return config["x"]

    calls = []
    InlineExecutor().run(coordinator, FunctionWork(value))
    rows = stops_of(coordinator.history, store.read("test"), limits_of(max_trials=4), 4.0)
    groups = {coordinator.history.trials[row.trial].group for row in rows}
    assert all(
        member.state == "stopped" for group in groups for member in coordinator.history.group(group).members
    )
    assert len(rows) == 2 * len(groups) > 0
    failed = [trial for trial in coordinator.history if trial.state == "failed"]
    assert [trial.reason for trial in failed] == ["MemoryError()"] * trouble
    assert not {trial.group for trial in failed} & groups


def test_of_a_sweep_that_went_on_since_only_what_the_history_holds_counts():
    history, events = random_sweeps.sweep(MedianStopping(min_trials=2), 3, trials=20, max_budget=FULL)
    rows = stops_of(history, events, limits_of(), FULL)
    places = [place for place, event in enumerate(events) if isinstance(event, TrialEnded)]
    early = History(history.objective)
    early.extend(events[: places[len(places) // 2]])
    found = stops_of(early, events, limits_of(), FULL)
    assert 0 < len(found) < len(rows)
    assert found == [row for row in rows if row in found]


def test_a_sweep_in_which_every_trial_trained_to_the_end_has_none():
    history, events = random_sweeps.sweep(FullBudget(), 0, trials=6, max_budget=FULL)
    assert stops_of(history, events, limits_of(), FULL) == []
    nothing = History(Objective.of("value"))
    assert stops_of(nothing, [], limits_of(), Budget(full=FULL).full) == []
