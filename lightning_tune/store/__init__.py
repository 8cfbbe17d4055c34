"""Where a sweep lives: append-only typed events in memory, in an SQLite file, or in PostgreSQL."""

from lightning_tune.store.base import Store, SweepRecord
from lightning_tune.store.memory import MemoryStore
from lightning_tune.store.opening import open_store

__all__ = ["MemoryStore", "Store", "SweepRecord", "open_store"]
