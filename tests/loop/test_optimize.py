"""A whole search over a plain function, as a user writes it."""

import inspect
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
import typing

import numpy as np
import pytest
import torch

from lightning_tune.core.space import Choice, Float, Int
from lightning_tune.errors import ArgumentError, CheckpointError, SweepExistsError, SweepFailedError
from lightning_tune.execute import InlineExecutor
from lightning_tune.loop.optimize import SweepArguments, optimize
from lightning_tune.loop.result import Result
from lightning_tune.loop.sweep import Sweep
from lightning_tune.schedule import ASHA, Hyperband
from lightning_tune.schedule.rungs import hyperband_brackets
from lightning_tune.search import TPESearch
from lightning_tune.store import MemoryStore

SPACE = {"x": Float(-2.0, 2.0), "n": Int(1, 9), "kind": Choice({"a": {}, "b": {"y": Float(0.0, 1.0)}})}


def bowl(config):
    return config["x"] ** 2 + config["n"] + config.get("y", 0.5)


def steps(config):
    for step in range(1, 100):
        yield bowl(config) + 10 / step


def facts(result):
    return [
        (
            trial.config,
            trial.seed,
            trial.state,
            trial.score,
            trial.reason,
            [(r.step, r.values) for r in trial.reports],
        )
        for trial in result.trials
    ]


def test_it_finds_the_minimum_and_gives_a_result():
    result = optimize(bowl, SPACE, search=TPESearch(), max_trials=60)
    assert isinstance(result, Result)
    assert result.best.score == min(bowl(trial.config) for trial in result.trials) < 1.7
    assert result.best.config["n"] == 1
    assert len(result.trials) == 60
    assert result.reason == "60 trials"


def test_the_largest_is_the_best_with_mode_max():
    result = optimize(bowl, SPACE, mode="max", search="random", max_trials=20)
    assert result.best.score == max(bowl(trial.config) for trial in result.trials)


def test_a_table_has_a_row_a_trial_and_counts_steps():
    result = optimize(steps, SPACE, search="random", max_trials=3, max_budget=4)
    frame = result.dataframe()
    assert frame["score"].tolist() == [bowl(trial.config) + 2.5 for trial in result.trials]
    assert frame["steps"].tolist() == frame["best_step"].tolist() == [4.0, 4.0, 4.0]
    assert frame["metrics.value"].tolist() == frame["score"].tolist()
    assert {"config.x", "config.y", "state", "reason", "seed", "seconds"} <= set(frame.columns)


def test_there_are_no_weights_to_load_and_it_says_so():
    best = optimize(bowl, SPACE, search="random", max_trials=1).best
    assert best.checkpoint is None
    with pytest.raises(CheckpointError, match="trial 0 has no checkpoint: it called a function"):
        best.load(object)


def test_the_baseline_comes_first_and_the_constraint_is_kept():
    baseline = {"x": 0.0, "n": 1, "kind": "a"}
    result = optimize(
        bowl,
        SPACE,
        search="random",
        baseline=baseline,
        constraint=lambda config: config["x"] >= 0,
        max_trials=15,
    )
    assert result.trials[0].config == baseline
    assert all(trial.config["x"] >= 0 for trial in result.trials)


def test_target_and_patience_end_it():
    reached = optimize(bowl, SPACE, search="random", max_trials=500, target=2.0)
    assert reached.reason.startswith("target 2 reached")
    assert [trial.score <= 2.0 for trial in reached.trials] == [False] * (len(reached.trials) - 1) + [True]
    patient = optimize(lambda config: 1.0, SPACE, search="random", patience=4)
    assert (len(patient.trials), patient.reason) == (5, "no improvement in the last 4 trials")


def test_repeats_are_averaged():
    values = iter([1.0, 3.0, 2.5, 2.5])
    result = optimize(
        lambda config: next(values), SPACE, search="random", max_trials=2, repeats=2, mode="max"
    )
    assert [trial.group for trial in result.trials] == [0, 0, 2, 2]
    assert result.history.best_group.number == 2


def test_several_objectives_are_a_tuple():
    result = optimize(
        lambda config: (config["x"], config["n"]),
        SPACE,
        mode=["min", "max"],
        score=lambda values: values[0] - values[1],
        search="random",
        max_trials=10,
    )
    wanted = [trial.config["x"] - trial.config["n"] for trial in result.trials]
    assert result.best.score == min(wanted)
    assert [trial.reports[0].values for trial in result.trials] == [
        (trial.config["x"], trial.config["n"]) for trial in result.trials
    ]


# -- schedules


