"""Events to rows and back, for any text, number and JSON value."""

import json
import math
import sqlite3
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tune.core.events import EVENT_TYPES, ConfigEnqueued, Reported, StopRequested
from lightning_tune.errors import ArgumentError
from lightning_tune.store import codec
from lightning_tune.testing.store_contract import AWKWARD_TEXTS, one_of_each, same

any_text = st.text(st.characters(codec=None, exclude_categories=())) | st.text("␛0d8f\0\ud800\udc00")
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)


@given(any_text)
def test_escaped_text_comes_back(text: str) -> None:
    escaped = codec.escape(text)
    assert codec.unescape(escaped) == text
    assert "\0" not in escaped
    assert escaped.encode().decode() == escaped


@given(any_text, any_text)
def test_different_texts_stay_different(first: str, second: str) -> None:
    assert (codec.escape(first) == codec.escape(second)) == (first == second)


@pytest.mark.parametrize("text", ["", "plain", "ünïcödé 😀", "\x01\x1b\\u0000", "line\r\nline\t"])
def test_ordinary_text_is_verbatim(text: str) -> None:
    assert codec.escape(text) is text or codec.escape(text) == text


@given(any_json)
def test_json_comes_back(value: Any) -> None:
    text = codec.json_to_text(value, "it")
    assert repr(codec.text_to_json(text)) == repr(value)
    assert "\0" not in text.encode().decode()


@pytest.mark.parametrize("value", [math.nan, {"a": [math.inf]}, {"a": {1, 2}}, {"a": b"x"}, object()])
def test_what_is_no_json_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^the thing must hold plain JSON values"):
        codec.json_to_text(value, "the thing")


def test_what_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ArgumentError, match="plain JSON"):
        codec.json_to_text(loop, "the thing")


@settings(max_examples=60)
@given(any_text, st.floats(), st.dictionaries(any_text, any_json, max_size=3))
def test_every_event_comes_back_from_its_row(text: str, number: float, config: dict[str, Any]) -> None:
    if number == 0.0:
        number = 0.0  # SQLite has no -0.0
    events = one_of_each(text=text, number=number, config=config)
    rows = [codec.event_to_row(event) for event in events]
    assert same(
        [codec.row_to_event(type(event), row) for event, row in zip(events, rows, strict=True)], events
    )
    for row in rows:
        through_sqlite(row)


def through_sqlite(row: codec.Row) -> None:
    """Each cell is of a kind that SQLite stores and gives back as it was."""
    connection = sqlite3.connect(":memory:")
    for value in row.values():
        (back,) = connection.execute("SELECT ?", (value,)).fetchone()
        assert type(back) is type(value)
        assert back == value
    connection.close()


@given(st.lists(st.floats(), min_size=1, max_size=4), st.floats(allow_nan=False))
def test_the_values_of_a_report_come_back_to_the_bit(values: list[float], step: float) -> None:
    report = Reported(1, 2, step, tuple(values), 3.0, "{}", 4)
    back = codec.row_to_event(Reported, codec.event_to_row(report))
    assert isinstance(back, Reported)
    assert [bits(value) for value in back.values] == [bits(value) for value in values]
    assert back.step == step


def bits(value: float) -> bytes:
    return b"nan" if math.isnan(value) else struct.pack("d", value)


def test_numbers_that_are_not_python_s_own_become_so() -> None:
    np = pytest.importorskip("numpy")
    report = Reported(
        np.int64(1), np.int64(0), np.float32(0.5), (np.float64(0.25), np.float32(2)), np.float64(1)
    )
    back = codec.row_to_event(Reported, codec.event_to_row(report))
    assert repr(back) == repr(Reported(1, 0, 0.5, (0.25, 2.0), 1.0))


def test_more_than_64_bits_are_refused() -> None:
    for trial in (2**63, -(2**63) - 1):
        with pytest.raises(ArgumentError, match="64 bits"):
            codec.event_to_row(StopRequested(trial=trial, reason="", time=0.0))
    assert codec.event_to_row(StopRequested(trial=2**63 - 1, reason="", time=0.0))["trial"] == 2**63 - 1


def test_text_in_a_configuration_is_readable_in_the_database() -> None:
    row = codec.event_to_row(ConfigEnqueued(number=0, config={"optimizer": "ädam"}, time=0.0))
    assert row["config"] == '{"optimizer": "ädam"}'
    assert json.loads(row["config"]) == {"optimizer": "ädam"}


def test_every_type_has_its_columns() -> None:
    for kind in EVENT_TYPES:
        assert "seq" in codec.columns(kind)
    assert codec.columns(Reported)[:4] == ("trial", "leg", "step", "value")


@pytest.mark.parametrize("name", ["", "x" * 256, None, 3])
def test_sweep_names_that_are_refused(name: Any) -> None:
    with pytest.raises(ArgumentError, match="1 to 255 characters"):
        codec.check_sweep_name(name)


def test_an_escaped_name_fits_an_index_of_postgresql() -> None:
    assert codec.check_sweep_name("\0" * 255)
    assert max(len(codec.escape(text * 255).encode()) for text in ("\0", "␛", "😀", "\ud800")) < 2700
    assert all(codec.check_sweep_name(text[:255]) for text in AWKWARD_TEXTS if text)
