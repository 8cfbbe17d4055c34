"""One task drives one Trainer: build, fit, outcome.

The runner is the `Work` of an executor. It holds nothing of a trial between calls and survives cloudpickle,
so that the same object serves this process and others.
"""

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import torch

from lightning_tune.callbacks.leg import Leg
from lightning_tune.callbacks.pause import pause_callback
from lightning_tune.callbacks.reporting import reporting_callback
from lightning_tune.core.budget import Budget
from lightning_tune.core.objective import Objective
from lightning_tune.core.outcome import Outcome, TrialInfo
from lightning_tune.errors import ArgumentError, CheckpointError
from lightning_tune.execute.base import Assignment, Channel, CheckpointRef, LegEnd, Retire, Task
from lightning_tune.loop.arguments import split_config
from lightning_tune.loop.checkpoints import Saver, best_weights
from lightning_tune.loop.data import Loaders
from lightning_tune.loop.endings import end_of_error, ended_by_trainer
from lightning_tune.loop.files import SweepFiles
from lightning_tune.loop.packages import home_of
from lightning_tune.loop.portion import Portion
from lightning_tune.loop.recipe import Recipe
from lightning_tune.loop.trainers import TrainerRecipe, check_trainer
from lightning_tune.track.loggers import TrialLoggers
from lightning_tune.track.mute import quiet


