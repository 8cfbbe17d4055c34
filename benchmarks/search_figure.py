"""The figure of `search_quality.py`: regret against trials, a panel for each half of the problems."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from search_problems import PROBLEMS
from search_runs import COUNTS
from search_scores import Regrets, compared

LEAST_SHOWN = 1e-4  # below it a problem is solved, and would rule a geometric mean
OKABE_ITO = ("#000000", "#D55E00", "#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#E69F00", "#999999")
MARKERS = "os^vDPX*"
HALVES = {
    "tuning": "eight problems that choices were tried on",
    "reporting": "six problems that nothing was tried on",
}


def draw(path: Path, regrets: Regrets, methods: Sequence[str]) -> None:
    """Write a PNG: the geometric mean, over problems, of mean normalised regret."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True, layout="constrained")
    for panel, (half, title) in zip(axes, HALVES.items(), strict=True):
        problems = [name for name, problem in PROBLEMS.items() if problem.half == half]
        for place, method in enumerate(methods):
            counts, means = curve(regrets, method, problems)
            style = {"color": OKABE_ITO[place % 8], "marker": MARKERS[place % 8], "zorder": 10 - place}
            panel.plot(
                counts, means, label=method, linewidth=2.2 if place == 0 else 1.3, markersize=5, **style
            )
        panel.set(title=title, xlabel="trials", xscale="log", yscale="log")
        panel.set_xticks(COUNTS, [str(count) for count in COUNTS])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    axes[0].set_ylabel("normalised regret, geometric mean\n(1: random search after 30 trials)")
    axes[1].legend(frameon=False, fontsize=9, loc="lower left")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def curve(regrets: Regrets, method: str, problems: Sequence[str]) -> tuple[list[int], list[float]]:
    """Return the numbers of trials that a method has on all problems, and its mean regret there."""
    counts = [count for count in COUNTS if compared(regrets, count, problems, [method])]
    means: list[Any] = [
        np.exp(np.mean([np.log(_mean(regrets, method, name, count)) for name in problems]))
        for count in counts
    ]
    return counts, [float(mean) for mean in means]


def _mean(regrets: Regrets, method: str, problem: str, count: int) -> float:
    return max(LEAST_SHOWN, float(np.mean(list(regrets[method, problem, count].values()))))