def test_hyperband_evaluates_no_step_twice_and_no_more_than_its_brackets():
    evaluated = []

    def counting(config):
        for step, value in enumerate(steps(config), 1):
            evaluated.append((str(config), step))
            yield value

    result = optimize(counting, SPACE, search="random", schedule="hyperband", max_budget=27)
    brackets = hyperband_brackets(1, 27, 3, whole=True)
    recorded = [(str(trial.config), report.step) for trial in result.trials for report in trial.reports]
    assert len(result.trials) == sum(bracket.size for bracket in brackets)
    assert len(evaluated) == len(set(evaluated)) == sum(bracket.spent(resumes=True) for bracket in brackets)
    assert sorted(evaluated) == sorted(recorded)
    assert result.best.epochs == 27


def test_a_schedule_over_a_plain_function_is_refused_at_the_first_call():
    called = []
    with pytest.raises(
        ArgumentError, match=r"`function` must be a generator .*`schedule=Hyperband` compares"
    ):
        optimize(lambda config: called.append(1) or 1.0, SPACE, schedule=Hyperband(max_budget=9))
    assert len(called) == 1


# -- what goes wrong


def test_what_raises_is_a_failed_trial_with_the_line_it_was_at():
    def fragile(config):
        if config["kind"] == "b":
            raise ZeroDivisionError("no y")
        return bowl(config)

    result = optimize(fragile, SPACE, search="random", max_trials=20, max_failures=20)
    line = fragile.__code__.co_firstlineno + 2
    failed = [trial for trial in result.trials if trial.state == "failed"]
    assert {trial.config["kind"] for trial in failed} == {"b"}
    assert {trial.reason for trial in failed} == {f"ZeroDivisionError: no y (test_optimize.py:{line})"}
    assert "in fragile" in failed[0].error
    assert result.best.config["kind"] == "a"


def test_a_function_that_always_raises_ends_the_search_with_its_cause():
    def broken(config):
        return config["z"]

    with pytest.raises(
        SweepFailedError, match="first 3 trials all raised; the last: KeyError: 'z'"
    ) as caught:
        optimize(broken, SPACE, search="random", max_trials=50)
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(SweepFailedError, match="all 1 trials raised"):
        optimize(broken, SPACE, search="random", max_trials=1)


def test_more_than_max_failures_end_the_search():
    values = iter([1.0, 1.0, None, None, 1.0])
    with pytest.raises(SweepFailedError, match="2 trials raised, and `max_failures` is 1"):
        optimize(lambda config: next(values), SPACE, search="random", max_trials=50, max_failures=1)
    assert next(values) == 1.0


def test_nan_is_an_outcome_however_often_it_comes():
    result = optimize(lambda config: math.nan, SPACE, search="random", max_trials=12)
    assert [trial.state for trial in result.trials] == ["failed"] * 12
    assert result.best is None


def interrupting(times):
    """A function that gets Ctrl-C during its third call."""
    called = []

    def function(config):
        called.append(config)
        if len(called) == 3:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return bowl(config)

    return function


def test_the_first_ctrl_c_gives_the_result_so_far(capfd):
    before = signal.getsignal(signal.SIGINT)
    settings = {"search": "random", "max_trials": 5, "store": MemoryStore(), "name": "once"}
    result = optimize(interrupting(1), SPACE, **settings)
    assert (len(result.trials), result.reason) == (3, "interrupted by Ctrl-C")
    assert result.trials[-1].state == "completed"
    assert signal.getsignal(signal.SIGINT) is before
    assert "Ctrl-C" in capfd.readouterr().err
    assert len(optimize(bowl, SPACE, **settings).trials) == 5


def test_the_second_ctrl_c_raises_and_the_trial_is_begun_again_later(capfd):
    settings = {"search": "random", "max_trials": 5, "store": MemoryStore(), "name": "twice"}
    with pytest.raises(KeyboardInterrupt):
        optimize(interrupting(2), SPACE, **settings)
    assert "Ctrl-C" in capfd.readouterr().err
    result = optimize(bowl, SPACE, **settings)
    assert facts(result) == facts(optimize(bowl, SPACE, search="random", max_trials=5))


# -- going on


def test_what_the_time_cuts_short_goes_on_in_the_next_call():
    def slow(config):
        for value in steps(config):
            time.sleep(0.03)
            yield value

    settings = {"search": "random", "max_trials": 3, "max_budget": 9}
    kept = {**settings, "store": MemoryStore(), "name": "slow", "max_time": 0.1}
    first = optimize(slow, SPACE, **kept)
    assert first.reason.startswith("max_time of")
    assert [trial.state for trial in first.trials] == ["paused"]
    assert optimize(slow, SPACE, **{**kept, "max_time": 60}).reason == "3 trials"
    again = optimize(slow, SPACE, **kept)
    assert facts(again) == facts(optimize(steps, SPACE, **settings))


