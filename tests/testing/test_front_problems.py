import numpy as np
import pytest

from lightning_tune.core.pareto import hypervolume, non_dominated
from lightning_tune.search import RandomSearch
from lightning_tune.testing.front_problems import PROBLEMS


def points(name: str, num: int, rest: float) -> np.ndarray:
    """Return values with the axes that make the front spread, and all others at one place."""
    problem = PROBLEMS[name]
    free = len(problem.reference) - 1
    axis = np.linspace(0.0, 1.0, num)
    spread = np.stack([grid.ravel() for grid in np.meshgrid(*[axis] * free)], axis=1)
    return np.array([problem.function([*place, *[rest] * (problem.axes - free)]) for place in spread])


@pytest.mark.parametrize(
    ("name", "rest", "num"),
    [("zdt1", 0.0, 400), ("zdt2", 0.0, 400), ("dtlz2", 0.5, 400), ("dtlz2_3", 0.5, 16)],
)
def test_the_front_dominates_what_is_said(name: str, rest: float, num: int):
    problem, front = PROBLEMS[name], points(name, num, rest)
    share = hypervolume(front, problem.reference) / problem.most
    assert 0.96 < share < 1.0
    assert num < 100 or share > 0.995
    elsewhere = points(name, 8, 0.7)
    assert not non_dominated(np.concatenate([front, elsewhere + 1e-3]))[len(front) :].any()


@pytest.mark.parametrize("name", PROBLEMS)
def test_random_search_finds_a_part_of_it(name: str):
    assert 0.2 < PROBLEMS[name].volume(RandomSearch(), 60) < 0.9
