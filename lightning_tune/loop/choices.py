"""The words a user may write for a searcher or a scheduler, and what they stand for."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from lightning_tune.errors import ArgumentError
from lightning_tune.loop.freeze_thaw import FreezeThaw
from lightning_tune.schedule import (
    ASHA,
    CurveStopping,
    FullBudget,
    Hyperband,
    MedianStopping,
    PopulationBased,
    Scheduler,
    SuccessiveHalving,
)
from lightning_tune.search import (
    AutoSearch,
    BayesianSearch,
    GeneticSearch,
    GridSearch,
    OneAtATimeSearch,
    RandomSearch,
    Searcher,
    SimulatedAnnealing,
    TPESearch,
)

Part = TypeVar("Part")
SEARCHERS: Mapping[str, Callable[[], Searcher]] = {
    "annealing": SimulatedAnnealing,
    "auto": AutoSearch,
    "bayesian": BayesianSearch,
    "freeze_thaw": FreezeThaw,
    "genetic": GeneticSearch,
    "grid": GridSearch,
    "one_at_a_time": OneAtATimeSearch,
    "random": RandomSearch,
    "tpe": TPESearch,
}
SCHEDULERS: Mapping[str, Callable[[], Scheduler]] = {
    "asha": ASHA,
    "curves": CurveStopping,
    "full": FullBudget,
    "halving": SuccessiveHalving,
    "hyperband": Hyperband,
    "median": MedianStopping,
    "population": PopulationBased,
}
SHORT: Mapping[str, tuple[str, str]] = {
    "asha": ("random", "asha"),
    "bohb": ("tpe", "hyperband"),
    "hyperband": ("random", "hyperband"),
}
"""Words for `search` that stand for a searcher and a schedule."""


def search_and_schedule(
    search: str | Searcher, schedule: str | Scheduler | None
) -> tuple[Searcher, Scheduler]:
    """Return the parts that `search=` and `schedule=` name; some words and objects for `search` are both.

    Raises:
        ArgumentError: an unknown word, or a schedule beside a search that has its own.
    """
    if isinstance(search, str) and search in SHORT:
        if schedule is not None:
            raise ArgumentError(
                f"`search={search!r}` names the schedule too: leave `schedule` out, or say "
                f"search={SHORT[search][0]!r}."
            )
        search, schedule = SHORT[search]
    found = searcher(search)
    if isinstance(found, Scheduler):
        if schedule is not None:
            raise ArgumentError(
                f"`search={type(found).__name__}` decides who trains on too: leave `schedule` out, or use "
                "another search."
            )
        return found, found
    if isinstance(schedule, Searcher):
        raise ArgumentError(
            f"`schedule` must not be {type(schedule).__name__}, which decides what to try too: give it as "
            "`search=`."
        )
    return found, scheduler(schedule)


def searcher(search: str | Searcher) -> Searcher:
    """Return the searcher that `search=` names.

    Raises:
        ArgumentError: an unknown word, listing those that exist.
    """
    return (
        search if isinstance(search, Searcher) else _named("search", search, SEARCHERS, "a Searcher", SHORT)
    )


def scheduler(schedule: str | Scheduler | None) -> Scheduler:
    """Return the scheduler that `schedule=` names; None trains every trial to its full budget.

    Raises:
        ArgumentError: an unknown word, listing those that exist.
    """
    if schedule is None:
        return FullBudget()
    return (
        schedule
        if isinstance(schedule, Scheduler)
        else _named("schedule", schedule, SCHEDULERS, "a Scheduler")
    )


def _named(
    argument: str,
    word: object,
    choices: Mapping[str, Callable[[], Part]],
    kind: str,
    others: Iterable[str] = (),
) -> Part:
    if isinstance(word, str) and word in choices:
        return choices[word]()
    names = sorted({*choices, *others})
    near = difflib.get_close_matches(str(word), names, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if isinstance(word, type):
        hint = f" Did you mean {word.__name__}()?"
    raise ArgumentError(
        f"`{argument}` must be one of {', '.join(map(repr, names))}, or {kind}, got {word!r}.{hint}"
    )
