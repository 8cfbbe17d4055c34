"""The coordinator alone: what it hands out, what it records, what others write beside it."""

import math

import pytest

from lightning_tune.core.decision import Decision, Done, Job, Resume, Start, Stop, Wait
from lightning_tune.core.events import ConfigEnqueued, Decided, StopRequested, TrialPaused
from lightning_tune.core.space import Float, Space
from lightning_tune.errors import StoreError
from lightning_tune.execute import CheckpointRef, LegEnd, Retire
from lightning_tune.schedule import FullBudget
from lightning_tune.search import RandomSearch
from lightning_tune.store import MemoryStore
from lightning_tune.testing.functions import make_coordinator

SPACE = Space({"x": Float(0.0, 1.0)})


def coordinator(max_trials=10, **settings):
    return make_coordinator(SPACE, RandomSearch(), max_trials=max_trials, **{"max_budget": 3.0, **settings})


def complete(sweep, task, value=1.0):
    for step in range(1, int(task.budget) + 1):
        sweep.report(task.trial, task.leg, float(step), (value,), {"value": value})
    return sweep.finish(
        LegEnd(trial=task.trial, leg=task.leg, step=task.budget, kind="completed", reason="done")
    )


class Scripted(FullBudget):
    """A scheduler that plays a list of jobs, and pauses at step 1."""

    def __init__(self, *jobs: Job) -> None:
        object.__setattr__(self, "jobs", list(jobs))
        object.__setattr__(self, "max_budget", None)

    def resolve(self, budget):
        return self

    def next_jobs(self, history, count, more):
        return [self.jobs.pop(0)] if self.jobs else [Done(reason="played")]

    def judge(self, report, history):
        if report.step == 1 and report.leg == 0:
            return Decision(action="pause", reason="rung 1: 1st of 1")
        return Decision(action="continue")


def test_several_workers_get_several_trials_and_the_last_ones_wait():
    sweep = coordinator(max_trials=3)
    tasks = sweep.next_jobs(8)
    assert [task.trial for task in tasks] == [0, 1, 2]
    assert sweep.next_jobs(8) == Wait(reason="3 trials")
    for task in tasks:
        complete(sweep, task)
    assert sweep.next_jobs(8) == Done(reason="3 trials")


def test_a_known_step_gets_its_old_decision_and_is_not_recorded_again():
    sweep = coordinator(schedule=Scripted(Start(budget=3.0)))
    (task,) = sweep.next_jobs(1)
    first = sweep.report(task.trial, task.leg, 1.0, (1.0,), {})
    before = sweep.history.seq
    again = sweep.report(task.trial, task.leg, 1.0, (0.5,), {})
    assert first == again == Decision(action="pause", reason="rung 1: 1st of 1")
    assert sweep.history.seq == before
    decided = [event for event in sweep.journal.store.read("test") if isinstance(event, Decided)]
    assert [(event.step, event.action, event.reason) for event in decided] == [
        (1.0, "pause", "rung 1: 1st of 1")
    ]


def test_a_paused_trial_is_resumed_from_its_checkpoint_and_one_that_is_stopped_is_retired():
    jobs = Start(budget=3.0), Resume(group=0, budget=3.0), Stop(group=0, reason="not promoted")
    sweep = coordinator(schedule=Scripted(*jobs))
    (task,) = sweep.next_jobs(1)
    sweep.report(0, 0, 1.0, (1.0,), {})
    file = CheckpointRef(path="trials/0/p", step=1.0, size=3, sha256="abc")
    sweep.saved(0, 0, 1.0, "pause", file)
    paused = sweep.finish(LegEnd(trial=0, leg=0, step=1.0, kind="paused", reason="rung 1: 1st of 1"))
    assert paused.state == "paused"
    (task,) = sweep.next_jobs(1)
    assert (task.leg, task.budget, task.checkpoint, task.trained) == (1, 3.0, file, True)
    sweep.finish(LegEnd(trial=0, leg=1, step=3.0, kind="paused", reason="rung 2"))
    (task,) = sweep.next_jobs(1)
    assert isinstance(task, Retire)
    assert (task.outcome.state, task.outcome.reason) == ("stopped", "not promoted")
    assert list(sweep.history.trials[0].checkpoints) == ["pause"]  # it is the best: its weights are in there


def test_what_another_process_appends_is_seen_at_the_next_report():
    store = MemoryStore()
    sweep = coordinator(store=store)
    (task,) = sweep.next_jobs(1)
    store.append("test", [StopRequested(trial=0, reason="too slow", time=0.0)])
    assert sweep.report(0, 0, 1.0, (1.0,), {}) == Decision(action="stop", reason="too slow")
    store.append("test", [ConfigEnqueued(number=0, config={"x": 0.125}, time=0.0)])
    sweep.finish(LegEnd(trial=0, leg=0, step=1.0, kind="stopped", reason="too slow"))
    (task,) = sweep.next_jobs(1)
    assert task.config == {"x": 0.125}
    assert sweep.history.trials[1].origin == "enqueued"
    assert [event.seq for event in store.read("test")] == list(range(1, sweep.history.seq + 1))


