"""Random sweeps for tests of schedules: curves that cross, tie, fail and diverge, on workers of any speed."""

import hashlib
import math
import random
from collections.abc import Callable

from lightning_tune.core.events import Config
from lightning_tune.core.space import Float, Space
from lightning_tune.search import RandomSearch
from lightning_tune.store import MemoryStore
from lightning_tune.testing.functions import run_function
from lightning_tune.testing.simulated import SimulatedExecutor

SPACE = Space({"x": Float(0.0, 1.0)})


def chance(*key) -> float:
    """Return a number in [0, 1) that is the same for the same key."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "little") / 2**64


def curve_of(seed: int, trouble: float = 0.06) -> Callable[[Config, float], float]:
    """Return a function `(config, step) -> value`: values tie, and some trials fail or turn to NaN."""

    def curve(config, step):
        luck = chance(seed, "end", config["x"], step)
        if luck < trouble / 2:
            raise MemoryError
        if luck < trouble:
            return math.nan
        return round(chance(seed, "level", config["x"]) + 0.3 * chance(seed, "noise", config["x"], step), 1)

    return curve


def several_of(seed: int, trouble: float = 0.06) -> Callable[[Config, float], tuple[float, float]]:
    """Return the same with two objectives: the second, higher is better, is the configuration's own."""
    curve = curve_of(seed, trouble)

    def curves(config, step):
        return curve(config, step), round(chance(seed, "size", config["x"]), 1)

    return curves


def by_domination(costs: dict[int, tuple[float, float]]) -> list[int]:
    """Return numbers by non-domination rank, larger crowding and number, point by point as defined."""
    order, left = [], dict(sorted(costs.items()))
    while left:
        front = [
            number
            for number, own in left.items()
            if not any(a <= own[0] and b <= own[1] and (a, b) != own for a, b in left.values())
        ]
        distance = dict.fromkeys(front, 0.0 if len(front) > 2 else math.inf)
        for objective in range(2):
            line = sorted(front, key=lambda number, objective=objective: (left[number][objective], number))
            low, high = left[line[0]][objective], left[line[-1]][objective]
            for below, number, above in zip(line, line[1:], line[2:], strict=False):
                if high > low:
                    distance[number] += (left[above][objective] - left[below][objective]) / (high - low)
            if high > low:
                distance[line[0]] = distance[line[-1]] = math.inf
        order += sorted(front, key=lambda number: (-distance[number], number))
        left = {number: own for number, own in left.items() if number not in front}
    return order


class Several:
    """Mixed into a contract of schedulers: its sweeps have two objectives."""

    def run(self, **settings):
        """Run a sweep and return its history."""
        given = {"max_trials": self.trials, "max_budget": self.max_budget, "schedule": self.scheduler()}
        return run_function(
            SPACE, RandomSearch(), several_of(1, 0.0), mode=["min", "max"], **{**given, **settings}
        )


def sweep(schedule, seed: int, *, trials: int, max_budget: float, trouble: float = 0.06, **settings):
    """Run a random sweep on 1 to 9 workers of random speeds; return (history, events).

    With two modes in the settings there are two objectives.
    """
    rng = random.Random(seed)
    store = MemoryStore()
    history = run_function(
        SPACE,
        RandomSearch(),
        (several_of if "mode" in settings else curve_of)(seed, trouble),
        max_trials=trials,
        max_budget=max_budget,
        schedule=schedule,
        seed=seed,
        store=store,
        executor=SimulatedExecutor(rng.randint(1, 9), lambda config: 0.5 + chance(seed, "s", config["x"])),
        **settings,
    )
    return history, list(store.read("test"))
