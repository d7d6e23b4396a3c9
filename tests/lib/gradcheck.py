"""Is a backward pass the transpose of the forward pass's derivative J?  It is, if for every dout and v

    <dout, J v> = <J^T dout, v>

    out, cache = forward(*arrays)      J v       measured by one of the two functions below, for one array at a time
    grads = backward(dout, cache)      J^T dout  under test; one gradient for every array, in their order

dout is random: with ones, as if the loss were the sum of the outputs, the gradients of softmax and of batch
normalisation are zero, and zeros would pass. The error is given in units of the norm of that array's own gradient, so
that no small tensor hides behind a large one and no direction fails because it is nearly orthogonal to the gradient.
"""
import math

import numpy as np

from core.backend import xp_of

REDRAWS = 50


def central(forward, arrays, k, v, masks, eps=1e-5):
    """J v for array k: the difference of the outputs at +-eps v, over 2 eps;
    None if a kink lies between the two points."""
    (plus, cache_plus), (minus, cache_minus) = (forward(*replaced(arrays, k, arrays[k] + step * v))
                                                for step in (eps, -eps))
    if masks and any(bool((a != b).any()) for a, b in zip(masks(cache_plus), masks(cache_minus), strict=True)):
        return None
    return [(a - b) / (2 * eps) for a, b in zip(as_list(plus), as_list(minus), strict=True)]


def complex_step(forward, arrays, k, v, masks=None, h=1e-100):
    """J v for array k: imag f(x + i h v) / h, exact but for rounding, as nothing is subtracted.
    ReLU decides by the real part."""
    out, _ = forward(*replaced(arrays, k, arrays[k] + 1j * h * v))
    return [a.imag / h for a in as_list(out)]


def worst_error(forward, backward, arrays, rng, derivative=central, directions=3, masks=None):
    """The largest |<dout, J v> - <J^T dout, v>| over the arrays and directions, over the norm of the array's gradient.

    directions: how many random v per array, or "all" for every coordinate in turn.
    masks(cache): the ReLU masks of a forward pass; where they differ between x + eps v and x - eps v, v is drawn again.
    """
    out, cache = forward(*arrays)
    dout = [normal(a, rng) for a in as_list(out)]
    grads = backward(list(dout) if isinstance(out, (list, tuple)) else dout[0], cache)
    worst = 0.0
    for k, grad in enumerate(as_list(grads, arrays)):
        assert grad.shape == arrays[k].shape and grad.dtype == arrays[k].dtype, (k, grad.shape, grad.dtype)
        norm = math.sqrt(inner(grad, grad))
        for draw in draws(arrays[k], directions, rng):
            v, Jv = away_from_kinks(derivative, forward, arrays, k, draw, masks)
            difference = sum(inner(d, j) for d, j in zip(dout, Jv, strict=True)) - inner(grad, v)
            worst = max(worst, relative(abs(difference), norm))
    return worst


def draws(x, directions, rng):
    """Functions, each of which draws one direction of x; a coordinate is the same at every draw."""
    if directions != "all":
        return [lambda: normal(x, rng)] * directions
    eye = np.eye(x.size).reshape(x.size, *x.shape)
    return [lambda e=e: xp_of(x).asarray(e) for e in eye]


def away_from_kinks(derivative, forward, arrays, k, draw, masks):
    """(v, J v) for the first direction v that meets no kink."""
    for _ in range(REDRAWS):
        v = draw()
        Jv = derivative(forward, arrays, k, v, masks)
        if Jv is not None:
            return v, Jv
    raise AssertionError(f"array {k}: {REDRAWS} directions in a row cross a kink; move the inputs away from it")


def normal(x, rng):
    """Standard normal numbers in the shape and on the device of x."""
    return xp_of(x).asarray(rng.standard_normal(x.shape))


def inner(a, b):
    return float((a * b).sum())


def relative(difference, norm):
    """difference / norm; infinite for nan, and for a gradient of zeros where there should be another."""
    if difference == 0:
        return 0.0
    return difference / norm if norm > 0 and math.isfinite(difference) else math.inf


def replaced(arrays, k, x):
    return [x if i == k else array for i, array in enumerate(arrays)]


def as_list(x, arrays=None):
    """The outputs, or one gradient per array, as a list; a single one may come bare."""
    x = list(x) if isinstance(x, (list, tuple)) else [x]
    assert arrays is None or len(x) == len(arrays), (len(x), len(arrays))
    return x
