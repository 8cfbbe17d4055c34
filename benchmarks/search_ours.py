"""Ours on one problem: `optimize` with each word for `search`, and a sweep on simulated workers."""

import hashlib
import json
from functools import partial

from search_problems import Config
from search_runs import Method, Run

from lightning_tune import optimize
from lightning_tune.search import AutoSearch
from lightning_tune.testing.functions import run_function
from lightning_tune.testing.simulated import SimulatedExecutor

DEFAULT = "lightning_tune"
PACKAGES = ("lightning-tuneloop", "torch", "scipy", "numpy")


def by_word(word: str | None, run: Run, trials: int) -> None:
    """Search as a user does who names this searcher, or none."""
    if word is None:
        optimize(run, run.problem.space, max_trials=trials, seed=run.seed)
    else:
        optimize(run, run.problem.space, search=word, max_trials=trials, seed=run.seed)


def by_workers(workers: int, run: Run, trials: int) -> None:
    """Search by default with so many workers, whose trials take between 1 and 2 virtual seconds each.

    A worker that is free asks at once: all others are still busy with trials of unknown outcome.
    """
    run_function(
        run.problem.space,
        AutoSearch(),
        lambda config, _: run(config),
        max_trials=trials,
        seed=run.seed,
        executor=SimulatedExecutor(workers=workers, seconds_per_step=_seconds),
    )


def _seconds(config: Config) -> float:
    """Return how long a configuration takes: some time between 1 and 2 that says nothing of its value."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).digest()
    return 1 + int.from_bytes(digest[:4], "little") / 2**32


OURS = {
    DEFAULT: Method(name=DEFAULT, search=partial(by_word, None), packages=PACKAGES),
    **{
        f"{DEFAULT}_{word}": Method(
            name=f"{DEFAULT}_{word}",
            search=partial(by_word, word),
            packages=PACKAGES,
            told=word == "annealing",  # its temperature falls over the whole sweep
        )
        for word in ("bayesian", "tpe", "annealing", "genetic")
    },
}
