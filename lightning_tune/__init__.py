"""Hyperparameter sweeps that live inside PyTorch Lightning.

The names below are all that most users type; each is imported when it is first used, so that importing the
package costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_tune.callbacks.extrapolation import CurveExtrapolationStopping
    from lightning_tune.callbacks.halving import SuccessiveHalvingPruner
    from lightning_tune.callbacks.replace_norms import ReplaceNorms
    from lightning_tune.core.objective import Objective
    from lightning_tune.core.outcome import Outcome, TrialInfo
    from lightning_tune.core.space import Choice, Float, Int, Space
    from lightning_tune.errors import (
        ArgumentError,
        CheckpointError,
        MissingDependencyError,
        MonitorError,
        SpaceError,
        StoreError,
        SweepBusyError,
        SweepExistsError,
        SweepFailedError,
        TrialPrunedError,
        TuneError,
        UnknownArgumentError,
    )
    from lightning_tune.loop.freeze_thaw import FreezeThaw
    from lightning_tune.loop.optimize import optimize
    from lightning_tune.loop.result import Result, TrialResult
    from lightning_tune.loop.sweep import Asked, Sweep
    from lightning_tune.loop.tune_loop import TuneLoop
    from lightning_tune.schedule import (
        ASHA,
        CurveStopping,
        FullBudget,
        Hyperband,
        MedianStopping,
        PopulationBased,
        Scheduler,
        SuccessiveHalving,
    )
    from lightning_tune.search import (
        AutoSearch,
        BayesianSearch,
        GeneticSearch,
        GridSearch,
        OneAtATimeSearch,
        RandomSearch,
        Searcher,
        SimulatedAnnealing,
        TPESearch,
    )
    from lightning_tune.store import Store, open_store

__version__ = "0.1.0"

_HOMES = {
    "callbacks.extrapolation": ["CurveExtrapolationStopping"],
    "callbacks.halving": ["SuccessiveHalvingPruner"],
    "callbacks.replace_norms": ["ReplaceNorms"],
    "core.objective": ["Objective"],
    "core.outcome": ["Outcome", "TrialInfo"],
    "core.space": ["Choice", "Float", "Int", "Space"],
    "errors": [
        "ArgumentError",
        "CheckpointError",
        "MissingDependencyError",
        "MonitorError",
        "SpaceError",
        "StoreError",
        "SweepBusyError",
        "SweepExistsError",
        "SweepFailedError",
        "TrialPrunedError",
        "TuneError",
        "UnknownArgumentError",
    ],
    "loop.freeze_thaw": ["FreezeThaw"],
    "loop.optimize": ["optimize"],
    "loop.result": ["Result", "TrialResult"],
    "loop.sweep": ["Asked", "Sweep"],
    "loop.tune_loop": ["TuneLoop"],
    "schedule": [
        "ASHA",
        "CurveStopping",
        "FullBudget",
        "Hyperband",
        "MedianStopping",
        "PopulationBased",
        "Scheduler",
        "SuccessiveHalving",
    ],
    "search": [
        "AutoSearch",
        "BayesianSearch",
        "GeneticSearch",
        "GridSearch",
        "OneAtATimeSearch",
        "RandomSearch",
        "Searcher",
        "SimulatedAnnealing",
        "TPESearch",
    ],
    "store": ["Store", "open_store"],
}
_HOME_OF = {name: f"lightning_tune.{home}" for home, names in _HOMES.items() for name in names}

__all__ = [
    "ASHA",
    "ArgumentError",
    "Asked",
    "AutoSearch",
    "BayesianSearch",
    "CheckpointError",
    "Choice",
    "CurveExtrapolationStopping",
    "CurveStopping",
    "Float",
    "FreezeThaw",
    "FullBudget",
    "GeneticSearch",
    "GridSearch",
    "Hyperband",
    "Int",
    "MedianStopping",
    "MissingDependencyError",
    "MonitorError",
    "Objective",
    "OneAtATimeSearch",
    "Outcome",
    "PopulationBased",
    "RandomSearch",
    "ReplaceNorms",
    "Result",
    "Scheduler",
    "Searcher",
    "SimulatedAnnealing",
    "Space",
    "SpaceError",
    "Store",
    "StoreError",
    "SuccessiveHalving",
    "SuccessiveHalvingPruner",
    "Sweep",
    "SweepBusyError",
    "SweepExistsError",
    "SweepFailedError",
    "TPESearch",
    "TrialInfo",
    "TrialPrunedError",
    "TrialResult",
    "TuneError",
    "TuneLoop",
    "UnknownArgumentError",
    "open_store",
    "optimize",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
