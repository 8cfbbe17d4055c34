"""The same sweep by hand, by TuneLoop, by Optuna and by Ray Tune: what `overhead.py` compares.

Each takes an empty folder and returns every trial's validation losses, epoch by epoch, with all their digits.
"""

import csv
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from digits import Data, Digits, fit, quiet, trainer_arguments
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from lightning_tune import Choice, Float, Int, Result, Space, TrialInfo, TuneLoop
from lightning_tune.core.rng import generator, trial_seed

Losses = list[list[str]]
SEED = 0
SPACE = Space(
    {
        "width": Int(32, 128, log=True),
        "dropout": Float(0, 0.5),
        "optimizer": Choice(["adam", "sgd"]),
        "lr": Float(1e-3, 1e-1, log=True),
    }
)


def configurations(count: int) -> list[tuple[dict[str, Any], int]]:
    """Return (configuration, seed) of each trial: the seeds that a sweep with `seed=SEED` gives them."""
    return [(SPACE.sample(generator(SEED, "benchmark", n)), trial_seed(SEED, n)) for n in range(count)]


def bare(folder: Path, trials: int, epochs: int) -> Losses:
    """Train each configuration with a Trainer in a loop; nothing is saved but the CSV logger's rows."""
    for number, (config, seed) in enumerate(configurations(trials)):
        fit(config, seed, epochs, folder / str(number), [])
    return losses(folder, trials)


def bare_saving(folder: Path, trials: int, epochs: int) -> Losses:
    """The same, with Lightning's ModelCheckpoint keeping the weights of the best epoch, as TuneLoop does."""
    for number, (config, seed) in enumerate(configurations(trials)):
        saver = ModelCheckpoint(folder / str(number), monitor="val_loss", save_weights_only=True)
        fit(config, seed, epochs, folder / str(number), [saver], enable_checkpointing=True)
    return losses(folder, trials)


def ours(folder: Path, trials: int, epochs: int) -> Losses:
    """TuneLoop in this process: every report in SQLite, the best epoch's weights kept, a line a trial."""
    return recorded(sweep(folder, trials, epochs, "csv"))


def ours_trial_by_trial(folder: Path, trials: int, epochs: int) -> tuple[float, float, bool]:
    """One sweep by TuneLoop that first trains each trial by hand; return (bare s, ours s, same losses).

    The function that makes a trial's logger is the place: what runs there is the bare Trainer, and everything
    else, from the call of `fit` to its return, is ours.
    """
    bare_s = 0.0

    def logger(trial: TrialInfo) -> CSVLogger:
        nonlocal bare_s
        began = time.perf_counter()
        fit(trial.config, trial.seed, epochs, folder / str(trial.number), [])
        bare_s += time.perf_counter() - began
        return CSVLogger(trial.folder, name="", version="")

    began = time.perf_counter()
    result = sweep(folder, trials, epochs, logger)
    ours_s = time.perf_counter() - began - bare_s
    return bare_s, ours_s, recorded(result) == losses(folder, trials)


def sweep(folder: Path, trials: int, epochs: int, logger: str | Callable[[TrialInfo], CSVLogger]) -> Result:
    """Run the configurations through TuneLoop."""
    loop = TuneLoop(
        SPACE,
        monitor="val_loss",
        baseline=[config for config, _ in configurations(trials)],
        max_trials=trials,
        seed=SEED,
        trainer=trainer_arguments(epochs),
        logger=logger,
        root_dir=folder,
        name="sweep",
    )
    return loop.fit(Digits, datamodule=Data)


def recorded(result: Result) -> Losses:
    """Return each trial's validation losses from the sweep's record."""
    return [[repr(report.value) for report in trial.reports] for trial in result.trials]


def optuna(folder: Path, trials: int, epochs: int) -> Losses:
    """Optuna with its Lightning callback, every report in SQLite, no pruning, nothing else saved."""
    import optuna
    from optuna_integration import PyTorchLightningPruningCallback

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{folder}/optuna.db",
        direction="minimize",
        pruner=optuna.pruners.NopPruner(),
        sampler=optuna.samplers.RandomSampler(seed=SEED),
    )
    planned = configurations(trials)
    for config, _ in planned:
        study.enqueue_trial(config)

    def objective(trial: optuna.Trial) -> float:
        config = {
            "width": trial.suggest_int("width", 32, 128, log=True),
            "dropout": trial.suggest_float("dropout", 0, 0.5),
            "optimizer": trial.suggest_categorical("optimizer", ["adam", "sgd"]),
            "lr": trial.suggest_float("lr", 1e-3, 1e-1, log=True),
        }
        callback = PyTorchLightningPruningCallback(trial, "val_loss")
        trainer = fit(config, planned[trial.number][1], epochs, folder / str(trial.number), [callback])
        return trainer.callback_metrics["val_loss"].item()

    study.optimize(objective, n_trials=trials)
    return losses(folder, trials)


def ray_tune(folder: Path, trials: int, epochs: int) -> Losses:
    """Ray Tune with its Lightning callback, one trial at a time in a worker; starting Ray is not counted."""
    from ray import tune
    from ray.tune.integration.pytorch_lightning import TuneReportCheckpointCallback

    planned = configurations(trials)

    def trainable(space: dict[str, int]) -> None:
        quiet()
        config, seed = planned[space["number"]]
        callback = TuneReportCheckpointCallback(["val_loss"], save_checkpoints=False)
        fit(config, seed, epochs, folder / str(space["number"]), [callback])

    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"number": tune.grid_search(list(range(trials)))},
        tune_config=tune.TuneConfig(metric="val_loss", mode="min", max_concurrent_trials=1),
        run_config=tune.RunConfig(storage_path=str(folder), name="ray", verbose=0),
    )
    tuner.fit()
    return losses(folder, trials)


def losses(folder: Path, trials: int) -> Losses:
    """Read each trial's validation losses from its logger's file, with all of their digits."""
    found = []
    for number in range(trials):
        with (folder / str(number) / "metrics.csv").open(newline="") as file:
            found.append([row["val_loss"] for row in csv.DictReader(file) if row["val_loss"]])
    return found


def start_ray() -> None:
    """Start Ray on this machine alone, before anything is timed."""
    import ray

    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        runtime_env={"env_vars": {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}},
    )
