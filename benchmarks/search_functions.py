"""Standard test functions of global optimisation, to be minimised: `(d,) -> float`, and one of mixed types.

Formulas and optima are those of Surjanovic and Bingham's Virtual Library of Simulation Experiments.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Point = NDArray[np.float64]

_HARTMANN_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_HARTMANN_SCALES = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
_HARTMANN_CENTRES = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
_SHEKEL_CENTRES = np.array(
    [
        [4, 4, 4, 4],
        [1, 1, 1, 1],
        [8, 8, 8, 8],
        [6, 6, 6, 6],
        [3, 7, 3, 7],
        [2, 9, 2, 9],
        [5, 3, 5, 3],
        [8, 1, 8, 1],
        [6, 2, 6, 2],
        [7, 3.6, 7, 3.6],
    ]
)
_SHEKEL_WIDTHS = 0.1 * np.array([1, 2, 2, 4, 4, 6, 3, 7, 5, 5])


def branin(x: Point) -> float:
    """Three global minima of 0.397887 on [-5, 10] x [0, 15]."""
    valley = x[1] - 5.1 / (4 * math.pi**2) * x[0] ** 2 + 5 / math.pi * x[0] - 6
    return float(valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x[0]) + 10)


def hartmann6(x: Point) -> float:
    """Six local minima on [0, 1]^6; the global one is -3.32237."""
    return -float(_HARTMANN_WEIGHTS @ np.exp(-(_HARTMANN_SCALES * (x - _HARTMANN_CENTRES) ** 2).sum(1)))


def ackley(x: Point) -> float:
    """A funnel full of local minima; 0 at the origin."""
    ripples = np.exp(np.cos(2 * np.pi * x).mean())
    return float(20 - 20 * np.exp(-0.2 * np.sqrt((x * x).mean())) + np.e - ripples)


def log_goldstein_price(x: Point) -> float:
    """The logarithm of Goldstein and Price's function on [-2, 2]^2; log 3 at (0, -1)."""
    a, b = x
    one = 19 - 14 * a + 3 * a**2 - 14 * b + 6 * a * b + 3 * b**2
    other = 18 - 32 * a + 12 * a**2 + 48 * b - 36 * a * b + 27 * b**2
    return float(np.log1p((a + b + 1) ** 2 * one) + np.log(30 + (2 * a - 3 * b) ** 2 * other))


def shekel(x: Point) -> float:
    """Ten narrow wells on [0, 10]^4; the deepest, -10.5364, is near (4, 4, 4, 4)."""
    return -float((1 / (((x - _SHEKEL_CENTRES) ** 2).sum(1) + _SHEKEL_WIDTHS)).sum())


def levy(x: Point) -> float:
    """Ripples over a bowl; 0 at (1, ..., 1)."""
    w = 1 + (x - 1) / 4
    middle = ((w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)).sum()
    last = (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
    return float(np.sin(np.pi * w[0]) ** 2 + middle + last)


def rosenbrock(x: Point) -> float:
    """A curved valley; 0 at (1, ..., 1)."""
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def mixed(config: dict[str, Any]) -> float:
    """Three floats, an integer, three options and a flag; 0 where x=0.3, y=0, z=0.7, n=7, kind=a, flag."""
    kind = {"a": 0.0, "b": 0.4, "c": 0.8}[config["kind"]]
    smooth = 4 * (config["x"] - 0.3 - kind / 2) ** 2 + 0.5 * math.sin(3 * config["y"]) ** 2
    other = (config["z"] - 0.7) ** 2 * (2.0 if config["kind"] == "a" else 0.5)
    counted = ((config["n"] - 7) / 10) ** 2
    return float(smooth + other + counted + 0.5 * kind + (0.0 if config["flag"] else 0.2))
