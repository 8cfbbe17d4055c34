import heapq
import math
from collections import Counter
from itertools import chain, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tune.core.decision import Decision, Done, Resume, Start, Stop, Wait
from lightning_tune.core.space import Choice, Int, Space
from lightning_tune.errors import ArgumentError
from lightning_tune.execute import Executor, InlineExecutor
from lightning_tune.schedule import FullBudget
from lightning_tune.search import GridSearch, RandomSearch
from lightning_tune.store import MemoryStore
from lightning_tune.testing.executor_contract import ExecutorContract
from lightning_tune.testing.functions import FunctionWork, make_coordinator, run_function, story
from lightning_tune.testing.searcher_contract import MIXED, bowl
from lightning_tune.testing.simulated import SimulatedExecutor, Span


class TestOneWorker(ExecutorContract):
    def executor(self) -> Executor:
        return SimulatedExecutor()


class TestSeveralWorkers(ExecutorContract):
    def executor(self) -> Executor:
        return SimulatedExecutor(workers=5, seconds_per_step=lambda config: 1.0 + len(config))


class TestMoreWorkersThanTrials(ExecutorContract):
    def executor(self) -> Executor:
        return SimulatedExecutor(workers=500, seconds_per_step=0.25)


class TwoRungs(FullBudget):
    """Pauses every trial at step 2; when all are there, stops the upper half and trains the others on."""

    def next_jobs(self, history, count, *rest):
        if history.num_groups < 4:
            return [Start(budget=2.0)]
        if any(trial.step < 2 and trial.state == "running" for trial in history):
            return [Wait(reason="for rung 0")]
        ranked = sorted(history, key=lambda trial: trial.cost)
        jobs = [Resume(group=trial.number, budget=6.0) for trial in ranked[:2] if trial.state == "paused"]
        jobs += [Stop(group=trial.number, reason="last") for trial in ranked[2:] if trial.state == "paused"]
        return jobs[:count] or [Done(reason="played")]

    def judge(self, report, history):
        pauses = report.step == 2
        return Decision(action="pause", reason="rung 0") if pauses else Decision(action="continue")


def integers(count):
    return Space({"x": Int(0, count - 1)})


def run(executor, curve, count=4, search=None, **rest):
    """Run all of a sweep over x = 0, 1, ..., count - 1; return the executor's answer and the history."""
    rest = {"max_trials": count, "max_budget": 3.0, **rest}
    coordinator = make_coordinator(integers(count), search or GridSearch(count), **rest)
    return executor.run(coordinator, FunctionWork(curve)), coordinator.history


def identity(config, step):
    return float(config["x"])


def of_each_worker(executor):
    """Return the spans of each worker, in the order of time."""
    found = {}
    for span in sorted(chain.from_iterable(executor.spans.values()), key=lambda span: span.start_s):
        found.setdefault(span.worker, []).append(span)
    return found


# -- the same story as one process tells


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"repeats": 3},
        {"mode": "max"},
        {"target": 1.4},
        {"patience": 3},
        {"baselines": [{"x": 7}]},
        {"schedule": TwoRungs(), "max_budget": 6.0},
    ],
    ids=lambda settings: next(iter(settings), "plain"),
)
def test_one_worker_tells_the_story_of_the_inline_executor(settings):
    def curve(config, step):
        if config["x"] == 3:
            raise MemoryError("3")
        if config["x"] == 5:
            raise ZeroDivisionError("5")
        return math.nan if (config["x"], step) == (6, 2) else config["x"] + 1 / step

    answers, stories = [], []
    for executor in (InlineExecutor(), SimulatedExecutor(seconds_per_step=lambda config: 1 + config["x"])):
        answer, history = run(executor, curve, count=9, search=RandomSearch(), **settings)
        answers.append(answer)
        stories.append(
            [(trial.reason, trial.cause, *told) for trial, told in zip(history, story(history), strict=True)]
        )
    assert answers[0] == answers[1]
    assert repr(stories[0]) == repr(stories[1])  # NaN is not equal to itself
    assert len(stories[0]) > 3


