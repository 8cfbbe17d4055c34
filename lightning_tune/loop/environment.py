"""The process around a sweep: signals, random states, the collector; each is put back as it was found."""

import functools
import gc
import inspect
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, ParamSpec, TypeVar

import yaml

from lightning_tune.callbacks.random_state import global_random_state, set_global_random_state
from lightning_tune.errors import ArgumentError

P = ParamSpec("P")
R = TypeVar("R")
_SEED_VARIABLES = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")
_PREFIX = "LIGHTNING_TUNE_"
_TEXTS = ("name", "root_dir", "store")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave random states and Lightning's seed variables as they were; make collections between trials cheap.

    `gc.freeze` moves what exists now out of the collector's sight, so that the full collection after each
    trial (Trainers are cyclic) takes under a millisecond instead of a few hundred.
    """
    states = global_random_state()
    variables = {name: os.environ.get(name) for name in _SEED_VARIABLES}
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        set_global_random_state(states)


class Signals:
    """Ctrl-C and SIGTERM during a sweep.

    The first asks running trials to end at their next report, the second ends now.

    After a SIGTERM the process ends (Lightning itself ends the running trial at its next batch). Only the
    main thread can own signals; elsewhere nothing is installed.
    """

    def __init__(self, interrupt: Callable[[str], None]) -> None:
        self._interrupt = interrupt
        self._count = 0
        self._terminated = False

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Install the handlers, and put the old ones back.

        Raises:
            SystemExit: 143, when the block is left after a SIGTERM.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        old = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        except KeyboardInterrupt:
            if not self._terminated:
                raise
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
        if self._terminated:
            raise SystemExit(128 + signal.SIGTERM)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if number == signal.SIGTERM:
            self._terminated = True
        if self._count > 1:
            raise KeyboardInterrupt
        name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        self._interrupt(f"interrupted by {name}")
        # a plain write: the handler may have interrupted one to the buffered stream
        os.write(
            2, f"\n{name}: ending at the next report, everything is kept (once more ends at once)\n".encode()
        )


def from_environment(function: Callable[P, R]) -> Callable[P, R]:
    """Let `LIGHTNING_TUNE_<ARG>` give what a call leaves out, as Lightning's `PL_TRAINER_<ARG>` does.

    Values are read as YAML: `LIGHTNING_TUNE_MAX_TRIALS=50`, `LIGHTNING_TUNE_LOGGER=wandb`.

    Raises:
        ArgumentError: a value is not YAML.
    """
    parameters = inspect.signature(function).parameters
    names = [p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in names:
            text = os.environ.get(_PREFIX + name.upper())
            if text is not None and name not in kwargs:
                kwargs[name] = _parse(name, text)
        return function(*args, **kwargs)

    return call


def _parse(name: str, text: str) -> Any:
    if name in _TEXTS:
        return text
    try:
        return float(text) if _is_float(text) else yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ArgumentError(f"{_PREFIX}{name.upper()} must be YAML, got {text!r}.") from error


def _is_float(text: str) -> bool:
    """Whether a text is a number with an exponent or a point, such as 1e-4, which YAML takes for a word."""
    try:
        float(text)
    except ValueError:
        return False
    return not text.strip().lstrip("+-").isdigit()