@pytest.mark.parametrize("killed_at", [0, 1, 8, 17, 29])
@pytest.mark.parametrize("search", ["random", TPESearch()])
def test_killed_at_any_call_it_ends_as_if_it_had_not_been(tmp_path, search, killed_at):
    settings = {"search": search, "max_trials": 30, "seed": 4}
    unbroken = optimize(bowl, SPACE, **settings)
    left = iter(range(killed_at))

    def killed(config):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return bowl(config)

    settings |= {"store": tmp_path / "sweep.db", "name": "killed"}
    with pytest.raises(KeyboardInterrupt):
        optimize(killed, SPACE, **settings)
    assert facts(optimize(bowl, SPACE, **settings)) == facts(unbroken)


@pytest.mark.parametrize("killed_at", [1, 20, 38])
@pytest.mark.parametrize("schedule", ["hyperband", "asha", "median", ASHA(stopping=True)])
def test_killed_under_a_schedule_it_ends_as_if_it_had_not_been(tmp_path, schedule, killed_at):
    settings = {"search": TPESearch(), "schedule": schedule, "max_trials": 16, "max_budget": 9}
    unbroken = optimize(steps, SPACE, **settings)
    left = iter(range(killed_at))

    def killed(config):
        for value in steps(config):
            if next(left, None) is None:
                raise KeyboardInterrupt
            yield value

    settings |= {"store": tmp_path / "sweep.db", "name": "killed"}
    with pytest.raises(KeyboardInterrupt):
        optimize(killed, SPACE, **settings)
    assert facts(optimize(steps, SPACE, **settings)) == facts(unbroken)


