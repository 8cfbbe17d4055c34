"""The same configurations under every schedule: ours, Optuna's and Ray Tune's. What `halving.py` compares.

Each method takes a job, trains in its folder and leaves `epochs.jsonl` there (see `counting.py`). Trial n has
the same configuration and seed in all of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counting import Counting
from digits import quiet, trainer_arguments
from tasks import MONITOR, Task

from lightning_tune import Scheduler, TuneLoop
from lightning_tune.schedule import ASHA, FullBudget, Hyperband, SuccessiveHalving

ETA = 3


@dataclass(frozen=True)
class Job:
    """One sweep to run: what, where, under which seed, how many configurations, and the full budget."""

    task: Task
    folder: Path
    seed: int
    trials: int
    epochs: int

    @property
    def log(self) -> Path:
        """Where the epochs that were trained are written down."""
        return self.folder / "epochs.jsonl"

    @property
    def counting(self) -> Counting:
        """The callback that writes them."""
        return Counting(self.log, MONITOR)

    @property
    def store(self) -> Path:
        """Where a sweep of ours is recorded."""
        return self.folder / "sweep" / "sweep.db"

    def planned(self) -> list[tuple[dict[str, Any], int]]:
        """Return the configuration and the seed of each trial."""
        return self.task.configurations(self.seed, self.trials)


def hyperband(job: Job) -> None:
    """Our Hyperband."""
    _sweep(job, Hyperband(eta=ETA))


def halving(job: Job) -> None:
    """Our synchronous halving: brackets of as many configurations as there are epochs in the full budget."""
    _sweep(job, SuccessiveHalving(job.epochs, 1, eta=ETA))


def asha(job: Job) -> None:
    """Our ASHA, which pauses and promotes."""
    _sweep(job, ASHA(eta=ETA))


def asha_stopping(job: Job) -> None:
    """Our ASHA in the variant that stops, which is Ray Tune's."""
    _sweep(job, ASHA(eta=ETA, stopping=True))


def full(job: Job) -> None:
    """Random search: every trial to the full budget."""
    _sweep(job, FullBudget())


def _sweep(job: Job, schedule: Scheduler) -> None:
    """Run TuneLoop inline: reports and decisions in SQLite, pauses on the disk, the best weights kept."""
    loop = TuneLoop(
        job.task.space,
        monitor=MONITOR,
        search="random",
        schedule=schedule,
        max_trials=job.trials,
        seed=job.seed,
        trainer={**trainer_arguments(job.epochs), "callbacks": [job.counting]},
        logger="csv",
        root_dir=job.folder,
        name="sweep",
    )
    loop.fit(job.task.module, datamodule=job.task.data)


def optuna_hyperband(job: Job) -> None:
    """Optuna's `HyperbandPruner` with its Lightning callback, reports in SQLite; no weights are kept.

    Its callback counts steps from 0, so that its rungs come one epoch later than ours.
    """
    import optuna
    from optuna_integration import PyTorchLightningPruningCallback

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=f"halving-{job.seed}",
        storage=f"sqlite:///{job.folder}/optuna.db",
        direction="minimize",
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=job.epochs, reduction_factor=ETA),
        sampler=optuna.samplers.RandomSampler(seed=job.seed),
    )
    planned = job.planned()
    for config, _ in planned:
        study.enqueue_trial(config)

    def objective(trial: optuna.Trial) -> float:
        config = {
            "width": trial.suggest_int("width", 8, 128, log=True),
            "dropout": trial.suggest_float("dropout", 0, 0.5),
            "optimizer": trial.suggest_categorical("optimizer", ["adam", "sgd"]),
            "lr": trial.suggest_float("lr", 1e-4, 0.3, log=True),
        }
        callbacks = [job.counting, PyTorchLightningPruningCallback(trial, MONITOR)]
        folder = job.folder / str(trial.number)
        trainer = job.task.fit(config, planned[trial.number][1], job.epochs, folder, callbacks)
        return trainer.callback_metrics[MONITOR].item()

    study.optimize(objective, n_trials=job.trials)


def ray_asha(job: Job) -> None:
    """Ray Tune's ASHA with its Lightning callback, one trial at a time; a checkpoint at every report.

    The worker is kept from trial to trial (`reuse_actors`), which spares Ray a process start for each.
    """
    from ray import tune
    from ray.tune.integration.pytorch_lightning import TuneReportCheckpointCallback
    from ray.tune.schedulers import ASHAScheduler

    planned = job.planned()

    def trainable(space: dict[str, int]) -> None:
        quiet()
        config, seed = planned[space["number"]]
        callbacks = [job.counting, TuneReportCheckpointCallback([MONITOR])]
        job.task.fit(config, seed, job.epochs, job.folder / str(space["number"]), callbacks)

    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"number": tune.grid_search(list(range(job.trials)))},
        tune_config=tune.TuneConfig(
            metric=MONITOR,
            mode="min",
            max_concurrent_trials=1,
            reuse_actors=True,
            scheduler=ASHAScheduler(max_t=job.epochs, grace_period=1, reduction_factor=ETA),
        ),
        run_config=tune.RunConfig(storage_path=str(job.folder), name="ray", verbose=0),
    )
    tuner.fit()
