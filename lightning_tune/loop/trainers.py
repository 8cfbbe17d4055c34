"""How to build a trial's Trainer from the user's `trainer=`: arguments, a template, or a callable."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from lightning_tune.core.events import Config
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError
from lightning_tune.loop.arguments import check_keys, split_config
from lightning_tune.loop.packages import home_of
from lightning_tune.track.mute import quiet

_OURS = ("logger", "callbacks", "default_root_dir")


@dataclass(frozen=True, kw_only=True)
class TrainerRecipe:
    """Builds the Trainer of a trial from a user's `trainer=`.

    Attributes:
        package: `lightning.pytorch` or `pytorch_lightning`.
        trainer: Trainer arguments, a Trainer that was not fitted, or a callable `config -> Trainer`.
        devices: how many devices a trial gets.
        verbose: whether trials keep their own progress bars and summaries.
    """

    package: ModuleType
    trainer: Any
    devices: int | None
    verbose: bool

    def build(
        self,
        config: Config,
        *,
        pause: Any,
        reporting: Any,
        loggers: Sequence[Any],
        folder: str,
        resumed: bool,
    ) -> Any:
        """Return a Trainer with our callbacks first and last."""
        if isinstance(self.trainer, Mapping):
            trainer = self.package.Trainer(**self._arguments(config, loggers, folder))
        else:
            trainer = self._copy_of_template() if home_of(self.trainer) else self.trainer(dict(config))
            trainer.loggers = list(loggers)
            if not self.verbose:
                trainer.callbacks = [entry for entry in trainer.callbacks if not self._chatter(entry)]
        if trainer.state.fn is not None:
            raise ArgumentError(
                "`trainer` returned a Trainer that was fitted before: make a new one each time."
            )
        self._place(trainer, pause, reporting, folder)
        if resumed:
            trainer.num_sanity_val_steps = 0
            finder = self.package.callbacks.LearningRateFinder  # what it found is in the checkpoint
            trainer.callbacks = [entry for entry in trainer.callbacks if not isinstance(entry, finder)]
        return trainer

    def _copy_of_template(self) -> Any:
        """Copy the template without its loggers, which may be open; each trial has loggers of its own."""
        loggers = self.trainer.loggers
        self.trainer.loggers = []
        try:
            return copy.deepcopy(self.trainer)
        finally:
            self.trainer.loggers = loggers

    def _arguments(self, config: Config, loggers: Sequence[Any], folder: str) -> dict[str, Any]:
        arguments = {
            "default_root_dir": folder,
            "devices": self.devices or 1,
            **{name: copy.deepcopy(value) for name, value in self.trainer.items()},
            **split_config(config)[2],
            "logger": list(loggers) or False,
        }
        callbacks = arguments["callbacks"] = _as_list(arguments.get("callbacks"))
        kinds = self.package.callbacks
        for switch, kind, wanted in (
            ("enable_checkpointing", kinds.Checkpoint, False),
            ("enable_progress_bar", kinds.ProgressBar, self.verbose),
            ("enable_model_summary", kinds.ModelSummary, self.verbose),
        ):
            arguments.setdefault(switch, wanted or any(isinstance(entry, kind) for entry in callbacks))
        return arguments

    def _place(self, trainer: Any, pause: Any, reporting: Any, folder: str) -> None:
        """Put our callbacks first and last; a user's saver stays the Trainer's `checkpoint_callback`."""
        checkpoint = self.package.callbacks.Checkpoint
        others = [entry for entry in trainer.callbacks if not isinstance(entry, checkpoint)]
        savers = [entry for entry in trainer.callbacks if isinstance(entry, checkpoint)]
        for entry in savers:
            if getattr(entry, "dirpath", "") is None:
                entry.dirpath = f"{folder}/checkpoints"
        trainer.callbacks = [pause, *others, *savers, reporting]

    def _chatter(self, callback: Any) -> bool:
        """Whether a callback only prints, or is the default ModelCheckpoint, which ours replaces."""
        kinds = self.package.callbacks
        if type(callback) is kinds.ModelCheckpoint:
            return _settings(callback) == _settings(kinds.ModelCheckpoint())
        return type(callback) in (
            kinds.TQDMProgressBar,
            kinds.RichProgressBar,
            kinds.ModelSummary,
            kinds.RichModelSummary,
        )


def _settings(callback: Any) -> dict[str, Any]:
    """Return the plain settings of a callback, to tell a default one."""
    return {
        name: value for name, value in vars(callback).items() if isinstance(value, str | int | float | None)
    }


def trainer_recipe(
    trainer: Any, space: Space, package: ModuleType, devices: int | None, verbose: bool
) -> tuple[TrainerRecipe, float]:
    """Check a user's `trainer=`; return its recipe and `max_epochs` (infinite where only a callable knows).

    Raises:
        ArgumentError: it is none of the forms that TuneLoop takes, was fitted, or asks for what trials cannot
        have.
        UnknownArgumentError: the Trainer takes no such argument.
    """
    every = space.keys()
    keys = [key.removeprefix("trainer.") for key in every if key.startswith("trainer.")]
    trainer = {} if trainer is None else trainer
    recipe = TrainerRecipe(package=package, trainer=trainer, devices=devices, verbose=verbose)
    if isinstance(trainer, Mapping):
        _check_arguments(trainer, keys, package)
        with quiet(package, verbose):
            probe = package.Trainer(
                **{
                    **recipe._arguments(space.default(), [], "."),
                    "callbacks": [],
                    "enable_checkpointing": False,
                    "logger": False,
                }
            )
        check_trainer(probe)
        return recipe, float("inf") if "max_epochs" in keys else float(probe.max_epochs)
    if home_of(trainer) is not None and isinstance(trainer, package.Trainer):
        if keys:
            raise ArgumentError(
                f"the space has the key {'trainer.' + keys[0]!r}, but `trainer` is a finished Trainer: pass "
                "its arguments as a dictionary, or a callable `config -> Trainer`."
            )
        if trainer.state.fn is not None:
            raise ArgumentError(
                "`trainer` was fitted before: pass one that was not (it is copied for each trial)."
            )
        check_trainer(trainer)
        return recipe, float(trainer.max_epochs)
    if callable(trainer):
        return recipe, float("inf")
    raise ArgumentError(
        "`trainer` must be a dictionary of Trainer arguments, a Trainer that was not fitted, or a callable "
        f"`config -> Trainer`, got {type(trainer).__name__}."
    )


def loggers_of(trainer: Any) -> Any:
    """Return the loggers that a user gave to a template Trainer; True (the default) where there are none."""
    if home_of(trainer) is None:
        return True
    own = [logger for logger in trainer.loggers if not _is_default(logger, trainer)]
    return own or bool(trainer.loggers)


def check_trainer(trainer: Any) -> None:
    """Refuse Trainers that a trial cannot use, each with its reason.

    Raises:
        ArgumentError: endless training, a limit in steps, several processes.
    """
    if trainer.world_size > 1 or trainer.strategy.launcher is not None:
        raise ArgumentError(
            f"`trainer` uses {type(trainer.strategy).__name__} with {trainer.world_size} processes: trials "
            "run in one process each. Use devices=1."
        )
    if trainer.max_steps not in (None, -1) and not trainer.fast_dev_run:
        raise ArgumentError(
            f"`trainer` has max_steps={trainer.max_steps}: a trial ends with an epoch. Use `max_epochs`, "
            "with `limit_train_batches` to make an epoch shorter, or a schedule with `budget_unit='steps'`."
        )
    if trainer.max_epochs in (None, -1):
        raise ArgumentError(
            "`trainer` has no `max_epochs`: a trial needs an end. Give it one, e.g. "
            "trainer={'max_epochs': 20}."
        )


def _check_arguments(trainer: Mapping[str, Any], keys: Sequence[str], package: ModuleType) -> None:
    if "logger" in trainer:
        raise ArgumentError(
            "`trainer` has a `logger`: pass it to TuneLoop as `logger=`, which makes one a trial."
        )
    check_keys([*trainer, *keys], (), package.Trainer, "Trainer", "trainer.")
    twice = [key for key in keys if key in trainer]
    if twice:
        raise ArgumentError(
            f"`{twice[0]}` is given twice: in `trainer` and as {'trainer.' + twice[0]!r} in the space."
        )
    reserved = [key for key in keys if key in _OURS]
    if reserved:
        raise ArgumentError(
            f"{'trainer.' + reserved[0]!r} cannot be searched: TuneLoop sets it for each trial."
        )
    for callback in _as_list(trainer.get("callbacks")):
        if isinstance(callback, package.callbacks.BatchSizeFinder):
            raise ArgumentError(
                "`trainer` has a BatchSizeFinder: what it finds cannot be put back when a trial is resumed. "
                "Search the batch size instead, e.g. 'data.batch_size': Choice([32, 64, 128])."
            )
        if home_of(callback) not in (None, package.__name__):
            raise ArgumentError(
                f"the callback {type(callback).__name__} in `trainer` comes from `{home_of(callback)}`, but "
                f"the model from `{package.__name__}`: they do not work together."
            )


def _is_default(logger: Any, trainer: Any) -> bool:
    """Whether a logger is the one that a Trainer makes when it is told nothing."""
    kind = type(logger).__name__ in ("TensorBoardLogger", "CSVLogger")
    return kind and logger.name == "lightning_logs" and str(logger.save_dir) == str(trainer.default_root_dir)


def _as_list(callbacks: Any) -> list[Any]:
    """Return Trainer's `callbacks`, which may be one or none, as a list of its own."""
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
