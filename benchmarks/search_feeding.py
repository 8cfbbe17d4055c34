"""Searchers in the middle of a sweep: each has been told of so many trials, and is then asked.

Each function takes a problem with its past, tells the library of it, yields once, and after that once a
round: a suggestion, its value, and the library being told of it.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from search_ours import DEFAULT, OURS
from search_problems import Config, Problem
from search_spaces import (
    ax_parameters,
    config_space,
    hyperopt_expressions,
    nevergrad_parameters,
    optuna_suggested,
    plain,
)

from lightning_tune import Space, Sweep
from lightning_tune.core.decision import Done, Wait
from lightning_tune.core.history import History
from lightning_tune.loop.choices import SEARCHERS
from lightning_tune.search import Searcher

ROOM = 1_000  # how many more trials a library is told that there will be


@dataclass(frozen=True)
class Past:
    """A problem, and random configurations with their values."""

    problem: Problem
    configs: list[Config]
    values: list[float]

    @classmethod
    def of(cls, problem: Problem, trials: int) -> "Past":
        """Return a past of so many trials."""
        rng = np.random.default_rng(0)
        configs = [problem.space.sample(rng) for _ in range(trials)]
        return cls(problem, configs, [problem.value(config) for config in configs])

    def __iter__(self) -> Iterator[tuple[Config, float]]:
        """Yield the trials."""
        return zip(self.configs, self.values, strict=True)


Feeding = Callable[[Past], Iterator[None]]


@dataclass(frozen=True)
class Continued(Searcher):
    """A searcher that proposes a past first, whatever came of it, and then as another does."""

    past: Past
    searcher: Searcher

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config | Wait | Done:
        """Return the next configuration of the past, or the other's proposal."""
        if len(history) < len(self.past.configs):
            return self.past.configs[len(history)]
        return self.searcher.suggest(space, history, rng)

    def resolve(self, max_trials: int | None) -> "Continued":
        """Return it for a sweep of so many trials."""
        return Continued(self.past, self.searcher.resolve(max_trials))

    def describe(self) -> dict[str, Any]:
        """Return the other's description."""
        return self.searcher.describe()


def ours(word: str, past: Past) -> Iterator[None]:
    """Ask and tell of ours."""
    trials = len(past.values) + ROOM
    search = Continued(past, SEARCHERS[word]())
    with Sweep(past.problem.space, search=search, max_trials=trials) as sweep:
        for place in range(trials):
            asked = sweep.ask()
            if asked is None:
                raise RuntimeError(sweep.reason)
            sweep.tell(asked, past.problem.value(asked.config))
            if place >= len(past.values) - 1:
                yield


def optuna(make: Callable[[Any], Any], past: Past) -> Iterator[None]:
    """Optuna, with trials added to the study."""
    import optuna as library

    library.logging.set_verbosity(library.logging.ERROR)
    study = library.create_study(sampler=make(library.samplers))
    axes: dict[str, Any] = {
        name: library.distributions.FloatDistribution(axis.low, axis.high)
        for name, axis in past.problem.space.spec.items()
    }
    study.add_trials(
        library.create_trial(params=config, distributions=axes, value=value) for config, value in past
    )
    while True:
        yield
        trial = study.ask()
        study.tell(trial, past.problem.value(optuna_suggested(trial, past.problem.space.spec)))


def smac(past: Past) -> Iterator[None]:
    """SMAC by ask and tell; it fits once in eight suggestions."""
    import smac as library
    from ConfigSpace import Configuration
    from smac.runhistory import TrialInfo, TrialValue

    facade_of = library.HyperparameterOptimizationFacade
    space = config_space(past.problem.space, 0)
    with tempfile.TemporaryDirectory() as folder:
        scenario = library.Scenario(
            space, deterministic=True, n_trials=len(past.values) + ROOM, output_directory=Path(folder)
        )
        facade = facade_of(
            scenario,
            lambda config, seed: 0.0,
            initial_design=facade_of.get_initial_design(scenario, n_configs=1),
            overwrite=True,
            logging_level=False,
        )
        for config, value in past:
            facade.tell(TrialInfo(Configuration(space, values=config), seed=0), TrialValue(value), save=False)
        while True:
            yield
            asked = facade.ask()
            value = past.problem.value(plain(asked.config, past.problem.space))
            facade.tell(asked, TrialValue(value), save=False)


def ax(past: Past) -> Iterator[None]:
    """Ax, with trials attached to the experiment."""
    from ax.api.client import Client

    client = Client(random_seed=0)
    client.configure_experiment(parameters=ax_parameters(past.problem.space))
    client.configure_optimization(objective="-value")
    for config, value in past:
        client.complete_trial(client.attach_trial(parameters=config), raw_data={"value": value})
    while True:
        yield
        ((number, parameters),) = client.get_next_trials(max_trials=1).items()
        value = past.problem.value(plain(parameters, past.problem.space))
        client.complete_trial(number, raw_data={"value": value})


def hyperopt(past: Past) -> Iterator[None]:
    """Hyperopt's `fmin`, a trial at a time, on trials that begin with the past."""
    import hyperopt as library  # type: ignore[import-untyped]
    from hyperopt.fmin import generate_trials_to_calculate  # type: ignore[import-untyped]

    trials = generate_trials_to_calculate(past.configs)
    trials.refresh()
    for document, value in zip(trials.trials, past.values, strict=True):
        document["state"] = library.JOB_STATE_DONE
        document["result"] = {"loss": value, "status": library.STATUS_OK}
    trials.refresh()
    count = len(past.values)
    while True:
        yield
        count += 1
        library.fmin(
            lambda config: past.problem.value(plain(config, past.problem.space)),
            hyperopt_expressions(past.problem.space.spec),
            algo=library.tpe.suggest,
            max_evals=count,
            trials=trials,
            rstate=np.random.default_rng(count),
            show_progressbar=False,
        )


def nevergrad(past: Past) -> Iterator[None]:
    """Nevergrad's NGOpt; the past comes as suggestions of the user's own."""
    import nevergrad as library  # type: ignore[import-untyped]

    parametrization = library.p.Dict(**nevergrad_parameters(past.problem.space.spec))
    optimizer = library.optimizers.NGOpt(parametrization, budget=len(past.values) + ROOM)
    for config, value in past:
        optimizer.suggest(config)
        optimizer.tell(optimizer.ask(), value)
    while True:
        yield
        candidate = optimizer.ask()
        optimizer.tell(candidate, past.problem.value(plain(candidate.value, past.problem.space)))


FEEDINGS: dict[str, Feeding] = {
    DEFAULT: partial(ours, "auto"),
    **{name: partial(ours, name.removeprefix(f"{DEFAULT}_")) for name in OURS if name != DEFAULT},
    "ax": ax,
    "optuna_gp": partial(optuna, lambda samplers: samplers.GPSampler(seed=0, deterministic_objective=True)),
    "optuna_tpe": partial(
        optuna, lambda samplers: samplers.TPESampler(seed=0, multivariate=True, group=True)
    ),
    "smac": smac,
    "nevergrad": nevergrad,
    "hyperopt": hyperopt,
}
