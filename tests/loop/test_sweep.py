"""Asking and telling by hand: in any order, from threads and processes, across restarts."""

import inspect
import math
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from lightning_tune.core.events import TrialEnded
from lightning_tune.core.space import Choice, Float
from lightning_tune.errors import (
    ArgumentError,
    SpaceError,
    StoreError,
    SweepBusyError,
    SweepExistsError,
    SweepFailedError,
)
from lightning_tune.loop.sweep import Asked, Sweep
from lightning_tune.loop.tune_loop import TuneLoop
from lightning_tune.schedule import SuccessiveHalving
from lightning_tune.schedule.rungs import halving_bracket
from lightning_tune.search import RandomSearch, TPESearch
from lightning_tune.store import MemoryStore, open_store

SPACE = {"x": Float(-1.0, 1.0), "kind": Choice(["a", "b"])}


def sweep_of(**settings):
    return Sweep(SPACE, **{"search": "random", "max_trials": 4, **settings})


def square(config):
    return config["x"] ** 2


def all_of(sweep, function=square):
    """Ask and tell until there is nothing more; return the configurations."""
    configs = []
    while (asked := sweep.ask()) is not None:
        configs.append(asked.config)
        sweep.tell(asked, function(asked.config))
    return configs


def facts(sweep):
    return [
        (trial.number, trial.config, trial.seed, trial.state, trial.score) for trial in sweep.result.trials
    ]


# -- one after another


def test_asking_and_telling_is_a_sweep_with_a_result():
    with sweep_of() as sweep:
        configs = all_of(sweep)
        assert sweep.reason == "4 trials"
    result = sweep.result
    assert [trial.config for trial in result.trials] == configs
    assert result.best.score == min(map(square, configs))
    assert {trial.reason for trial in result.trials} == {"evaluated"}
    assert result.reason == "4 trials"


def test_what_is_told_comes_back_as_an_outcome():
    with sweep_of(mode="max") as sweep:
        outcome = sweep.tell(sweep.ask(), 0.5)
        assert (outcome.state, outcome.score, outcome.step) == ("completed", 0.5, 1.0)
        outcome = sweep.tell(sweep.ask(), math.nan)
        assert (outcome.state, outcome.cause, outcome.reason) == (
            "failed",
            "diverged",
            "diverged: value is nan",
        )


def test_a_list_is_a_value_a_step_and_a_target_met_on_the_way_ends_it():
    with sweep_of(target=0.1, max_budget=5) as sweep:
        first = sweep.ask()
        assert (first.step, first.budget, first.final) == (0.0, 5.0, True)
        outcome = sweep.tell(first, [0.9, 0.8, 0.85])
        assert (outcome.state, outcome.score, outcome.reason) == ("completed", 0.8, "ended at step 3 of 5")
        outcome = sweep.tell(sweep.ask(), [0.9, 0.05, 0.01])
        assert (outcome.state, outcome.score, outcome.step) == ("stopped", 0.05, 2.0)
        assert sweep.ask() is None
        assert sweep.reason == "target 0.1 reached: 0.05"


def test_rungs_say_how_far_and_a_number_is_told_for_the_whole_way():
    """Every leg is told by one number at its budget; the rungs that come of it are counted apart."""
    schedule = SuccessiveHalving(8, min_budget=1, eta=2, max_budget=8)
    evaluated = 0.0
    with sweep_of(schedule=schedule, max_trials=None, max_budget=8) as sweep:
        while (asked := sweep.ask()) is not None:
            evaluated += asked.budget - asked.step
            sweep.tell(asked, abs(asked.config["x"]) + 1 / asked.budget)
        steps = sorted(trial.epochs for trial in sweep.result.trials)
    assert steps == [1, 1, 1, 1, 2, 2, 4, 8]
    assert evaluated == halving_bracket(8, 1, 8, 2, whole=True).spent(resumes=True)
    best = min(sweep.result.trials, key=lambda trial: abs(trial.config["x"]))
    assert best.epochs == 8


def test_what_cannot_be_evaluated_is_a_failed_trial_and_too_many_end_the_sweep():
    with sweep_of(max_trials=9) as sweep:
        outcome = sweep.fail(sweep.ask(), "the machine is gone")
        assert (outcome.state, outcome.cause, outcome.reason) == (
            "failed",
            "exception",
            "the machine is gone",
        )
        sweep.fail(sweep.ask(), "again")
        last = sweep.ask()
        with pytest.raises(SweepFailedError, match="first 3 trials all raised; the last: once more"):
            sweep.fail(last, "once more")


