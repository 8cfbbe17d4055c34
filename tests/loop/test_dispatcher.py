from dataclasses import dataclass, replace

from lightning_tune.core.decision import Decision, Done, Start, Stop
from lightning_tune.core.space import Float, Space
from lightning_tune.execute import CheckpointRef, LegEnd, Retire
from lightning_tune.schedule import FullBudget
from lightning_tune.search import GridSearch
from lightning_tune.testing.functions import make_coordinator

SPACE = Space({"x": Float(0.0, 1.0)})
FILE = CheckpointRef(path="trials/0/p", step=1.0, size=3, sha256="abc")


@dataclass(frozen=True)
class Exploit(FullBudget):
    """Starts a trial, then one from the first's checkpoint, then stops the group of the first."""

    def resolve(self, budget):
        return self

    def next_jobs(self, history, count, more):
        if len(history) == 0:
            return [Start(budget=3.0)]
        if len(history) == 1:
            return [Start(budget=3.0, config={"x": 0.5}, parent=0)]
        return (
            [Stop(group=0, reason="exploited")]
            if history.trials[0].state == "paused"
            else [Done(reason="end")]
        )

    def judge(self, report, history):
        return Decision(action="pause", reason="exploit")


def test_a_trial_may_start_from_anothers_checkpoint(tmp_path):
    sweep = make_coordinator(SPACE, GridSearch(2), max_trials=9, schedule=Exploit(), folder=tmp_path)
    (tmp_path / "trials" / "0").mkdir(parents=True)
    (tmp_path / FILE.path).write_bytes(b"abc")
    sweep.next_jobs(1)
    sweep.report(0, 0, 1.0, (1.0,), {})
    sweep.saved(0, 0, 1.0, "pause", FILE)
    sweep.finish(LegEnd(trial=0, leg=0, step=1.0, kind="paused", reason="exploit"))
    (task,) = sweep.next_jobs(1)
    (tmp_path / FILE.path).unlink()  # the parent trains on and replaces its own
    assert (task.config, task.inherited) == ({"x": 0.5}, True)
    assert task.checkpoint == replace(FILE, path="trials/1/pause-lent-0-1.ckpt")
    assert (tmp_path / task.checkpoint.path).read_bytes() == b"abc"
    assert (sweep.history.trials[1].parent, sweep.history.trials[1].origin) == (0, "schedule")


def test_stopping_a_group_ends_its_paused_members_alone():
    sweep = make_coordinator(SPACE, GridSearch(2), max_trials=9, schedule=Exploit())
    sweep.next_jobs(1)
    sweep.report(0, 0, 1.0, (1.0,), {})
    sweep.finish(LegEnd(trial=0, leg=0, step=1.0, kind="paused", reason="exploit"))
    sweep.next_jobs(1)
    (task,) = sweep.next_jobs(1)
    assert isinstance(task, Retire)
    assert task.outcome.state == "stopped"
    assert sweep.history.trials[1].state == "running"


def test_a_trials_seed_is_its_own_and_comes_from_the_sweeps():
    seeds = []
    for seed in (0, 0, 1):
        sweep = make_coordinator(SPACE, GridSearch(3), max_trials=3, seed=seed)
        seeds.append([task.seed for task in sweep.next_jobs(3)])
    assert seeds[0] == seeds[1]
    assert len({*seeds[0], *seeds[2]}) == 6


def test_a_task_is_recorded_before_it_is_handed_out():
    sweep = make_coordinator(SPACE, GridSearch(3), max_trials=3)
    tasks = sweep.next_jobs(2)
    names = [type(event).__name__ for event in sweep.journal.store.read("test", after=1)]
    assert names == ["TrialStarted", "LegStarted"] * 2
    assert [replace(task, seed=0).config for task in tasks] == [{"x": 0.0}, {"x": 0.5}]
