"""Schedulers: who trains on, who pauses, who stops. Pure functions over the history."""

from lightning_tune.schedule.asha import ASHA
from lightning_tune.schedule.base import Scheduler
from lightning_tune.schedule.curve import CurveStopping
from lightning_tune.schedule.full import FullBudget
from lightning_tune.schedule.halving import SuccessiveHalving
from lightning_tune.schedule.hyperband import Hyperband
from lightning_tune.schedule.median import MedianStopping
from lightning_tune.schedule.population import PopulationBased
from lightning_tune.schedule.predicted import ByPredictedEnd

__all__ = [
    "ASHA",
    "ByPredictedEnd",
    "CurveStopping",
    "FullBudget",
    "Hyperband",
    "MedianStopping",
    "PopulationBased",
    "Scheduler",
    "SuccessiveHalving",
]
