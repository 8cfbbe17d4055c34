"""The loggers of a sweep: each trial's are opened before it trains and closed when its leg ends.

Every configuration reaches every configured logger, with what became of it, failed and stopped trials
included. A logger that fails costs a warning and nothing else (see `guard`).
"""

import importlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, TypeAlias

from lightning_tune._imports import available, require
from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.core.outcome import Outcome, TrialInfo
from lightning_tune.errors import ArgumentError
from lightning_tune.track import csv_runs, shared_runs, tensorboard_runs, wandb_runs
from lightning_tune.track.facts import hyperparameters, outcome_facts
from lightning_tune.track.guard import Guard, guard_of
from lightning_tune.track.wandb_runs import WandbTemplate

NAMES = ("wandb", "tensorboard", "csv")
_WANDB = "WandbLogger"
_TRIES = 3
"""One that could not be opened for so many trials in a row is not tried again (W&B waits 90 s each time)."""

LoggerSpec: TypeAlias = Any
"""`bool | None | str | Logger | Sequence[str | Logger] | Callable[[TrialInfo], Logger | list[Logger] |
None]`, where Logger is the class of either Lightning package."""


@dataclass(frozen=True, kw_only=True)
class _Source:
    """One entry of the user's `logger=`: makes what it stands for, for one trial."""

    label: str
    make: Callable[[TrialInfo], Any]


