import pytest

from lightning_tune.errors import ArgumentError
from lightning_tune.loop.choices import scheduler, search_and_schedule, searcher
from lightning_tune.loop.freeze_thaw import FreezeThaw
from lightning_tune.schedule import (
    ASHA,
    CurveStopping,
    FullBudget,
    Hyperband,
    MedianStopping,
    PopulationBased,
    SuccessiveHalving,
)
from lightning_tune.search import (
    AutoSearch,
    BayesianSearch,
    GeneticSearch,
    GridSearch,
    OneAtATimeSearch,
    RandomSearch,
    SimulatedAnnealing,
    TPESearch,
)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("annealing", SimulatedAnnealing),
        ("auto", AutoSearch),
        ("bayesian", BayesianSearch),
        ("freeze_thaw", FreezeThaw),
        ("genetic", GeneticSearch),
        ("grid", GridSearch),
        ("one_at_a_time", OneAtATimeSearch),
        ("random", RandomSearch),
        ("tpe", TPESearch),
    ],
)
def test_words_stand_for_searchers(word, kind):
    assert type(searcher(word)) is kind


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("asha", ASHA),
        ("curves", CurveStopping),
        ("full", FullBudget),
        ("halving", SuccessiveHalving),
        ("hyperband", Hyperband),
        ("median", MedianStopping),
        ("population", PopulationBased),
    ],
)
def test_words_stand_for_schedulers(word, kind):
    assert type(scheduler(word)) is kind


@pytest.mark.parametrize(
    ("word", "kinds"),
    [
        ("asha", (RandomSearch, ASHA)),
        ("bohb", (TPESearch, Hyperband)),
        ("hyperband", (RandomSearch, Hyperband)),
    ],
)
def test_some_words_stand_for_a_search_and_its_schedule(word, kinds):
    assert tuple(map(type, search_and_schedule(word, None))) == kinds
    with pytest.raises(ArgumentError, match=f"`search='{word}'` names the schedule too"):
        search_and_schedule(word, "median")


@pytest.mark.parametrize("given", ["freeze_thaw", FreezeThaw(starts=5)])
def test_a_search_that_is_a_schedule_too_is_its_own(given):
    search, schedule = search_and_schedule(given, None)
    assert search is schedule
    assert type(search) is FreezeThaw
    with pytest.raises(ArgumentError, match="`search=FreezeThaw` decides who trains on too"):
        search_and_schedule(given, "median")


def test_a_search_that_is_a_schedule_too_is_not_given_as_the_schedule():
    with pytest.raises(
        ArgumentError, match="`schedule` must not be FreezeThaw, which decides what to try too"
    ):
        search_and_schedule("random", FreezeThaw())


def test_objects_are_taken_as_they_are():
    search, schedule = GridSearch(3), FullBudget(5.0)
    assert searcher(search) is search
    assert scheduler(schedule) is schedule
    assert scheduler(None) == FullBudget()


@pytest.mark.parametrize(("call", "word"), [(searcher, "gird"), (scheduler, "fulll"), (searcher, 3)])
def test_unknown_words_list_those_that_exist(call, word):
    with pytest.raises(ArgumentError, match="must be one of '"):
        call(word)
