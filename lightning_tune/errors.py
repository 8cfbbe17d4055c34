"""What can go wrong, each error also the builtin that it refines.

A user may catch everything of ours with `except TuneError`, or treat a bad argument as the `ValueError` it
is.
"""

import typing


class TuneError(Exception):
    """Base of every error that lightning-tune raises on purpose."""


class SpaceError(TuneError, ValueError):
    """A search space, or a configuration that does not fit it."""


class ArgumentError(TuneError, ValueError):
    """An argument of a public function or class that cannot be used."""


class UnknownArgumentError(TuneError, TypeError):
    """A key of the space that no argument of the model, the datamodule or the Trainer takes."""


class MonitorError(TuneError, KeyError):
    """The monitored metric is never logged."""

    def __str__(self) -> str:
        """Return the sentence itself (`KeyError` would show its `repr`)."""
        return str(self.args[0]) if self.args else ""


class StoreError(TuneError, OSError):
    """A store that cannot be opened, read or written."""


class SweepExistsError(TuneError, ValueError):
    """A sweep of that name is there already and differs in something that may not change."""


class SweepBusyError(TuneError, RuntimeError):
    """Another process is running this sweep now."""


class SweepFailedError(TuneError, RuntimeError):
    """Too many trials raised for the sweep to go on; the last cause is chained.

    Attributes:
        result: what came of the sweep until then, a `Result`.
    """

    result: typing.Any = None


class CheckpointError(TuneError, RuntimeError):
    """A checkpoint that is missing, damaged, or cannot be loaded with `weights_only=True`."""


class TrialPrunedError(TuneError, RuntimeError):
    """A run was stopped early, and was asked to say so: `SuccessiveHalvingPruner(raise_on_prune=True)`.

    Its text is the reason. An objective function of another library turns it into that library's own:
    `except TrialPrunedError as error: raise optuna.TrialPruned(str(error))`.
    """


class MissingDependencyError(TuneError, ImportError):
    """An optional package that a feature needs is not installed."""
