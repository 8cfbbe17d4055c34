"""Hyperband: successive halving in several brackets, from many short trainings to few long ones.

Li, Jamieson, DeSalvo, Rostamizadeh & Talwalkar, *Hyperband: A Novel Bandit-Based Approach to Hyperparameter
Optimization*, JMLR 18 (2018). With a model-based searcher inside it is BOHB (Falkner, Klein & Hutter, ICML
2018).
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from lightning_tune.core.budget import EPOCHS, Budget
from lightning_tune.schedule.halving import Synchronous
from lightning_tune.schedule.ranking import Rank, by_score, check_rank
from lightning_tune.schedule.rungs import Bracket, hyperband_brackets
from lightning_tune.schedule.settings import at_least, at_most, check_budgets, check_eta, resolved


@dataclass(frozen=True)
class Hyperband(Synchronous):
    """Run every bracket of successive halving, so that nobody has to say how early a curve can be trusted.

    Args:
        max_budget: the highest rung, in units of the budget; None is the Trainer's `max_epochs`.
        eta: at least 2; the best 1/eta of a rung go on, with eta times the budget.
        min_budget: the lowest rung; None is 1 epoch (for other units, the largest divided by eta three
            times). The lowest rung in use is the largest, divided by eta as often as it stays at or above
            this.
        rank: who is best at a rung, `(history, level, groups) -> numbers`, best first; their scores up to
            there, unless given (with several objectives: who dominates whom, then who is less crowded).

    Raises:
        ArgumentError: eta below 2, or budgets that are not above 0 or the wrong way round.

    Example:
        >>> from lightning_tune.core.budget import Budget
        >>> Hyperband(eta=3).resolve(Budget(full=9)).cost(None, 1)
        '15 trials, 3 brackets, rungs at 1, 3, 9: at most 63 epochs'
    """

    max_budget: float | None = None
    eta: float = 3
    min_budget: float | None = None
    rank: Rank = by_score
    _budget: Budget = field(default=EPOCHS, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_rank(self.rank)
        check_eta(self.eta)
        check_budgets(self.min_budget, self.max_budget)

    def resolve(self, budget: Budget) -> Self:
        """Fill in the budgets.

        Raises:
            ArgumentError: they do not fit the Trainer's `max_epochs`, or nobody gives the largest.
        """
        high = at_most(self, budget)
        low = at_least(self, budget, high, self.eta)
        return resolved(self, budget, min_budget=low, max_budget=high)

    @property
    def num_trials(self) -> int:
        """The configurations of all brackets, once."""
        return sum(bracket.size for bracket in self.brackets)

    @cached_property
    def brackets(self) -> tuple[Bracket, ...]:
        """The brackets, the most exploring first."""
        low, high = self.min_budget or 1.0, self.max_budget or 1.0
        return hyperband_brackets(low, high, self.eta, whole=self._budget.whole)
