"""How something happens to a sweep: into the store, into the history, to whoever listens; in that order."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lightning_tune.core.decision import Decision, decided
from lightning_tune.core.events import Event, Reported
from lightning_tune.core.history import History
from lightning_tune.store.base import Store

Listener = Callable[[Event, History], None]


@dataclass(kw_only=True)
class Journal:
    """A sweep's events as they come: appended, folded, told.

    Attributes:
        name: the sweep's name in the store.
        store: where it is appended to.
        history: the fold, which this keeps up to date.
        listeners: called with every new event and the history that holds it already.
    """

    name: str
    store: Store
    history: History
    listeners: Sequence[Listener] = field(default_factory=list)

    def sync(self) -> None:
        """Fold what other processes have appended."""
        self._fold(self.store.read(self.name, after=self.history.seq))

    def record(self, *events: Event, durable: bool = False) -> None:
        """Append events, and fold them after those that other processes appended meanwhile."""
        appended = self.store.append(self.name, events, durable=durable)
        if appended[0].seq != self.history.seq + 1:
            self.sync()
        else:
            self._fold(appended)

    def report(self, report: Reported, judge: Callable[[Reported], Decision]) -> Decision:
        """Append a report with the decision on it, in one transaction; the judge finds it in the history."""
        with self.store.transaction(self.name) as transaction:
            (reported,) = transaction.append([report])
            assert isinstance(reported, Reported)
            if reported.seq != self.history.seq + 1:
                self._fold(event for event in transaction.read(self.history.seq) if event.seq < reported.seq)
            self.history.extend([reported])
            decision = judge(reported)
            appended = transaction.append([decided(reported, decision)]) if decision.reason else []
        self._tell([reported])
        self._fold(appended)
        return decision

    def _fold(self, events: Iterable[Event]) -> None:
        new = [event for event in events if event.seq > self.history.seq]
        self.history.extend(new)
        self._tell(new)

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            for listener in self.listeners:
                listener(event, self.history)
