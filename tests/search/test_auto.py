import pytest

from lightning_tune.core.events import Config
from lightning_tune.core.rng import generator
from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.search import AutoSearch, BayesianSearch, GeneticSearch, RandomSearch, Searcher, TPESearch
from lightning_tune.search.auto import LONG
from lightning_tune.store import MemoryStore
from lightning_tune.testing.functions import run_function
from lightning_tune.testing.searcher_contract import SearcherContract

SPACE = Space({name: Float(0, 1) for name in "abcde"} | {"kind": Choice(["x", "y"])})


def bowl(config: Config, step: int) -> float:
    return sum((config[name] - 0.3) ** 2 for name in "abcde") + (config["kind"] == "y")


def after(trials: int):
    """Return the history of so many random trials."""
    return run_function(SPACE, RandomSearch(), bowl, max_trials=trials)


class TestAuto(SearcherContract):
    def searcher(self) -> Searcher:
        return AutoSearch()


@pytest.mark.parametrize(
    ("tried", "other"),
    [(LONG - 1, BayesianSearch()), (LONG, BayesianSearch()), (LONG + 1, GeneticSearch())],
)
def test_in_a_long_sweep_every_other_trial_is_bred(tried: int, other: Searcher):
    history = after(tried)
    proposed = AutoSearch().suggest(SPACE, history, generator(0, "search", tried))
    assert proposed == other.suggest(SPACE, history, generator(0, "search", tried))


@pytest.mark.parametrize(
    ("tried", "other"),
    [(5, BayesianSearch()), (6, BayesianSearch()), (7, TPESearch()), (8, BayesianSearch())],
)
def test_where_there_are_branches_every_other_trial_is_of_densities(tried: int, other: Searcher):
    space = Space({"lr": Float(0, 1), "kind": Choice({"x": {"width": Float(0, 1)}, "y": {}})})
    history = run_function(space, RandomSearch(), lambda config, step: config["lr"], max_trials=tried)
    proposed = AutoSearch().suggest(space, history, generator(0, "search", tried))
    assert proposed == other.suggest(space, history, generator(0, "search", tried))


def test_children_and_model_take_up_what_the_other_found():
    """Forty trials after 200 random ones bring the regret down by far more than forty random ones."""

    def regret(search: Searcher) -> float:
        store = MemoryStore()
        run_function(SPACE, RandomSearch(), bowl, max_trials=LONG, store=store)
        return run_function(SPACE, search, bowl, max_trials=LONG + 40, store=store).best.score

    assert regret(AutoSearch()) < regret(RandomSearch()) / 30
