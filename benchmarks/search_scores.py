"""From rows to regrets and ranks.

Normalised regret is (value - optimum) / (by chance - optimum): 0 at the optimum, 1 at the median of what
random search has after 30 trials. That unit is the same for all budgets and seeds, comes from no method's
rows, and lies in the middle of what is compared: by the spread of single random values, a thousand times
larger on some problems, every method would look perfect. A rank is by the mean over the seeds that the
compared methods have in common; regrets below a millionth count as equal.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from search_problems import PROBLEMS

Row = Mapping[str, Any]
Array = NDArray[np.float64]
Regrets = dict[tuple[str, str, int], dict[int, float]]
"""Of (method, problem, trials) by seed."""
Interval = tuple[float, float, float]
"""A value, and between what 90% of its bootstrap draws are."""

LEAST = 1e-6
DRAWS = 2_000


def regrets_of(rows: Mapping[str, Sequence[Row]], counts: Sequence[int]) -> Regrets:
    """Return the normalised regrets of methods' rows at these numbers of trials.

    A table's optimum is the least that any row or the search for it has seen.
    """
    least = optima(rows)
    regrets: Regrets = {}
    for method, measured in rows.items():
        for row in measured:
            problem = PROBLEMS[row["problem"]]
            for count in counts:
                if value := row.get(f"best_{count}"):
                    regret = problem.normalised(float(value), least[problem.name])
                    regrets.setdefault((method, problem.name, count), {})[int(row["seed"])] = max(
                        LEAST, regret
                    )
    return regrets


def optima(rows: Mapping[str, Sequence[Row]]) -> dict[str, float]:
    """Return the least value of each problem that is known or stands in any row."""
    least = {name: problem.optimum for name, problem in PROBLEMS.items()}
    for row in (row for measured in rows.values() for row in measured):
        values = [float(value) for key, value in row.items() if key.startswith("best_") and value]
        least[row["problem"]] = min(least[row["problem"]], *values)
    return least


def compared(regrets: Regrets, count: int, problems: Sequence[str], methods: Sequence[str]) -> list[str]:
    """Return those methods that have a regret for every one of the problems after so many trials."""
    return [name for name in methods if all((name, problem, count) in regrets for problem in problems)]


def common(regrets: Regrets, count: int, problem: str, methods: Sequence[str]) -> Array:
    """Return (method, seed) -> regret under the seeds that all these methods have."""
    each = [regrets[name, problem, count] for name in methods]
    seeds = sorted(set.intersection(*(set(one) for one in each)))
    return np.array([[one[seed] for seed in seeds] for one in each])


def ranks(table: Array, centre: Callable[..., Any] = np.mean) -> Array:
    """Return the rank of each method by its mean (or median) over the seeds; ties share theirs."""
    return np.asarray(rankdata(centre(table, axis=1)), dtype=float)


def mean_ranks(tables: Sequence[Array], centre: Callable[..., Any] = np.mean) -> list[Interval]:
    """Return each method's mean rank over problems, with its interval over draws of seeds within each."""
    rng = np.random.default_rng(0)
    drawn = np.zeros((DRAWS, len(tables[0])))
    for table in tables:
        seeds = rng.integers(table.shape[1], size=(DRAWS, table.shape[1]))
        drawn += rankdata(centre(table[:, seeds], axis=2).T, axis=1) / len(tables)
    means = np.mean([ranks(table, centre) for table in tables], axis=0)
    lows, highs = np.percentile(drawn, [5, 95], axis=0)
    return list(zip(means.tolist(), lows.tolist(), highs.tolist(), strict=True))


def mean_with_interval(values: Sequence[float]) -> Interval:
    """Return the mean and its interval."""
    array = np.asarray(values, dtype=float)
    draws = np.random.default_rng(0).choice(array, size=(DRAWS, len(array))).mean(axis=1)
    low, high = np.percentile(draws, [5, 95])
    return float(array.mean()), float(low), float(high)


def ratio_of_means(ones: Sequence[Array], others: Sequence[Array]) -> Interval:
    """Return the ratio of mean regrets over problems, with its interval over draws of seeds within each."""
    rng = np.random.default_rng(0)

    def drawn(tables: Sequence[Array]) -> Array:
        means = [rng.choice(table, size=(DRAWS, len(table))).mean(axis=1) for table in tables]
        return np.asarray(np.mean(means, axis=0), dtype=float)

    ratio = float(np.mean([one.mean() for one in ones]) / np.mean([other.mean() for other in others]))
    low, high = np.percentile(drawn(ones) / drawn(others), [5, 95])
    return ratio, float(low), float(high)
