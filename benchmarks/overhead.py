"""What a sweep costs beside the training: 16 trials x 27 epochs by hand, by TuneLoop and by its peers.

Claim: TuneLoop inline takes at most 1.10 times as long as bare Trainers in a loop, with equal configurations,
seeds and loggers, and gives the same per-epoch validation losses bit for bit. Every method runs in pairs
with a bare run, the order alternating; its ratio is the median over the pairs. No method prunes.

    python benchmarks/overhead.py            # the full run, under ten minutes; writes results/overhead.csv
    python benchmarks/overhead.py --quick    # a minute or two, writes nothing
"""

import argparse
import csv
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

from digits import Data, Digits, fit, quiet, trainer_arguments  # noqa: E402
from lightning.pytorch.callbacks import ModelCheckpoint  # noqa: E402
from recording import RESULTS, environment, median_with_interval, print_table, write_csv  # noqa: E402

from lightning_tune import Choice, Float, Int, Space, TuneLoop  # noqa: E402
from lightning_tune.core.rng import generator, trial_seed  # noqa: E402

Losses = list[list[str]]
Method = Callable[[Path, int, int], Losses]
SEED = 0
SPACE = Space(
    {
        "width": Int(32, 128, log=True),
        "dropout": Float(0, 0.5),
        "optimizer": Choice(["adam", "sgd"]),
        "lr": Float(1e-3, 1e-1, log=True),
    }
)
PACKAGES = ["lightning-tuneloop", "torch", "lightning", "SQLAlchemy", "optuna", "optuna-integration", "ray"]


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
    result = TuneLoop(
        SPACE,
        monitor="val_loss",
        baseline=[config for config, _ in configurations(trials)],
        max_trials=trials,
        seed=SEED,
        trainer=trainer_arguments(epochs),
        logger="csv",
        root_dir=folder,
        name="sweep",
    ).fit(Digits, datamodule=Data)
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


def timed(method: Method, trials: int, epochs: int) -> tuple[float, Losses]:
    """Run a method in an empty folder and return its seconds and its losses."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        found = method(Path(folder), trials, epochs)
        return time.perf_counter() - began, found


def main() -> None:
    """Measure, print one table, and write one CSV unless `--quick`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="4 trials, 3 rounds, no CSV")
    parser.add_argument("--no-peers", action="store_true", help="bare and ours alone")
    parser.add_argument("--rounds", type=int, help="pairs of bare and ours (9; --quick: 3)")
    args = parser.parse_args()
    trials, epochs = (4 if args.quick else 16), 27
    rounds = args.rounds or (3 if args.quick else 9)
    os.environ["LIGHTNING_TUNE_SCREEN"] = "plain"
    quiet()
    timed(bare, 2, epochs)  # imports and first calls belong to nobody
    timed(ours, 2, epochs)

    methods: dict[str, tuple[Method, int, str]] = {
        "bare Trainers": (bare, rounds, "none"),
        "bare, ModelCheckpoint": (bare_saving, min(rounds, 3), "best epoch, on disk at each improvement"),
        "TuneLoop": (ours, rounds, "best epoch, on disk once a trial"),
    }
    if not args.no_peers:
        start_ray()
        methods["Optuna"] = (optuna, min(rounds, 3), "none")
        methods["Ray Tune"] = (ray_tune, 1, "none")
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    ratios: dict[str, list[float]] = {name: [] for name in methods}
    same: dict[str, bool] = dict.fromkeys(methods, True)
    for turn in range(rounds):
        for name, (method, count, _) in methods.items():
            if name == "bare Trainers" or turn >= count:
                continue
            pair: list[tuple[str, Method]] = [("bare Trainers", bare), (name, method)]
            measured = {
                who: timed(what, trials, epochs) for who, what in (pair if turn % 2 else reversed(pair))
            }
            base, found = measured["bare Trainers"]
            seconds["bare Trainers"].append(base)
            seconds[name].append(measured[name][0])
            ratios[name].append(measured[name][0] / base)
            same[name] &= measured[name][1] == found
            print(f"round {turn + 1}: {name} {measured[name][0]:.2f} s, bare {base:.2f} s", flush=True)
    report(methods, seconds, ratios, same, trials, epochs, write=not args.quick)


def report(
    methods: dict[str, tuple[Method, int, str]],
    seconds: dict[str, list[float]],
    ratios: dict[str, list[float]],
    same: dict[str, bool],
    trials: int,
    epochs: int,
    *,
    write: bool,
) -> None:
    """Print the table, write the CSV, and fail if our losses are not those of the bare loop."""
    lines, rows = [], []
    where = environment(PACKAGES)
    for name, (_, _, saves) in methods.items():
        median = statistics.median(seconds[name])
        ratio, low, high = median_with_interval(ratios[name]) if ratios[name] else (1.0, 1.0, 1.0)
        per_epoch_ms = 1e3 * median / trials / epochs
        interval = f"{low:.3f} to {high:.3f}" if len(ratios[name]) > 1 else ""
        lines.append(
            [
                name,
                str(len(seconds[name])),
                f"{median:.2f}",
                f"{per_epoch_ms:.1f}",
                f"{ratio:.3f}",
                interval,
                "yes" if same[name] else "no",
                saves,
            ]
        )
        rows.append(
            {
                "method": name,
                "trials": trials,
                "epochs": epochs,
                "runs": len(seconds[name]),
                "seconds_median": f"{median:.4f}",
                "seconds_min": f"{min(seconds[name]):.4f}",
                "seconds_max": f"{max(seconds[name]):.4f}",
                "ms_per_epoch": f"{per_epoch_ms:.3f}",
                "ratio_median": f"{ratio:.4f}",
                "ratio_low": f"{low:.4f}",
                "ratio_high": f"{high:.4f}",
                "same_losses": same[name],
                "checkpoints": saves,
                "logger": "CSVLogger",
                **where,
            }
        )
    header = [
        "method",
        "runs",
        "seconds",
        "ms/epoch",
        "ratio",
        "95% interval",
        "same losses",
        "weights saved",
    ]
    print(
        f"\n{trials} trials x {epochs} epochs, CSVLogger everywhere; {where['device']}; {where['commit']}\n"
    )
    print_table(header, lines)
    if write:
        write_csv(RESULTS / "overhead.csv", rows)
        print(f"\nwritten to {RESULTS / 'overhead.csv'}")
    if not same["TuneLoop"]:
        raise SystemExit("TuneLoop's validation losses differ from those of the bare loop.")


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


if __name__ == "__main__":
    main()
