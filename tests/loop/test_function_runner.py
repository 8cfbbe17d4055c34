"""One function, leg by leg: what is reported, how a leg ends, what stays alive between two of them."""

import gc
import math
import weakref

import numpy as np
import pytest
import torch

from lightning_tune.core.space import Float, Space
from lightning_tune.errors import ArgumentError, MonitorError, StoreError
from lightning_tune.execute import InlineExecutor
from lightning_tune.loop.function_runner import FunctionRunner, checked
from lightning_tune.schedule import Hyperband, SuccessiveHalving
from lightning_tune.schedule.rungs import hyperband_brackets
from lightning_tune.search import RandomSearch
from lightning_tune.store import MemoryStore
from lightning_tune.testing.functions import make_coordinator

SPACE = Space({"x": Float(0.0, 1.0)})


def run(function, *, max_trials=1, needs_steps=None, runner=None, **settings):
    """Run a sweep and return its history."""
    sweep = make_coordinator(SPACE, RandomSearch(), max_trials=max_trials, **settings)
    InlineExecutor().run(sweep, runner or FunctionRunner(function, ["value"], needs_steps))
    return sweep.history


def steps_of(trial):
    return [(report.step, report.value) for report in trial.reports]


def endless(config):
    step = 0
    while True:
        step += 1
        yield config["x"] / step


def test_a_value_is_one_report_and_the_trial_is_complete():
    (trial,) = run(lambda config: 0.25, max_budget=math.inf)
    assert (trial.state, trial.reason, steps_of(trial)) == ("completed", "evaluated", [(1.0, 0.25)])
    assert trial.metrics == {"value": 0.25}


def test_a_generator_is_a_report_a_step_and_is_not_asked_beyond_its_budget():
    asked = []

    def noting(config):
        for step in range(1, 100):
            asked.append(step)
            yield 1.0 / step

    (trial,) = run(noting, max_budget=3.0)
    assert asked == [1, 2, 3]
    assert steps_of(trial) == [(1.0, 1.0), (2.0, 0.5), (3.0, 1 / 3)]
    assert (trial.state, trial.reason) == ("completed", "reached 3 steps")


@pytest.mark.parametrize(("budget", "reason"), [(5.0, "ended at step 2 of 5"), (math.inf, "ended at step 2")])
def test_a_generator_may_end_before_its_budget(budget, reason):
    (trial,) = run(lambda config: iter([0.5, 0.25]), max_budget=budget)
    assert (trial.state, trial.reason, trial.score) == ("completed", reason, 0.25)


def test_a_function_may_change_its_configuration():
    def careless(config):
        return config.pop("x")

    (trial,) = run(careless)
    assert trial.config == {"x": trial.score}


def test_under_hyperband_every_step_is_evaluated_once_and_as_many_as_the_brackets_say():
    """Counted three times: by the function, by the store, and by the arithmetic of the rungs."""
    evaluated = []

    def counting(config):
        for step in range(1, 10**6):
            evaluated.append((config["x"], step))
            yield config["x"] + 1.0 / step

    schedule = Hyperband(eta=3)
    brackets = hyperband_brackets(1, 27, 3, whole=True)
    trials = sum(bracket.size for bracket in brackets)
    history = run(counting, max_trials=trials, schedule=schedule, max_budget=27.0)
    recorded = [(trial.config["x"], step) for trial in history for step, _ in steps_of(trial)]
    assert sorted(evaluated) == sorted(recorded)
    assert len(set(evaluated)) == len(evaluated) == sum(bracket.spent(resumes=True) for bracket in brackets)
    assert {trial.state for trial in history} == {"completed", "stopped"}


def test_a_paused_generator_is_the_same_one_and_goes_when_its_trial_is_stopped():
    made = []

    class Noted:
        """Something whose end can be seen."""

    def holding(config):
        thing = Noted()
        made.append(weakref.ref(thing))
        for _ in range(10):
            yield config["x"] if thing else 0.0

    alive = []

    class Watching(FunctionRunner):
        def __call__(self, task, channel):
            super().__call__(task, channel)
            alive.append(sum(thing() is not None for thing in made))

    runner = Watching(holding, ["value"])
    schedule = SuccessiveHalving(4, min_budget=1, eta=2, max_budget=4)
    history = run(holding, max_trials=4, schedule=schedule, max_budget=4.0, runner=runner)
    assert len(made) == 4  # one a trial, however many legs
    assert sum(len(trial.legs) for trial in history) > 4
    assert max(alive) == 4
    gc.collect()
    assert alive[-1] == 0


def test_after_a_restart_a_generator_is_played_to_where_it_was_and_nothing_is_recorded_twice():
    store, schedule = MemoryStore(), SuccessiveHalving(4, min_budget=1, eta=2, max_budget=4)
    unbroken = run(endless, max_trials=4, schedule=schedule, max_budget=4.0)
    left = iter(range(5))

    def killed(config):
        for value in endless(config):
            if next(left, None) is None:
                raise KeyboardInterrupt
            yield value

    with pytest.raises(KeyboardInterrupt):
        run(killed, max_trials=4, schedule=schedule, max_budget=4.0, store=store)
    history = run(endless, max_trials=4, schedule=schedule, max_budget=4.0, store=store)
    assert [steps_of(trial) for trial in history] == [steps_of(trial) for trial in unbroken]
    assert [trial.state for trial in history] == [trial.state for trial in unbroken]


