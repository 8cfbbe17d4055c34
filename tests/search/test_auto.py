import pytest

from lightning_tune.errors import ArgumentError
from lightning_tune.search import AutoSearch, Searcher
from lightning_tune.testing.searcher_contract import SearcherContract


class TestAuto(SearcherContract):
    def searcher(self) -> Searcher:
        return AutoSearch()


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "9"])
def test_a_bad_number_of_trials_is_named(number):
    with pytest.raises(ArgumentError, match="`max_trials` must be an integer of at least 1, or None, got"):
        AutoSearch(max_trials=number)


def test_a_sweep_says_how_many_trials_there_are_unless_it_was_told():
    assert AutoSearch().resolve(30) == AutoSearch(max_trials=30)
    assert AutoSearch(max_trials=9).resolve(30) == AutoSearch(max_trials=9)
    assert AutoSearch().resolve(None) == AutoSearch()
