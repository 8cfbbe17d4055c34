import dataclasses
import pickle
import typing

import pytest

from lightning_tune.core import events


def test_every_event_is_in_the_union_and_in_the_list():
    assert set(typing.get_args(events.Event)) == set(events.EVENT_TYPES)
    assert len(events.EVENT_TYPES) == 12


@pytest.mark.parametrize("kind", events.EVENT_TYPES)
def test_events_are_frozen_numbered_and_timed(kind):
    fields = kind._fields if kind is events.Reported else [field.name for field in dataclasses.fields(kind)]
    assert {"seq", "time"} <= set(fields)
    event = kind(**dict.fromkeys(fields, 1))
    assert pickle.loads(pickle.dumps(event)) == event
    with pytest.raises(AttributeError):
        event.seq = 2