# -- several at a time


def test_several_are_asked_for_before_any_is_told_and_they_are_told_in_any_order():
    with sweep_of() as sweep:
        asked = [sweep.ask() for _ in range(4)]
        assert len({one.trial for one in asked}) == 4
        assert sweep.ask() is None
        assert sweep.reason == "4 trials"
        for one in reversed(asked):
            sweep.tell(one, square(one.config))
        assert sweep.ask() is None
        assert [trial.score for trial in sweep.result.trials] == [square(one.config) for one in asked]


def test_where_a_rung_is_not_full_there_is_nothing_until_another_is_told():
    schedule = SuccessiveHalving(2, min_budget=1, eta=2, max_budget=2)
    with sweep_of(schedule=schedule, max_trials=None) as sweep:
        one, other = sweep.ask(), sweep.ask()
        sweep.tell(other, 0.5)
        assert sweep.ask() is None
        assert sweep.reason == "a rung is not full yet"
        assert sweep.tell(one, 0.25).state == "paused"
        again = sweep.ask()
        assert (again.trial, again.leg, again.step, again.budget) == (one.trial, 1, 1.0, 2.0)


def test_searchers_see_what_is_asked_and_do_not_propose_it_again():
    with Sweep({"n": Choice([1, 2, 3, 4, 5, 6])}, search="random") as sweep:
        asked = [sweep.ask() for _ in range(6)]
        assert sorted(one.config["n"] for one in asked) == [1, 2, 3, 4, 5, 6]
        assert sweep.ask() is None


def test_threads_ask_evaluate_and_tell_at_the_same_time(tmp_path):
    together = threading.Barrier(4, timeout=30)

    def work(sweep):
        while (asked := sweep.ask()) is not None:
            together.wait()  # four evaluations are under way at once, or this times out
            sweep.tell(asked, square(asked.config))

    with sweep_of(max_trials=20, store=tmp_path / "sweep.db", name="threads") as sweep:
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(work, sweep) for _ in range(4)]:
                done.result()
        trials = sweep.result.trials
    assert [trial.number for trial in trials] == list(range(20))
    assert [trial.score for trial in trials] == [square(trial.config) for trial in trials]


def test_processes_of_a_pool_evaluate_what_is_asked():
    with sweep_of(max_trials=6) as sweep, ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        asked = [sweep.ask() for _ in range(6)]
        for one, value in zip(asked, pool.map(abs, [one.config["x"] for one in asked]), strict=True):
            sweep.tell(pickle.loads(pickle.dumps(one)), value)
    assert [trial.score for trial in sweep.result.trials] == [abs(one.config["x"]) for one in asked]


# -- what may not be told


def test_a_trial_is_told_once():
    with sweep_of() as sweep:
        asked = sweep.ask()
        sweep.tell(asked, 1.0)
        for again in (lambda: sweep.tell(asked, 0.5), lambda: sweep.fail(asked, "late")):
            with pytest.raises(ArgumentError, match="trial 0 was told already, and is completed"):
                again()
        assert sweep.result.best.score == 1.0
        events = list(sweep.coordinator.journal.store.read(sweep.result.name))
        assert sum(isinstance(event, TrialEnded) for event in events) == 1


def test_a_leg_is_told_once():
    schedule = SuccessiveHalving(1, min_budget=1, eta=2, max_budget=2)
    with sweep_of(schedule=schedule, max_trials=2) as sweep:
        first, second = sweep.ask(), sweep.ask()
        sweep.tell(first, 1.0)
        with pytest.raises(ArgumentError, match="told already"):
            sweep.tell(first, 1.0)
        sweep.tell(second, 1.0)


@pytest.mark.parametrize("number", [-1, 1, 7])
def test_what_was_never_asked_for_is_refused(number):
    with sweep_of() as sweep:
        asked = sweep.ask()
        unknown = Asked(
            trial=number, leg=0, config=asked.config, seed=0, step=0.0, budget=math.inf, final=True
        )
        with pytest.raises(ArgumentError, match=f"its trial {number} is not there"):
            sweep.tell(unknown, 1.0)


def test_what_another_sweep_asked_for_is_refused():
    with sweep_of() as sweep, sweep_of(seed=1) as other:
        sweep.ask()
        with pytest.raises(ArgumentError, match="its trial 0 has another configuration"):
            sweep.tell(other.ask(), 1.0)


