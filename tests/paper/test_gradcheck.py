"""The checker on trial: it accepts the right gradients and rejects every wrong one planted here,
by each of its methods."""
import numpy as np
import pytest

from core.layers import (
    batchnorm_backward,
    batchnorm_forward,
    linear_backward,
    linear_forward,
    relu_backward,
    relu_forward,
)
from core.objective import softmax
from tests.lib.arrays import moved
from tests.lib.evidence import measured
from tests.lib.gradcheck import central, complex_step, worst_error

METHODS = {"central differences": (central, 3, 1e-7), "complex step": (complex_step, 3, 1e-12),
           "central differences, every coordinate": (central, "all", 1e-7),
           "complex step, every coordinate": (complex_step, "all", 1e-12)}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def error(forward, backward, shapes, xp, method, masks=None):
    rng = np.random.default_rng(3)
    arrays = moved([rng.standard_normal(shape) for shape in shapes], xp)
    return worst_error(forward, backward, arrays, rng, method[0], method[1], masks)


def softmax_forward(z):
    return softmax(z), softmax(z)


def softmax_backward(dout, s):
    return s * (dout - (dout * s).sum(axis=1, keepdims=True))


def two_outputs(x, y):
    return [x * y, x + y], (x, y)


LINEAR, NORM, SOFTMAX, TWO = [(5, 4), (4, 4), (4,)], [(6, 3), (3,), (3,)], [(4, 3)], [(3, 2), (3, 2)]
RIGHT = {"linear": (linear_forward, linear_backward, LINEAR),
         "batchnorm": (batchnorm_forward, batchnorm_backward, NORM),
         "softmax": (softmax_forward, softmax_backward, SOFTMAX),
         "two outputs": (two_outputs, lambda dout, xy: (dout[0] * xy[1] + dout[1], dout[0] * xy[0] + dout[1]), TWO)}


def scaled(index, factor):
    """linear_backward with one of its three gradients too long or too short."""
    def backward(dout, cache):
        return [factor * grad if k == index else grad for k, grad in enumerate(linear_backward(dout, cache))]
    return linear_forward, backward, LINEAR


def linear_with(wrong):
    return linear_forward, lambda dout, cache: wrong(dout, *cache, *linear_backward(dout, cache)), LINEAR


def batchnorm_without(mean_term, x_hat_term):
    def backward(dout, cache):
        (x_hat, gamma, inv_std, _, _), (_, dgamma, dbeta) = cache, batchnorm_backward(dout, cache)
        M = len(x_hat)
        return gamma * inv_std * (dout - mean_term * dbeta / M - x_hat_term * x_hat * dgamma / M), dgamma, dbeta
    return batchnorm_forward, backward, NORM


def one_element_off(dout, x, w, dx, dw, db):
    dw[1, 2] *= 1.01
    return dx, dw, db


WRONG = {
    "dx 0.1 % too long": scaled(0, 1.001), "dw 0.1 % too short": scaled(1, 0.999),
    "db 0.1 % too long": scaled(2, 1.001),
    "wrong sign": scaled(1, -1), "zeros": scaled(2, 0), "twice": scaled(0, 2), "mean for sum": scaled(2, 1 / 5),
    "nan": scaled(0, np.nan),
    "w not transposed": linear_with(lambda dout, x, w, dx, dw, db: (dout @ w, dw, db)),
    "dw transposed": linear_with(lambda dout, x, w, dx, dw, db: (dx, dw.T, db)),
    "dout ignored": linear_with(lambda dout, x, w, dx, dw, db: linear_backward(0 * dout + 1, (x, w))),
    "one element 1 % off": linear_with(one_element_off),
    "another sample's dout": linear_with(lambda dout, x, w, dx, dw, db: (dout[::-1] @ w.T, dw, db)),
    "batchnorm, mean constant": batchnorm_without(0, 1), "batchnorm, variance constant": batchnorm_without(1, 0),
    # right for dout = 1, so a sum would let it pass
    "batchnorm, input gradient zero": (batchnorm_forward, lambda dout, cache: [
        grad * (k > 0) for k, grad in enumerate(batchnorm_backward(dout, cache))], NORM),
    "softmax, zeros": (softmax_forward, lambda dout, s: 0 * s, SOFTMAX),        # also right for dout = 1
    "softmax, diagonal only": (softmax_forward, lambda dout, s: s * (1 - s) * dout, SOFTMAX),
    "second output ignored": (two_outputs, lambda dout, xy: (dout[0] * xy[1], dout[0] * xy[0]), TWO),
    "small gradient beside a large one": (lambda x, y: (x + 1e-8 * y, None), lambda dout, _: (dout, -1e-8 * dout), TWO),
}


@every_method
@pytest.mark.parametrize("pair", RIGHT.values(), ids=RIGHT)
def test_right_gradients_are_accepted(xp, method, pair):
    assert error(*pair, xp, method) < method[2]


@every_method
@pytest.mark.parametrize("pair", WRONG.values(), ids=WRONG)
def test_wrong_gradients_are_rejected_a_thousand_bounds_away(xp, method, pair):
    passes = error(*pair, xp, method) < 1000 * method[2]
    measured("the gradient checker", f"wrong gradients that pass ({len(WRONG)} kinds)", xp, passes, 0)


@pytest.mark.parametrize("gradients", [lambda dx, dw, db: (dx, dw), lambda dx, dw, db: (dx, dw, db[None]),
                                       lambda dx, dw, db: (dx, dw.astype(np.float32), db)])
def test_a_missing_gradient_a_wrong_shape_and_a_lost_precision_are_rejected(xp, gradients):
    with pytest.raises(AssertionError):
        error(linear_forward, lambda *a: gradients(*linear_backward(*a)), LINEAR, xp, METHODS["complex step"])


def test_a_direction_that_crosses_a_kink_is_drawn_again(xp):
    """At x = 2e-6 a step of 1e-5 v crosses the kink for nine directions in ten; without the masks the check fails."""
    x = xp.asarray(np.array([2e-6, -1.0, 1.0]))
    masks = [None, lambda out: [out > 0]]
    without, with_masks = (worst_error(relu_forward, relu_backward, [x], np.random.default_rng(0), masks=m)
                           for m in masks)
    assert without > 0.01 and with_masks < 1e-7


def test_inputs_on_a_kink_are_reported(xp):
    with pytest.raises(AssertionError, match="cross a kink"):
        worst_error(relu_forward, relu_backward, [xp.zeros(4)], np.random.default_rng(0), masks=lambda out: [out > 0])
