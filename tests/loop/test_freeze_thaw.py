import json
import math
import re

import numpy as np
import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.core.decision import Done, Resume, Start, Stop
from lightning_tune.core.events import ConfigEnqueued
from lightning_tune.core.rng import generator
from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.errors import ArgumentError, SweepExistsError
from lightning_tune.loop.freeze_thaw import FreezeThaw
from lightning_tune.loop.optimize import optimize
from lightning_tune.loop.thawing import look
from lightning_tune.schedule import Scheduler
from lightning_tune.schedule.prospects import alone
from lightning_tune.search import RandomSearch, Searcher
from lightning_tune.search.gp.layout import layout_of
from lightning_tune.store import MemoryStore
from lightning_tune.testing.functions import run_function, story
from lightning_tune.testing.scheduler_contract import SchedulerContract
from lightning_tune.testing.searcher_contract import SearcherContract
from lightning_tune.testing.simulated import SimulatedExecutor

SPACE = Space({"a": Float(0.0, 1.0), "b": Float(0.0, 1.0), "c": Float(0.0, 1.0)})
FULL = 10.0


class TestAsSearcher(SearcherContract):
    trials = 9

    def searcher(self) -> Searcher:
        return FreezeThaw(starts=4)


class TestAsScheduler(SchedulerContract):
    trials = 7

    def scheduler(self) -> Scheduler:
        return FreezeThaw(starts=4, interval=2)


def learning(config, step):
    """Return a loss that falls like a power to an end, how fast depends on another hyperparameter."""
    end = 0.1 + (config["a"] - 0.3) ** 2 + 0.5 * (config["b"] - 0.6) ** 2
    noise = math.sin(1e4 * config["a"] + 1e3 * step)
    return end + step ** -(0.3 + 1.5 * config["c"]) + 0.01 * noise


def swept(search, **settings):
    given = {"max_trials": 12, "max_budget": FULL, **settings}
    schedule = {"schedule": search} if isinstance(search, Scheduler) else {}
    return run_function(given.pop("space", SPACE), search, given.pop("curve", learning), **schedule, **given)


def resolved(full=FULL, **settings):
    return FreezeThaw(**settings).resolve(Budget(full=full))


def test_it_finds_a_better_end_than_random_search_in_as_many_epochs():
    wins, gap = 0, []
    for seed in range(4):
        thawed, drawn = (
            swept(search, max_trials=60, seed=seed, kill_after=60)
            for search in (FreezeThaw(starts=6), RandomSearch())
        )
        assert thawed.num_reports == drawn.num_reports == 60
        wins += thawed.best.score < drawn.best.score
        gap.append(drawn.best.score - thawed.best.score)
    assert wins >= 3
    assert np.mean(gap) > 0.02


def test_the_first_trials_get_one_slice_each():
    history = swept(FreezeThaw(starts=6, interval=2), kill_after=11)
    assert len(history) == 6
    assert [trial.budget for trial in history] == [2.0] * 6
    assert all(trial.origin == "search" for trial in history)


def test_whoever_promises_most_goes_on_or_something_new_that_promises_more():
    """Each decision of a sweep is compared with the view of all trials, asked for anew."""
    kinds = []

    class Compared(FreezeThaw):
        def next_jobs(self, history, count, more=math.inf):
            jobs = super().next_jobs(history, count, more)
            if history.num_groups < 4 or not more:
                return jobs
            rng = generator(history.trials[0].seed, "freeze_thaw", history.num_groups)
            outlook = look(history, layout_of(SPACE), full=FULL, rng=rng)
            promise, config = next(outlook.newcomers())
            first = outlook.paused[0]
            if promise > first.worth:
                assert jobs == [Start(budget=1.0, config=config)]
            else:
                number, budget = first.group.number, first.group.budget
                assert [(job.group, job.budget) for job in jobs] == [(number, budget + 1)]
                assert jobs[0].reason.startswith(f"frozen at {budget:g} epoch")
                low, middle, high = first.end.quantile([0.05, 0.5, 0.95])[0]
                chance = f"{100 * first.chance:.2g}% chance to beat {history.best.score:g}"
                end = f"{chance} (predicted {middle:.4g} [{low:.4g}, {high:.4g}])"
                assert jobs[0].reason.endswith(end)
            kinds.append(type(jobs[0]))
            return jobs

    swept(Compared(starts=4), max_trials=20, kill_after=30)
    assert kinds.count(Start) >= 1
    assert kinds.count(Resume) >= 5


