"""The gradient check at every step h: the error of both methods for L of the small batch, in units of the norm."""
import numpy as np

from core.objective import objective_backward, objective_forward
from docs.beside.objective_numbers import ALPHA, BETA, P, Y, Z
from tests.lib.gradcheck import central, complex_step

EXPONENTS = [-k / 2 for k in range(2, 33)]             # h = 10^-1 to 10^-16
FLOOR = -17.0                                          # the logarithm of an error of nothing


def errors(h):
    """{"central": error, "complex step": error}"""
    gradient = objective_backward(1, objective_forward(Z, Y, P, ALPHA, BETA)[1])
    return {name: float(np.linalg.norm(slopes(derivative, h) - gradient) / np.linalg.norm(gradient))
            for name, derivative in (("central", central), ("complex step", complex_step))}


def slopes(derivative, h):
    """dL/dz, one coordinate at a time."""
    def f(z):
        return objective_forward(z, Y, P, ALPHA, BETA)[0][0], None

    steps = np.eye(Z.size).reshape(-1, *Z.shape)
    return np.reshape([derivative(f, [Z], 0, step, None, h)[0] for step in steps], Z.shape)


def logarithms():
    """{method: [log10 of the error at every exponent, two decimals]}; rounding decides about those of small h."""
    found = [errors(10 ** exponent) for exponent in EXPONENTS]
    return {name: [round(float(np.log10(error[name])), 2) if error[name] > 10 ** FLOOR else FLOOR for error in found]
            for name in found[0]}