def test_it_is_the_same_every_time():
    def once():
        executor = SimulatedExecutor(7, lambda config: 1.0 + config["width"] % 3)
        history = run_function(MIXED, RandomSearch(), bowl, max_trials=40, max_budget=4, executor=executor)
        return story(history), executor.spans

    assert once() == once()


def test_a_killed_run_is_taken_up_again_and_time_goes_on():
    store = MemoryStore()
    settings = {"max_trials": 8, "max_budget": 3.0, "store": store}
    for kill_after in (5, 4):
        executor = SimulatedExecutor(3)
        history = run_function(
            integers(8), GridSearch(8), identity, kill_after=kill_after, executor=executor, **settings
        )
    assert history.num_reports == 9
    history = run_function(integers(8), GridSearch(8), identity, executor=SimulatedExecutor(3), **settings)
    whole = run_function(integers(8), GridSearch(8), identity, max_trials=8, max_budget=3.0)
    assert story(history) == story(whole)
    times = [history.report(row).time for row in range(history.num_reports)]
    assert times == sorted(times)
    assert times[-1] == max(trial.ended for trial in history) >= 24 / 3


# -- time


def test_steps_take_their_seconds_and_reports_carry_the_virtual_time():
    executor = SimulatedExecutor(2, lambda config: (1.0, 2.0, 4.0)[config["x"]])
    answer, history = run(executor, identity, count=3)
    assert answer == "3 trials"
    assert [[report.time for report in trial.reports] for trial in history] == [
        [1.0, 2.0, 3.0],
        [2.0, 4.0, 6.0],
        [7.0, 11.0, 15.0],
    ]
    assert [(trial.started, trial.ended) for trial in history] == [(0.0, 3.0), (0.0, 6.0), (3.0, 15.0)]
    assert executor.spans == {
        0: [Span(worker=0, leg=0, start_s=0.0, end_s=3.0)],
        1: [Span(worker=1, leg=0, start_s=0.0, end_s=6.0)],
        2: [Span(worker=0, leg=0, start_s=3.0, end_s=15.0)],
    }
    assert (executor.elapsed_s, executor.busy_s, executor.busy) == (15.0, 21.0, 0.7)


