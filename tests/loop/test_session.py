import warnings

import pytest

from lightning_tune.core.events import SessionOpened
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.loop.journal import Journal
from lightning_tune.loop.session import open_session
from lightning_tune.store import MemoryStore


def test_a_session_records_what_it_ran_under_and_warns_of_changes():
    store = MemoryStore()
    store.create("s", {}, 0.0)
    heard = []
    journal = Journal(name="s", store=store, history=History(Objective.of("x")))
    journal.listeners = [lambda event, history: heard.append(event)]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_session(journal, {"trainer": {"max_epochs": 2, "precision": 32}})
        open_session(journal, {"trainer": {"max_epochs": 2, "precision": 32}})
    with pytest.warns(UserWarning, match="trainer.max_epochs: 2 -> 3; trainer.precision: 32 -> None"):
        open_session(journal, {"trainer": {"max_epochs": 3}})
    assert [event.session for event in heard] == [0, 1, 2]
    assert all(isinstance(event, SessionOpened) for event in heard)
    assert list(store.read("s")) == heard == journal.history.sessions
    assert heard[0].provenance["settings"] == {"trainer": {"max_epochs": 2, "precision": 32}}
    assert "torch" in str(heard[0].provenance)
