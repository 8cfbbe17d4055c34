"""One run of one method on one problem: what it tried, what it saw, how long it took to suggest.

The incumbent of a noisy problem is the configuration whose observed value is best, as a user would take it;
it is judged by its value without noise.
"""

import time
import warnings
from dataclasses import dataclass, field
from typing import Any

from search_problems import Config, Problem

COUNTS = (10, 20, 30, 50, 70, 100, 150, 200)


@dataclass
class Run:
    """A run, which is itself the objective that a method minimises: `run(config) -> observed value`.

    Attributes:
        observed: the value that each trial saw, in order.
        values: the same without noise.
        evaluating_s: seconds of CPU that were spent in the problem, not in the method.
    """

    problem: Problem
    seed: int
    observed: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    evaluating_s: float = 0.0
    began_s: float = field(default_factory=time.process_time)

    def __call__(self, config: Config) -> float:
        """Evaluate a configuration, which must be one of the problem's space."""
        began = time.process_time()
        checked = self.problem.space.validate(config)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = self.problem.value(checked)
            seen = (
                self.problem.observed(checked, self.seed, len(self.values)) if self.problem.noise else value
            )
        self.values.append(value)
        self.observed.append(seen)
        self.evaluating_s += time.process_time() - began
        return seen

    @property
    def ms_per_suggestion(self) -> float:
        """Milliseconds of CPU a trial, without the problem's own."""
        return 1e3 * (time.process_time() - self.began_s - self.evaluating_s) / max(1, len(self.values))

    def incumbent(self, count: int) -> float:
        """Return the value, without noise, of the best configuration among the first so many."""
        best = min(range(count), key=self.observed.__getitem__)
        return self.values[best]

    def columns(self, counts: tuple[int, ...]) -> dict[str, Any]:
        """Return the incumbent's value at each of these numbers of trials."""
        return {f"best_{count}": f"{self.incumbent(count):.10g}" for count in counts}