def test_when_no_more_may_begin_the_hopeless_are_stopped_and_the_others_completed():
    history = swept(FreezeThaw(starts=4), max_trials=8)
    states = [trial.state for trial in history]
    assert set(states) == {"completed", "stopped"}
    assert all(trial.step == FULL for trial in history if trial.state == "completed")
    stopped = [trial for trial in history if trial.state == "stopped"]
    assert stopped
    for trial in stopped:
        assert float(trial.reason.split("% chance")[0].rpartition(" ")[2]) < 5


def test_no_more_trials_wait_than_may():
    waiting = []

    class Counted(FreezeThaw):
        def next_jobs(self, history, count, more=math.inf):
            jobs = super().next_jobs(history, count, more)
            if history.num_groups >= 8:
                stopped = {job.group for job in jobs if isinstance(job, Stop)}
                waiting.append(len({trial.group for trial in history.paused} - stopped))
            return jobs

    history = swept(Counted(starts=8, max_paused=3), max_trials=20, kill_after=20)
    assert max(waiting) == 3
    assert any(trial.reason.endswith("and no more than 3 wait") for trial in history)


def test_several_workers_train_different_trials():
    executor = SimulatedExecutor(3, lambda config: 0.5 + config["a"])
    history = swept(FreezeThaw(starts=4), max_trials=8, executor=executor)
    assert all(trial.state in ("completed", "stopped") for trial in history)
    assert executor.busy > 0.5
    open_jobs = resolved(starts=4).next_jobs(swept(FreezeThaw(starts=4), kill_after=7), 3, 10)
    groups = [job.group for job in open_jobs if isinstance(job, Resume)]
    configs = [str(job.config) for job in open_jobs if isinstance(job, Start)]
    assert len(groups) + len(configs) == 3
    assert len(set(groups)) == len(groups)
    assert len(set(configs)) == len(configs)


def test_baselines_and_enqueued_configurations_come_first():
    baseline = {"a": 0.25, "b": 0.25, "c": 0.25}
    history = swept(FreezeThaw(starts=4), baselines=[baseline], kill_after=6)
    assert history.trials[0].config == baseline
    assert history.trials[0].origin == "baseline"
    history.extend([ConfigEnqueued(number=0, config={"a": 0.5, "b": 0.5, "c": 0.5}, time=0.0, seq=10**6)])
    assert history.num_groups >= 4
    assert resolved(starts=4).next_jobs(history, 1, 9) == [Start(budget=1.0)]  # the dispatcher fills it in


def test_the_constraint_is_kept_by_what_the_model_chooses():
    history = swept(FreezeThaw(starts=4), constraint=lambda config: config["a"] > 0.5, kill_after=30)
    chosen = [trial for trial in history if trial.origin == "schedule"]
    assert chosen
    assert all(trial.config["a"] > 0.5 for trial in history)


def test_a_finite_space_is_exhausted_and_ends():
    space = Space({"a": Choice([0.1, 0.3, 0.9]), "b": Choice([0.2, 0.6]), "c": 0.5})
    history = swept(FreezeThaw(starts=4), space=space, max_trials=50)
    assert len(history) == 6
    assert history.best.config == {"a": 0.3, "b": 0.6, "c": 0.5}
    assert all(trial.state in ("completed", "stopped") for trial in history)


def test_a_space_of_constants_is_one_trial_that_is_completed():
    history = swept(FreezeThaw(), space=Space({"a": 0.5, "b": 0.5, "c": 0.5}), max_trials=3)
    assert [(trial.state, trial.step) for trial in history] == [("completed", FULL)]


