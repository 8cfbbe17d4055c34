import inspect

import pytest

from lightning_tune import errors

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind is not errors.TuneError]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_ours_and_a_builtin_and_says_what_it_was_told(kind):
    assert issubclass(kind, errors.TuneError)
    builtin = [
        base
        for base in kind.__mro__
        if base.__module__ == "builtins" and base not in (Exception, BaseException, object)
    ]
    assert builtin
    assert str(kind("`eta` must be at least 2, got 1.")) == "`eta` must be at least 2, got 1."
