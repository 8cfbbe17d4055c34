import pytest

from lightning_tune.core.decision import Wait
from lightning_tune.execute import Executor, InlineExecutor
from lightning_tune.testing.executor_contract import ExecutorContract


class TestInlineExecutor(ExecutorContract):
    def executor(self) -> Executor:
        return InlineExecutor()


def test_waiting_for_nothing_is_a_mistake_in_the_scheduler():
    class Waits:
        def next_jobs(self, count):
            return Wait(reason="for ever")

    with pytest.raises(RuntimeError, match="nothing is running"):
        InlineExecutor().run(Waits(), lambda task, channel: None)
