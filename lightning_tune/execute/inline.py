"""Run every task in this process, one after another."""

from lightning_tune.core.decision import Done, Wait
from lightning_tune.execute.base import Coordinating, Executor, Work


class InlineExecutor(Executor):
    """One worker: the process that called `fit`."""

    def run(self, coordinator: Coordinating, work: Work) -> str:
        """Run tasks until the coordinator is done; return its reason.

        Raises:
            RuntimeError: the scheduler waits although nothing is running (a mistake in the scheduler).
        """
        while True:
            tasks = coordinator.next_jobs(1)
            if isinstance(tasks, Done):
                return tasks.reason
            if isinstance(tasks, Wait):
                raise RuntimeError(f"the scheduler waits ({tasks.reason}), but nothing is running")
            for task in tasks:
                work(task, coordinator)
