"""The contract of a store: append-only typed events of named sweeps, with one sequence a sweep.

Every implementation passes `lightning_tune.testing.store_contract`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from lightning_tune.core.events import JSON, Event


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepRecord:
    """A sweep as the store's table of contents shows it; `spec` is what may not change when it is resumed."""

    name: str
    spec: dict[str, JSON]
    created: float


class Transaction(ABC):
    """Reading and appending under the sweep's write lock; all of it is committed, or nothing is."""

    @abstractmethod
    def read(self, after: int = 0) -> Iterator[Event]:
        """Yield the sweep's events with a sequence number above `after`, in order."""

    @abstractmethod
    def append(self, events: Sequence[Event]) -> list[Event]:
        """Append events and return them with their sequence numbers.

        Raises:
            StoreError: the disk is full, the file is damaged, or a report of that (trial, leg, step) is there
            already.
        """


class Store(ABC):
    """Where sweeps live. Use as a context manager, or `close()` it."""

    @abstractmethod
    def sweeps(self) -> list[SweepRecord]:
        """Return every sweep, oldest first."""

    @abstractmethod
    def sweep(self, name: str) -> SweepRecord | None:
        """Return one sweep, or None."""

    @abstractmethod
    def create(self, name: str, spec: dict[str, JSON], time: float) -> SweepRecord:
        """Create an empty sweep.

        Raises:
            SweepExistsError: there is one of that name.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a sweep with all of its events (nothing happens if there is none)."""

    @abstractmethod
    def read(self, name: str, after: int = 0) -> Iterator[Event]:
        """Yield a sweep's events with a sequence number above `after`, in order.

        Raises:
            StoreError: there is no such sweep, or the store cannot be read.
        """

    @abstractmethod
    def transaction(self, name: str, *, durable: bool = False) -> AbstractContextManager[Transaction]:
        """Open a serial read-and-append transaction on one sweep.

        What it appended survives a kill of the process once the block is left; with `durable=True` also a
        power cut.
        """

    @abstractmethod
    def hold(self, name: str) -> AbstractContextManager[None]:
        """Hold the right to coordinate a sweep (one process at a time; a killed process loses it at once).

        Raises:
            SweepBusyError: another process, or another coordinator in this one, holds it.
        """

    @abstractmethod
    def close(self) -> None:
        """Release connections. A closed store cannot be used again."""

    def append(self, name: str, events: Sequence[Event], *, durable: bool = False) -> list[Event]:
        """Append events in a transaction of their own and return them with their sequence numbers."""
        with self.transaction(name, durable=durable) as transaction:
            return transaction.append(events)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