@pytest.mark.parametrize("value", [None, "1", {}, (1.0, 2.0), ["1"], [[1.0]]])
def test_a_value_that_is_none_is_refused_and_the_trial_stays_open(value):
    with sweep_of() as sweep:
        asked = sweep.ask()
        with pytest.raises(ArgumentError, match="`value` for trial 0: a value must be a number, got"):
            sweep.tell(asked, value)
        assert sweep.tell(asked, 1.0).state == "completed"


@pytest.mark.parametrize("value", [[], [1.0] * 4])
def test_more_values_than_steps_are_refused(value):
    with sweep_of(max_budget=3) as sweep:
        with pytest.raises(ArgumentError, match="a list of them, one a step, of at most 3, got"):
            sweep.tell(sweep.ask(), value)
        assert sweep.result.trials[0].reports == []


# -- several objectives


def test_several_objectives_are_told_as_a_tuple():
    with sweep_of(mode=["min", "max"], score=lambda values: values[0] - values[1]) as sweep:
        assert sweep.names == ("value_0", "value_1")
        asked = sweep.ask()
        with pytest.raises(ArgumentError, match="must be a tuple of 2 numbers, got 1.0"):
            sweep.tell(asked, 1.0)
        outcome = sweep.tell(asked, (3.0, 1.0))
        assert outcome.score == 2.0
        assert sweep.result.trials[0].reports[0].values == (3.0, 1.0)


# -- across restarts


@pytest.mark.parametrize("search", [RandomSearch(), TPESearch()])
@pytest.mark.parametrize("stop", [1, 13, 29])
def test_closed_half_way_it_goes_on_to_the_same_thirty_configurations(tmp_path, search, stop):
    settings = {"search": search, "max_trials": 30}
    with sweep_of(**settings) as unbroken:
        all_of(unbroken)
    settings |= {"store": tmp_path / "sweep.db", "name": "half"}
    with sweep_of(**settings) as first:
        for _ in range(stop):
            asked = first.ask()
            first.tell(asked, square(asked.config))
    with sweep_of(**settings) as second:
        assert len(all_of(second)) == 30 - stop
        assert facts(second) == facts(unbroken)


def test_what_was_asked_for_but_not_told_is_asked_for_again(tmp_path):
    settings = {"store": tmp_path / "sweep.db", "name": "again"}
    with sweep_of(**settings) as first:
        asked = [first.ask() for _ in range(3)]
        first.tell(asked[1], 1.0)
    with sweep_of(**settings) as second:
        assert [second.ask(), second.ask()] == [asked[0], asked[2]]
        assert second.ask().trial == 3


def test_what_was_asked_for_before_a_restart_may_be_told_after_it(tmp_path):
    settings = {"store": tmp_path / "sweep.db", "name": "later"}
    with sweep_of(**settings) as first:
        asked = pickle.loads(pickle.dumps(first.ask()))
    with sweep_of(**settings) as second:
        assert second.tell(asked, 0.5).state == "completed"
        assert second.ask().trial == 1


def test_a_leg_whose_values_are_all_there_is_not_asked_for_again():
    """Killed between the report and the end of the leg: nothing is left to evaluate."""
    store = MemoryStore()
    schedule = SuccessiveHalving(2, min_budget=1, eta=2, max_budget=2)
    settings = {"schedule": schedule, "max_trials": None, "store": store, "name": "killed"}
    with sweep_of(**settings) as first:
        asked = first.ask()
        first.coordinator.report(asked.trial, asked.leg, asked.budget, (0.5,), {"value": 0.5})
    with sweep_of(**settings) as second:
        following = second.ask()
        assert following.trial == 1
        assert second.result.trials[0].state == "paused"
        second.tell(following, 1.0)
        assert second.ask().trial == 0  # the better one goes on


def test_a_number_that_was_recorded_before_a_kill_is_not_recorded_twice():
    store = MemoryStore()
    settings = {"store": store, "name": "killed"}
    with sweep_of(**settings) as first:
        asked = first.ask()
        first.coordinator.report(asked.trial, asked.leg, 1.0, (0.5,), {"value": 0.5})
    with sweep_of(**settings) as second:
        again = second.ask()
        assert (again.trial, again.step) == (0, 1.0)
        second.tell(again, 0.5)
        assert len(second.result.trials[0].reports) == 1


def test_a_closed_sweep_says_how_to_go_on(tmp_path):
    with sweep_of(store=tmp_path / "sweep.db", name="closed") as sweep:
        asked = sweep.ask()
    for late in (sweep.ask, lambda: sweep.tell(asked, 1.0), lambda: sweep.fail(asked, "no")):
        with pytest.raises(StoreError, match="was closed: make it again with the same `store=` and `name=`"):
            late()
    sweep.close()
    assert len(sweep.result.trials) == 1


