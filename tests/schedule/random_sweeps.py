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


def sweep(schedule, seed: int, *, trials: int, max_budget: float, trouble: float = 0.06, **settings):
    """Run a random sweep on 1 to 9 workers of random speeds; return (history, events)."""
    rng = random.Random(seed)
    store = MemoryStore()
    history = run_function(
        SPACE,
        RandomSearch(),
        curve_of(seed, trouble),
        max_trials=trials,
        max_budget=max_budget,
        schedule=schedule,
        seed=seed,
        store=store,
        executor=SimulatedExecutor(rng.randint(1, 9), lambda config: 0.5 + chance(seed, "s", config["x"])),
        **settings,
    )
    return history, list(store.read("test"))
