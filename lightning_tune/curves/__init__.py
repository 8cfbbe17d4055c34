"""Learning curves: parametric families, and what a partial curve says of its continuation."""

from lightning_tune.curves.posterior import extrapolate
from lightning_tune.curves.prediction import Prediction

__all__ = ["Prediction", "extrapolate"]