def test_fewer_trials_than_it_would_begin_with_are_trained_to_their_ends():
    history = swept(FreezeThaw(), max_trials=3)
    assert len(history) == 3
    assert any(trial.state == "completed" for trial in history)
    assert all(trial.state in ("completed", "stopped") for trial in history)


def test_trials_that_fail_are_outcomes_and_one_that_has_no_score_yet_waits_for_nobody():
    def rough(config, step):
        if config["a"] > 0.5:
            raise MemoryError
        return learning(config, step)

    history = swept(FreezeThaw(starts=4), curve=rough, max_trials=14)
    states = [trial.state for trial in history]
    assert "failed" in states
    assert "completed" in states
    assert states[4:].count("failed") < 0.5 * len(states[4:])

    def nothing(config, step):
        raise MemoryError

    assert {trial.state for trial in swept(FreezeThaw(), curve=nothing, max_trials=6)} == {"failed"}


def test_killed_anywhere_it_ends_as_if_it_had_not_been():
    whole, store = swept(FreezeThaw(starts=4), max_trials=7, seed=3), MemoryStore()
    for kill_after in (5, 9, 2, 14):
        swept(FreezeThaw(starts=4), max_trials=7, seed=3, store=store, kill_after=kill_after)
    assert story(swept(FreezeThaw(starts=4), max_trials=7, seed=3, store=store)) == story(whole)


def test_repeats_are_one_group():
    history = swept(FreezeThaw(starts=4), max_trials=5, max_budget=4, repeats=2)
    assert len(history.groups) == 5
    assert all(len(group.members) == 2 for group in history.groups)
    assert any(group.state == "completed" for group in history.groups)


def test_given_as_search_it_is_its_own_schedule():
    def curve(config):
        for step in range(1, 9):
            yield learning(config, step)

    result = optimize(curve, SPACE, search="freeze_thaw", max_trials=8, max_budget=8, seed=1)
    assert {trial.state for trial in result.trials} == {"completed", "stopped"}
    assert result.best.score < 0.5
    for trial in result.trials:
        steps = [report.step for report in trial.reports]
        assert steps == sorted(set(steps))


def test_slices_end_at_the_full_budget_and_a_small_rest_belongs_to_the_last():
    history = swept(FreezeThaw(starts=4, interval=3), max_trials=4)
    best = max(history, key=lambda trial: trial.step)
    assert [leg.budget for leg in best.legs] == [3.0, 6.0, 10.0]


