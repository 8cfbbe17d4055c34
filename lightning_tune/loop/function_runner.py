"""Trials of a plain function: a call each, or a generator that yields a value for each step of the budget."""

import math
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from lightning_tune.core.budget import Budget
from lightning_tune.core.events import Config
from lightning_tune.errors import ArgumentError
from lightning_tune.execute.base import Assignment, Channel, LegEnd, Task
from lightning_tune.loop.endings import out_of_memory
from lightning_tune.track.frames import user_frame

Value: TypeAlias = float | tuple[float, ...]
Function: TypeAlias = Callable[[Config], Value | Iterator[Value]]
_STEPS = Budget(unit="steps")


class Leg(Protocol):
    """What must be known of a leg to evaluate it: whose it is, how far it goes, and whether that is all."""

    @property
    def trial(self) -> int:
        """The trial's number."""
        ...

    @property
    def leg(self) -> int:
        """The leg's number."""
        ...

    @property
    def budget(self) -> float:
        """The step to evaluate to."""
        ...

    @property
    def final(self) -> bool:
        """Whether the trial is complete there."""
        ...


@dataclass(kw_only=True, slots=True)
class Evaluation:
    """A configuration that is being evaluated.

    Attributes:
        values: what comes of it, a value a step.
        pausable: whether it may pause between two values; not where all are there already.
        step: the step of the value that came last.
    """

    values: Iterator[Any]
    pausable: bool
    step: float = 0.0


class FunctionRunner:
    """The work of a sweep over a function.

    A generator that is paused stays alive in this process. After a restart it is made anew and played to
    where it was: what it yields again is known already, and nothing is recorded twice.

    Args:
        function: `config -> value`, a tuple of values where there are several objectives, or a generator of
            them.
        names: what the values are called, one an objective.
        needs_steps: what needs a generator, in words, if something does.
    """

    def __init__(self, function: Function, names: Sequence[str], needs_steps: str | None = None) -> None:
        self._function = function
        self._names = tuple(names)
        self._needs_steps = needs_steps
        self._alive: dict[int, Evaluation] = {}

    def __call__(self, task: Task, channel: Channel) -> None:
        """Run one leg; a trial that was stopped while it was paused lets go of its generator."""
        evaluation = self._alive.pop(task.trial, None)
        if not isinstance(task, Assignment):
            return
        try:
            end = self._run(task, channel, evaluation)
        except KeyboardInterrupt:
            channel.finish(replace(_completed(task, 0.0, "interrupted"), kind="interrupted"))
            raise
        channel.finish(end)

    def _run(self, task: Assignment, channel: Channel, evaluation: Evaluation | None) -> LegEnd:
        """Evaluate a leg, from where it was if that is known here."""
        try:
            evaluation = self._begin(task.config) if evaluation is None else evaluation
        except ArgumentError:
            raise
        except Exception as error:
            return _failed(task, 0.0, error)
        end = advance(evaluation, task, channel, self._names)
        if end.kind == "paused":
            self._alive[task.trial] = evaluation
        return end

    def _begin(self, config: Config) -> Evaluation:
        """Call the function.

        Raises:
            ArgumentError: it is no generator, and something needs one.
        """
        made = self._function(dict(config))
        if isinstance(made, Iterator):
            return Evaluation(values=made, pausable=True)
        if self._needs_steps is not None:
            raise ArgumentError(
                "`function` must be a generator that yields a value for each step of the budget, since "
                f"{self._needs_steps} compares trials on their way; it returned {made!r}."
            )
        return Evaluation(values=iter([made]), pausable=False)


def advance(evaluation: Evaluation, leg: Leg, channel: Channel, names: Sequence[str]) -> LegEnd:
    """Report one value after another until a leg is over, and say how it ended.

    Raises:
        ArgumentError: raised while a value was made, as a mistake in how something of ours is called.
    """
    while evaluation.step < leg.budget:
        try:
            values = checked(next(evaluation.values), names)
        except StopIteration:
            return _exhausted(evaluation, leg)
        except ArgumentError:
            raise
        except Exception as error:
            return _failed(leg, evaluation.step, error)
        evaluation.step += 1
        end = _reported(evaluation, leg, channel, names, values)
        if end is not None:
            return end
    end = _completed(leg, evaluation.step, f"reached {_STEPS.amount(evaluation.step)}")
    return end if leg.final else replace(end, kind="paused")


def _reported(
    evaluation: Evaluation, leg: Leg, channel: Channel, names: Sequence[str], values: tuple[float, ...]
) -> LegEnd | None:
    """Report a value; return the end of the leg if it is one."""
    step = evaluation.step
    decision = channel.report(leg.trial, leg.leg, step, values, dict(zip(names, values, strict=True)))
    if not all(map(math.isfinite, values)):
        return replace(_completed(leg, step, decision.reason), kind="diverged")
    if decision.action == "continue" and step < leg.budget and evaluation.pausable:
        decision = channel.poll(leg.trial)
    if decision.action == "continue":
        return None
    end = _completed(leg, step, decision.reason)
    return replace(end, kind="stopped" if decision.action == "stop" else "paused")


def checked(value: Any, names: Sequence[str]) -> tuple[float, ...]:
    """Return what a configuration scored as floats, one an objective.

    Raises:
        TypeError: it is no number, or they are too many or too few.

    Example:
        >>> checked(1, ["value"]), checked((0.5, 2), ["loss", "size"])
        ((1.0,), (0.5, 2.0))
    """
    several = len(names) > 1 and (isinstance(value, list) or getattr(value, "ndim", 0) == 1)
    values = tuple(value) if several or isinstance(value, tuple) else (value,)
    wanted = "a number" if len(names) == 1 else f"a tuple of {len(names)} numbers"
    if len(values) == len(names) and not any(isinstance(number, str | bytes) for number in values):
        try:
            return tuple(float(number) for number in values)
        except (TypeError, ValueError) as error:
            raise TypeError(f"a value must be {wanted}, got {value!r}") from error
    raise TypeError(f"a value must be {wanted}, got {value!r}")


def _exhausted(evaluation: Evaluation, leg: Leg) -> LegEnd:
    """Return the end of a leg of which no more values come."""
    step = evaluation.step
    if step == 0:
        end = _completed(leg, step, "`function` is a generator that yielded no value")
        return replace(end, kind="unmonitored")
    if math.isfinite(leg.budget):
        return _completed(leg, step, f"ended at step {step:g} of {leg.budget:g}")
    return _completed(leg, step, "evaluated" if step == 1 else f"ended at step {step:g}")


def _failed(leg: Leg, step: float, error: Exception) -> LegEnd:
    """Return the end of a leg whose function raised, with where and why."""
    text = "".join(traceback.format_exception(error))
    where = user_frame(text)
    reason = f"{type(error).__name__}: {error}" + (f" ({where})" if where else "")
    if out_of_memory(error):
        return replace(_completed(leg, step, f"out of memory: {error}"), kind="out_of_memory", error=text)
    return replace(_completed(leg, step, reason), kind="exception", error=text, exception=error)


def _completed(leg: Leg, step: float, reason: str) -> LegEnd:
    return LegEnd(trial=leg.trial, leg=leg.leg, step=step, kind="completed", reason=reason)
