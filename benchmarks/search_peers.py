"""The other libraries: each `search(run, trials)` proposes configurations and evaluates them with `run`.

Each is set up as its documentation says for the problem at hand: conditional spaces as the library supports
them, noise announced where there is a way to, default settings otherwise.
"""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from search_problems import Config
from search_runs import Method, Run

from lightning_tune import Choice, Float, Int, Space

Spec = Mapping[str, Any]


def random_search(run: Run, trials: int) -> None:
    """Uniform in the transformed space."""
    rng = np.random.default_rng([run.seed, 4])
    for _ in range(trials):
        run(run.problem.space.sample(rng))


# -- Optuna: define by run; a branch is a condition in the code


def optuna_tpe(run: Run, trials: int) -> None:
    """Optuna's multivariate TPE, with a model for each group of parameters that occur together."""
    import optuna

    with _quietly():
        sampler = optuna.samplers.TPESampler(seed=run.seed, multivariate=True, group=True)
    _optuna(run, trials, sampler)


def optuna_gp(run: Run, trials: int) -> None:
    """Optuna's Gaussian process; parameters below a choice are drawn at random by it."""
    import optuna

    with _quietly():
        sampler = optuna.samplers.GPSampler(seed=run.seed, deterministic_objective=not run.problem.noise)
    _optuna(run, trials, sampler)


def _optuna(run: Run, trials: int, sampler: Any) -> None:
    import optuna

    with _quietly():
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=sampler)
        study.optimize(lambda trial: run(_suggested(trial, run.problem.space.spec)), n_trials=trials)


def _suggested(trial: Any, spec: Spec) -> Config:
    config: Config = {}
    for key, axis in spec.items():
        if isinstance(axis, Float):
            config[key] = trial.suggest_float(key, axis.low, axis.high, log=axis.log)
        elif isinstance(axis, Int):
            config[key] = trial.suggest_int(key, axis.low, axis.high, log=axis.log)
        else:
            config[key] = trial.suggest_categorical(key, list(axis.options))
            config |= _suggested(trial, axis.branches[axis.options.index(config[key])])
    return config


# -- SMAC: a ConfigSpace with conditions


def smac(run: Run, trials: int) -> None:
    """SMAC's facade for hyperparameters: a random forest; it evaluates again where there is noise."""
    import smac as library

    with tempfile.TemporaryDirectory() as folder, _quietly():
        scenario = library.Scenario(
            _config_space(run.problem.space, run.seed),
            deterministic=not run.problem.noise,
            n_trials=trials,
            seed=run.seed,
            output_directory=Path(folder),
        )
        facade = library.HyperparameterOptimizationFacade(
            scenario,
            lambda config, seed: run(_plain(config, run.problem.space)),
            overwrite=True,
            logging_level=False,
        )
        facade.optimize()


def _config_space(space: Space, seed: int) -> Any:
    import ConfigSpace

    built = ConfigSpace.ConfigurationSpace(seed=seed)
    for key, axis, parent, option in _walk(space.spec):
        if isinstance(axis, Choice):
            kind: Any = (
                ConfigSpace.OrdinalHyperparameter if axis.ordered else ConfigSpace.CategoricalHyperparameter
            )
            built.add(kind(key, list(axis.options)))
        else:
            kind = ConfigSpace.Integer if isinstance(axis, Int) else ConfigSpace.Float
            built.add(kind(key, (axis.low, axis.high), log=axis.log))
        if parent:
            built.add(ConfigSpace.EqualsCondition(built[key], built[parent], option))
    return built


# -- Ax: a hierarchical search space


def ax(run: Run, trials: int) -> None:
    """Ax's client with its default strategy: a centre, Sobol points, then BoTorch's noisy log EI."""
    from ax.api.client import Client

    with _quietly():
        client = Client(random_seed=run.seed)
        client.configure_experiment(parameters=_ax_parameters(run.problem.space))
        client.configure_optimization(objective="-value")
        for _ in range(trials):
            ((number, parameters),) = client.get_next_trials(max_trials=1).items()
            value = run(_plain(parameters, run.problem.space))
            client.complete_trial(number, raw_data={"value": value})


def _ax_parameters(space: Space) -> list[Any]:
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    built: list[Any] = []
    for key, axis, _, _ in _walk(space.spec):
        if isinstance(axis, Choice):
            below = {o: list(b) for o, b in zip(axis.options, axis.branches, strict=True) if b}
            built.append(
                ChoiceParameterConfig(
                    name=key,
                    values=list(axis.options),
                    parameter_type=type(axis.options[0]).__name__,  # type: ignore[arg-type]
                    is_ordered=axis.ordered,
                    dependent_parameters=below or None,
                )
            )
        else:
            built.append(
                RangeParameterConfig(
                    name=key,
                    bounds=(axis.low, axis.high),
                    parameter_type="int" if isinstance(axis, Int) else "float",
                    scaling="log" if axis.log else "linear",
                )
            )
    return built


# -- hyperopt: a tree of stochastic expressions


