"""`TuneLoop`: a search around the Trainer."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from lightning_tune.core.checks import sweep_name
from lightning_tune.core.events import Config
from lightning_tune.core.space import Space
from lightning_tune.execute import Executor
from lightning_tune.loop.checks import executor_of, not_negative
from lightning_tune.loop.environment import Signals, from_environment, undisturbed
from lightning_tune.loop.failures import keeping
from lightning_tune.loop.files import SweepFiles
from lightning_tune.loop.foresight import Foresight
from lightning_tune.loop.limits import Duration
from lightning_tune.loop.opening import (
    OpenSweep,
    check_owner,
    claim,
    resumed_note,
    store_of,
    sweep_folder,
)
from lightning_tune.loop.plan import Plan, make_plan
from lightning_tune.loop.result import Result
from lightning_tune.loop.retrain import Source
from lightning_tune.loop.runner import TrialRunner
from lightning_tune.loop.settings import Score, SweepSettings
from lightning_tune.loop.trainers import loggers_of
from lightning_tune.schedule import Scheduler
from lightning_tune.search import Searcher
from lightning_tune.store import Store
from lightning_tune.track.loggers import TrialLoggers
from lightning_tune.track.screen import Mode, Screen, make_screen


class TuneLoop:
    """Search for a better configuration of a LightningModule that trains.

    Every argument but `space` is given by keyword; one that is left out is taken from the environment
    variable `LIGHTNING_TUNE_<ARG>` where that is set.

    Args:
        space: a `Space`, or the dictionary that makes one: key to `Float`, `Int`, `Choice` or a constant. A
            key without a prefix is an argument of the LightningModule, `data.` of the datamodule, `trainer.`
            of the Trainer.
        monitor: the metric to optimise, as the module logs it; or a list of them. Several are optimised side
            by side: the result has a front of trials of which none is better than another in all of them
            (`result.front`), rungs rank by who dominates whom, and a trial stands by its last report, since
            the values of one epoch belong together.
        mode: "min" or "max", one for all monitors or one for each.
        search: a word ("auto", "bayesian", "tpe", "annealing", "genetic", "random", "grid", "one_at_a_time")
            or a `Searcher`; "auto" is `AutoSearch`. "hyperband" and "asha" stand for random search under
            that schedule, "bohb" for TPE under Hyperband; "freeze_thaw" decides who trains on, too.
        schedule: who trains how far: a word ("halving", "hyperband", "asha", "median", "population",
            "curves") or a `Scheduler`; None or "full" trains every trial to the Trainer's `max_epochs`.
        max_trials: configurations in all, over every call of `fit` on this sweep. None is what the search or
            the schedule needs.
        max_time: how long this call may take: seconds, a timedelta, "DD:HH:MM:SS" or {"hours": 1}. The
            running trial is then paused at the end of its epoch, and goes on in the next call.
        target: a score at which the sweep ends. Like `patience` not with several objectives, unless `score`
            makes one number of them.
        patience: configurations in a row that may end without an improvement of more than `min_delta`.
        min_delta: how much better an improvement must be.
        repeats: train each configuration under that many seeds; its score is their mean.
        seed: what all randomness derives from, together with the trial's number.
        baseline: a configuration, or a list of them, to try first.
        constraint: `config -> bool`; configurations for which it is false are never tried.
        workers: 1 (more are not available yet).
        executor: where trials run; None is this process.
        devices_per_trial: 1 or None.
        score: "best" (a trial's best report), "last", or a callable `(values) -> float`, lower is better,
            which makes one objective of several monitors.
        budget: what grows from rung to rung of a schedule: "epochs" (a trial trains on from its checkpoint),
            "data" (a fraction of the training set) or "model.<argument>" (an integer argument of the module);
            with the latter two a trial trains anew at each rung.
        budget_unit: how epochs are counted: "epochs", "steps" (of the optimizer), "samples" or "seconds" (of
            training). A pause happens at the end of an epoch.
        verbose: keep Lightning's own messages, progress bars and summaries.
        trainer: Trainer arguments, a Trainer that was not fitted (each trial gets a copy), or a callable
            `config -> Trainer`. A template's own loggers are used where `logger` is left out.
        logger: as Trainer's, or "wandb", "tensorboard", "csv", a list of these, or a callable `trial ->
            Logger`.
        store: a path or URL of a database; None is `<root_dir>/<name>/sweep.db`.
        root_dir: the folder that sweeps are made in.
        name: the sweep's name. With a name that is there the sweep is resumed; None makes a fresh one.
        keep_checkpoints: how many of the best trials keep their checkpoints; with several objectives the
            whole front does in any case, unless it is 0.
        checkpoint_every_s: seconds between two saves of a running trial.
        max_failures: how many trials may raise before the sweep ends; None is the larger of 3 and a tenth of
            `max_trials`.
        amend: accept another space when a sweep is resumed; earlier trials stay.
        overwrite: delete a sweep of the same name first.
        dry_run: check everything, say what the sweep would cost, and write and train nothing.

    Raises:
        ArgumentError: an argument that cannot be used, named, with what it takes.
        SpaceError: a space that is empty or wrong.

    Example:
        >>> from lightning_tune import Float, Int, TuneLoop
        >>> loop = TuneLoop(
        ...     {"lr": Float(1e-4, 1e-1, log=True), "width": Int(16, 128, log=True)},
        ...     monitor="val_acc",
        ...     mode="max",
        ...     max_trials=20,
        ...     trainer={"max_epochs": 10},
        ... )
        >>> # result = loop.fit(LitDigits, datamodule=DigitsData)
    """

    @from_environment
    def __init__(
        self,
        space: Space | Mapping[str, Any],
        *,
        monitor: str | Sequence[str],
        mode: str | Sequence[str] = "min",
        search: str | Searcher = "auto",
        schedule: str | Scheduler | None = None,
        max_trials: int | None = None,
        max_time: Duration | None = None,
        target: float | None = None,
        patience: int | None = None,
        min_delta: float = 0.0,
        repeats: int = 1,
        seed: int = 0,
        baseline: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None,
        constraint: Callable[[Config], bool] | None = None,
        workers: int = 1,
        executor: Executor | None = None,
        devices_per_trial: int | None = None,
        score: Score = "best",
        budget: str = "epochs",
        budget_unit: str = "epochs",
        verbose: bool = False,
        trainer: Any = None,
        logger: Any = True,
        store: Store | str | Path | None = None,
        root_dir: str | Path = "sweeps",
        name: str | None = None,
        keep_checkpoints: int = 1,
        checkpoint_every_s: float = 60.0,
        max_failures: int | None = None,
        amend: bool = False,
        overwrite: bool = False,
        dry_run: bool = False,
    ) -> None:
        self.baseline = baseline
        self.settings = SweepSettings.of(
            space,
            monitor=monitor,
            mode=mode,
            score=score,
            search=search,
            schedule=schedule,
            max_trials=max_trials,
            max_time=max_time,
            target=target,
            patience=patience,
            min_delta=min_delta,
            repeats=repeats,
            seed=seed,
            constraint=constraint,
            budget=budget,
            budget_unit=budget_unit,
            keep_checkpoints=keep_checkpoints,
            max_failures=max_failures,
            amend=amend,
            overwrite=overwrite,
        )
        self.executor = executor_of(workers, executor, devices_per_trial)
        self.devices_per_trial = devices_per_trial
        self.verbose = verbose
        self.trainer = trainer
        self.logger = logger
        self.store = store
        self.root_dir = root_dir
        self.name = name
        self.checkpoint_every_s = not_negative("checkpoint_every_s", checkpoint_every_s)
        self.dry_run = dry_run

    @property
    def space(self) -> Space:
        """The search space."""
        return self.settings.space

    def fit(
        self, model: Any, train_dataloaders: Any = None, val_dataloaders: Any = None, datamodule: Any = None
    ) -> Result:
        """Run the sweep (or go on with it) and return what it found.

        The arguments are those of `Trainer.fit`.

        Args:
            model: a LightningModule class, a callable `config -> LightningModule`, or an instance that saved
                its hyperparameters (its class is built anew for each trial; its own values are tried first).
            train_dataloaders: as in `Trainer.fit`; each trial sees them with the random state they had at
                this call.
            val_dataloaders: as in `Trainer.fit`.
            datamodule: a LightningDataModule, its class, or a callable `config -> LightningDataModule`.

        Raises:
            ArgumentError, UnknownArgumentError: something does not fit together; nothing was trained.
            SweepExistsError: the sweep is there and differs in something that may not change.
            SweepBusyError: another process is running this sweep.
            MonitorError: the monitor is not among the metrics that the first trial logged.
            SweepFailedError: too many trials raised. Everything recorded is kept, and in its `result`.
            StoreError: the store cannot be read or written.
        """
        plan = self._plan(model, train_dataloaders, val_dataloaders, datamodule)
        settings = self.settings.fitted(plan.schedule, plan.budget, plan.baselines)
        notes = [*plan.notes, *plan.schedule.notes()]
        if self.dry_run:
            return self._dry(settings, notes)
        name, folder = sweep_folder(self.root_dir, self.name)
        loggers = TrialLoggers(
            loggers_of(self.trainer) if self.logger is True else self.logger,
            package=plan.package,
            sweep=name,
            root=folder,
            verbose=self.verbose,
            budget=plan.budget,
        )
        with ExitStack() as stack:
            store = self._open_store(stack, folder)
            stack.enter_context(store.hold(name))
            sweep = self._open_sweep(settings, name, folder, store)
            stack.enter_context(undisturbed())
            screen = self._screen(stack, settings, plan.max_epochs)
            coordinator = settings.coordinator(
                sweep, baselines=plan.baselines, listeners=[screen], provenance=plan.settings
            )
            screen.start(f"sweep {name}: {settings.cost}. In {folder}")
            for note in [*resumed_note(sweep), *notes]:
                screen.note(note)
            stack.enter_context(Signals(coordinator.interrupt).owned())
            source = self._source(settings, self._runner(plan, sweep, loggers))
            with keeping(
                lambda: settings.result(name, folder, "too many trials raised", sweep.history, source)
            ):
                reason = self.executor.run(coordinator, source.runner)
                if not coordinator.interrupted:
                    coordinator.failures.check_any_succeeded(sweep.history)
            result = settings.result(name, folder, reason, sweep.history, source)
            for line in [*settings.search.summary(settings.space, result.history), f"ended: {reason}"]:
                screen.note(line)
        return result

    # -- the parts of the sentence above

    def _plan(self, model: Any, train: Any, validation: Any, datamodule: Any) -> Plan:
        return make_plan(
            space=self.settings.space,
            model=model,
            train_dataloaders=train,
            val_dataloaders=validation,
            datamodule=datamodule,
            trainer=self.trainer,
            baseline=self.baseline,
            devices=self.devices_per_trial,
            verbose=self.verbose,
            schedule=self.settings.schedule,
            budget=self.settings.budget,
        )

    def _dry(self, settings: SweepSettings, notes: Sequence[str]) -> Result:
        """Say what the sweep would cost."""
        if self.name is not None:
            sweep_name("name", self.name)
        screen = make_screen(
            "plain", space=settings.space, objective=settings.objective, max_trials=None, max_epochs=None
        )
        screen.start(f"dry run: {settings.cost}")
        for note in notes:
            screen.note(note)
        name = self.name or ""
        return settings.result(name, Path(self.root_dir) / name, "dry run", settings.history())

    def _open_store(self, stack: ExitStack, folder: Path) -> Store:
        store = store_of(self.store, folder)
        if store is not self.store:
            stack.enter_context(store)
        return store

    def _open_sweep(self, settings: SweepSettings, name: str, folder: Path, store: Store) -> OpenSweep:
        if not settings.overwrite:
            check_owner(folder, name, store)
        sweep = settings.open(name, folder, store)
        claim(folder, name, store)
        return sweep

    def _runner(self, plan: Plan, sweep: OpenSweep, loggers: TrialLoggers) -> TrialRunner:
        return TrialRunner(
            sweep=sweep.name,
            package=plan.package,
            model=plan.model,
            data=plan.data,
            trainer=plan.trainer,
            loaders=plan.loaders,
            objective=self.settings.objective,
            budget=plan.budget,
            loggers=loggers,
            files=SweepFiles(sweep.folder),
            checkpoint_every_s=self.checkpoint_every_s,
            seed=self.settings.seed,
            verbose=self.verbose,
        )

    def _source(self, settings: SweepSettings, runner: TrialRunner) -> Source:
        """Return what the result keeps to train a trial again."""
        return Source(
            runner=runner,
            executor=self.executor,
            store=self.store,
            schedule=settings.schedule,
            limits=settings.limits,
        )

    def _screen(self, stack: ExitStack, settings: SweepSettings, max_epochs: float) -> Screen:
        screen = make_screen(
            cast(Mode, os.environ.get("LIGHTNING_TUNE_SCREEN", "auto")),
            space=settings.space,
            objective=settings.objective,
            max_trials=settings.num_trials,
            max_epochs=max_epochs,
            budget=settings.budget,
            foresees=Foresight.of(settings.objective, settings.budget, settings.schedule),
        )
        stack.callback(screen.close)
        return screen
