r"""Events to rows and back, so that SQLite and PostgreSQL return exactly what was put in.

- NaN is NULL in both: SQLite makes it NULL anyway. Infinities are numbers to both. (SQLite drops the sign of
  -0.0.)
- Text: PostgreSQL takes no `\0`, neither takes lone surrogates. Each such character becomes `␛` (U+241B,
  SYMBOL FOR ESCAPE) with its four hexadecimal digits, and `␛` itself becomes `␛␛`; all other text is stored
  verbatim.
- JSON is written without `\u` escapes, so that the rule for text covers it: `json.loads` would join two lone
  surrogates into one character.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, get_type_hints

from lightning_tune.core.events import EVENT_TYPES, JSON, Event, Reported
from lightning_tune.errors import ArgumentError

Row: TypeAlias = dict[str, Any]

LONGEST_NAME = 255  # escaped it still fits an index of PostgreSQL
_TOO_LARGE = 2**63
_ESCAPE = "␛"
_UNSTORABLE = re.compile("[\0␛\ud800-\udfff]")
_ESCAPED = re.compile("␛(␛|[0-9a-f]{4})")


def escape(text: str) -> str:
    r"""Return text that both databases take; `unescape` gives the original back.

    Example:
        >>> escape("a\0b"), unescape(escape("a\0b")) == "a\0b"
        ('a␛0000b', True)
    """
    if text.isascii() and "\0" not in text:
        return str(text)
    return _UNSTORABLE.sub(_escape_one, text)


def unescape(text: str) -> str:
    """Return the text that `escape` was given."""
    if _ESCAPE not in text:
        return text
    return _ESCAPED.sub(lambda found: _ESCAPE if found[1] == _ESCAPE else chr(int(found[1], 16)), text)


def json_to_text(value: JSON, what: str) -> str:
    """Return a JSON value as text that both databases take.

    Args:
        value: what to store.
        what: its name, as the subject of an error's sentence.

    Raises:
        ArgumentError: it holds something that JSON does not have.
    """
    try:
        return escape(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(
            f"{what} must hold plain JSON values (None, bool, int, finite float, str, list, dict): {error}."
        ) from error


def text_to_json(text: str) -> Any:  # noqa: ANN401 - whatever JSON value was put in
    """Return the value that `json_to_text` was given."""
    return json.loads(unescape(text))


def event_to_row(event: Event) -> Row:
    """Return an event's columns (all but the sweep's).

    Raises:
        ArgumentError: a value that no database can hold exactly.
    """
    if type(event) is Reported:
        return _report_to_row(event)
    kind = type(event)
    return {name: encode(getattr(event, name)) for name, encode in _ENCODERS[kind]}


def rows_to_events(kind: type[Event], rows: Iterable[Any]) -> list[Event]:
    """Return the events of rows whose columns come in the order of `columns(kind)`."""
    if kind is Reported:
        return _rows_to_reports(rows)
    names, special = columns(kind), _DECODERS[kind]
    events: list[Event] = []
    for row in rows:
        fields = dict(zip(names, row, strict=True))
        for name, decode in special:
            fields[name] = decode(fields[name])
        events.append(kind(**fields))
    return events


def row_to_event(kind: type[Event], row: Row) -> Event:
    """Return the event of one row: what `event_to_row` was given, sharing nothing with it."""
    return rows_to_events(kind, [tuple(row[name] for name in columns(kind))])[0]


def check_sweep_name(name: str) -> str:
    """Return a sweep's name.

    Raises:
        ArgumentError: it is not a text of 1 to 255 characters.
    """
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        got = f"one of {len(name)} characters" if isinstance(name, str) else repr(name)
        raise ArgumentError(f"a sweep's `name` must be a text of 1 to {LONGEST_NAME} characters, got {got}.")
    return name


def columns(kind: type[Event]) -> tuple[str, ...]:
    """Return the names of the columns of an event's type, in the order that `rows_to_events` takes them."""
    return _COLUMNS[kind]


def _report_to_row(event: Reported) -> Row:
    step = _encode_number(event.step)
    if step is None:
        raise ArgumentError(
            f"the step of a report must be a number, got {event.step!r} (trial {event.trial})."
        )
    if not event.values:
        raise ArgumentError(f"a report must hold one value for each monitor, got none (trial {event.trial}).")
    values = [_encode_number(value) for value in event.values]
    return {
        "trial": _encode_count(event.trial),
        "leg": _encode_count(event.leg),
        "step": step,
        "value": values[0],
        "time": _encode_number(event.time),
        "metrics": escape(event.metrics),
        "seq": event.seq,
        "more": None if len(values) == 1 else json.dumps([repr(float(value)) for value in event.values[1:]]),
    }


def _rows_to_reports(rows: Iterable[Any]) -> list[Event]:
    new, nan = tuple.__new__, math.nan  # without the detour over `Reported.__new__`: there are a million
    return [
        new(
            Reported,
            (
                trial,
                leg,
                step,
                (nan if value is None else value,) if more is None else _all_values(value, more),
                nan if time is None else time,
                unescape(metrics) if _ESCAPE in metrics else metrics,
                seq,
            ),
        )
        for trial, leg, step, value, time, metrics, seq, more in rows
    ]


def _all_values(value: float | None, more: str) -> tuple[float, ...]:
    return (math.nan if value is None else value, *map(float, json.loads(more)))


def _escape_one(found: re.Match[str]) -> str:
    character = found[0]
    return _ESCAPE * 2 if character == _ESCAPE else f"{_ESCAPE}{ord(character):04x}"


def _encode_number(value: float) -> float | None:
    number = float(value)
    return None if number != number else number


def _decode_number(value: float | None) -> float:
    return math.nan if value is None else value


def _encode_count(value: int | None) -> int | None:
    if value is None:
        return None
    if -_TOO_LARGE <= value < _TOO_LARGE:
        return int(value)
    raise ArgumentError(f"a number of an event must fit into 64 bits, got {value}.")


def _encode_text(value: str | None) -> str | None:
    return None if value is None else escape(value)


def _decode_text(value: str | None) -> str | None:
    return None if value is None else unescape(value)


def _json_encoder(name: str) -> Callable[[Mapping[str, JSON]], str]:
    return lambda value: json_to_text(dict(value), f"`{name}`")


_Codec: TypeAlias = tuple[Callable[[Any], Any], Callable[[Any], Any] | None]


def _codec(name: str, hint: object) -> _Codec:
    """Choose how a field is encoded and decoded (None: as it is) by its type."""
    if hint is float:
        return _encode_number, _decode_number
    if hint in (int, int | None):
        return _encode_count, None
    if name in ("config", "space", "provenance"):
        return _json_encoder(name), text_to_json
    return _encode_text, _decode_text


_COLUMNS: dict[type[Event], tuple[str, ...]] = {}
_ENCODERS: dict[type[Event], tuple[tuple[str, Callable[[Any], Any]], ...]] = {}
_DECODERS: dict[type[Event], tuple[tuple[str, Callable[[Any], Any]], ...]] = {}
for _kind in EVENT_TYPES:
    _codecs = {name: _codec(name, hint) for name, hint in get_type_hints(_kind).items()}
    _COLUMNS[_kind] = tuple(_codecs)
    _ENCODERS[_kind] = tuple((name, codec[0]) for name, codec in _codecs.items())
    _DECODERS[_kind] = tuple((name, codec[1]) for name, codec in _codecs.items() if codec[1] is not None)
_COLUMNS[Reported] = ("trial", "leg", "step", "value", "time", "metrics", "seq", "more")
