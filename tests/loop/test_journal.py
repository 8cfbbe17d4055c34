import pytest

from lightning_tune.core.decision import CONTINUE, Decision
from lightning_tune.core.events import ConfigEnqueued, Decided, LegStarted, Reported, TrialStarted
from lightning_tune.core.history import History
from lightning_tune.core.objective import Objective
from lightning_tune.loop.journal import Journal
from lightning_tune.store import MemoryStore


@pytest.fixture
def journal():
    store = MemoryStore()
    store.create("s", {}, 0.0)
    heard = []
    journal = Journal(name="s", store=store, history=History(Objective.of("loss")))
    journal.listeners = [lambda event, history: heard.append((event, history.seq))]
    journal.record(
        TrialStarted(trial=0, group=0, config={}, seed=0, space_version=1, origin="search", time=0.0),
        LegStarted(trial=0, leg=0, budget=9.0, time=0.0),
    )
    return journal


def test_a_report_and_the_decision_on_it_are_one_transaction(journal):
    asked = []

    def judge(report):
        asked.append((report.seq, journal.history.trials[0].score))
        return Decision(action="stop", reason="enough")

    assert journal.report(Reported(0, 0, 1.0, (0.5,), 0.0), judge).action == "stop"
    assert asked == [(3, 0.5)]  # numbered, and in the history already
    report, decided = list(journal.store.read("s", after=2))
    assert isinstance(decided, Decided)
    assert (decided.seq, decided.reason, decided.step) == (report.seq + 1, "enough", 1.0)
    assert journal.history.decision(0, 0, 1.0) == decided


def test_going_on_without_a_reason_records_no_decision(journal):
    journal.report(Reported(0, 0, 1.0, (0.5,), 0.0), lambda report: CONTINUE)
    assert [type(event) for event in journal.store.read("s", after=2)] == [Reported]


def test_a_judge_that_raises_leaves_nothing_behind(journal):
    def broken(report):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        journal.report(Reported(0, 0, 1.0, (0.5,), 0.0), broken)
    assert list(journal.store.read("s", after=2)) == []


def test_what_others_appended_is_folded_first_and_in_order(journal):
    journal.store.append("s", [ConfigEnqueued(number=0, config={}, time=0.0)])
    journal.report(Reported(0, 0, 1.0, (0.5,), 0.0), lambda report: CONTINUE)
    journal.store.append("s", [ConfigEnqueued(number=1, config={}, time=0.0)])
    journal.record(ConfigEnqueued(number=2, config={}, time=0.0))
    assert [request.number for request in journal.history.enqueued] == [0, 1, 2]
    assert journal.history.seq == 6
    journal.store.append("s", [ConfigEnqueued(number=3, config={}, time=0.0)])
    journal.sync()
    assert len(journal.history.enqueued) == 4
