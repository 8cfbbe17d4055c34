"""`optimize`: a sweep over a plain function. What `TuneLoop` is to a module, without a Trainer."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from lightning_tune.core.events import Config
from lightning_tune.core.plain import did_you_mean
from lightning_tune.core.space import Space
from lightning_tune.errors import ArgumentError
from lightning_tune.execute import Executor
from lightning_tune.loop.checks import executor_of
from lightning_tune.loop.environment import Signals
from lightning_tune.loop.failures import keeping
from lightning_tune.loop.function_runner import Function, FunctionRunner
from lightning_tune.loop.limits import Duration
from lightning_tune.loop.result import Result
from lightning_tune.loop.settings import Score
from lightning_tune.loop.sweep import Sweep
from lightning_tune.schedule import FullBudget, Scheduler
from lightning_tune.search import Searcher
from lightning_tune.store import Store

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class SweepArguments(TypedDict, total=False):
    """What `optimize` passes on to `Sweep`: its keyword arguments, with their types."""

    mode: str | Sequence[str]
    search: str | Searcher
    schedule: str | Scheduler | None
    max_trials: int | None
    max_time: Duration | None
    target: float | None
    patience: int | None
    min_delta: float
    repeats: int
    seed: int
    baseline: Mapping[str, object] | Sequence[Mapping[str, object]] | None
    constraint: Callable[[Config], bool] | None
    score: Score
    max_budget: int | None
    store: Store | str | Path | None
    name: str | None
    max_failures: int | None
    amend: bool
    overwrite: bool


def _shows_arguments_of(other: Callable[..., Any]) -> Callable[[FunctionT], FunctionT]:
    """Let `help` show what `**arguments` takes: the keyword arguments of another callable."""
    taken = [p for p in inspect.signature(other).parameters.values() if p.kind is p.KEYWORD_ONLY]

    def decorate(function: FunctionT) -> FunctionT:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        shown = signature.replace(parameters=[*own, *taken])
        function.__signature__ = shown  # type: ignore[attr-defined]  # `inspect` and `help` read it
        return function

    return decorate


@_shows_arguments_of(Sweep)
def optimize(
    function: Function,
    space: Space | Mapping[str, Any],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    **arguments: Unpack[SweepArguments],
) -> Result:
    """Search for the configuration at which a function is best.

    The function returns a number; a tuple of them where there are several objectives (`result.front` is
    then what came of it); or it is a generator that yields such a value for each step of a budget, which a
    schedule may pause and take up again. A paused generator stays alive in this process, and after a
    restart it is played again to where it was.

    What raises is a failed trial and does not end the search, unless the first three do, or more than
    `max_failures`. NaN and infinity fail a trial too, any number of them. The first Ctrl-C ends the search
    after the step that is being evaluated, and the result so far is returned; a second one raises at once.

    Args:
        function: `config -> value`, or a generator function.
        space: a `Space`, or the dictionary that makes one: key to `Float`, `Int`, `Choice` or a constant.
        workers: 1 (more are not available yet; `Sweep` serves any number of workers of your own).
        executor: where the function is called; None is this process.
        arguments: all of these, each by keyword:

            - `mode`: "min" or "max"; a list of these where there are several objectives.
            - `search`: a word or a `Searcher`, as in `TuneLoop`.
            - `schedule`: who is evaluated how far: "halving", "hyperband", "asha", "median", "curves" or a
              `Scheduler`. It needs a generator. None goes through to the end with every configuration.
            - `max_trials`: configurations in all, over every call on this sweep.
            - `max_time`: how long this call may take: seconds, a timedelta, "DD:HH:MM:SS" or {"hours": 1}.
            - `target`: a score at which the search ends.
            - `patience`: configurations in a row that may end without an improvement of more than
              `min_delta` (0).
            - `repeats`: how often each configuration is evaluated; its score is the mean.
            - `seed`: what all choices of the search derive from.
            - `baseline`: a configuration with every key, or a list of them, to try first.
            - `constraint`: `config -> bool`; configurations for which it is false are never tried.
            - `score`: which value of a generator counts: "best", "last", or a callable `(values) -> float`
              that makes one number of several objectives, lower is better.
            - `max_budget`: how many values a generator yields at most. None is as many as it does; with a
              schedule it must be given, here or there.
            - `store`: where the search is recorded: a path, a URL or a store; None is in memory.
            - `name`: its name there. With a name that is there it goes on, to the same end as if it had never
              stopped; None makes a fresh one.
            - `max_failures`: how many trials may raise, unless the first three all do; None is the larger of
              3 and a tenth of `max_trials`.
            - `amend`: accept another space when a search goes on; earlier trials stay.
            - `overwrite`: delete a search of the same name first.

    Raises:
        ArgumentError: an argument that cannot be used, named, with what it takes.
        SweepExistsError: the store holds a sweep of that name that differs in something that may not change.
        SweepBusyError: another process is running this sweep.
        SpaceError: a space that is empty or wrong, or a constraint that refuses all of it.
        SweepFailedError: too many calls raised; its `result` is what was found until then.
        MonitorError: a generator yields nothing.
        StoreError: the store cannot be read or written.

    Example:
        >>> from lightning_tune import Float, optimize
        >>> result = optimize(lambda config: (config["x"] - 0.3) ** 2, {"x": Float(0, 1)}, max_trials=20)
        >>> abs(result.best.config["x"] - 0.3) < 0.1
        True
    """
    if unknown := [name for name in arguments if name not in SweepArguments.__annotations__]:
        hint = did_you_mean(unknown[0], SweepArguments.__annotations__)
        raise TypeError(f"optimize() has no argument {unknown[0]!r}.{hint}")
    if not callable(function):
        raise ArgumentError(f"`function` must be a callable `config -> value`, got {function!r}.")
    runs = _executor_of(workers, executor)
    with Sweep(space, **arguments) as sweep:
        work = FunctionRunner(function, sweep.names, _needs_steps(sweep.settings.schedule))
        with Signals(sweep.coordinator.interrupt).owned(), keeping(lambda: sweep.result):
            sweep.reason = runs.run(sweep.coordinator, work)
            if not sweep.coordinator.interrupted:
                sweep.coordinator.failures.check_any_succeeded(sweep.result.history)
        return sweep.result


def _executor_of(workers: int, executor: Executor | None) -> Executor:
    """Return where the function is called.

    Raises:
        ArgumentError: anything but one evaluation at a time in this process, with the way to have more.
    """
    try:
        return executor_of(workers, executor, None)
    except ArgumentError as error:
        raise ArgumentError(
            f"{error} `Sweep` is the same search by halves: `ask` it for several configurations, evaluate "
            "them in a pool of your own, and `tell` it what came of each, in any order."
        ) from error


def _needs_steps(schedule: Scheduler) -> str | None:
    """Return what needs a generator, in words, if something does."""
    return None if isinstance(schedule, FullBudget) else f"`schedule={type(schedule).__name__}`"
