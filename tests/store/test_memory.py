"""The store in memory."""

from collections.abc import Iterator

import pytest

from lightning_tune.store.memory import MemoryStore
from lightning_tune.testing.store_contract import StoreContract, one_of_each


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[MemoryStore]:
        with MemoryStore() as store:
            yield store


def test_two_stores_are_apart() -> None:
    first, second = MemoryStore(), MemoryStore()
    first.create("a", {}, 0.0)
    first.append("a", one_of_each())
    assert second.sweeps() == []
    assert repr(first) == "<MemoryStore: 1 sweeps>"
    with first.hold("a"), second.hold("a"):
        assert second.sweep("a") is None
