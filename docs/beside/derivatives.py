"""A number of the page with its name, and gradients that are checked where they are shown.

Shown numbers have four decimals. Derivatives are measured by the functions of the tests, tests/lib/gradcheck.py.
"""
import math
from typing import NamedTuple

import numpy as np

from tests.lib.gradcheck import central, complex_step

DECIMALS = 4
BOUNDS = {"central": 1e-8, "complex step": 1e-13}      # largest error of a coordinate, in units of the gradient's norm


class Quantity(NamedTuple):
    """A row, or several below one another, of the third column."""
    name: str                          # LaTeX
    values: np.ndarray                 # a number, (C,) or (N, C)
    by: str = ""                       # how it was found: "central" or "complex step"

    @property
    def lines(self):
        """The numbers as text, row by row."""
        return [[shown(value) for value in row] for row in np.atleast_2d(self.values)]


def shown(value):
    """The number with four decimals. Raises ArithmeticError where its last bits would decide about the fourth."""
    scaled = float(value) * 10 ** DECIMALS
    if abs(scaled - math.floor(scaled) - .5) < 1e-5:
        raise ArithmeticError(f"{value} lies between two numbers of {DECIMALS} decimals: choose another example")
    text = f"{round(scaled) / 10 ** DECIMALS:.{DECIMALS}f}"
    return text.replace("-", "−") if round(scaled) else text.strip("-")


def proved(name, gradient, f, x, outputs=None):
    """The gradient of sum(outputs * f(x)) beside its two measurements, as three Quantities.

    Raises ArithmeticError where they do not agree.
    """
    outputs = np.ones(()) if outputs is None else outputs
    found = [Quantity(name, gradient)]
    for by, derivative in (("central", central), ("complex step", complex_step)):
        slopes = [(outputs * derivative(lambda x: (f(x), None), [x], 0, step, None)[0]).sum()
                  for step in np.eye(x.size).reshape(-1, *x.shape)]
        found.append(Quantity(name, np.reshape(slopes, x.shape), by))
        error = abs(found[-1].values - gradient).max() / np.linalg.norm(gradient)
        if not error < BOUNDS[by]:
            raise ArithmeticError(f"{name}: the gradient and its {by} differ by {error:.1e} of its norm")
    return found
