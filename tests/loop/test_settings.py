import pytest

from lightning_tune.core.budget import Budget
from lightning_tune.core.space import Float, Space
from lightning_tune.errors import ArgumentError
from lightning_tune.loop.settings import SweepSettings
from lightning_tune.schedule import ASHA, FullBudget, Hyperband, SuccessiveHalving
from lightning_tune.search import SimulatedAnnealing
from lightning_tune.store import MemoryStore


def made(**given):
    settings = {
        "monitor": "loss",
        "mode": "min",
        "score": "best",
        "search": "random",
        "schedule": None,
        "max_trials": 5,
        "max_time": None,
        "target": None,
        "patience": None,
        "min_delta": 0.0,
        "repeats": 1,
        "seed": 0,
        "constraint": None,
        "budget": "epochs",
        "budget_unit": "epochs",
        "keep_checkpoints": 1,
        "max_failures": None,
        "amend": False,
        "overwrite": False,
        **given,
    }
    return SweepSettings.of({"x": Float(0.0, 1.0)}, **settings)


def fitted(full=27.0, baselines=(), **given):
    settings = made(**given)
    budget = Budget(full=full)
    return settings.fitted(settings.schedule.resolve(budget), budget, baselines)


def test_the_schedule_says_how_many_trials_there_are_unless_the_user_does():
    assert fitted(schedule="hyperband", max_trials=None).num_trials == 46
    assert fitted(schedule="hyperband", max_trials=7).num_trials == 7
    assert fitted(schedule="hyperband", max_trials=None).cost.startswith("46 trials, 4 brackets")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"search": "one_at_a_time", "schedule": "asha"}, "`search=OneAtATimeSearch` waits for its trials"),
        ({"repeats": 3, "schedule": "median"}, "`repeats` must be 1 with MedianStopping"),
        ({"monitor": ["a", "b"], "target": 0.5}, r"`target=0\.5` needs one number a trial"),
        ({"monitor": ["a", "b"], "patience": 3}, r"`patience=3` needs one number a trial"),
        ({"constraint": 3}, "`constraint` must be a callable"),
    ],
)
def test_parts_that_do_not_go_together_are_named(given, message):
    with pytest.raises(ArgumentError, match=message):
        made(**given)


def test_several_objectives_are_taken_as_they_are_or_made_one():
    several = made(monitor=["loss", "acc"], mode=["min", "max"])
    assert several.objective.monitor == ("loss", "acc")
    assert not several.history().objective.scalar
    one = made(monitor=["a", "b"], score=max, target=0.5, patience=3)
    assert one.objective.scalar


def test_a_sweep_without_an_end_and_a_refused_baseline_are_named():
    with pytest.raises(ArgumentError, match="nothing ends this sweep"):
        fitted(max_trials=None)
    with pytest.raises(ArgumentError, match=r"`constraint` refuses the baseline x=0\.5"):
        fitted(constraint=lambda config: False, baselines=[{"x": 0.5}])


def spec_of(tmp_path, settings):
    store = MemoryStore()
    settings.open("s", tmp_path, store)
    return store.sweep("s").spec


def test_what_is_recorded_of_a_schedule_are_its_rungs(tmp_path):
    """The same rungs under another `max_epochs` are the same schedule; other rungs are another."""

    def schedule(full, given):
        return spec_of(tmp_path, fitted(full, schedule=given))["schedule"]

    assert schedule(6, SuccessiveHalving(4, 1, 2)) == schedule(10, SuccessiveHalving(4, 1, 2))
    assert schedule(27, Hyperband()) != schedule(81, Hyperband())
    assert schedule(27, ASHA()) == schedule(81, ASHA(max_budget=27))
    assert schedule(27, FullBudget()) == schedule(81, None)


def test_a_search_is_recorded_as_it_was_given_and_used_as_the_limits_say(tmp_path):
    settings = fitted(search="annealing", max_trials=7)
    sweep = settings.open("s", tmp_path, MemoryStore())
    used = settings.coordinator(sweep, baselines=[], listeners=[], provenance={}).dispatcher.search
    assert used == SimulatedAnnealing(max_trials=7)
    assert sweep.store.sweep("s").spec["search"] == SimulatedAnnealing().describe()


def test_the_result_knows_space_and_budget(tmp_path):
    settings = fitted()
    result = settings.result("s", tmp_path, "done", settings.history())
    assert (result.name, result.reason, result.space) == ("s", "done", Space({"x": Float(0.0, 1.0)}))