def test_an_interrupt_pauses_running_trials_and_hands_out_no_more():
    sweep = coordinator()
    sweep.next_jobs(1)
    sweep.interrupt("Ctrl-C")
    assert sweep.poll(0) == Decision(action="pause", reason="Ctrl-C")
    sweep.finish(LegEnd(trial=0, leg=0, step=1.0, kind="paused", reason="Ctrl-C"))
    assert sweep.next_jobs(1) == Done(reason="Ctrl-C")
    assert isinstance(list(sweep.journal.store.read("test"))[-1], TrialPaused)


def test_legs_cut_short_are_taken_up_first_after_a_restart():
    store = MemoryStore()
    first = coordinator(store=store)
    tasks = first.next_jobs(3)
    complete(first, tasks[1])
    again = coordinator(store=store)
    assert [task.trial for task in again.next_jobs(8)] == [0, 2]
    assert [task.trial for task in again.next_jobs(1)] == [3]


def test_baselines_come_first_then_the_search():
    sweep = coordinator(baselines=[{"x": 0.25}, {"x": 0.75}])
    tasks = sweep.next_jobs(3)
    assert [task.config for task in tasks[:2]] == [{"x": 0.25}, {"x": 0.75}]
    assert [trial.origin for trial in sweep.history] == ["baseline", "baseline", "search"]


def test_a_repeat_that_failed_does_not_start_its_siblings():
    sweep = coordinator(max_trials=2, repeats=3)
    (task,) = sweep.next_jobs(1)
    sweep.finish(LegEnd(trial=0, leg=0, step=0.0, kind="out_of_memory", reason="too large"))
    (task,) = sweep.next_jobs(1)
    assert (task.trial, task.group) == (1, 1)


def test_the_target_is_met_by_the_mean_of_the_repeats():
    sweep = coordinator(max_trials=9, repeats=2, target=1.0)
    (first,) = sweep.next_jobs(1)
    assert sweep.report(first.trial, 0, 1.0, (0.5,), {}).action == "continue"  # one seed alone proves nothing
    sweep.finish(LegEnd(trial=0, leg=0, step=3.0, kind="completed", reason="done"))
    (second,) = sweep.next_jobs(1)
    assert second.group == first.group
    decision = sweep.report(second.trial, 0, 1.0, (1.5,), {})
    assert (decision.action, decision.reason) == ("stop", "target 1 reached: 1")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_divergence_stops_the_trial(value):
    sweep = coordinator()
    sweep.next_jobs(1)
    decision = sweep.report(0, 0, 1.0, (value,), {"value": value})
    assert decision.action == "stop"
    assert decision.reason == f"diverged: value is {value}"


def test_a_store_that_cannot_be_written_stops_the_sweep_not_the_trial(monkeypatch):
    sweep = coordinator()
    sweep.next_jobs(1)

    def full(*args, **kwargs):
        raise StoreError("the disk is full")

    monkeypatch.setattr(sweep.journal.store, "transaction", full)
    with pytest.raises(StoreError, match="disk is full"):
        sweep.report(0, 0, 1.0, (1.0,), {})


def test_listeners_hear_every_event_in_order_after_the_history_has_it():
    heard = []
    sweep = coordinator()
    sweep.journal.listeners = [lambda event, history: heard.append((event, history.seq >= event.seq))]
    (task,) = sweep.next_jobs(1)
    complete(sweep, task)
    assert all(folded for _, folded in heard)
    assert [event for event, _ in heard] == list(sweep.journal.store.read("test", after=1))


@pytest.mark.parametrize("cause", ["decision", "budget"])
def test_a_pause_that_was_saved_but_not_recorded_is_recorded_after_a_restart(cause):
    """Killed between the checkpoint and the pause, the trial must not train an epoch past its rung."""
    store = MemoryStore()
    step = 1.0 if cause == "decision" else 3.0
    script = [Start(budget=3.0)]
    first = coordinator(store=store, schedule=Scripted(*script))
    first.next_jobs(1)
    first.report(0, 0, 1.0, (1.0,), {})
    if cause == "budget":
        first.history.decision(0, 0, 1.0)
        first.report(0, 0, 3.0, (1.0,), {})
    first.saved(0, 0, step, "pause", CheckpointRef(path="trials/0/p", step=step, size=3, sha256="abc"))
    again = coordinator(store=store, schedule=Scripted())
    assert again.next_jobs(1) == Done(reason="played")
    trial = again.history.trials[0]
    assert (trial.state, trial.step) == ("paused", step)
    assert trial.reason == ("rung 1: 1st of 1" if cause == "decision" else "reached 3 epochs")


def test_the_last_state_of_a_leg_that_did_not_end_is_not_trained_on_from():
    """Killed between the last state and the end, the leg is run again: an early stop stays where it was."""
    store = MemoryStore()
    first = coordinator(store=store)
    first.next_jobs(1)
    first.report(0, 0, 1.0, (1.0,), {})
    first.saved(0, 0, 1.0, "last", CheckpointRef(path="trials/0/l", step=1.0, size=3, sha256="abc"))
    (task,) = coordinator(store=store).next_jobs(1)
    assert (task.trial, task.leg, task.checkpoint) == (0, 0, None)
