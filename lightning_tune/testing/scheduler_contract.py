"""What every scheduler must do. Subclass it in a test and say how to make the scheduler."""

import json
import math
import pickle
from typing import Any

from lightning_tune.core.budget import Budget
from lightning_tune.core.decision import Decision, Done, Resume, Start, Stop
from lightning_tune.core.events import Reported
from lightning_tune.schedule.base import Scheduler
from lightning_tune.search import RandomSearch
from lightning_tune.store import MemoryStore
from lightning_tune.testing.functions import run_function, story
from lightning_tune.testing.searcher_contract import MIXED, bowl


class SchedulerContract:
    """Tests that every scheduler passes."""

    trials = 9
    max_budget = 9.0

    def scheduler(self) -> Scheduler:
        """Return a scheduler with its default settings."""
        raise AssertionError("a subclass says how")

    def run(self, **settings: Any) -> Any:
        """Run a sweep under the scheduler and return its history."""
        given = {
            "max_trials": self.trials,
            "max_budget": self.max_budget,
            "schedule": self.scheduler(),
            **settings,
        }
        return run_function(MIXED, RandomSearch(), bowl, **given)

    def test_the_sweep_comes_to_its_end(self) -> None:
        """Every trial has ended or is paused for good, and the best one has trained."""
        history = self.run()
        assert history.best is not None
        assert all(trial.state != "running" for trial in history)

    def test_a_restart_anywhere_changes_nothing(self) -> None:
        """Killed after every few reports, it ends as it would have without."""
        whole, store = self.run(), MemoryStore()
        for kill_after in (1, 3, 5, 2, 4):
            self.run(store=store, kill_after=kill_after)
        assert story(self.run(store=store)) == story(whole)

    def test_no_step_is_trained_twice(self) -> None:
        """Every trial's steps rise."""
        for trial in self.run():
            steps = [report.step for report in trial.reports]
            assert steps == sorted(set(steps))

    def test_it_keeps_to_the_workers_and_the_configurations_that_there_are(self) -> None:
        """No more starts and resumes than asked for, no more starts than may come, and an end."""
        schedule = self.scheduler().resolve(Budget(full=self.max_budget))
        history = self.run(kill_after=7)
        for count in (1, 3):
            for more in (0, 2, math.inf):
                jobs = schedule.next_jobs(history, count, more)
                starts = [job for job in jobs if isinstance(job, Start)]
                assert len([job for job in jobs if isinstance(job, Start | Resume)]) <= count
                assert len(starts) <= more
                assert all(isinstance(job, Start | Resume | Stop) for job in jobs[:-1])
                assert all(job.budget <= schedule.full_budget for job in starts)
        whole = self.run()
        assert [type(job) for job in schedule.next_jobs(whole, 1, 0)] == [Done]

    def test_judging_is_a_pure_function(self) -> None:
        """The same report and history give the same decision, and nothing is written."""
        history = self.run()
        schedule = self.scheduler().resolve(Budget(full=self.max_budget))
        before = story(history)
        last = history.trials[-1].reports[-1]
        report = Reported(history.trials[-1].number, last.leg, last.step, last.values, last.time)
        first, second = (schedule.judge(report, history) for _ in range(2))
        assert isinstance(first, Decision)
        assert first == second
        assert story(history) == before

    def test_it_says_what_it_costs(self) -> None:
        """One sentence with numbers, before anything starts."""
        schedule = self.scheduler().resolve(Budget(full=self.max_budget))
        sentence = schedule.cost(self.trials, 1)
        assert "trials" in sentence
        assert "epochs" in sentence

    def test_its_settings_are_plain_json_and_it_can_be_pickled(self) -> None:
        """What the sweep records of it, and what travels to other processes."""
        scheduler = self.scheduler()
        assert json.loads(json.dumps(scheduler.describe())) == scheduler.describe()
        assert pickle.loads(pickle.dumps(scheduler)) == scheduler
