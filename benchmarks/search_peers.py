"""The other libraries: each `search(run, trials)` proposes configurations and evaluates them with `run`.

Each is set up as its documentation says for the problem at hand: conditional spaces as the library supports
them, noise announced where there is a way to, default settings otherwise.
"""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from search_runs import Method, Run
from search_spaces import (
    ax_parameters,
    config_space,
    hyperopt_expressions,
    nevergrad_parameters,
    optuna_suggested,
    plain,
)


def random_search(run: Run, trials: int) -> None:
    """Uniform in the transformed space."""
    rng = np.random.default_rng([run.seed, 4])
    for _ in range(trials):
        run(run.problem.space.sample(rng))


def optuna_tpe(run: Run, trials: int) -> None:
    """Optuna's multivariate TPE, with a model for each group of parameters that occur together."""
    import optuna

    with quietly():
        sampler = optuna.samplers.TPESampler(seed=run.seed, multivariate=True, group=True)
    _optuna(run, trials, sampler)


def optuna_gp(run: Run, trials: int) -> None:
    """Optuna's Gaussian process; parameters below a choice are drawn at random by it."""
    import optuna

    with quietly():
        sampler = optuna.samplers.GPSampler(seed=run.seed, deterministic_objective=not run.problem.noise)
    _optuna(run, trials, sampler)


def _optuna(run: Run, trials: int, sampler: Any) -> None:
    import optuna

    with quietly():
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=sampler)
        study.optimize(lambda trial: run(optuna_suggested(trial, run.problem.space.spec)), n_trials=trials)


def smac(run: Run, trials: int) -> None:
    """SMAC's facade for hyperparameters: a random forest; it evaluates again where there is noise."""
    import smac as library

    with tempfile.TemporaryDirectory() as folder, quietly():
        scenario = library.Scenario(
            config_space(run.problem.space, run.seed),
            deterministic=not run.problem.noise,
            n_trials=trials,
            seed=run.seed,
            output_directory=Path(folder),
        )
        facade = library.HyperparameterOptimizationFacade(
            scenario,
            lambda config, seed: run(plain(config, run.problem.space)),
            overwrite=True,
            logging_level=False,
        )
        facade.optimize()


def ax(run: Run, trials: int) -> None:
    """Ax's client with its default strategy: a centre, Sobol points, then BoTorch's noisy log EI."""
    from ax.api.client import Client

    with quietly():
        client = Client(random_seed=run.seed)
        client.configure_experiment(parameters=ax_parameters(run.problem.space))
        client.configure_optimization(objective="-value")
        for _ in range(trials):
            ((number, parameters),) = client.get_next_trials(max_trials=1).items()
            value = run(plain(parameters, run.problem.space))
            client.complete_trial(number, raw_data={"value": value})


def hyperopt_tpe(run: Run, trials: int) -> None:
    """Hyperopt's TPE, one parameter at a time."""
    import hyperopt  # type: ignore[import-untyped]

    with quietly():
        hyperopt.fmin(
            lambda config: run(plain(config, run.problem.space)),
            hyperopt_expressions(run.problem.space.spec),
            algo=hyperopt.tpe.suggest,
            max_evals=trials,
            rstate=np.random.default_rng(run.seed),
            show_progressbar=False,
        )


def nevergrad(run: Run, trials: int) -> None:
    """Nevergrad's NGOpt, which picks a method by dimension, kinds, noise and the number of trials."""
    import nevergrad as library  # type: ignore[import-untyped]

    with quietly():
        parametrization = library.p.Dict(**nevergrad_parameters(run.problem.space.spec))
        parametrization.random_state.seed(run.seed)
        parametrization.function.deterministic = not run.problem.noise
        optimizer = library.optimizers.NGOpt(parametrization, budget=trials)
        for _ in range(trials):
            candidate = optimizer.ask()
            optimizer.tell(candidate, run(plain(candidate.value, run.problem.space)))


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep a library's warnings, logs and lines off the terminal."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


PEERS = {
    peer.name: peer
    for peer in (
        Method(
            name="ax", search=ax, packages=("ax-platform", "botorch", "gpytorch", "torch"), seeds=5, most=100
        ),
        Method(name="optuna_gp", search=optuna_gp, packages=("optuna", "torch", "scipy"), seeds=5),
        Method(name="optuna_tpe", search=optuna_tpe, packages=("optuna",)),
        Method(
            name="smac",
            search=smac,
            packages=("smac", "ConfigSpace", "scikit-learn"),
            seeds=5,
            most=100,
            told=True,
        ),
        Method(name="nevergrad", search=nevergrad, packages=("nevergrad", "cma", "numpy"), told=True),
        Method(name="hyperopt", search=hyperopt_tpe, packages=("hyperopt",)),
        Method(name="random", search=random_search, packages=("numpy",)),
    )
}
