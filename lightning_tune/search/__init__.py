"""Searchers: which configuration to try next. Pure functions of space, history, seed and trial number."""

from lightning_tune.search.base import Searcher
from lightning_tune.search.grid import GridSearch
from lightning_tune.search.one_at_a_time import OneAtATimeSearch, Sensitivity
from lightning_tune.search.random import RandomSearch

__all__ = ["GridSearch", "OneAtATimeSearch", "RandomSearch", "Searcher", "Sensitivity"]
