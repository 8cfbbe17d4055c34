import importlib.util
from collections import Counter
from pathlib import Path

import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.schedule import Hyperband, Scheduler
from lightning_tune.search import RandomSearch
from lightning_tune.testing.functions import run_function
from lightning_tune.testing.scheduler_contract import SchedulerContract
from lightning_tune.testing.searcher_contract import MIXED, bowl

spec = importlib.util.spec_from_file_location("random_sweeps", Path(__file__).with_name("random_sweeps.py"))
random_sweeps = importlib.util.module_from_spec(spec)
spec.loader.exec_module(random_sweeps)


class TestHyperband(SchedulerContract):
    trials = 15

    def scheduler(self) -> Scheduler:
        return Hyperband(eta=3)


class TestHyperbandWithSeveralObjectives(random_sweeps.Several, SchedulerContract):
    trials = 19

    def scheduler(self) -> Scheduler:
        return Hyperband(eta=3)


class TestHyperbandAgainAndAgain(SchedulerContract):
    trials = 37

    def scheduler(self) -> Scheduler:
        return Hyperband(eta=3)


def test_a_sweep_trains_table_1():
    """Bracket by bracket, how many trials ended at which epoch, of the paper's R = 81 and eta = 3."""
    history = run_function(
        MIXED, RandomSearch(), bowl, max_trials=128, max_budget=81, schedule=Hyperband(eta=3)
    )
    steps = [trial.step for trial in history]
    brackets = [steps[:81], steps[81:108], steps[108:117], steps[117:123], steps[123:]]
    assert [Counter(bracket) for bracket in brackets] == [
        {1: 54, 3: 18, 9: 6, 27: 2, 81: 1},
        {3: 18, 9: 6, 27: 2, 81: 1},
        {9: 6, 27: 2, 81: 1},
        {27: 4, 81: 2},
        {81: 5},
    ]
    schedule = Hyperband(eta=3).resolve(Budget(full=81))
    assert schedule.num_trials == 128
    assert schedule.cost(None, 1).endswith(f"at most {history.num_reports} epochs")


@pytest.mark.parametrize(("low", "first"), [(None, 1.0), (3, 3.0), (4, 9.0), (27, 27.0)])
def test_a_smallest_budget_leaves_out_the_lower_rungs(low, first):
    assert Hyperband(min_budget=low).resolve(Budget(full=27)).brackets[0].levels[0] == first
