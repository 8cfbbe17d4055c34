"""One rank acts for all: its answer, or its error, reaches the others.

If one rank alone stopped or raised, the others would hang in their next collective operation.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from lightning_tune.errors import TuneError

Answer = TypeVar("Answer")


def on_rank_zero(trainer: Any, action: Callable[[], Answer]) -> Answer:
    """Do something on rank 0 and return its answer on every rank; all ranks must come here.

    Args:
        trainer: whose ranks they are.
        action: what to do; its answer can be pickled.

    Raises:
        Exception: what the action raised, on rank 0; on the others an error of the same words, of the same
            class if it is one of ours.
    """
    if trainer.world_size == 1:
        return action()
    answer: Answer | None = None
    fault: Exception | None = None
    if trainer.is_global_zero:
        try:
            answer = action()
        except Exception as error:
            fault = error
    answer, problem = trainer.strategy.broadcast((answer, _portable(fault)), 0)
    if fault is not None:
        raise fault
    if problem is not None:
        kind, words = problem
        raise kind(words)
    return cast(Answer, answer)


def _portable(fault: Exception | None) -> tuple[type[TuneError], str] | None:
    """Return an error as a class and words that every rank knows."""
    if fault is None:
        return None
    if isinstance(fault, TuneError):
        return type(fault), str(fault)
    return TuneError, f"rank 0 raised {type(fault).__name__}: {fault}"
