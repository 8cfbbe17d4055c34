"""Searchers: which configuration to try next. Pure functions of space, history, seed and trial number."""

from lightning_tune.search.annealing import SimulatedAnnealing
from lightning_tune.search.auto import AutoSearch
from lightning_tune.search.base import Searcher
from lightning_tune.search.bayesian import BayesianSearch
from lightning_tune.search.genetic import GeneticSearch
from lightning_tune.search.grid import GridSearch
from lightning_tune.search.one_at_a_time import OneAtATimeSearch, Sensitivity
from lightning_tune.search.random import RandomSearch
from lightning_tune.search.tpe import TPESearch

__all__ = [
    "AutoSearch",
    "BayesianSearch",
    "GeneticSearch",
    "GridSearch",
    "OneAtATimeSearch",
    "RandomSearch",
    "Searcher",
    "Sensitivity",
    "SimulatedAnnealing",
    "TPESearch",
]
