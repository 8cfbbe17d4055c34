"""One hyperparameter at a time.

The manual way (coordinate search), with the sensitivity of each as its by-product.

The searcher replays its rounds from the history at every call, so it needs no memory of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lightning_tune.core.checks import whole
from lightning_tune.core.decision import Done, Wait
from lightning_tune.core.encode import Encoding
from lightning_tune.core.events import JSON, Config
from lightning_tune.core.history import History, config_key
from lightning_tune.core.pareto import nearest_ideal
from lightning_tune.core.space import Space
from lightning_tune.core.trial import Group
from lightning_tune.errors import SpaceError
from lightning_tune.search.base import Searcher


@dataclass(frozen=True, kw_only=True, slots=True)
class Sensitivity:
    """What a round found about one hyperparameter, all others held at the best values so far.

    Attributes:
        key: the hyperparameter.
        monitor: what the scores are of.
        values: the values tried.
        scores: the score at each, in the user's own direction; None where the trial failed.
        effect: the difference between the best and the worst score; None with fewer than two.
        kept: the value that was kept.
    """

    key: str
    monitor: str
    values: list[JSON]
    scores: list[float | None]
    effect: float | None
    kept: JSON


@dataclass(frozen=True)
class OneAtATimeSearch(Searcher):
    """Start from a baseline, vary one hyperparameter a round, and keep its best value before the next round.

    The baseline is the sweep's first `baseline=`, or the centre of the space. An option that brings
    hyperparameters of its own starts with their centres. With several objectives the value is kept that is
    the best compromise of its round (`nearest_ideal`).

    Args:
        points: values tried for a continuous or long hyperparameter, at least 2; choices are tried whole.
        rounds: how often to go through all hyperparameters, at least 1; a pass that changes nothing ends the
        search.

    Raises:
        ArgumentError: `points` below 2 or `rounds` below 1.
    """

    points: int = 5
    rounds: int = 1

    def __post_init__(self) -> None:
        whole("points", self.points, 2)
        whole("rounds", self.rounds, 1)

    @property
    def waits(self) -> bool:
        """A round begins when the trials of the one before have ended."""
        return True

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config | Wait | Done:
        """Return the first configuration of the current round that was not tried."""
        for key, candidates, groups in self._rounds(space, history):
            if not key and groups[0] is None and not history.allows(candidates[0]):
                raise SpaceError(
                    f"`constraint` refuses the baseline {space.describe(candidates[0])}: "
                    "give one that it allows as `baseline=`."
                )
            for config, group in zip(candidates, groups, strict=True):
                if group is None:
                    return config
            if key and not all(group.ended for group in groups if group):
                return Wait(reason="the round's other trials are still running")
        return Done(reason="every hyperparameter was varied")

    def sensitivity(self, space: Space, history: History) -> list[Sensitivity]:
        """Return what each finished round found, in the order of the rounds; an entry an objective."""
        objective = history.objective
        names = ["score"] if callable(objective.score) else objective.monitor
        found = []
        for key, candidates, groups in self._rounds(space, history):
            done = [(config, group) for config, group in zip(candidates, groups, strict=True) if group]
            if len(done) < len(candidates) or not all(group.ended for _, group in done):
                break
            if not key:
                continue
            scores = [objective.values(costs) if (costs := group.costs) else None for _, group in done]
            for index, name in enumerate(names):
                column = [None if each is None else each[index] for each in scores]
                finite = [score for score in column if score is not None]
                found.append(
                    Sensitivity(
                        key=key,
                        monitor=name,
                        values=[config.get(key) for config, _ in done],
                        scores=column,
                        effect=max(finite) - min(finite) if len(finite) > 1 else None,
                        kept=_best(groups).config.get(key),
                    )
                )
        return found

    def summary(self, space: Space, history: History) -> list[str]:
        """Return a line a hyperparameter, the most sensitive first."""
        found = sorted(self.sensitivity(space, history), key=lambda entry: -(entry.effect or 0.0))
        word = "score" if history.objective.scalar else ""
        return [
            f"{entry.key}: kept {entry.kept!r} of {len(entry.values)} values, "
            + (
                "no effect measured"
                if entry.effect is None
                else f"{word or entry.monitor} changes by {entry.effect:.4g}"
            )
            for entry in found
        ]

    def _rounds(
        self, space: Space, history: History
    ) -> Iterator[tuple[str, list[Config], list[Group | None]]]:
        """Yield (key, configurations, their groups) a round.

        The first, with an empty key, is the baseline alone.

        A round is yielded only once all rounds before it have ended, since it starts from their best.
        """
        encoding = Encoding(space)
        base = self._baseline(space, history)
        groups = [history.find(base)]
        yield "", [base], groups
        for _ in range(self.rounds):
            before = config_key(base)
            for index in range(encoding.size):
                candidates = [c for c in self._vary(encoding, base, index) if c == base or history.allows(c)]
                if len(candidates) < 2:
                    continue
                groups = [history.find(config) for config in candidates]
                yield encoding.names[index], candidates, groups
                if not all(group and group.ended for group in groups):
                    return
                best = _best(groups)
                if best.costs is not None:
                    base = best.config
            if config_key(base) == before:
                return

    def _vary(self, encoding: Encoding, base: Config, index: int) -> list[Config]:
        """Return `base` and its copies with one dimension at other values; empty where it is inactive."""
        vector = encoding.encode(base)
        if np.isnan(vector[index]):
            return []
        vector = np.where(np.isnan(vector), 0.5, vector)
        configs = {config_key(base): base}
        for position in encoding.positions(index, self.points):
            vector[index] = position
            config = encoding.decode(vector)
            configs.setdefault(config_key(config), config)
        return list(configs.values())

    def size(self, space: Space) -> int:
        """Return the number of configurations at most: the baseline and every value of every round."""
        encoding = Encoding(space)
        return 1 + self.rounds * sum(
            len(encoding.positions(index, self.points)) for index in range(encoding.size)
        )

    @staticmethod
    def _baseline(space: Space, history: History) -> Config:
        first = next((group for group in history.groups if group.origin == "baseline"), None)
        if first is not None and space.fits(first.config):
            return first.config
        return space.default()


def _best(groups: list[Group | None]) -> Group:
    """Return the best of a round, ties to the lower number."""
    tried = sorted((group for group in groups if group), key=lambda group: group.number)
    scored = [(group, costs) for group in tried if (costs := group.costs) is not None]
    return scored[nearest_ideal([costs for _, costs in scored]) or 0][0] if scored else tried[0]
