"""A logger that raises costs a warning, never the trial.

The methods that a Trainer calls are wrapped on the instance, so its class stays what it is: a module that
asks `isinstance(self.logger, WandbLogger)` still gets its answer. After its first error a logger is not
called again.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

METHODS = ("log_metrics", "log_hyperparams", "log_graph", "save", "finalize", "after_save_checkpoint")
_ATTRIBUTE = "_lightning_tune_guard"


class Guard:
    """Stands before the methods of one logger until it is released.

    Args:
        logger: a Logger of either Lightning package.
        on_error: called once, with the name of the method that raised and the error.

    Example:
        >>> class Bad:
        ...     def save(self):
        ...         raise OSError("disk full")
        >>> bad = Bad()
        >>> guard = Guard(bad, lambda method, error: print(method, "raised:", error))
        >>> bad.save(), bad.save()
        save raised: disk full
        (None, None)
        >>> guard.release()
    """

    def __init__(self, logger: Any, on_error: Callable[[str, Exception], None]) -> None:
        self._logger = logger
        self._on_error = on_error
        self._own = {name: vars(logger)[name] for name in METHODS if name in vars(logger)}
        self.broken = False
        for name in METHODS:
            method = getattr(logger, name, None)
            if callable(method):
                setattr(logger, name, partial(self._call, name, method))
        setattr(logger, _ATTRIBUTE, self)

    def _call(self, name: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.broken:
            return None
        try:
            return method(*args, **kwargs)
        except Exception as error:
            if not self.broken:  # a method that calls another one: the inner error was told already
                self.broken = True
                self._on_error(name, error)
            return None

    def release(self) -> None:
        """Give the logger its own methods back."""
        for name in METHODS:
            vars(self._logger).pop(name, None)
        vars(self._logger).update(self._own)
        vars(self._logger).pop(_ATTRIBUTE, None)


def guard_of(logger: Any) -> Guard | None:
    """Return the guard that stands before a logger, if any."""
    found = getattr(logger, _ATTRIBUTE, None)
    return found if isinstance(found, Guard) else None
