"""Executors: where jobs run. They call the coordinator, directly or over a wire.

Nothing here knows what a job does.
"""

from lightning_tune.execute.base import (
    Assignment,
    Channel,
    CheckpointRef,
    Executor,
    LegEnd,
    Retire,
    Task,
    Work,
)
from lightning_tune.execute.inline import InlineExecutor

__all__ = [
    "Assignment",
    "Channel",
    "CheckpointRef",
    "Executor",
    "InlineExecutor",
    "LegEnd",
    "Retire",
    "Task",
    "Work",
]
