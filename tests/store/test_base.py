"""The contract's own few lines: a store is a context manager, and `append` is a transaction."""

import pytest

from lightning_tune.core.events import StopRequested
from lightning_tune.errors import StoreError
from lightning_tune.store.base import SweepRecord
from lightning_tune.store.memory import MemoryStore


def test_leaving_the_block_closes() -> None:
    with MemoryStore() as store:
        assert store.create("a", {"x": 1}, 2.0) == SweepRecord(name="a", spec={"x": 1}, created=2.0)
    with pytest.raises(StoreError, match="closed"):
        store.sweeps()


def test_append_is_one_transaction() -> None:
    store = MemoryStore()
    store.create("a", {}, 0.0)
    stops = [StopRequested(trial=number, reason="", time=0.0) for number in range(3)]
    assert [event.seq for event in store.append("a", stops, durable=True)] == [1, 2, 3]
    with store.transaction("a") as transaction:
        assert len(list(transaction.read())) == 3