def test_a_sweep_that_has_ended_is_done_and_says_what_it_costs():
    history = swept(FreezeThaw(starts=4), max_trials=4)
    jobs = resolved(starts=4).next_jobs(history, 2, 0)
    assert jobs == [Done(reason="every trial is completed, or has hardly any chance to beat the best")]
    assert resolved(full=60).cost(None, 1) == (
        "trials in slices of 3 epochs, each to 60 epochs at most, until the search or a limit ends it"
    )
    assert FreezeThaw().pauses
    assert FreezeThaw().num_trials is None
    assert math.isinf(FreezeThaw().full_budget)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"starts": 3}, "`starts` must be an integer of at least 4, or None, got 3"),
        ({"interval": 0}, "`interval` must be a number above 0, or None, got 0"),
        ({"threshold": 1.0}, "`threshold` must be a probability above 0 and below 1, got 1.0"),
        ({"max_paused": 0}, "`max_paused` must be an integer of at least 1, got 0"),
        ({"max_budget": 0}, "`max_budget` must be a number above 0"),
        ({"bounds": (1, 0)}, "`bounds` must be ascending, got .1, 0."),
        ({"bounds": [(0, 1)]}, "`bounds` must be .low, high., None for no bound, got"),
    ],
)
def test_bad_settings_are_refused(settings, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        FreezeThaw(**settings)


@pytest.mark.parametrize(
    ("settings", "budget", "sentence"),
    [
        ({}, Budget(grows="data", full=1.0), "FreezeThaw follows trials as they train on"),
        ({}, Budget(), "`max_budget` of FreezeThaw must be given"),
        ({"interval": 2.5}, Budget(full=9), "`interval` of FreezeThaw must be a whole number of epochs"),
        (
            {"interval": 50},
            Budget(full=27),
            "`interval` of FreezeThaw must be below the largest budget, 27 epochs, .*; got 50",
        ),
    ],
)
def test_settings_that_do_not_fit_the_budget_are_refused(settings, budget, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        FreezeThaw(**settings).resolve(budget)


def test_several_objectives_are_refused_before_anything_trains():
    with pytest.raises(ArgumentError, match="FreezeThaw improves on one number, and there are 2 objectives"):
        optimize(
            lambda config: (0.0, 0.0),
            SPACE,
            mode=["min", "max"],
            search="freeze_thaw",
            max_trials=3,
            max_budget=4,
        )


def test_a_sweep_is_the_same_whatever_is_remembered(monkeypatch):
    settings = {"max_trials": 6, "max_budget": 6, "seed": 5}
    alone.cache_clear()
    first, again = (story(swept(FreezeThaw(starts=4), **settings)) for _ in range(2))
    monkeypatch.setattr("lightning_tune.schedule.prospects.alone", alone.__wrapped__)
    assert first == again == story(swept(FreezeThaw(starts=4), **settings))


def rising(config, step):
    return 1.05 - learning(config, step)  # an accuracy that comes beyond 1 where training goes well


def test_no_end_is_predicted_out_of_bounds_and_values_there_end_no_sweep():
    ends = {}
    for bounds in (None, (0, 1)):
        told = []

        class Told(FreezeThaw):
            def next_jobs(self, history, count, more=math.inf, told=told):
                jobs = super().next_jobs(history, count, more)
                told += [job.reason for job in jobs if isinstance(job, Resume | Stop)]
                return jobs

        history = swept(Told(starts=4, bounds=bounds), curve=rising, mode="max", max_trials=8)
        assert min(report.values[0] for trial in history for report in trial.reports) < 0
        found = [re.search(r"\(predicted (\S+) \[(\S+), (\S+)\]\)", reason) for reason in told]
        ends[bounds] = np.array([[float(number) for number in each.groups()] for each in found if each])
        assert len(ends[bounds]) > 10
    assert ends[None].max() > 1
    assert ends[0, 1].min() >= 0
    assert ends[0, 1].max() <= 1
    assert (np.diff(ends[0, 1][:, [1, 0, 2]], axis=1) >= 0).all()


def test_a_search_goes_on_with_the_bounds_it_had_and_no_others(tmp_path):
    def curve(config):
        for step in range(1, 5):
            yield rising(config, step)

    def again(bounds):
        search = FreezeThaw(starts=4, bounds=bounds)
        settings = {"mode": "max", "max_budget": 4, "store": tmp_path / "store.db", "name": "bounded"}
        return optimize(curve, SPACE, search=search, max_trials=4, **settings)

    assert len(again((0, 1)).trials) == len(again([0.0, 1.0]).trials) == 4
    with pytest.raises(SweepExistsError, match="bounds"):
        again(None)
    record = resolved(bounds=(0, math.inf)).record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["bounds"] == [0.0, None]


def test_bounds_of_a_score_that_is_made_are_those_of_the_cost():
    def curve(config):
        for step in range(1, 7):
            yield learning(config, step), config["a"]

    result = optimize(
        curve,
        SPACE,
        mode=["max", "min"],
        score=sum,
        search=FreezeThaw(starts=4, bounds=(0, 3)),
        max_trials=5,
        max_budget=6,
        seed=2,
    )
    reasons = [trial.reason for trial in result.trials if trial.state == "stopped"]
    lows = [float(re.search(r"\[(\S+), ", reason).group(1)) for reason in reasons]
    assert lows
    assert min(lows) >= 0
