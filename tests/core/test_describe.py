import dataclasses
import json

import pytest

from lightning_tune.core.describe import describe, plain


@dataclasses.dataclass
class Inner:
    eta: int = 3


@dataclasses.dataclass
class Outer:
    inner: Inner = dataclasses.field(default_factory=Inner)
    points: tuple[int, ...] = (1, 2)
    by: dict[str, float] = dataclasses.field(default_factory=lambda: {"lr": 0.5})
    score: object = len


def test_settings_become_plain_json():
    described = describe(Outer())
    assert json.loads(json.dumps(described)) == described
    assert described == {
        "name": "Outer",
        "inner": {"name": "Inner", "eta": 3},
        "points": [1, 2],
        "by": {"lr": 0.5},
        "score": "len",
    }


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), (True, True), (Inner, "Inner"), (object(), "object")]
)
def test_what_is_not_plain_becomes_its_name(value, expected):
    assert plain(value) == expected
