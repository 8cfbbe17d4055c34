import pytest

from lightning_tune.errors import ArgumentError
from lightning_tune.loop.choices import scheduler, searcher
from lightning_tune.schedule import (
    ASHA,
    FullBudget,
    Hyperband,
    MedianStopping,
    PopulationBased,
    SuccessiveHalving,
)
from lightning_tune.search import GridSearch, OneAtATimeSearch, RandomSearch


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("auto", RandomSearch),
        ("random", RandomSearch),
        ("grid", GridSearch),
        ("one_at_a_time", OneAtATimeSearch),
    ],
)
def test_words_stand_for_searchers(word, kind):
    assert type(searcher(word)) is kind


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("asha", ASHA),
        ("full", FullBudget),
        ("halving", SuccessiveHalving),
        ("hyperband", Hyperband),
        ("median", MedianStopping),
        ("population", PopulationBased),
    ],
)
def test_words_stand_for_schedulers(word, kind):
    assert type(scheduler(word)) is kind


def test_objects_are_taken_as_they_are():
    search, schedule = GridSearch(3), FullBudget(5.0)
    assert searcher(search) is search
    assert scheduler(schedule) is schedule
    assert scheduler(None) == FullBudget()


@pytest.mark.parametrize(("call", "word"), [(searcher, "gird"), (scheduler, "fulll"), (searcher, 3)])
def test_unknown_words_list_those_that_exist(call, word):
    with pytest.raises(ArgumentError, match="must be one of '"):
        call(word)