class TrialLoggers:
    """Opens and closes the loggers of each trial.

    Args:
        spec: what the user gave as `logger=`: True (what a Trainer does: TensorBoard if it is installed, CSV
            files otherwise), False or None, "wandb", "tensorboard" or "csv", a Logger, a list of these, or a
            callable that is given a `TrialInfo` and returns a Logger, a list of them, or None. A WandbLogger
            is a template: each trial gets a run of its own with its settings. Any other Logger is shared by
            all trials.
        package: the module `lightning.pytorch` or `pytorch_lightning`, whichever the user's classes are of.
        sweep: the sweep's name, for messages (the trials' own is in their `TrialInfo`).
        root: the sweep's folder, for messages: nothing is written outside the trials' folders.
        verbose: let W&B print what it prints.
        budget: what trials spend.

    Raises:
        ArgumentError: something else, a Logger of the other package, or a W&B run that is open already.
        MissingDependencyError: a logger was asked for by name and its package is not installed.

    Example:
        >>> import lightning.pytorch
        >>> loggers = TrialLoggers("csv", package=lightning.pytorch, sweep="digits", root="sweeps/digits")
    """

    def __init__(
        self,
        spec: LoggerSpec,
        *,
        package: ModuleType,
        sweep: str,
        root: Any,
        verbose: bool = False,
        budget: Budget = EPOCHS,
    ) -> None:
        self.package = package
        self.sweep = sweep
        self.root = root
        self.verbose = verbose
        self.budget = budget
        self._shared: list[Any] = []
        self._sources = [self._source(item) for item in _items(spec)]
        if sum(source.label == _WANDB for source in self._sources) > 1:
            raise ArgumentError(
                "`logger` names W&B twice, and one process has one W&B run at a time: name it once."
            )
        self._failures: Counter[str] = Counter()
        self._told: set[tuple[str, str]] = set()

    # -- the two calls of a leg ------------------------------------------------------------------------------

    def open(self, info: TrialInfo) -> list[Any]:
        """Build the loggers of one trial and log its configuration to each.

        A logger that cannot be opened is replaced by Lightning's DummyLogger, which takes every call and does
        nothing, so that a module that writes to `self.logger` still runs.

        Raises:
            ArgumentError: the user's callable returned something that is not a Logger of this package.
        """
        opened: list[Any] = []
        try:
            for source in self._sources:
                opened += self._open(source, info)
        except BaseException:
            self.close(
                opened,
                info,
                Outcome(state="running", score=None, step=0.0, best_step=None, reason="not begun"),
            )
            raise
        return opened

    def close(self, loggers: Sequence[Any], info: TrialInfo, outcome: Outcome) -> None:
        """Write the outcome to every logger, and close those that belong to this trial alone."""
        for logger in loggers:
            guard = guard_of(logger)
            if guard is not None:
                guard.release()
            if isinstance(logger, self._class("logger", "DummyLogger")):
                continue
            silent = guard is not None and guard.broken
            self._attempt(logger, info, silent, partial(self._settle, logger, info, outcome))
            if self._is(logger, "WandbLogger"):
                self._attempt(logger, info, silent, partial(wandb_runs.finish, logger, outcome))

    # -- opening ---------------------------------------------------------------------------------------------

    def _open(self, source: _Source, info: TrialInfo) -> list[Any]:
        if self._failures[source.label] >= _TRIES:
            return [self._dummy()]
        try:
            made = source.make(info)
        except ArgumentError:
            raise
        except Exception as error:
            self._failures[source.label] += 1
            self._complain(source.label, "opening it", error, info)
            return [self._dummy()]
        self._failures[source.label] = 0
        loggers = made if isinstance(made, list | tuple) else [] if made is None else [made]
        for logger in loggers:
            self._check_made(logger)
        return [self._begin(logger, info) for logger in loggers]

    def _begin(self, logger: Any, info: TrialInfo) -> Any:
        """Make a logger ready for the Trainer, which would let an error of its `experiment` through."""
        try:
            _ = getattr(logger, "experiment", None)
        except Exception as error:
            self._complain(type(logger).__name__, "opening it", error, info)
            return self._dummy()
        guard = Guard(logger, partial(self._failed, logger, info))
        try:
            self._log_config(logger, info)
        except Exception as error:
            guard.broken = True
            self._failed(logger, info, "log_hyperparams", error)
        return logger

    def _log_config(self, logger: Any, info: TrialInfo) -> None:
        if self._is_shared(logger):
            shared_runs.begin(logger, info, text=self._is(logger, "TensorBoardLogger"))
        elif self._is(logger, "TensorBoardLogger"):
            tensorboard_runs.begin(logger, info)
        else:
            logger.log_hyperparams(hyperparameters(info))

    def _settle(self, logger: Any, info: TrialInfo, outcome: Outcome) -> None:
        facts = outcome_facts(outcome, self.budget)
        if self._is_shared(logger):
            shared_runs.settle(logger, info, facts, text=self._is(logger, "TensorBoardLogger"))
        elif self._is(logger, "WandbLogger"):
            wandb_runs.settle(logger, facts)
        elif self._is(logger, "TensorBoardLogger"):
            tensorboard_runs.settle(logger, info, outcome, facts)
        elif self._is(logger, "CSVLogger"):
            csv_runs.settle(logger, info, facts)
        else:
            shared_runs.settle_own(logger, outcome, facts)

    # -- what the user gave ----------------------------------------------------------------------------------

    def _source(self, item: Any) -> _Source:
        if item is True:
            item = "tensorboard" if available("tensorboard") or available("tensorboardX") else "csv"
        if isinstance(item, str) and item in NAMES:
            return self._named(item)
        if self._is(item, "WandbLogger"):
            return self._wandb_source(WandbTemplate.of(item, quiet=not self.verbose))
        if isinstance(item, self._class("logger", "Logger")):
            return self._shared_source(item)
        if callable(item) and not isinstance(item, type) and not _looks_like_logger(item):
            return _Source(label=getattr(item, "__name__", type(item).__name__), make=item)
        raise self._refusal("`logger` must be", item)

    def _named(self, name: str) -> _Source:
        if name == "wandb":
            return self._wandb_source(WandbTemplate(quiet=not self.verbose))
        if name == "tensorboard":
            if not available("tensorboardX"):
                require("tensorboard", "tensorboard", "logger='tensorboard'")
            return _Source(
                label="TensorBoardLogger", make=partial(tensorboard_runs.make, self.package, self.budget)
            )
        return _Source(label="CSVLogger", make=partial(csv_runs.make, self.package, self.budget))

    def _wandb_source(self, template: WandbTemplate) -> _Source:
        wandb_runs.check_available(template)
        return _Source(label=_WANDB, make=partial(template.make, self.package))

    def _shared_source(self, logger: Any) -> _Source:
        name = type(logger).__name__
        self._shared.append(logger)
        warnings.warn(
            f"`logger` is one {name} for the whole sweep: the curves of all trials go into the same place. "
            "For one a trial pass 'wandb', 'tensorboard', 'csv', or a callable that is given the trial: "
            f"`logger=lambda trial: {name}(...)`.",
            stacklevel=4,
        )
        return _Source(label=name, make=lambda info: logger)

    def _check_made(self, logger: Any) -> None:
        if not isinstance(logger, self._class("logger", "Logger")):
            raise self._refusal("the callable given as `logger` must return", logger)

    def _refusal(self, beginning: str, item: Any) -> ArgumentError:
        if _looks_like_logger(item) and not isinstance(item, type):
            return ArgumentError(
                f"`logger` is a {type(item).__name__} of `{type(item).__module__.partition('.')[0]}`, but "
                f"this sweep runs with `{self.package.__name__}`: import the logger from "
                f"`{self.package.__name__}.loggers`."
            )
        names = ", ".join(repr(name) for name in NAMES)
        if beginning.startswith("the callable"):
            return ArgumentError(f"{beginning} a Logger, a list of Loggers or None, got {item!r}.")
        return ArgumentError(
            f"{beginning} True, False, one of {names}, a Logger of `{self.package.__name__}.loggers`, a "
            f"list of these, or a callable that is given the trial and returns a Logger, got {item!r}."
        )

    # -- small things ----------------------------------------------------------------------------------------

    def _class(self, module: str, name: str) -> type[Any]:
        found: type[Any] = getattr(importlib.import_module(f"{self.package.__name__}.loggers.{module}"), name)
        return found

    def _is(self, logger: Any, name: str) -> bool:
        loggers = importlib.import_module(f"{self.package.__name__}.loggers")
        return isinstance(logger, getattr(loggers, name))

    def _is_shared(self, logger: Any) -> bool:
        return any(logger is shared for shared in self._shared)

    def _dummy(self) -> Any:
        return self._class("logger", "DummyLogger")()

    def _attempt(self, logger: Any, info: TrialInfo, silent: bool, act: Callable[[], None]) -> None:
        """Do something last for a logger; what fails is told, unless this logger had failed before."""
        try:
            act()
        except Exception as error:
            if not silent:
                self._failed(logger, info, "closing it", error)

    def _failed(self, logger: Any, info: TrialInfo, method: str, error: Exception) -> None:
        self._complain(type(logger).__name__, method, error, info)

    def _complain(self, name: str, method: str, error: Exception, info: TrialInfo) -> None:
        """Warn of a logger's failure, once a sweep for each kind of logger and of error."""
        if (name, type(error).__name__) in self._told:
            return
        self._told.add((name, type(error).__name__))
        reason = (str(error).strip().splitlines() or ["no message"])[0]
        warnings.warn(
            f"the logger {name} failed ({method}: {type(error).__name__}: {reason}). Trial {info.number} "
            "trains on without it; the same failure of later trials is not told again.",
            stacklevel=2,
        )


def _items(spec: Any) -> Iterable[Any]:
    if spec is None or spec is False:
        return []
    return spec if isinstance(spec, list | tuple) else [spec]


def _looks_like_logger(item: Any) -> bool:
    """Return whether something is a Logger of either package (without importing the other one)."""
    kind = item if isinstance(item, type) else type(item)
    return any(
        ancestor.__name__ == "Logger" and ancestor.__module__.endswith(".loggers.logger")
        for ancestor in kind.__mro__
    )
