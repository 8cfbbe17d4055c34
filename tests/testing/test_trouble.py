"""Random sweeps in which everything goes wrong that may: whatever happens, they end, and end sound."""

import hashlib
import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tune.core.events import ConfigEnqueued, Reported, StopRequested
from lightning_tune.core.space import Float, Space
from lightning_tune.execute import LegEnd
from lightning_tune.schedule import ASHA, Hyperband, SuccessiveHalving
from lightning_tune.search import RandomSearch
from lightning_tune.store import MemoryStore
from lightning_tune.testing.functions import make_coordinator, story
from lightning_tune.testing.simulated import SimulatedExecutor
from lightning_tune.testing.trouble import TroubledWork, check_sound

SPACE = Space({"x": Float(0.0, 1.0)})


def chance(*key):
    """Return a number in [0, 1) that is the same for the same key."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "little") / 2**64


class Trouble:
    """One random sweep: a schedule, workers, repeats, and how likely each trouble is."""

    def __init__(self, seed: int, repeats: int) -> None:
        rng = random.Random(seed)
        self.seed, self.repeats = seed, repeats
        eta = rng.choice([2, 3, 2.5, 4])
        self.high = rng.choice([1, 2, 3, 5, 8, 9, 10, 27])
        kinds = [
            lambda: SuccessiveHalving(rng.randint(1, 12), rng.choice([1, 1, min(2, self.high)]), eta),
            lambda: Hyperband(eta=eta),
            lambda: ASHA(eta=eta, max_paused=rng.choice([1, 2, 64])),
            lambda: ASHA(eta=2, brackets=1 if self.high < 2 else 2),
            lambda: ASHA(eta=eta, stopping=True),
        ]
        self.schedule = rng.choice(kinds if repeats == 1 else kinds[:-1])()
        self.workers = rng.choice([1, 1, 2, 5])
        self.trials = rng.randint(1, 25)
        self.early, self.fail, self.memory, self.nan, self.stop, self.enqueue = (
            rng.choice([0, 0.05]) for _ in range(6)
        )
        self.slow = rng.random() < 0.5
        self.rng = rng
        self.numbers = itertools.count()

    def value(self, trial, step):
        if chance(self.seed, "memory", trial, step) < self.memory:
            raise MemoryError
        if chance(self.seed, "nan", trial, step) < self.nan:
            return math.nan
        level, noise = chance(self.seed, "level", trial), chance(self.seed, "noise", trial, step)
        return round(level + 0.3 * noise, 1)

    def run(self, store, kill_after=None, interrupt_after=None):
        """Run the sweep, perhaps only for a while; return its coordinator."""
        sweep = make_coordinator(
            SPACE,
            RandomSearch(),
            max_trials=self.trials,
            max_budget=self.high,
            schedule=self.schedule,
            repeats=self.repeats,
            store=store,
        )
        sweep.keeper.drop()
        reports = itertools.count()

        def listen(event, history):
            if not isinstance(event, Reported):
                return
            assert history.trials[event.trial].ended is None, "a report of a trial that has ended"
            if next(reports) == interrupt_after:
                sweep.interrupt("asked to")
            if chance(self.seed, "stop", event.trial, event.step) < self.stop:
                asked = int(chance(self.seed, "whom", event.trial, event.step) * len(history))
                store.append("test", [StopRequested(trial=asked, reason="asked to", time=0.0)])
            if chance(self.seed, "enqueue", event.trial, event.step) < self.enqueue:
                config = {"x": chance(self.seed, "x", event.trial, event.step)}
                store.append("test", [ConfigEnqueued(number=next(self.numbers), config=config, time=0.0)])

        sweep.journal.listeners = [listen]
        work = TroubledWork(
            self.value,
            early=lambda trial, step: chance(self.seed, "early", trial, step) < self.early,
            fails=lambda trial, step: chance(self.seed, "fail", trial, step) < self.fail,
            slow=self.slow,
            kill_after=kill_after,
        )
        try:
            SimulatedExecutor(self.workers, lambda config: 0.5 + config["x"]).run(sweep, work)
        except KeyboardInterrupt:
            assert kill_after is not None
        return sweep


@pytest.mark.parametrize("repeats", [1, 2])
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_killed_and_interrupted_they_end_sound(repeats, seed):
    trouble, store = Trouble(seed, repeats), MemoryStore()
    for _ in range(trouble.rng.randint(0, 5)):
        after = trouble.rng.randint(0, 12)
        trouble.run(store, **{trouble.rng.choice(["kill_after", "interrupt_after"]): after})
    history = trouble.run(store).history
    check_sound(history)
    assert history.num_groups == trouble.trials
    assert [group.state for group in history.groups if not group.ended] == []
    assert trouble.run(store).history.seq == history.seq  # there is nothing left to do


@pytest.mark.parametrize("repeats", [1, 2])
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_one_worker_tells_the_same_story_however_often_it_is_killed(repeats, seed):
    trouble, store = Trouble(seed, repeats), MemoryStore()
    trouble.workers, trouble.stop, trouble.enqueue = 1, 0, 0
    for _ in range(3):
        trouble.run(store, kill_after=trouble.rng.randint(0, 12))
    assert repr(story(trouble.run(store).history)) == repr(story(trouble.run(MemoryStore()).history))


def sweep_of(work, *, trials, high, schedule, repeats=1, **given):
    sweep = make_coordinator(
        SPACE, RandomSearch(), max_trials=trials, max_budget=high, schedule=schedule, repeats=repeats, **given
    )
    SimulatedExecutor(1).run(sweep, work)
    check_sound(sweep.history)
    return sweep.history


@pytest.mark.parametrize("schedule", [SuccessiveHalving(4, 1, 2), ASHA(eta=2)])
def test_a_repeat_that_its_trainer_ended_at_a_rung_does_not_train_on(schedule):
    work = TroubledWork(
        lambda trial, step: trial + step / 10, early=lambda trial, step: (trial, step) == (0, 1)
    )
    history = sweep_of(work, trials=4, high=4, schedule=schedule, repeats=2)
    assert [member.step for member in history.groups[0].members] == [1, 4]
    assert work.trained[0, 2] == 0


@pytest.mark.parametrize("schedule", [SuccessiveHalving(4, 1, 2), ASHA(eta=2)])
def test_a_repeat_that_fails_takes_its_siblings_with_it(schedule):
    work = TroubledWork(lambda trial, step: float(trial), fails=lambda trial, step: (trial, step) == (1, 1))
    history = sweep_of(work, trials=4, high=4, schedule=schedule, repeats=2)
    assert [member.state for member in history.groups[0].members] == ["stopped", "failed"]
    assert history.trials[0].reason == "its repeat, trial 1, failed"


def test_who_was_stopped_by_a_user_gives_its_place_to_the_next():
    store = MemoryStore()
    work = TroubledWork(lambda trial, step: float(trial))
    sweep = make_coordinator(
        SPACE,
        RandomSearch(),
        max_trials=4,
        max_budget=2,
        schedule=SuccessiveHalving(4, 1, 2, max_budget=2),
        store=store,
    )

    def listen(event, history):
        if isinstance(event, Reported) and event.trial == 3 and event.step == 1:
            store.append("test", [StopRequested(trial=n, reason="asked to", time=0.0) for n in (0, 1)])

    sweep.journal.listeners = [listen]
    SimulatedExecutor(1).run(sweep, work)
    assert [trial.step for trial in sweep.history] == [1, 1, 2, 2]


def test_patience_counts_who_had_a_chance():
    """Of sixteen, fifteen are stopped at rungs, which says nothing about whether the search gets better."""
    work = TroubledWork(lambda trial, step: float(trial) - step)
    history = sweep_of(work, trials=16, high=16, schedule=SuccessiveHalving(16, 1, 2), patience=2)
    assert max(trial.step for trial in history) == 16


def test_a_trial_that_was_interrupted_and_trains_again_is_running():
    store = MemoryStore()
    schedule = SuccessiveHalving(2, 3, 2)
    first = make_coordinator(
        SPACE, RandomSearch(), max_trials=2, max_budget=3, schedule=schedule, store=store
    )
    (task,) = first.next_jobs(1)
    first.report(0, 0, 1.0, (1.0,), {})
    first.finish(LegEnd(trial=0, leg=0, step=1.0, kind="paused", reason="Ctrl-C"))
    again = make_coordinator(
        SPACE, RandomSearch(), max_trials=2, max_budget=3, schedule=schedule, store=store
    )
    again.next_jobs(1)
    assert (again.history.trials[0].state, again.history.trials[0].leg) == ("running", 0)


def test_asha_stops_nobody_who_could_still_be_promoted():
    """One that has reported and is being saved may yet fail: till then the next best is not hopeless."""
    work = TroubledWork(
        lambda trial, step: [0.0, 1.0, 2.0][trial],
        fails=lambda trial, step: (trial, step) == (0, 1),
        slow=True,
    )
    sweep = make_coordinator(SPACE, RandomSearch(), max_trials=3, max_budget=3, schedule=ASHA(eta=3))
    SimulatedExecutor(3, lambda config: 1.0).run(sweep, work)
    check_sound(sweep.history)
    assert sweep.history.trials[1].step == 3