def test_what_raises_is_a_failed_trial_with_the_users_own_line():
    def bad(config):
        yield 1.0
        raise RuntimeError("no luck")

    history = run(bad, max_trials=2, max_budget=3.0)
    (first, _) = history
    line = bad.__code__.co_firstlineno + 2
    assert first.state == "failed"
    assert first.reason == f"RuntimeError: no luck (test_function_runner.py:{line})"
    assert first.error.startswith("Traceback")
    assert (first.cause, first.step) == ("exception", 1.0)


@pytest.mark.parametrize(
    "error", [MemoryError("too much"), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")]
)
def test_running_out_of_memory_is_an_outcome_of_its_own(error):
    def large(config):
        raise error

    (trial,) = run(large)
    assert (trial.state, trial.cause) == ("failed", "out_of_memory")
    assert trial.reason == f"out of memory: {error}"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_fails_the_trial_and_ends_its_generator(value):
    (trial,) = run(lambda config: iter([0.5, value, 0.1]), max_budget=3.0)
    assert (trial.state, trial.cause, trial.step) == ("failed", "diverged", 2.0)
    assert trial.reason == f"diverged: value is {value}"


@pytest.mark.parametrize("value", [None, "0.5", [0.5], (0.5, 0.5), {}, 1j])
def test_what_is_no_number_is_named(value):
    (trial,) = run(lambda config: value)
    assert (trial.state, trial.cause) == ("failed", "exception")
    assert trial.reason == f"TypeError: a value must be a number, got {value!r}"


def test_numbers_of_any_kind_are_numbers():
    for value in (1, True, np.float32(1.0), np.int64(1), np.array(1.0), torch.tensor(1.0)):
        assert checked(value, ["value"]) == (1.0,)
    assert checked((1, np.float64(2.0)), ["a", "b"]) == (1.0, 2.0)
    with pytest.raises(TypeError, match=r"a value must be a tuple of 2 numbers, got 1\.0"):
        checked(1.0, ["a", "b"])
    with pytest.raises(TypeError, match=r"a tuple of 2 numbers, got \('1', 2\)"):
        checked(("1", 2), ["a", "b"])


def test_a_generator_without_any_value_says_so_at_once():
    with pytest.raises(MonitorError, match="`function` is a generator that yielded no value"):
        run(lambda config: iter(()), max_trials=9)


def test_a_schedule_with_rungs_needs_a_generator_and_says_so_at_the_first_trial():
    called = []
    with pytest.raises(ArgumentError, match=r"must be a generator .* since `schedule=ASHA` .* returned 0.5"):
        run(lambda config: called.append(1) or 0.5, max_trials=9, needs_steps="`schedule=ASHA`")
    assert len(called) == 1


def test_our_own_refusals_are_mistakes_of_the_caller_not_outcomes():
    def nested(config):
        raise ArgumentError("`seed` must be an integer")

    def later(config):
        yield 1.0
        raise ArgumentError("`seed` must be an integer")

    for function in (nested, later):
        with pytest.raises(ArgumentError, match="`seed`"):
            run(function, max_budget=2.0)


def test_a_store_that_fails_ends_the_sweep_and_not_the_trial(monkeypatch):
    sweep = make_coordinator(SPACE, RandomSearch(), max_trials=1)

    def full(*args, **kwargs):
        raise StoreError("the disk is full")

    monkeypatch.setattr(sweep.journal.store, "transaction", full)
    with pytest.raises(StoreError, match="disk is full"):
        InlineExecutor().run(sweep, FunctionRunner(lambda config: 1.0, ["value"]))


def test_an_interrupt_pauses_a_generator_between_two_steps():
    sweep = make_coordinator(SPACE, RandomSearch(), max_trials=1, max_budget=9.0)

    def interrupted(config):
        yield 1.0
        sweep.interrupt("Ctrl-C")
        yield 0.5
        raise AssertionError("it was asked for a third value")

    assert InlineExecutor().run(sweep, FunctionRunner(interrupted, ["value"])) == "Ctrl-C"
    (trial,) = sweep.history
    assert (trial.state, trial.step) == ("paused", 2.0)


def test_an_interrupt_lets_a_plain_call_end_so_that_it_is_not_called_again():
    sweep = make_coordinator(SPACE, RandomSearch(), max_trials=2, max_budget=9.0)

    def interrupted(config):
        sweep.interrupt("Ctrl-C")
        return 1.0

    InlineExecutor().run(sweep, FunctionRunner(interrupted, ["value"]))
    assert [(trial.state, trial.score) for trial in sweep.history] == [("completed", 1.0)]


def test_a_target_ends_the_generator_that_met_it():
    (trial,) = run(lambda config: iter([0.5, 0.05, 0.01]), max_trials=1, max_budget=3.0, target=0.1)
    assert (trial.state, trial.step, trial.reason) == ("stopped", 2.0, "target 0.1 reached: 0.05")