@dataclass(kw_only=True)
class TrialRunner:
    """Trains trials.

    Attributes:
        sweep: the sweep's name.
        package: `lightning.pytorch` or `pytorch_lightning`.
        model, data, trainer: how to build them.
        loaders: the loaders that were handed to `fit`.
        objective: what is monitored.
        budget: what trials spend.
        loggers: makes and closes a trial's loggers.
        files: the sweep's folder.
        checkpoint_every_s: seconds between two saves of a running trial.
        seed: the sweep's seed.
        verbose: whether Lightning may speak.
        whole: whether the user's callbacks that stop runs are left out.
    """

    sweep: str
    package: ModuleType
    model: Recipe
    data: Recipe
    trainer: TrainerRecipe
    loaders: Loaders
    objective: Objective
    budget: Budget
    loggers: TrialLoggers
    files: SweepFiles
    checkpoint_every_s: float
    seed: int = 0
    verbose: bool = False
    whole: bool = False

    def __call__(self, task: Task, channel: Channel) -> None:
        """Run one task to its end, and free what it held."""
        info = self._info(task)
        with quiet(self.package, self.verbose):
            loggers = self.loggers.open(info)
            outcome = Outcome(state="running", score=None, step=0.0, best_step=None, reason="interrupted")
            try:
                outcome = task.outcome if isinstance(task, Retire) else self._train(task, channel, loggers)
            finally:
                self.loggers.close(loggers, info, outcome)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _info(self, task: Task) -> TrialInfo:
        return TrialInfo(
            sweep=self.sweep,
            number=task.trial,
            group=task.group,
            config=task.config,
            seed=task.seed,
            folder=self.files.trial_folder(task.trial),
            leg=task.leg,
            resumed=isinstance(task, Retire) or task.trained,
        )

    def _train(self, task: Assignment, channel: Channel, loggers: Sequence[Any]) -> Outcome:
        """Fit until the leg ends.

        A periodic save is a fit that ends and a next one that goes on from its file.
        """
        saver = Saver(files=self.files, trial=task.trial, leg=task.leg, channel=channel)
        task = self._with_sound_checkpoint(task, saver)
        saver.known_to_load = task.checkpoint is not None and not task.inherited
        if self._is_there(task):
            return channel.finish(self._at_once(task))
        while True:
            attempt = self._fit(task, channel, loggers, saver)
            if isinstance(attempt, LegEnd):
                return channel.finish(attempt)
            task = replace(task, checkpoint=attempt, trained=True, inherited=False)

    def _is_there(self, task: Assignment) -> bool:
        """Whether a trial has trained to its new budget already: one epoch can go past several rungs."""
        saved = None if task.inherited or not self.budget.resumes else task.checkpoint
        return saved is not None and saved.step >= task.budget

    def _at_once(self, task: Assignment) -> LegEnd:
        """Return the end of a leg for which nothing has to be trained."""
        step = task.budget if task.checkpoint is None else task.checkpoint.step
        return LegEnd(
            trial=task.trial,
            leg=task.leg,
            step=step,
            kind="completed" if task.final else "paused",
            reason=f"reached {self.budget.amount(task.budget)} in an earlier leg",
        )

    def _with_sound_checkpoint(self, task: Assignment, saver: Saver) -> Assignment:
        """A damaged checkpoint costs the trial what it trained since, never the sweep.

        It starts from nothing.
        """
        if task.checkpoint is None:
            return task
        try:
            self.files.check(task.checkpoint)
        except CheckpointError as error:
            saver.warn(f"trial {task.trial} starts again from nothing: {error}")
            return replace(task, checkpoint=None, inherited=False)
        return task

    def _fit(
        self, task: Assignment, channel: Channel, loggers: Sequence[Any], saver: Saver
    ) -> LegEnd | CheckpointRef:
        """Run one Trainer: return how the leg ended, or the file from which it goes on at once."""
        began = time.monotonic()
        leg = Leg(
            trial=task.trial,
            leg=task.leg,
            budget=task.budget,
            measure=self.budget,
            final=task.final,
            full_budget=task.full_budget,
            whole=self.whole,
            inherited=task.inherited,
            objective=self.objective,
            channel=channel,
            resumed=task.checkpoint is not None,
            save_due=lambda: saver.works and time.monotonic() - began >= self.checkpoint_every_s,
            accepts=saver.accepts,
            write=saver.write,
            step=0.0 if task.checkpoint is None else task.checkpoint.step,
        )
        try:
            reporting = self._run_trainer(task, leg, loggers)
        except BaseException as error:
            return self._failed(error, task, leg)
        if leg.ending == "save" and leg.saved is not None:
            return leg.saved
        return self._ended(leg, reporting, saver)

    def _run_trainer(self, task: Assignment, leg: Leg, loggers: Sequence[Any]) -> Any:
        """Seed, build and fit; return the reporting callback, which holds the best weights."""
        self.package.seed_everything(task.seed, workers=True, verbose=False)
        self.loaders.reset()
        model_part, data_part, _ = split_config(task.config)
        size = {} if self.budget.argument is None else {self.budget.argument: int(task.budget)}
        model = self.model.build({**task.config, **size}, {**model_part, **size})
        self._check_package(model, "model")
        if getattr(model, "_trainer", None) is not None:
            raise ArgumentError(
                "`model` returned a module that was trained before: make a new one at each call."
            )
        datamodule = self.data.build(task.config, data_part)
        pause, reporting = pause_callback(self.package, leg), reporting_callback(self.package, leg)
        trainer = self.trainer.build(
            task.config,
            pause=pause,
            reporting=reporting,
            loggers=loggers,
            folder=str(self.files.trial_folder(task.trial)),
            resumed=leg.resumed,
        )
        self._check_package(trainer, "trainer")
        check_trainer(trainer)
        path = None if task.checkpoint is None else str(self.files.folder / task.checkpoint.path)
        portion = self._portion(task)
        with portion.within(model if datamodule is None else datamodule):
            trainer.fit(
                model,
                train_dataloaders=portion.of(self.loaders.train),
                val_dataloaders=self.loaders.validation,
                datamodule=datamodule,
                ckpt_path=path,
                weights_only=True if path else None,
            )
        return reporting

    def _portion(self, task: Assignment) -> Portion:
        """Return the part of the training data that a leg is about.

        Of data that is only seen now (a datamodule's), the user is told here what its classes are like.
        """
        fraction = task.budget if self.budget.grows == "data" else 1.0
        return Portion(fraction=fraction, seed=self.seed, tells=self.loaders.train is None)

    def _ended(self, leg: Leg, reporting: Any, saver: Saver) -> LegEnd:
        """Keep what is to be kept of a fit that came to its end, and say how it ended."""
        end = LegEnd(
            trial=leg.trial,
            leg=leg.leg,
            step=leg.step,
            kind="completed",
            reason=f"trained {self.budget.amount(leg.step)}",
        )
        if leg.diverged:
            return replace(end, kind="diverged", reason=leg.reason)
        if leg.ending == "pause" and leg.saved is not None:
            return replace(end, kind="paused", reason=leg.reason)
        if leg.ending == "pause" and saver.problem is not None and not leg.final:
            error = CheckpointError(f"it cannot wait at a rung: {saver.problem}")
            return replace(end, kind="exception", reason=str(error), exception=error)
        if leg.ending == "pause":
            return replace(end, kind="interrupted", reason=leg.reason)
        if leg.ending == "stop":
            end = replace(end, kind="stopped", reason=leg.reason)
        elif leg.ending == "complete":
            end = replace(end, reason=leg.reason)
        else:
            end = ended_by_trainer(leg, end)
        if leg.keeps() and reporting.weights is not None:
            saver.write("best", reporting.best_step, best_weights(reporting, self.package))
        return end

    def _failed(self, error: BaseException, task: Assignment, leg: Leg) -> LegEnd:
        """Tell a trial's failure from the sweep's.

        What the coordinator raised, and what no trial can mend, goes on.
        """
        if leg.fault is not None:
            raise leg.fault
        if isinstance(error, ArgumentError):
            raise error
        end = end_of_error(error, task, leg)
        if isinstance(error, KeyboardInterrupt | SystemExit):
            interrupted = leg.channel.poll(task.trial)
            if isinstance(error, KeyboardInterrupt) or interrupted.action == "pause":
                leg.channel.finish(replace(end, kind="interrupted", reason=interrupted.reason, error=""))
                raise KeyboardInterrupt from error
        return end

    def _check_package(self, thing: Any, argument: str) -> None:
        """Refuse what a callable returned from the other package.

        Raises:
            ArgumentError: saying which package is which.
        """
        home = home_of(thing)
        if home != self.package.__name__:
            raise ArgumentError(
                f"`{argument}` returned a {type(thing).__name__} of `{home or type(thing).__module__}`, but "
                f"this sweep runs with `{self.package.__name__}`: import all of them from the same package."
            )
