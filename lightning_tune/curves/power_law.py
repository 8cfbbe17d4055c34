"""The least-squares power law c + a t^-alpha of many curves: alpha from a grid, c and a in closed form.

Many losses follow one closely (Viering & Loog, *The Shape of Learning Curves: a Review*, TPAMI 2023).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
POWERS = np.geomspace(0.03, 4.0, 72)
FEWEST = 3
"""Reports; with fewer the law says that all stays as it is, give or take a unit."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Law:
    """Power laws at a later time.

    Attributes:
        end: (num_curves,), the value there.
        doubt: (num_curves,), its standard error with that of one more report.
        power: (num_curves,), alpha.
    """

    end: Array
    doubt: Array
    power: Array


def fit_power_law(times: Array, values: Array, at: float) -> Law:
    """Return the laws of curves that were reported at the same times.

    Args:
        times: (num_times,), ascending, above 0.
        values: (num_curves, num_times).
        at: the later time.
    """
    number, rows = len(times), np.arange(len(values))
    if number < FEWEST:
        return Law(end=values[:, -1].copy(), doubt=np.ones(len(values)), power=np.ones(len(values)))
    shapes = times ** -POWERS[:, None]
    around = shapes - shapes.mean(axis=1, keepdims=True)
    square = (around**2).sum(axis=1)
    level = values.mean(axis=1)
    apart = values - level[:, None]
    slopes = apart @ around.T / square
    misfits = np.maximum((apart**2).sum(axis=1)[:, None] - slopes**2 * square, 0.0)
    best = misfits.argmin(axis=1)
    along = (at**-POWERS - shapes.mean(axis=1))[best]
    variance = misfits[rows, best] / max(number - 3, 1)
    return Law(
        end=level + slopes[rows, best] * along,
        doubt=np.sqrt(variance * (1.0 + 1.0 / number + along**2 / square[best])),
        power=POWERS[best],
    )
