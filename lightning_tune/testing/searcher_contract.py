"""What every searcher must do, whatever it is clever at.

Subclass it in a test and say how to make the searcher.
"""

import json
import math
import pickle
import random
from typing import Any

import numpy as np

from lightning_tune.core.decision import Done
from lightning_tune.core.events import Config
from lightning_tune.core.rng import generator
from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.search.base import Searcher
from lightning_tune.store import MemoryStore
from lightning_tune.testing.functions import make_coordinator, run_function, story

MIXED = Space(
    {
        "lr": Float(1e-5, 1e-1, log=True),
        "width": Int(4, 256, log=True),
        "depth": Int(1, 8, step=1),
        "dropout": Float(0.0, 0.5, step=0.1),
        "size": Choice(["s", "m", "l"], ordered=True),
        "optimizer": Choice(
            {"sgd": {"momentum": Float(0.0, 0.99), "nesterov": Choice([True, False])}, "adam": {}}
        ),
        "constant": 3,
    }
)
FINITE = Space({"a": Choice(["x", "y", "z"]), "b": Int(1, 4)})


def bowl(config: Config, step: float) -> float:
    """Return a smooth function with its minimum at lr 1e-3, width 64, sgd with momentum 0.9."""
    value = (
        (math.log10(config["lr"]) + 3) ** 2 + (math.log2(config["width"]) - 6) ** 2 / 4 + config["dropout"]
    )
    value += 0.0 if config["optimizer"] == "sgd" else 1.0
    return float(value + (config.get("momentum", 0.9) - 0.9) ** 2 + 1.0 / step)


def bowl_and_price(config: Config, step: float) -> tuple[float, float]:
    """Return the bowl, and something that rises where the bowl does not; a part runs out of memory."""
    if config["dropout"] > 0.4:
        raise MemoryError
    return bowl(config, step), math.log2(config["width"]) + config["depth"]


class SearcherContract:
    """Tests that every searcher passes."""

    trials = 20

    def searcher(self) -> Searcher:
        """Return a searcher with its default settings."""
        raise AssertionError("a subclass says how")

    def test_the_same_seed_gives_the_same_sweep(self) -> None:
        """A sweep is a function of its seed alone.

        Another seed gives another (unless there is no chance in it).
        """
        first, second = (run_function(MIXED, self.searcher(), bowl, max_trials=self.trials) for _ in range(2))
        assert story(first) == story(second)

    def test_a_restart_half_way_changes_nothing(self) -> None:
        """Killed in the middle of a trial and opened again, it goes on as if nothing had happened."""
        whole = run_function(MIXED, self.searcher(), bowl, max_trials=self.trials, max_budget=2)
        store = MemoryStore()
        settings: dict[str, Any] = {"max_trials": self.trials, "max_budget": 2, "store": store}
        for kill_after in (self.trials // 2, self.trials, 1):
            run_function(MIXED, self.searcher(), bowl, kill_after=kill_after, **settings)
        assert story(run_function(MIXED, self.searcher(), bowl, **settings)) == story(whole)

    def test_several_objectives_give_the_same_sweep_twice_and_after_a_restart(self) -> None:
        """One is minimised and one maximised; some trials fail."""
        settings: dict[str, Any] = {"max_trials": self.trials, "max_budget": 2, "mode": ["min", "max"]}
        first, second = (run_function(MIXED, self.searcher(), bowl_and_price, **settings) for _ in range(2))
        assert len(first) == self.expected(MIXED)
        assert any(group.costs is not None for group in first.groups)
        settings["store"] = MemoryStore()
        run_function(MIXED, self.searcher(), bowl_and_price, kill_after=self.trials, **settings)
        restarted = run_function(MIXED, self.searcher(), bowl_and_price, **settings)
        assert story(first) == story(second) == story(restarted)

    def test_every_suggestion_is_a_configuration_of_the_space(self) -> None:
        """Bounds, steps, options, branches."""
        history = run_function(MIXED, self.searcher(), bowl, max_trials=self.trials)
        assert len(history) > 1
        for trial in history:
            assert MIXED.validate(trial.config) == trial.config

    def test_the_constraint_is_kept(self) -> None:
        """A configuration that the constraint refuses is never tried."""
        history = run_function(
            MIXED, self.searcher(), bowl, max_trials=10, constraint=lambda config: config["depth"] > 4
        )
        assert all(trial.config["depth"] > 4 for trial in history if trial.origin == "search")

    def test_failed_and_nan_trials_do_not_stop_it(self) -> None:
        """Half of the space runs out of memory, another part is NaN; it goes on."""

        def rough(config: Config, step: float) -> float:
            if config["depth"] % 2:
                raise MemoryError
            return math.nan if config["size"] == "m" else bowl(config, step)

        history = run_function(MIXED, self.searcher(), rough, max_trials=self.trials)
        assert len(history) == self.expected(MIXED)

    def test_a_finite_space_is_tried_without_doubles_and_ends(self) -> None:
        """It never tries a configuration twice while there are others."""
        history = run_function(
            FINITE, self.searcher(), lambda config, step: float(config["b"]), max_trials=12
        )
        seen = [json.dumps(trial.config, sort_keys=True) for trial in history]
        assert len(set(seen)) == len(seen)

    def test_running_trials_are_seen(self) -> None:
        """Asked again while its suggestions run, it proposes others."""
        coordinator = make_coordinator(MIXED, self.searcher(), max_trials=4)
        tasks = coordinator.next_jobs(4)
        assert isinstance(tasks, list)
        assert (
            len({json.dumps(trial.config, sort_keys=True) for trial in coordinator.history})
            == len(tasks)
            == 4
        )

    def test_it_leaves_global_randomness_alone(self) -> None:
        """No hidden seeding or drawing."""
        before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]  # the legacy state
        run_function(MIXED, self.searcher(), bowl, max_trials=5)
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # type: ignore[index]  # as above

    def test_suggesting_writes_nothing(self) -> None:
        """The history is the same before and after."""
        history = run_function(MIXED, self.searcher(), bowl, max_trials=5)
        before = story(history)
        answer = self.searcher().suggest(MIXED, history, generator(0, "search", 5))
        assert isinstance(answer, dict | Done)
        assert story(history) == before

    def test_its_settings_are_plain_json_and_it_can_be_pickled(self) -> None:
        """What the sweep records of it, and what travels to other processes."""
        searcher = self.searcher()
        assert json.loads(json.dumps(searcher.describe())) == searcher.describe()
        assert pickle.loads(pickle.dumps(searcher)) == searcher

    def expected(self, space: Space) -> int:
        """Return how many trials it makes when asked for `trials`."""
        size = self.searcher().size(space)
        return self.trials if size is None else min(size, self.trials)
