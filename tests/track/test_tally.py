import math
import time
from types import ModuleType

import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.track.tally import Tally


def test_counts(story: ModuleType) -> None:
    tally = Tally(max_trials=4, clock=lambda: 1010.0)
    tale = story.Story(tally.update)
    assert tally.time_left() is None
    tale.begin(0)
    assert (list(tally.running), tally.best) == ([0], None)
    tale.report(0, [0.5, 0.25])
    tale.save(0, 100, "a")
    tale.save(0, 150, "a")
    tale.save(0, 50, "b")
    tale.delete(0, "b")
    tale.delete(0, "never there")
    tale.end(0)
    tale.run(1, [0.75, 0.5, 0.5])
    assert (tally.ended, tally.spent, tally.checkpoint_bytes, dict(tally.running)) == (2, 5.0, 150, {})
    assert [trial.number for trial in tally.leaders] == [1, 0]
    low, high = tally.time_left() or (0.0, 0.0)
    assert 0 < low < 5 < high


def test_a_sweep_that_is_resumed_is_counted_once(story: ModuleType) -> None:
    first = Tally(max_trials=None)
    tale = story.Story(first.update)
    tale.run(0, [0.5, 0.6])
    tale.save(0, 70, "a")
    tale.begin(1)
    tale.report(1, [0.9])  # then the process is killed
    late = Tally(max_trials=None)
    tale.listener = late.update
    tale.tell(
        story.LegStarted(trial=1, leg=1, budget=4.0, time=tale.time),
        story.Reported(trial=1, leg=1, step=1.0, values=(0.9,), time=tale.time),
    )
    assert (late.spent, late.ended, late.checkpoint_bytes) == (3.0, 1, 70)
    assert list(late.running) == [1]
    assert [trial.number for trial in late.leaders] == [1, 0]
    assert [trial.number for trial in late.recent] == [0]
    assert late.time_left() is None


def test_a_failed_leader_loses_its_place(story: ModuleType) -> None:
    tally = Tally(max_trials=None)
    tale = story.Story(tally.update)
    for trial, score in enumerate([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]):
        tale.run(trial, [score])
    tale.run(6, [0.9], state="failed")
    assert [trial.number for trial in tally.leaders] == [5, 4, 3, 2, 1]
    assert all(math.isfinite(trial.cost) for trial in tally.leaders)


def test_repeats_are_ranked_by_their_mean(story: ModuleType) -> None:
    tally = Tally(max_trials=2)
    tale = story.Story(tally.update, repeats=2)
    for trial, (group, score) in enumerate([(0, 0.9), (0, 0.1), (2, 0.6), (2, 0.6)]):
        tale.begin(trial, config={"group": group}, group=group)
        tale.report(trial, [score])
        tale.end(trial)
    assert tally.best is not None
    assert tally.best.group == 2
    assert tally.ended == 2
    assert tally.time_left() == (0.0, 0.0)


def test_rows_prefer_running_best_and_recent(story: ModuleType) -> None:
    tally = Tally(max_trials=None)
    tale = story.Story(tally.update)
    tale.run(0, [0.99])
    for trial in range(1, 20):
        tale.run(trial, [0.5 - trial / 100])
    tale.begin(20)
    tale.begin(21)
    assert [trial.number for trial in tally.rows(5)] == [0, 1, 19, 20, 21]
    assert len(tally.rows(12)) == 12
    assert [trial.number for trial in tally.rows(3)] == [0, 1, 21]
    tale.pause(20)
    assert list(tally.running) == [21]
    assert tally.recent[-1].number == 20


def test_a_paused_trials_waiting_is_no_training(story: ModuleType) -> None:
    tally = Tally(max_trials=10, clock=lambda: 0.0)
    tale = story.Story(tally.update)
    for trial in (0, 1):
        tale.begin(trial)
        tale.report(trial, [0.5, 0.5])
        tale.pause(trial)
    tale.time += 1000
    for trial in (0, 1):
        tale.begin(trial)
        tale.report(trial, [0.5, 0.5], first=3)
        tale.end(trial)
    assert tally.time_left() == pytest.approx((32, 32))


def test_an_event_costs_the_same_in_a_long_sweep(story: ModuleType) -> None:
    tally = Tally(max_trials=None)
    tale = story.Story(lambda event, history: None)
    for trial in range(3000):
        tale.run(trial, [0.5])
    tale.listener = tally.update
    tale.begin(3000)
    spent = []
    original = tally.update

    def timed(event: object, history: object) -> None:
        began = time.perf_counter()
        original(event, history)  # type: ignore[arg-type]
        spent.append(time.perf_counter() - began)

    tale.listener = timed
    tale.report(3000, [0.5] * 200)
    assert sorted(spent)[100] < 0.0001


@pytest.mark.parametrize(
    ("budget", "spent"),
    [(Budget(unit="steps"), 3.0), (Budget(grows="data"), 7.0), (Budget(grows="model.depth"), 2.75)],
)
def test_where_each_leg_trains_anew_all_of_them_count(
    story: ModuleType, budget: Budget, spent: float
) -> None:
    """A leg of 3 of its 4 epochs, then two legs to the end of theirs: budgets are 4, 2 and 2."""
    tally = Tally(max_trials=None, budget=budget)
    tale = story.Story(tally.update)
    tale.history.anew = not budget.resumes
    tale.begin(0, budget=4.0)
    tale.report(0, [0.1, 0.2, 0.3])
    tale.begin(0, budget=2.0)
    tale.report(0, [0.4, 0.5])
    tale.begin(0, budget=2.0)
    tale.report(0, [0.4, 0.5])
    late = Tally(max_trials=None, budget=budget)
    late.update(story.LegStarted(trial=0, leg=3, budget=2.0, time=tale.time), tale.history)
    assert tally.spent == late.spent == spent


def test_several_objectives_have_a_front(story: ModuleType) -> None:
    tally = Tally(max_trials=None)
    tale = story.Story(tally.update, objective=story.SEVERAL)
    for trial, values in enumerate([(0.0, 9.0), (1.0, 3.0), (5.0, 0.0), (6.0, 4.0)]):
        tale.run(trial, [values])
    assert [trial.number for trial in tally.front] == [0, 1, 2]
    assert tally.best is not None
    assert tally.best.number == 1
    assert [trial.number for trial in tally.leaders] == [0, 2, 1, 3]
    tale.run(4, [(0.0, 0.0)], state="failed")
    assert tally.best.number == 1
    tale.begin(5)
    tale.report(5, [(0.0, 0.0)])
    tale.pause(5)
    assert [trial.number for trial in tally.front] == [5]
    late = Tally(max_trials=None)
    tale.listener = late.update
    tale.begin(6)
    assert [trial.number for trial in late.front] == [5]
