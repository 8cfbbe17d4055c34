import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tune.core.budget import Budget
from lightning_tune.track.plaintext import (
    clean,
    duration_range,
    encodable,
    epochs,
    is_unicode,
    number,
    progress,
    scores,
    size,
    spent,
    step,
    trained,
    unit,
)


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ("plain [/x] text", "plain [/x] text"),
        ("a\nb\tc\r\nd\u2028e\x85f", "a b c  d e f"),
        ("\x1b[2J\x1b]0;title\x07gone", "[2J]0;titlegone"),
        ("\x9b31mred\x7f", "31mred"),
        ("\u202eevil\u2066\u200f", "evil"),
        ("lone \ud800", "lone \ufffd"),
        ("größe ★", "größe ★"),
    ],
)
def test_clean(given: str, cleaned: str) -> None:
    assert clean(given) == cleaned


@given(st.text(st.characters(exclude_categories=[])))
def test_clean_leaves_nothing_that_a_terminal_obeys(text: str) -> None:
    cleaned = clean(text)
    assert all(ord(character) >= 0x20 and not 0x7F <= ord(character) <= 0x9F for character in cleaned)
    assert not set(cleaned) & set(
        "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\u061c"
    )
    assert clean(cleaned) == cleaned
    cleaned.encode()


def test_what_a_stream_cannot_write_is_replaced() -> None:
    ascii_stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert encodable("★ ü", ascii_stream) == "? ?"
    assert encodable("★ ü", io.StringIO()) == "★ ü"
    assert (is_unicode(ascii_stream), is_unicode(io.StringIO())) == (False, True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0.0000"),
        (0.97222, "0.9722"),
        (-12.5, "-12.5000"),
        (1e-5, "1e-05"),
        (123456.0, "1.235e+05"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("value", "text"), [(27.0, "27"), (0.5, "0.5"), (1.0 / 3, "0.333"), (2e7, "2e+07")])
def test_step(value: float, text: str) -> None:
    assert step(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (5_770_000, "5.8 MB"),
        (57.7e6, "58 MB"),
        (3e9, "3.0 GB"),
        (3e15, "3000.0 TB"),
    ],
)
def test_size(count: float, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0, 3.2, "under 4 s"),
        (2, 5, "2-5 s"),
        (20, 33, "20-35 s"),
        (170, 310, "3-6 min"),
        (290, 300, "about 5 min"),
        (2 * 3600, 3.2 * 3600, "2-3.5 h"),
        (80 * 3600, 100 * 3600, "3.5-4.5 d"),
    ],
)
def test_duration_range(low: float, high: float, text: str) -> None:
    assert duration_range(low, high) == text


def test_scores_of_several_objectives_stand_side_by_side() -> None:
    assert [scores(values) for values in ([0.5], [0.5, 1234.0], [])] == ["0.5000", "0.5000, 1234", "-"]


def test_epochs() -> None:
    assert [epochs(0), epochs(1), epochs(27)] == ["0 epochs", "1 epoch", "27 epochs"]


STEPS, SECONDS = Budget(unit="steps"), Budget(unit="seconds")
DATA, DEPTH = Budget(grows="data"), Budget(grows="model.depth")


@pytest.mark.parametrize(
    ("budget", "value", "leg", "texts"),
    [
        (Budget(), 2.5, 9.0, ("epoch", "2.5 epochs", "2.5/9", "2.5 epochs")),
        (Budget(), 1.0, 9.0, ("epoch", "1 epoch", "1/9", "1 epoch")),
        (STEPS, 1200.0000000000002, 9000.0, ("step", "1200 steps", "1200/9000", "1200 steps")),
        (STEPS, 12_345.0, 90_000.0, ("step", "12,345 steps", "12,345/90,000", "12,345 steps")),
        (SECONDS, 12.34567, 60.0, ("second", "12.3 seconds", "12.3/60", "12.3 seconds")),
        (SECONDS, 4321.9, 9000.0, ("second", "4322 seconds", "4322/9000", "4322 seconds")),
        (DATA, 1 / 12, 0.25, ("data", "25% of the data", "8.33%/25%", "0.0833 full trainings")),
        (DEPTH, 8 / 3, 8.0, ("depth", "depth 8", "2.67/8", "2.67 trainings")),
    ],
)
def test_steps_have_the_unit_of_the_sweep(
    budget: Budget, value: float, leg: float, texts: tuple[str, str, str, str]
) -> None:
    assert (
        unit(budget),
        trained(budget, value, leg),
        progress(budget, value, leg),
        spent(budget, value),
    ) == texts


def test_a_step_without_a_budget_stands_alone() -> None:
    assert (progress(Budget(), 2.0, None), progress(SECONDS, 0.0, None)) == ("2", "0")
