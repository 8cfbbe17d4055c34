"""Schedulers: who trains on, who pauses, who stops. Pure functions over the history."""

from lightning_tune.schedule.base import Scheduler
from lightning_tune.schedule.full import FullBudget

__all__ = ["FullBudget", "Scheduler"]
