"""How sure the hyperparameters are: a draw from a normal approximation of their posterior around its mode.

With few observations many length scales explain them, and the likeliest one is sure of what it cannot know:
a search that trusts it leaves regions unseen. Averaging over draws is what full Bayesian treatment does
(Snoek, Larochelle & Adams 2012); Laplace's approximation costs a gradient a hyperparameter.
"""

import numpy as np

from lightning_tune.search.gp.fit import Evidence
from lightning_tune.search.gp.kernel import Matrix, Vector
from lightning_tune.search.gp.surrogate import Hyper

STEP = 1e-4
"""Of the finite differences of the gradient."""
FLATTEST = 0.3
"""The least curvature: the prior's own, and what keeps a draw within sensible values."""


def draw_hyper(evidence: Evidence, mode: Hyper, rng: np.random.Generator) -> Hyper:
    """Return hyperparameters drawn around the mode of the evidence, within their bounds."""
    centre = evidence.theta(mode)
    curvatures, directions = np.linalg.eigh(curvature(evidence, centre))
    sd = np.maximum(curvatures, FLATTEST) ** -0.5
    low, high = np.array(evidence.bounds()).T
    drawn = centre + directions @ (rng.standard_normal(len(centre)) * sd)
    return evidence.hyper(np.clip(drawn, low, high))


def curvature(evidence: Evidence, theta: Vector) -> Matrix:
    """Return the second derivatives of the negative log posterior, by differences of its gradient."""
    _, here = evidence(theta)
    rows = [(evidence(theta + STEP * unit)[1] - here) / STEP for unit in np.eye(len(theta))]
    matrix = np.array(rows)
    return np.asarray((matrix + matrix.T) / 2.0)