def test_a_store_of_the_callers_own_stays_open():
    with MemoryStore() as store:
        with sweep_of(store=store, name="own") as sweep:
            all_of(sweep)
        assert [record.name for record in store.sweeps()] == ["own"]


def test_without_a_name_each_is_a_sweep_of_its_own(tmp_path):
    with sweep_of(store=tmp_path / "sweep.db") as first, sweep_of(store=tmp_path / "sweep.db") as second:
        all_of(first), all_of(second)
    with sweep_of(store=tmp_path / "sweep.db") as third:
        all_of(third)
    with open_store(tmp_path / "sweep.db") as store:
        names = [record.name for record in store.sweeps()]
    assert names == [sweep.result.name for sweep in (first, second, third)]
    assert len(set(names)) == 3


def test_a_sweep_is_run_once_at_a_time_and_must_stay_the_same(tmp_path):
    settings = {"store": tmp_path / "sweep.db", "name": "busy"}
    with sweep_of(**settings) as sweep:
        all_of(sweep)
        with pytest.raises(SweepBusyError):
            sweep_of(**settings)
    with pytest.raises(SweepExistsError, match="mode: \\['min'\\] there, \\['max'\\] here"):
        sweep_of(mode="max", **settings)
    with pytest.raises(SweepExistsError, match="space: "):
        Sweep({"x": Float(-2.0, 1.0)}, search="random", max_trials=4, **settings)
    with sweep_of(**settings, mode="max", overwrite=True) as anew:
        assert anew.result.trials == []


# -- arguments


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_trials": None}, "nothing ends this sweep"),
        ({"mode": "least"}, "`mode` must be 'min' or 'max'"),
        ({"mode": ["min", "least"]}, "`mode` must be 'min' or 'max'"),
        ({"mode": []}, "`mode` must be 'min' or 'max', or a list of these, one an objective, got \\[\\]"),
        ({"mode": None}, "`mode` must be 'min' or 'max', or a list of these, one an objective, got None"),
        ({"search": "luck"}, "`search` must be one of"),
        ({"schedule": "population"}, "`schedule` must not be PopulationBased"),
        ({"schedule": "hyperband"}, "`max_budget` of Hyperband must be given: it is counted in steps"),
        ({"max_budget": 0}, "`max_budget` must be an integer of at least 1, got 0"),
        ({"max_budget": 2.5}, "`max_budget` must be an integer of at least 1, got 2.5"),
        ({"name": "../up"}, "`name` must be 1 to 100 letters"),
        ({"baseline": {"x": 7.0, "kind": "a"}}, "`baseline` is not a configuration"),
        ({"constraint": lambda config: False, "baseline": {"x": 0.0, "kind": "a"}}, "refuses the baseline"),
        ({"max_failures": -1}, "`max_failures` must be an integer"),
        ({"store": 7}, "store"),
    ],
)
def test_arguments_are_checked_before_anything_is_asked(settings, message):
    with pytest.raises(ArgumentError, match=message):
        sweep_of(**settings)


def test_a_space_must_not_be_empty():
    with pytest.raises(SpaceError):
        Sweep({}, max_trials=1)


def test_arguments_that_tune_loop_has_too_are_spelt_and_preset_as_there():
    ours, theirs = (inspect.signature(thing).parameters for thing in (Sweep, TuneLoop))
    common = ours.keys() & theirs.keys()
    assert common == ours.keys() - {"max_budget"}
    for name in common:
        assert (ours[name].default, ours[name].annotation) == (theirs[name].default, theirs[name].annotation)


def test_what_is_no_evaluation_is_refused():
    with Sweep(SPACE, search="random", max_trials=3) as sweep:
        asked = sweep.ask()
        for wrong in (asked.config, 0, None):
            with pytest.raises(ArgumentError, match="`asked` must be what `ask` of this sweep returned, got"):
                sweep.tell(wrong, 1.0)
            with pytest.raises(ArgumentError, match="`asked` must be what `ask` of this sweep returned, got"):
                sweep.fail(wrong, "no")
        with pytest.raises(ArgumentError, match="`reason` must be a sentence, or what was raised, got None"):
            sweep.fail(asked, None)
        assert sweep.fail(asked, ValueError("too wide")).reason == "ValueError: too wide"
        assert [trial.state for trial in sweep.result.trials] == ["failed"]


def test_the_best_few_are_a_number():
    with Sweep(SPACE, search="random", max_trials=3) as sweep, pytest.raises(ArgumentError, match="`count`"):
        sweep.result.top("a")
