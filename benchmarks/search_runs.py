"""One run of one method on one problem: what it tried, what it saw, how long it took to suggest.

The incumbent of a noisy problem is the configuration whose observed value is best, as a user would take it;
it is judged by its value without noise.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from search_problems import Config, Problem

BUDGETS = (30, 100, 200)
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


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to search.

    Attributes:
        search: `(run, trials)`: proposes so many configurations and has the run evaluate each.
        packages: whose versions are recorded.
        seeds: how many it is run under: 5 where a suggestion takes over 0.1 s.
        most: the most trials that it is run for: 100 where a suggestion takes over 0.3 s.
        told: it plans for the number of trials that it is given, so each budget needs a run of its own.
    """

    name: str
    search: Callable[[Run, int], None]
    packages: tuple[str, ...]
    seeds: int = 10
    most: int = 200
    told: bool = False

    @property
    def budgets(self) -> tuple[int, ...]:
        """The numbers of trials that it is run for."""
        return tuple(budget for budget in BUDGETS if budget <= self.most)

    def measure(self, problem: Problem, seed: int, budgets: tuple[int, ...]) -> dict[str, Any]:
        """Run it and return a row; the time of a suggestion is that of the longest run."""
        row: dict[str, Any] = {"problem": problem.name, "seed": seed, "trials": budgets[-1]}
        done = 0
        for budget in budgets if self.told else budgets[-1:]:
            run = Run(problem, seed)
            self.search(run, budget)
            if len(run.values) < budget:
                raise RuntimeError(f"{self.name} on {problem.name}: {len(run.values)} of {budget} trials")
            row |= run.columns(tuple(count for count in COUNTS if done < count <= budget))
            row["ms_per_suggestion"] = f"{run.ms_per_suggestion:.4g}"
            done = budget
        return row
