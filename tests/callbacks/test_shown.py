"""A call that is shown makes the same object again."""

from types import SimpleNamespace

import numpy as np
import pytest

from lightning_tune import SuccessiveHalvingPruner
from lightning_tune.callbacks.shown import call_of


class Thing:
    def __init__(self, first, second=2, *, named, other=None):
        self.first, self.second, self.named = first, second, named
        self._inner = SimpleNamespace(other=other)

    def __repr__(self):
        return call_of(self, self._inner)


@pytest.mark.parametrize(
    ("thing", "shown"),
    [
        (Thing("a", named=1), "Thing('a', named=1)"),
        (Thing("a", 2, named=1, other=None), "Thing('a', named=1)"),
        (Thing("a", 3, named=None, other="b"), "Thing('a', second=3, named=None, other='b')"),
        (Thing("a", named=1, other=np.array([0, 1])), "Thing('a', named=1, other=array([0, 1]))"),
    ],
)
def test_the_call_with_what_is_not_a_default(thing, shown):
    assert repr(thing) == shown
    assert repr(eval(shown, {"Thing": Thing, "array": np.array})) == shown


def test_of_a_url_only_the_beginning():
    assert repr(Thing("postgresql://me:geheim@host/db", named=1)) == "Thing('postgresql://...', named=1)"


def test_arguments_that_are_kept_nowhere_are_left_out():
    class Heir(Thing):
        def __init__(self, gone, *rest, **more):
            super().__init__("a", named=1)

    assert repr(Heir(1, 2, three=3)) == "Heir()"


def test_the_pruner():
    pruner = SuccessiveHalvingPruner("val_acc", mode="max", sweep="digits", store="sweep.db", eta=4)
    assert repr(pruner) == (
        "SuccessiveHalvingPruner('val_acc', mode='max', sweep='digits', store='sweep.db', eta=4)"
    )
    assert repr(eval(repr(pruner))) == repr(pruner)
