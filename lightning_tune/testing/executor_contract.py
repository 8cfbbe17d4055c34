"""What every executor must do. Subclass it in a test and say how to make the executor."""

from lightning_tune.execute import Executor
from lightning_tune.search import GridSearch, RandomSearch
from lightning_tune.testing.functions import run_function
from lightning_tune.testing.searcher_contract import FINITE, MIXED, bowl


class ExecutorContract:
    """Tests that every executor passes."""

    def executor(self) -> Executor:
        """Return an executor."""
        raise AssertionError("a subclass says how")

    def test_it_runs_every_trial_to_its_end(self) -> None:
        """All trials complete, each with all of its reports."""
        history = run_function(
            MIXED, RandomSearch(), bowl, max_trials=7, max_budget=3.0, executor=self.executor()
        )
        assert [trial.state for trial in history] == ["completed"] * 7
        assert all(len(trial.reports) == 3 for trial in history)

    def test_it_ends_when_the_search_is_done(self) -> None:
        """A grid that is smaller than `max_trials`."""
        history = run_function(
            FINITE,
            GridSearch(4),
            lambda config, step: float(config["b"]),
            max_trials=99,
            executor=self.executor(),
        )
        assert len(history) == 12

    def test_repeats_are_all_run(self) -> None:
        """Each configuration under every seed."""
        history = run_function(MIXED, RandomSearch(), bowl, max_trials=3, repeats=3, executor=self.executor())
        assert len(history) == 9
        assert all(group.complete and group.state == "completed" for group in history.groups)

    def test_a_trial_that_fails_costs_itself_alone(self) -> None:
        """The others complete."""

        def sometimes(config: dict[str, object], step: float) -> float:
            if config["a"] == "y":
                raise ZeroDivisionError
            return 1.0

        history = run_function(FINITE, GridSearch(4), sometimes, max_trials=12, executor=self.executor())
        assert {trial.config["a"]: trial.state for trial in history} == {
            "x": "completed",
            "y": "failed",
            "z": "completed",
        }
