import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.schedule import FullBudget, Scheduler
from lightning_tune.search import RandomSearch
from lightning_tune.testing.functions import run_function
from lightning_tune.testing.scheduler_contract import SchedulerContract
from lightning_tune.testing.searcher_contract import MIXED, bowl


class TestFullBudget(SchedulerContract):
    def scheduler(self) -> Scheduler:
        return FullBudget()


def test_every_trial_trains_to_the_full_budget():
    history = run_function(MIXED, RandomSearch(), bowl, max_trials=4, max_budget=7)
    assert [trial.step for trial in history] == [7, 7, 7, 7]


@pytest.mark.parametrize(
    ("max_trials", "repeats", "max_budget", "sentence"),
    [
        (4, 1, 27.0, "4 trials of 27 epochs: at most 108 epochs"),
        (4, 3, 27.0, "12 trials of 27 epochs: at most 324 epochs"),
        (4, 1, float("inf"), "4 trials"),
        (None, 1, 27.0, "trials of 27 epochs, until the search or a limit ends it"),
    ],
)
def test_the_cost_is_said_in_numbers(max_trials, repeats, max_budget, sentence):
    schedule = FullBudget().resolve(Budget(full=max_budget))
    assert schedule.cost(max_trials, repeats) == sentence