def hyperopt_tpe(run: Run, trials: int) -> None:
    """Hyperopt's TPE, one parameter at a time."""
    import hyperopt  # type: ignore[import-untyped]

    with _quietly():
        hyperopt.fmin(
            lambda config: run(_plain(config, run.problem.space)),
            _expressions(run.problem.space.spec),
            algo=hyperopt.tpe.suggest,
            max_evals=trials,
            rstate=np.random.default_rng(run.seed),
            show_progressbar=False,
        )


def _expressions(spec: Spec) -> dict[str, Any]:
    """Return hyperopt's expressions; a choice yields a dictionary of its option and what is below it."""
    from hyperopt import hp
    from hyperopt.pyll import scope  # type: ignore[import-untyped]

    built: dict[str, Any] = {}
    for key, axis in spec.items():
        if isinstance(axis, Choice):
            pairs = zip(axis.options, axis.branches, strict=True)
            built[key] = hp.choice(key, [{"option": o, **_expressions(b)} for o, b in pairs])
        elif isinstance(axis, Float):
            low, high = (np.log(axis.low), np.log(axis.high)) if axis.log else (axis.low, axis.high)
            built[key] = (hp.loguniform if axis.log else hp.uniform)(key, low, high)
        elif axis.log:
            low, high = np.log(axis.low - 0.499), np.log(axis.high + 0.499)
            built[key] = scope.int(hp.qloguniform(key, low, high, 1))
        else:
            built[key] = hp.uniformint(key, axis.low, axis.high)
    return built


# -- nevergrad: a tree of parametrisations


def nevergrad(run: Run, trials: int) -> None:
    """Nevergrad's NGOpt, which picks a method by dimension, kinds, noise and the number of trials."""
    import nevergrad as library  # type: ignore[import-untyped]

    with _quietly():
        parametrization = library.p.Dict(**_parameters(run.problem.space.spec))
        parametrization.random_state.seed(run.seed)
        parametrization.function.deterministic = not run.problem.noise
        optimizer = library.optimizers.NGOpt(parametrization, budget=trials)
        for _ in range(trials):
            candidate = optimizer.ask()
            optimizer.tell(candidate, run(_plain(candidate.value, run.problem.space)))


def _parameters(spec: Spec) -> dict[str, Any]:
    """Return nevergrad's parameters; a choice yields a dictionary of its option and what is below it."""
    import nevergrad as library

    built: dict[str, Any] = {}
    for key, axis in spec.items():
        if isinstance(axis, Choice):
            pairs = zip(axis.options, axis.branches, strict=True)
            options = [library.p.Dict(option=option, **_parameters(below)) for option, below in pairs]
            built[key] = (library.p.TransitionChoice if axis.ordered else library.p.Choice)(options)
            continue
        built[key] = (library.p.Log if axis.log else library.p.Scalar)(lower=axis.low, upper=axis.high)
        if isinstance(axis, Int):
            built[key].set_integer_casting()
    return built


# -- what they share


def _walk(spec: Spec, parent: str = "", option: Any = None) -> Iterator[tuple[str, Any, str, Any]]:
    """Yield (key, dimension, the choice above it, the option it stands below), parents first."""
    for key, axis in spec.items():
        yield key, axis, parent, option
        if isinstance(axis, Choice):
            for value, branch in zip(axis.options, axis.branches, strict=True):
                yield from _walk(branch, key, value)


def _plain(found: Mapping[str, Any], space: Space) -> Config:
    """Return a library's proposal as a configuration: nesting undone, active keys alone, plain values."""
    flat: Config = {}
    _open(found, flat)
    return _active(flat, space.spec)


def _open(found: Mapping[str, Any], flat: Config) -> None:
    for key, value in dict(found).items():
        if isinstance(value, Mapping):
            flat[key] = value["option"]
            _open({name: below for name, below in value.items() if name != "option"}, flat)
        else:
            flat[key] = value


def _active(flat: Config, spec: Spec) -> Config:
    config: Config = {}
    for key, axis in spec.items():
        value = flat[key]
        if isinstance(axis, Choice):
            place = list(axis.options).index(value)
            config[key] = axis.options[place]
            config |= _active(flat, axis.branches[place])
        else:
            kind = int if isinstance(axis, Int) else float
            config[key] = kind(min(max(kind(value), axis.low), axis.high))  # a last bit beyond a bound
    return config


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
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
        Method(name="ax", search=ax, packages=("ax-platform", "botorch", "gpytorch", "torch"), slow=True),
        Method(name="optuna_gp", search=optuna_gp, packages=("optuna", "torch", "scipy")),
        Method(name="optuna_tpe", search=optuna_tpe, packages=("optuna",)),
        Method(
            name="smac", search=smac, packages=("smac", "ConfigSpace", "scikit-learn"), slow=True, told=True
        ),
        Method(name="nevergrad", search=nevergrad, packages=("nevergrad", "cma"), told=True),
        Method(name="hyperopt", search=hyperopt_tpe, packages=("hyperopt",)),
        Method(name="random", search=random_search, packages=("numpy",)),
    )
}
