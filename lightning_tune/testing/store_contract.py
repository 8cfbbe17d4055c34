r"""What every store does: subclass `StoreContract` in a test module and give it a pytest fixture `store`.

Example:
    ```python
    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self):
            with MyStore() as store:
                yield store
    ```
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from lightning_tune.core.events import (
    EVENT_TYPES,
    CheckpointDeleted,
    CheckpointSaved,
    ConfigEnqueued,
    Decided,
    Event,
    LegStarted,
    Reported,
    SessionOpened,
    SpaceDeclared,
    StopRequested,
    TrialEnded,
    TrialPaused,
    TrialStarted,
)
from lightning_tune.errors import ArgumentError, StoreError, SweepBusyError, SweepExistsError, TuneError
from lightning_tune.store.base import Store

AWKWARD_TEXTS = (
    "",
    " \t\r\n",
    "nul \0 inside",
    "lone \ud800 surrogate",
    "\udfff\ud83d\ude00 pairs of lone ones",
    "😀 ␛ ␛␛ ␛0000 \\u0000 \\0",
    "quote ' \" ; -- % %s :name {brace}",
    "\x1b[31mred\x1b[0m \x7f \x85 \u202e bidi \ufeff \uffff",
    "ünïcödé " * 500,
)
AWKWARD_NUMBERS = (
    math.nan,
    math.inf,
    -math.inf,
    0.0,
    0.1,
    1 / 3,
    5e-324,
    -2.2250738585072014e-308,
    1.7976931348623157e308,
    2.0**53 + 2,
    1e22,
)
AWKWARD_CONFIG: dict[str, Any] = {
    "": None,
    "data.batch_size": 32,
    "nested": {"list": [1, 1.0, True, "1", None, [], {}], "deep": [[[[{"x": -0.5}]]]]},
    "big": 2**70,
    "small": -(2**63) - 1,
    "float": 5e-324,
    "texts": list(AWKWARD_TEXTS),
    "\0 \ud800 ␛": "key",
}


def one_of_each(text: str = "why", number: float = 2.0, config: dict[str, Any] | None = None) -> list[Event]:
    """Return an event of every type, in an order that could happen, with the values given."""
    config = {"lr": 0.1, "width": 8} if config is None else config
    return [
        SpaceDeclared(version=1, space=config, time=number),
        SessionOpened(session=1, provenance=config, time=number),
        ConfigEnqueued(number=0, config=config, time=number),
        TrialStarted(
            trial=0,
            group=0,
            config=config,
            seed=2**32 - 1,
            space_version=1,
            origin="enqueued",
            time=number,
            source=0,
            parent=None,
        ),
        LegStarted(trial=0, leg=0, budget=number, time=number, checkpoint=None),
        Reported(0, 0, 1.0, (number,), number, f'{{"any": "{text}"}}'),
        Decided(trial=0, leg=0, step=number, action="pause", reason=text, time=number),
        CheckpointSaved(
            trial=0,
            leg=0,
            step=number,
            kind="pause",
            path=text,
            size=2**40,
            sha256="0" * 64,
            time=number,
        ),
        TrialPaused(trial=0, leg=0, step=number, reason=text, time=number),
        LegStarted(trial=0, leg=1, budget=number, time=number, checkpoint=text),
        Reported(0, 1, 2.5, (number, 1.0, number), number),
        StopRequested(trial=0, reason=text, time=number),
        CheckpointDeleted(trial=0, path=text, time=number),
        TrialEnded(
            trial=0,
            leg=1,
            step=number,
            state="failed",
            reason=text,
            time=number,
            cause="exception",
            error=text,
        ),
    ]


def numbered(events: Sequence[Event], first: int = 1) -> list[Event]:
    """Return events with the sequence numbers that a store gives them."""
    return [
        event._replace(seq=seq) if isinstance(event, Reported) else replace(event, seq=seq)
        for seq, event in enumerate(events, first)
    ]


def same(first: Sequence[Event], second: Sequence[Event]) -> bool:
    """Return whether events are equal in type and in every value, NaN being equal to NaN."""
    return list(map(_shown, first)) == list(map(_shown, second))


def _shown(event: Event) -> str:
    return repr(event)  # exact for floats, apart for 1, 1.0 and True, and for -0.0, which SQLite makes 0.0


def _refusal(kind: type[TuneError], call: Any) -> str:
    """Return the sentence with which a call is refused."""
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__} was raised")


class StoreContract:
    """The tests. `store` is a new, empty store."""

    # -- sweeps ----------------------------------------------------------------------------------------------

    def test_a_new_store_is_empty(self, store: Store) -> None:
        """No sweep is there, and asking for one says so."""
        assert store.sweeps() == []
        assert store.sweep("digits") is None
        assert "no sweep 'digits'" in _refusal(StoreError, lambda: store.read("digits"))
        assert "no sweep 'digits'" in _refusal(StoreError, lambda: store.append("digits", []))

    def test_sweeps_are_listed_oldest_first(self, store: Store) -> None:
        """The order is that of creation, whatever the clock and the names say."""
        created = [
            store.create(name, {"of": name}, time) for name, time in (("b", 3.0), ("c", 1.0), ("a", 2.5))
        ]
        assert store.sweeps() == created
        assert store.sweep("c") == created[1]
        assert (created[0].name, created[0].spec, created[0].created) == ("b", {"of": "b"}, 3.0)

    def test_a_name_is_taken_once(self, store: Store) -> None:
        """The first sweep keeps its spec."""
        store.create("a", {"seed": 1}, 1.0)
        assert "'a'" in _refusal(SweepExistsError, lambda: store.create("a", {"seed": 2}, 2.0))
        assert [record.spec for record in store.sweeps()] == [{"seed": 1}]

    def test_awkward_names_and_specs(self, store: Store) -> None:
        """Names are neither paths nor patterns, and are apart where they differ at all."""
        names = [text[:255] for text in AWKWARD_TEXTS if text] + [
            "../../etc/passwd",
            "A",
            "a",
            "a ",
            "%",
            "_",
            "*",
        ]
        for name in names:
            store.create(name, AWKWARD_CONFIG, 0.0)
            store.append(name, [StopRequested(trial=0, reason=name, time=0.0)])
        assert [record.name for record in store.sweeps()] == names
        for name in names:
            record = store.sweep(name)
            assert record is not None
            assert (record.name, record.spec) == (name, AWKWARD_CONFIG)
            assert [event.reason for event in store.read(name)] == [name]  # type: ignore[union-attr]
            with store.hold(name):
                pass

    def test_names_that_are_refused(self, store: Store) -> None:
        """Nothing, and more than an index takes."""
        for name in ("", "x" * 256):
            assert "1 to 255 characters" in _refusal(
                ArgumentError, lambda name=name: store.create(name, {}, 0.0)
            )

    def test_deleting(self, store: Store) -> None:
        """A sweep goes with its events; others stay, and a new one of that name is empty."""
        for name in ("a", "b"):
            store.create(name, {}, 0.0)
            store.append(name, one_of_each())
        store.delete("a")
        store.delete("never there")
        assert [record.name for record in store.sweeps()] == ["b"]
        assert len(list(store.read("b"))) == len(one_of_each())
        store.create("a", {}, 0.0)
        assert list(store.read("a")) == []
        assert [event.seq for event in store.append("a", one_of_each()[:2])] == [1, 2]

    # -- events ----------------------------------------------------------------------------------------------

    def test_every_event_comes_back_in_order(self, store: Store) -> None:
        """What `append` returns is what is read, numbered without a gap."""
        store.create("a", {}, 0.0)
        events = one_of_each()
        assert {type(event) for event in events} == set(EVENT_TYPES)
        appended = store.append("a", events)
        assert same(appended, numbered(events))
        assert same(list(store.read("a")), appended)

    def test_reading_after_a_number(self, store: Store) -> None:
        """Only the new events are read, however the old ones were grouped."""
        store.create("a", {}, 0.0)
        events = one_of_each()
        for event in events:
            store.append("a", [event])
        for after in (0, 1, 5, len(events) - 1, len(events), len(events) + 7):
            assert same(list(store.read("a", after)), numbered(events)[after:])

    def test_awkward_texts(self, store: Store) -> None:
        """NUL, lone surrogates and our own escape character come back as they were."""
        for number, text in enumerate(AWKWARD_TEXTS):
            store.create(f"{number}", {}, 0.0)
            events = one_of_each(text=text)
            assert same(store.append(f"{number}", events), numbered(events))
            assert same(list(store.read(f"{number}")), numbered(events))

    def test_awkward_numbers(self, store: Store) -> None:
        """NaN, infinities, denormals: to the last bit."""
        for index, number in enumerate(AWKWARD_NUMBERS):
            store.create(f"{index}", {}, 0.0)
            events = one_of_each(number=number)
            assert same(store.append(f"{index}", events), numbered(events))
            assert same(list(store.read(f"{index}")), numbered(events))

    def test_awkward_configurations(self, store: Store) -> None:
        """Integers beyond 64 bits, deep nesting, and 1 is not 1.0 is not True."""
        store.create("a", {}, 0.0)
        events = one_of_each(config=AWKWARD_CONFIG)
        assert same(store.append("a", events), numbered(events))
        assert same(list(store.read("a")), numbered(events))

    def test_metrics_are_kept_verbatim(self, store: Store) -> None:
        """The text is neither parsed nor written anew."""
        store.create("a", {}, 0.0)
        texts = ["{}", '{ "b":1,\n"a": NaN }', "not json", *AWKWARD_TEXTS]
        store.append("a", [Reported(0, 0, float(step), (0.0,), 0.0, text) for step, text in enumerate(texts)])
        assert [event.metrics for event in store.read("a")] == texts  # type: ignore[union-attr]

    def test_what_comes_back_shares_nothing_with_what_went_in(self, store: Store) -> None:
        """A configuration that is changed later changes no record."""
        store.create("a", {}, 0.0)
        config: dict[str, Any] = {"layers": [1, 2]}
        (appended,) = store.append("a", [ConfigEnqueued(number=0, config=config, time=0.0)])
        config["layers"].append(3)
        assert isinstance(appended, ConfigEnqueued)
        assert appended.config == {"layers": [1, 2]}
        assert same(list(store.read("a")), [appended])

    def test_plain_values(self, store: Store) -> None:
        """An integer where a float belongs is a float, a tuple in a configuration is a list."""
        store.create("a", {}, 0.0)
        appended = store.append(
            "a", [Reported(0, 0, 1, (True, 2), 3), ConfigEnqueued(number=0, config={"a": (1, 2)}, time=4)]
        )
        expected: list[Event] = [
            Reported(0, 0, 1.0, (1.0, 2.0), 3.0, seq=1),
            ConfigEnqueued(number=0, config={"a": [1, 2]}, time=4.0, seq=2),
        ]
        assert same(appended, expected)
        assert same(list(store.read("a")), expected)

    def test_values_that_are_refused(self, store: Store) -> None:
        """What no database can give back is refused, by name, and nothing of the transaction is kept."""
        store.create("a", {}, 0.0)
        good = one_of_each()[:3]
        no_json: Any = {"a": object()}
        for bad, words in (
            (ConfigEnqueued(number=0, config={"lr": math.nan}, time=0.0), "`config` must hold plain JSON"),
            (SpaceDeclared(version=1, space=no_json, time=0.0), "`space` must hold plain JSON"),
            (Reported(3, 0, math.nan, (0.0,), 0.0), "step of a report must be a number"),
            (Reported(3, 0, 1.0, (), 0.0), "one value for each monitor"),
            (StopRequested(trial=2**63, reason="", time=0.0), "64 bits"),
        ):
            refusal = _refusal(TuneError, lambda bad=bad: store.append("a", [*good, bad]))
            assert words in refusal
            assert list(store.read("a")) == []
        assert "plain JSON" in _refusal(ArgumentError, lambda: store.create("b", {"x": math.inf}, 0.0))
        assert [event.seq for event in store.append("a", good)] == [1, 2, 3]

    def test_a_report_is_unique_by_trial_leg_and_step(self, store: Store) -> None:
        """The second of a kind is refused; another trial, leg or step is another report; sweeps are apart."""
        store.create("a", {}, 0.0)
        store.create("b", {}, 0.0)
        report = Reported(1, 0, 2.5, (math.nan,), 0.0)
        for name in ("a", "b"):
            store.append(name, [report])
        store.append("a", [report._replace(leg=1), report._replace(trial=2), report._replace(step=2.75)])
        again = report._replace(values=(1.0,), time=9.0)
        assert "trial 1 has already reported step 2.5" in _refusal(
            StoreError, lambda: store.append("a", [again])
        )
        twice = [report._replace(step=7.0), report._replace(step=7.0)]
        assert "already" in _refusal(StoreError, lambda: store.append("a", twice))
        assert [event.seq for event in store.read("a")] == [1, 2, 3, 4]
        assert [event.seq for event in store.append("a", twice[:1])] == [5]

    def test_more_events_than_are_read_at_once(self, store: Store) -> None:
        """A long sweep is one gapless sequence; so is its tail."""
        store.create("a", {}, 0.0)
        count = 12_000
        for low in range(0, count, 4_000):
            store.append("a", [Reported(0, 0, float(step), (0.5,), 0.0) for step in range(low, low + 4_000)])
        assert [event.seq for event in store.read("a")] == list(range(1, count + 1))
        assert [event.seq for event in store.read("a", 4_999)] == list(range(5_000, count + 1))

    # -- transactions ----------------------------------------------------------------------------------------

    def test_a_transaction_sees_what_it_appended(self, store: Store) -> None:
        """Events before it and its own, in one sequence."""
        store.create("a", {}, 0.0)
        events = one_of_each()
        store.append("a", events[:5])
        with store.transaction("a", durable=True) as transaction:
            assert same(list(transaction.read()), numbered(events[:5]))
            assert same(transaction.append(events[5:7]), numbered(events[5:7], 6))
            assert same(list(transaction.read(4)), numbered(events)[4:7])
            assert transaction.append([]) == []
            transaction.append(events[7:])
            assert same(list(transaction.read(6)), numbered(events)[6:])
        assert same(list(store.read("a")), numbered(events))

    def test_a_block_that_raises_leaves_nothing(self, store: Store) -> None:
        """Neither rows nor a gap in the sequence."""
        store.create("a", {}, 0.0)
        events = one_of_each()
        store.append("a", events[:3])

        def fail() -> None:
            with store.transaction("a") as transaction:
                transaction.append(events[3:])
                raise TuneError("mid-way")

        assert _refusal(TuneError, fail) == "mid-way"
        assert same(list(store.read("a")), numbered(events[:3]))
        assert [event.seq for event in store.append("a", events[3:4])] == [4]

    def test_a_failed_append_undoes_the_whole_block(self, store: Store) -> None:
        """Even where the block went on after it."""
        store.create("a", {}, 0.0)
        report = Reported(0, 0, 1.0, (0.0,), 0.0)
        store.append("a", [report])

        def go_on() -> None:
            with store.transaction("a") as transaction:
                transaction.append([StopRequested(trial=0, reason="", time=0.0)])
                assert "already" in _refusal(StoreError, lambda: transaction.append([report]))

        assert "undone" in _refusal(StoreError, go_on)
        assert [event.seq for event in store.read("a")] == [1]
        assert [event.seq for event in store.append("a", [report._replace(step=2.0)])] == [2]

    def test_no_transaction_inside_another(self, store: Store) -> None:
        """One thread that waits for itself is told so at once."""
        store.create("a", {}, 0.0)
        with store.transaction("a") as transaction:
            assert "transaction open" in _refusal(StoreError, lambda: store.append("a", []))
            transaction.append(one_of_each()[:1])
        assert len(list(store.read("a"))) == 1

    def test_a_transaction_ends_with_its_block(self, store: Store) -> None:
        """It cannot be used afterwards."""
        store.create("a", {}, 0.0)
        with store.transaction("a") as transaction:
            pass
        assert "over" in _refusal(StoreError, lambda: transaction.append(one_of_each()))
        assert "over" in _refusal(StoreError, lambda: list(transaction.read()))

    def test_reading_while_appending(self, store: Store) -> None:
        """A reader sees the sweep as it was when it began to read."""
        store.create("a", {}, 0.0)
        store.append("a", one_of_each())
        seen = []
        for event in store.read("a"):
            store.append("a", [StopRequested(trial=0, reason="more", time=0.0)])
            seen.append(event.seq)
        assert seen == list(range(1, len(one_of_each()) + 1))
        assert len(list(store.read("a"))) == 2 * len(seen)

    def test_threads_take_turns(self, store: Store) -> None:
        """Select-then-insert is serial: no number is lost or given twice, each thread's are in order."""
        store.create("a", {}, 0.0)
        failures: list[BaseException] = []

        def work(thread: int) -> None:
            try:
                for step in range(40):
                    with store.transaction("a") as transaction:
                        known = sum(1 for _ in transaction.read())
                        (report,) = transaction.append([Reported(thread, 0, float(step), (0.0,), 0.0)])
                        assert report.seq == known + 1
            except BaseException as error:  # it is shown by the test itself
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        events: list[Any] = list(store.read("a"))
        assert [event.seq for event in events] == list(range(1, 161))
        for number in range(4):
            assert [event.step for event in events if event.trial == number] == [
                float(step) for step in range(40)
            ]

    # -- the rest --------------------------------------------------------------------------------------------

    def test_one_coordinator_a_sweep(self, store: Store) -> None:
        """The right is given back at the end of the block, whatever ended it; other sweeps do not mind."""

        def hold() -> None:
            with store.hold("a"):
                pass

        with store.hold("a"):
            assert "'a'" in _refusal(SweepBusyError, hold)
            with store.hold("b"):
                pass
        hold()

        def fail() -> None:
            with store.hold("a"):
                raise TuneError("mid-way")

        assert _refusal(TuneError, fail) == "mid-way"
        hold()

    def test_a_closed_store_says_so(self, store: Store) -> None:
        """Closing twice is fine, using it is not."""
        store.create("a", {}, 0.0)
        store.close()
        store.close()
        assert "closed" in _refusal(StoreError, store.sweeps)
        assert "closed" in _refusal(StoreError, lambda: store.append("a", []))

    def test_a_thousand_small_transactions_keep_their_order(self, store: Store) -> None:
        """Durable and plain ones mixed."""
        store.create("a", {}, 0.0)
        for step in range(1000):
            store.append("a", [Reported(0, 0, float(step), (0.0,), 0.0)], durable=step % 50 == 0)
        events: list[Any] = list(store.read("a"))
        assert all(first.step < second.step for first, second in pairwise(events))
        assert [event.seq for event in events] == list(range(1, 1001))
