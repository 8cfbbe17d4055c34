"""The figure of `stopping.py`: epochs saved against mean regret, a line a rule over its settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

FAMILIES = {
    "lightning_tune,": ("CurveStopping", "#D55E00", "o-"),
    "lightning_tune on": ("CurveStopping(ASHA)", "#CC79A7", "D"),
    "asha": ("ASHA", "#0072B2", "s"),
    "median": ("median stopping", "#009E73", "^--"),
    "patience": ("patience", "#E69F00", "v:"),
    "oracle": ("oracle", "#000000", "*"),
}
"""How the names of their rules begin: label, colour (Okabe & Ito's) and form."""
LABELS = {"accuracy": "accuracy", "loss": "interquartile ranges of the loss"}


def draw(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Draw both kinds of metric side by side, and write the figure."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    metrics = list(dict.fromkeys(line["metric"] for line in lines))
    figure, axes = pyplot.subplots(1, len(metrics), figsize=(5.2 * len(metrics), 4.2), squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        for family, (label, colour, form) in FAMILIES.items():
            points = [
                (100.0 * line["saved"], line["mean_regret"])
                for line in lines
                if line["metric"] == metric and line["rule"].startswith(family)
            ]
            points.sort()
            axis.plot(*zip(*points, strict=True), form, ms=5, color=colour, label=label, alpha=0.9)
        axis.set_xlabel("epochs saved, %")
        axis.set_ylabel(f"mean regret, {LABELS[metric]}")
        axis.set_yscale("symlog", linthresh=1e-3)
        axis.set_ylim(bottom=-1e-4)
        axis.set_xlim(0, 100)
        axis.grid(alpha=0.25)
        axis.set_title(f"data sets with {'an' if metric == 'accuracy' else 'a'} {metric}", fontsize=10)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(path, dpi=150)
