"""The Matérn-5/2 kernel and the Gaussian one as functions of the squared distance, with their derivatives.

Matérn: k(s) = (1 + q + q^2/3) exp(-q) with q = sqrt(5 s), and dk/ds = -(5/6) (1 + q) exp(-q): smooth in s
at 0, so nothing needs care there. Gaussian: k(s) = exp(-s/2), for functions without a kink anywhere, of which
it tells more from fewer points. Distances are weighted a column: s(a, b) = sum_c weight_c (a_c - b_c)^2.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Kernel = Callable[[npt.NDArray[np.float64]], tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]
"""`squared distances -> (values, derivatives)`, all of one shape."""


def matern(squared: Matrix) -> tuple[Matrix, Matrix]:
    """Return the kernel at squared distances, and its derivative by them; of the same shape."""
    q = np.sqrt(5.0 * squared)
    decay = np.exp(-q)
    flat = (1.0 + q) * decay
    return flat + q * q / 3.0 * decay, (-5.0 / 6.0) * flat


def gaussian(squared: Matrix) -> tuple[Matrix, Matrix]:
    """Return the kernel at squared distances, and its derivative by them; of the same shape."""
    value = np.exp(-0.5 * squared)
    return value, -0.5 * value


def kernel_of(smooth: bool) -> Kernel:
    """Return the Gaussian kernel for what is smooth, the Matérn kernel for the rest."""
    return gaussian if smooth else matern


def squared_distances(left: Matrix, right: Matrix, weight: Vector) -> Matrix:
    """Return the weighted squared distances between rows, of shape (num_left, num_right)."""
    scale = np.sqrt(weight)
    a, b = left * scale, right * scale
    squared = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2.0 * (a @ b.T)
    result: Matrix = np.maximum(squared, 0.0, out=squared)
    return result