def test_at_the_same_moment_the_lower_worker_comes_first():
    heard = []

    def curve(config, step):
        heard.append((config["x"], step))
        return 0.0

    run(SimulatedExecutor(3), curve, count=5, max_budget=2.0)
    assert heard == [(0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (2, 2), (3, 1), (4, 1), (3, 2), (4, 2)]


def test_a_failure_takes_the_seconds_of_its_step():
    def curve(config, step):
        if step == config["x"]:
            raise MemoryError
        return math.inf if step == 2 and config["x"] == 0 else 0.0

    executor = SimulatedExecutor(4, 2.0)
    _, history = run(executor, curve)
    assert [(trial.state, trial.cause, trial.step) for trial in history] == [
        ("failed", "diverged", 2.0),
        ("failed", "out_of_memory", 0.0),
        ("failed", "out_of_memory", 1.0),
        ("failed", "out_of_memory", 2.0),
    ]
    assert [executor.spans[trial][0].end_s for trial in range(4)] == [4.0, 2.0, 4.0, 6.0]


def test_max_time_is_in_virtual_seconds_and_what_it_pauses_goes_on_in_the_next_run():
    store, executor = MemoryStore(), SimulatedExecutor(2)
    answer, history = run(executor, identity, max_budget=5.0, max_time=6.5, store=store)
    assert answer == "max_time of 0:00:06.500000 is over"
    assert [(trial.state, trial.step, trial.reason) for trial in history] == [
        ("completed", 5.0, "reached 5"),
        ("completed", 5.0, "reached 5"),
        ("paused", 2.0, "max_time is over"),
        ("paused", 2.0, "max_time is over"),
    ]
    assert executor.elapsed_s == 7.0
    again = SimulatedExecutor(2)
    answer, history = run(again, identity, max_budget=5.0, max_time=6.5, store=store)
    assert (answer, again.elapsed_s) == ("4 trials", 3.0)
    assert story(history) == story(run(InlineExecutor(), identity, max_budget=5.0)[1])
    assert [report.time for report in history.trials[3].reports] == [6.0, 7.0, 8.0, 9.0, 10.0]


def test_the_last_step_completes_a_trial_even_when_the_time_is_over():
    _, history = run(SimulatedExecutor(4), identity, max_time=2.5)
    assert {(trial.state, trial.reason) for trial in history} == {("completed", "reached 3")}


def test_an_interrupt_pauses_what_runs_at_the_end_of_its_step():
    coordinator = make_coordinator(integers(4), GridSearch(4), max_trials=4, max_budget=9.0)

    def curve(config, step):
        if (config["x"], step) == (1, 2):
            coordinator.interrupt("Ctrl-C")
        return 0.0

    executor = SimulatedExecutor(2)
    assert executor.run(coordinator, FunctionWork(curve)) == "Ctrl-C"
    assert [(trial.state, trial.step) for trial in coordinator.history] == [("paused", 3.0), ("paused", 2.0)]
    assert executor.elapsed_s == 3.0


# -- pauses


def test_a_paused_trial_goes_on_after_its_last_step_and_a_stopped_one_takes_no_time():
    executor = SimulatedExecutor(3, lambda config: 1.0 + config["x"])
    answer, history = run(executor, identity, schedule=TwoRungs(), max_budget=6.0, max_trials=9)
    assert answer == "played"
    assert [trial.state for trial in history] == ["completed", "completed", "stopped", "stopped"]
    assert [[report.step for report in trial.reports] for trial in history] == [
        [1, 2, 3, 4, 5, 6],
        [1, 2, 3, 4, 5, 6],
        [1, 2],
        [1, 2],
    ]
    # trial 3 begins when trial 0 has paused, after 2 s, and takes 8 s; the others wait for it
    assert executor.spans[0][1] == Span(worker=0, leg=1, start_s=10.0, end_s=14.0)
    assert executor.spans[1][1] == Span(worker=1, leg=1, start_s=10.0, end_s=18.0)
    assert [history.trials[number].ended for number in (2, 3)] == [10.0, 10.0]
    assert [len(executor.spans[trial]) for trial in range(4)] == [2, 2, 1, 1]
    assert executor.busy_s == 2 + 4 + 6 + 8 + 4 + 8


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_decisions_of_a_synchronous_scheduler_do_not_depend_on_the_workers(workers):
    _, history = run(SimulatedExecutor(workers), identity, schedule=TwoRungs(), max_budget=6.0)
    assert story(history) == story(run(InlineExecutor(), identity, schedule=TwoRungs(), max_budget=6.0)[1])


# -- properties


@settings(max_examples=60, deadline=None)
@given(
    workers=st.integers(1, 12),
    durations=st.lists(st.floats(0.01, 100.0), min_size=2, max_size=25),
    budget=st.integers(1, 4),
)
def test_full_budget_is_list_scheduling(workers, durations, budget):
    """Every trial trains all its steps, and starts where a list dealt to the earliest worker has it."""
    executor = SimulatedExecutor(workers, lambda config: durations[config["x"]])
    _, history = run(
        executor, identity, count=len(durations), search=RandomSearch(), max_budget=float(budget)
    )
    assert sorted(trial.config["x"] for trial in history) == list(range(len(durations)))
    for trial in history:
        assert trial.state == "completed"
        assert [report.step for report in trial.reports] == list(range(1, budget + 1))

    free = [(0.0, worker) for worker in range(workers)]
    for trial in history:
        start_s, worker = heapq.heappop(free)
        end_s = start_s
        for _ in range(budget):
            end_s += durations[trial.config["x"]]
        assert executor.spans[trial.number] == [Span(worker=worker, leg=0, start_s=start_s, end_s=end_s)]
        heapq.heappush(free, (end_s, worker))

    total = budget * math.fsum(durations)
    assert executor.elapsed_s == max(end_s for end_s, _ in free) >= total / workers * (1 - 1e-9)
    assert executor.elapsed_s <= total / workers + budget * max(durations) + 1e-6
    assert executor.busy == pytest.approx(total / workers / executor.elapsed_s)


@settings(max_examples=30, deadline=None)
@given(
    workers=st.integers(1, 9), repeats=st.integers(1, 3), seconds=st.lists(st.floats(0.1, 9.0), min_size=9)
)
def test_a_trial_is_trained_by_one_worker_at_a_time(workers, repeats, seconds):
    executor = SimulatedExecutor(workers, lambda config: seconds[config["x"]])
    _, history = run(executor, identity, count=9, schedule=FullBudget(), repeats=repeats)
    assert sorted(Counter(trial.config["x"] for trial in history).items()) == [(x, repeats) for x in range(9)]
    assert [len(executor.spans[trial.number]) for trial in history] == [1] * 9 * repeats
    for spans in of_each_worker(executor).values():
        assert all(first.end_s <= second.start_s for first, second in pairwise(spans))


def test_five_hundred_workers_and_five_thousand_trials():
    space = Space({"a": Choice(list(range(100))), "b": Int(0, 10**6)})
    executor = SimulatedExecutor(500, lambda config: 1.0 + config["a"] / 100)
    history = run_function(
        space,
        RandomSearch(),
        lambda config, step: 1 / step,
        max_trials=5000,
        max_budget=6.0,
        executor=executor,
    )
    assert history.num_reports == 30_000
    assert {trial.state for trial in history} == {"completed"}
    assert 0.9 < executor.busy <= 1


# -- mistakes


def test_waiting_for_nothing_is_a_mistake_in_the_scheduler():
    class Waits(FullBudget):
        def next_jobs(self, history, count, *rest):
            return [Wait(reason="for ever")] if len(history) == 2 else [Start(budget=1.0)]

    executor = SimulatedExecutor(3)
    with pytest.raises(RuntimeError, match=r"the scheduler waits \(for ever\), but nothing is running"):
        run(executor, identity, schedule=Waits())
    assert executor.elapsed_s == 1.0


def test_a_trial_that_is_handed_out_twice_is_a_mistake_in_the_coordinator():
    class Forgets(set):
        def add(self, number):
            pass

    coordinator = make_coordinator(integers(4), GridSearch(4), max_trials=4)
    coordinator.dispatcher.handed_out = Forgets()
    with pytest.raises(RuntimeError, match="trial 0 was handed out while it is being trained"):
        SimulatedExecutor(5).run(coordinator, FunctionWork(identity))


def test_more_legs_than_free_workers_are_a_mistake_in_the_scheduler():
    class Greedy(FullBudget):
        def next_jobs(self, history, count, *rest):
            return [Start(budget=1.0)] * (count + 1)

    with pytest.raises(RuntimeError, match="trial 2 was handed out, but all 2 workers are busy"):
        run(SimulatedExecutor(2), identity, schedule=Greedy())


@pytest.mark.parametrize("workers", [0, -1, 1.0, True, "2", None])
def test_workers_must_be_a_number_of_them(workers):
    with pytest.raises(ArgumentError, match="`workers` must be an integer of at least 1, got"):
        SimulatedExecutor(workers)


@pytest.mark.parametrize("seconds", [0, -1.0, math.inf, math.nan, True, "1", None])
def test_steps_must_take_time(seconds):
    with pytest.raises(ArgumentError, match="`seconds_per_step` must be a positive finite number"):
        run(SimulatedExecutor(2, lambda config: seconds), identity)
    with pytest.raises(ArgumentError, match="`seconds_per_step` must be a positive finite number"):
        SimulatedExecutor(2, seconds)


def test_what_cannot_be_simulated_is_refused():
    coordinator = make_coordinator(integers(2), GridSearch(2), max_trials=2)
    with pytest.raises(ArgumentError, match=r"`work` .* must be a FunctionWork.*got a function"):
        SimulatedExecutor().run(coordinator, lambda task, channel: None)
    with pytest.raises(ArgumentError, match=r"`coordinator` .* must be a Coordinator.*got a object"):
        SimulatedExecutor().run(object(), FunctionWork(identity))
    assert SimulatedExecutor().busy == 0.0


def test_a_second_run_begins_anew():
    executor = SimulatedExecutor(2)
    run(executor, identity, count=6)
    run(executor, identity, count=4)
    assert (executor.elapsed_s, sorted(executor.spans), executor.busy) == (6.0, [0, 1, 2, 3], 1.0)