def test_a_process_that_was_killed_for_good_goes_on(tmp_path):
    script = f"""
        import os, signal
        from lightning_tune.core.space import Float
        from lightning_tune.loop.optimize import optimize

        calls = []
        def function(config):
            calls.append(1)
            if len(calls) == 7:
                os.kill(os.getpid(), signal.SIGKILL)
            return config["x"] ** 2

        optimize(
            function, {{"x": Float(-2.0, 2.0)}}, search="random", max_trials=10,
            store={str(tmp_path / "sweep.db")!r}, name="killed",
        )
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL
    called = []

    def function(config):
        called.append(config)
        return config["x"] ** 2

    settings = {"search": "random", "max_trials": 10}
    space = {"x": Float(-2.0, 2.0)}
    result = optimize(function, space, store=tmp_path / "sweep.db", name="killed", **settings)
    assert len(called) == 4  # the one that was cut short, and the three that had not begun
    assert facts(result) == facts(optimize(function, space, **settings))


def test_more_trials_are_added_and_the_same_name_must_be_the_same_search(tmp_path):
    settings = {"search": "random", "store": tmp_path / "sweep.db", "name": "more"}
    optimize(bowl, SPACE, max_trials=5, **settings)
    called = []
    result = optimize(lambda config: called.append(1) or bowl(config), SPACE, max_trials=8, **settings)
    assert (len(result.trials), len(called)) == (8, 3)
    with pytest.raises(SweepExistsError, match="seed: 0 there, 1 here"):
        optimize(bowl, SPACE, max_trials=8, seed=1, **settings)


def test_the_same_seed_gives_the_same_search_and_another_one_another():
    first, second, other = (
        facts(optimize(bowl, SPACE, search="random", max_trials=8, seed=seed)) for seed in (3, 3, 4)
    )
    assert first == second != other


# -- where and how


@pytest.mark.parametrize("workers", [0, 2, True, "many"])
def test_workers_that_there_are_not_are_refused_with_a_way_out(workers):
    with pytest.raises(
        ArgumentError, match=r"`workers` must be 1, got .*`Sweep` is the same search by halves"
    ):
        optimize(bowl, SPACE, max_trials=3, workers=workers)


def test_an_executor_may_be_given():
    class Counting(InlineExecutor):
        tasks = 0

        def run(self, coordinator, work):
            def counted(task, channel):
                self.tasks += 1
                work(task, channel)

            return super().run(coordinator, counted)

    executor = Counting()
    optimize(bowl, SPACE, search="random", max_trials=4, executor=executor)
    assert executor.tasks == 4


def test_what_cannot_be_called_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ArgumentError, match="`function` must be a callable"):
        optimize(3.0, SPACE, max_trials=3, store=tmp_path / "sweep.db")
    assert not (tmp_path / "sweep.db").exists()


def test_an_argument_that_does_not_exist_is_an_error():
    with pytest.raises(TypeError, match="max_trails"):
        optimize(bowl, SPACE, max_trails=3)


def test_help_shows_every_argument_and_each_is_described():
    shown = inspect.signature(optimize).parameters
    assert list(shown)[:4] == ["function", "space", "workers", "executor"]
    sweep = {name: p for name, p in inspect.signature(Sweep).parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert {name: shown[name].default for name in sweep} == {name: p.default for name, p in sweep.items()}
    assert list(shown)[4:] == list(sweep)
    for name in sweep:
        assert f"`{name}`" in optimize.__doc__, name


def test_the_types_of_what_is_passed_on_are_those_that_it_is_passed_to():
    hints = typing.get_type_hints(Sweep.__init__)
    passed = typing.get_type_hints(SweepArguments)
    assert passed == {name: hints[name] for name in hints.keys() - {"space", "return"}}


def test_a_trial_in_memory_costs_next_to_nothing():
    """Measured at 0.2 ms; the bound leaves room for a machine that is busy with other things."""
    trials = 300
    began = time.process_time()
    optimize(bowl, SPACE, search="random", max_trials=trials)
    assert (time.process_time() - began) / trials < 2e-3


@pytest.mark.parametrize("made", [tuple, list, np.array, torch.tensor])
def test_several_values_may_come_in_any_row(made):
    result = optimize(
        lambda config: made([config["x"] ** 2, (config["x"] - 1) ** 2]),
        {"x": Float(0.0, 1.0)},
        search="random",
        mode=["min", "min"],
        max_trials=4,
    )
    assert all(trial.state == "completed" and len(trial.values) == 2 for trial in result.trials)


def test_what_was_found_before_too_many_raised_is_not_lost():
    def rough(config):
        if config["x"] > 0:
            raise RuntimeError("no")
        return bowl(config)

    with pytest.raises(SweepFailedError, match="`result` of this error") as caught:
        optimize(rough, SPACE, search="random", max_trials=60, max_failures=4)
    result = caught.value.result
    assert isinstance(result, Result)
    assert len(result.trials) > 6
    assert result.best.score == min(bowl(trial.config) for trial in result.trials if trial.score is not None)


def test_a_constraint_that_leaves_nothing_else_ends_the_search_with_a_result():
    baseline = {"x": 0.777}
    result = optimize(
        lambda config: config["x"],
        {"x": Float(0.0, 1.0)},
        max_trials=5,
        baseline=baseline,
        constraint=lambda config: abs(config["x"] - 0.777) < 1e-12,
    )
    assert [trial.config for trial in result.trials] == [baseline]
    assert "`constraint` refused 100,000 random configurations in a row" in result.reason


@pytest.mark.parametrize("search", ["auto", "bayesian", "tpe", "genetic", "annealing", "random"])
def test_a_space_of_constants_is_one_trial(search: str):
    result = optimize(lambda config: float(config["c"]), {"c": 3}, search=search, max_trials=5)
    assert [trial.score for trial in result.trials] == [3.0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"max_trials": "5"}, "`max_trials` must be an integer of at least 1, or None, got '5'"),
        ({"baseline": 3}, r"`baseline` must be a configuration \(a dictionary\) or a list of them, got 3"),
        ({"name": 3}, "`name` must be 1 to 100 letters"),
        ({"overwrite": "no"}, "`overwrite` must be True or False, got 'no'"),
        ({"amend": None}, "`amend` must be True or False, got None"),
        ({"search": TPESearch}, r"Did you mean TPESearch\(\)\?"),
        ({"search": "bobh"}, "'bohb'.*Did you mean 'bohb'"),
        ({"schedule": "halving", "max_budget": 9}, "is 25, but `max_budget` is 9"),
        (
            {"constraint": lambda config: config["z"] > 0},
            "`constraint` must be a callable .* for {.*} it raised KeyError: 'z'",
        ),
    ],
)
def test_a_mistake_is_named_before_anything_is_evaluated(arguments, sentence: str):
    tried: list[object] = []
    with pytest.raises(ArgumentError, match=sentence):
        optimize(tried.append, SPACE, **{"max_trials": 3, "search": "random"} | arguments)
    assert not tried


@pytest.mark.parametrize("score", [lambda values: None, lambda values: values[7]])
def test_a_score_that_makes_no_number_is_named(score):
    with pytest.raises(TypeError, match=r"`score` must be a callable .* for \(1.0,\) it raised"):
        optimize(lambda config: 1.0, SPACE, search="random", max_trials=3, score=score)


def test_an_argument_of_another_library_is_told_apart():
    with pytest.raises(
        TypeError, match=r"optimize\(\) has no argument 'n_trials'. Did you mean `max_trials`"
    ):
        optimize(bowl, SPACE, n_trials=3)  # type: ignore[call-arg]
