"""The contract suite itself: it fails for stores that break the contract."""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import pytest

from lightning_tune.core.events import EVENT_TYPES, Event, Reported
from lightning_tune.store.memory import MemoryStore
from lightning_tune.testing.store_contract import StoreContract, numbered, one_of_each, same


class ForgetsNaN(MemoryStore):
    def append(self, name: str, events: Sequence[Event], *, durable: bool = False) -> list[Event]:
        kept = [
            event._replace(values=tuple(0.0 if math.isnan(value) else value for value in event.values))
            if isinstance(event, Reported)
            else event
            for event in events
        ]
        return super().append(name, kept, durable=durable)


class LosesTheLast(MemoryStore):
    def read(self, name: str, after: int = 0) -> Iterator[Event]:
        return iter(list(super().read(name, after))[:-1])


class LetsEverybodyIn(MemoryStore):
    def hold(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.mark.parametrize(
    ("store", "test"),
    [
        (ForgetsNaN(), "test_awkward_numbers"),
        (LosesTheLast(), "test_every_event_comes_back_in_order"),
        (LetsEverybodyIn(), "test_one_coordinator_a_sweep"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_broken_store_fails(store: MemoryStore, test: str) -> None:
    with pytest.raises(AssertionError):
        getattr(StoreContract(), test)(store)


def test_one_of_each_has_every_type() -> None:
    assert {type(event) for event in one_of_each()} == set(EVENT_TYPES)


def test_sameness_is_exact() -> None:
    one = Reported(0, 0, 1.0, (math.nan,), 0.0)
    assert same([one], [Reported(0, 0, 1.0, (float("nan"),), 0.0)])
    assert not same([one], [one._replace(step=1)])
    assert not same([one], [one, one])
    assert not same([one._replace(values=(0.0,))], [one._replace(values=(-0.0,))])


def test_numbers_rise_from_the_first() -> None:
    assert [event.seq for event in numbered(one_of_each(), 5)] == list(range(5, 5 + len(one_of_each())))
