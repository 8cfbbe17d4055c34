import pytest

from lightning_tune.errors import ArgumentError
from lightning_tune.execute import InlineExecutor
from lightning_tune.loop.checks import executor_of, not_negative, only


def test_what_is_right_goes_through():
    executor = InlineExecutor()
    assert not_negative("checkpoint_every_s", 3) == 3.0
    assert executor_of(1, executor, 1) is executor
    assert isinstance(executor_of(1, None, None), InlineExecutor)
    only("budget", "epochs", "epochs")


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        (
            not_negative,
            ("checkpoint_every_s", float("nan")),
            "`checkpoint_every_s` must be a number of seconds",
        ),
        (only, ("budget", "data", "epochs"), "`budget` must be 'epochs'"),
        (executor_of, (2, None, None), "`workers` must be 1"),
        (executor_of, (1, "ray", None), "`executor` must be None"),
        (executor_of, (1, None, 4), "`devices_per_trial` must be 1"),
    ],
)
def test_what_is_wrong_is_named(call, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        call(*arguments)
