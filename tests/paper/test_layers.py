"""Every pair of core/layers.py, all by the same means: derivatives, definitions, float32 against float64, manners."""
import numpy as np
import pytest

from core import layers
from core.backend import to_host, xp_of
from tests.lib import naive
from tests.lib.arrays import distance, moved, normal
from tests.lib.evidence import measured
from tests.lib.gradcheck import as_list, central, complex_step, worst_error


def conv(stride):
    return lambda x, w: layers.conv_forward(x, w, stride)


MEAN, VAR = np.array([0.5, -1.0, 0.25]), np.array([0.5, 2.0, 1e-5])       # of frozen batch normalisation


def frozen(x, gamma, beta):
    return layers.frozen_batchnorm_forward(x, gamma, beta, *(xp_of(x).asarray(a.astype(gamma.real.dtype))
                                                             for a in (MEAN, VAR)), eps=1e-5)


def filter_alone(dout, cache):
    """conv_backward with dw by the function that has no dx."""
    return layers.conv_backward(dout, cache)[0], layers.conv_backward_filter(dout, cache)


LAYERS = {                                          # forward, backward, definition
    "conv": (conv(1), layers.conv_backward, lambda x, w: naive.conv(x, w, 1)),
    "conv, stride 2": (conv(2), layers.conv_backward, lambda x, w: naive.conv(x, w, 2)),
    "conv, filter alone": (conv(2), filter_alone, lambda x, w: naive.conv(x, w, 2)),
    "batchnorm": (layers.batchnorm_forward, layers.batchnorm_backward, naive.batchnorm),
    "batchnorm, frozen": (frozen, layers.frozen_batchnorm_backward,
                          lambda x, gamma, beta: naive.normalised(x, gamma, beta, MEAN, VAR, 1e-5)),
    "maxpool": (layers.maxpool_forward, layers.maxpool_backward, naive.maxpool),
    "relu": (layers.relu_forward, layers.relu_backward, naive.relu),
    "meanpool": (layers.meanpool_forward, layers.meanpool_backward, naive.meanpool),
    "linear": (layers.linear_forward, layers.linear_backward, naive.linear)}
TINY = [
    ("conv", (2, 3, 4, 2), (3, 3, 2, 3)),
    ("conv", (1, 4, 3, 1), (5, 5, 1, 2)),
    ("conv", (2, 1, 3, 2), (1, 1, 2, 3)),
    ("conv, stride 2", (1, 5, 4, 2), (3, 3, 2, 2)),
    ("conv, stride 2", (2, 4, 3, 2), (1, 1, 2, 3)),
    ("conv, filter alone", (1, 5, 4, 2), (7, 7, 2, 2)),
    ("batchnorm", (2, 2, 3, 2), (2,), (2,)),
    ("batchnorm, frozen", (2, 2, 3, 3), (3,), (3,)),
    ("maxpool", (2, 5, 4, 2)),
    ("maxpool", (1, 1, 3, 2)),
    ("relu", (3, 4)),
    ("meanpool", (2, 2, 3, 2)),
    ("linear", (3, 4), (4, 2), (2,))]
REAL = [
    ("conv", (4, 16, 16, 8), (3, 3, 8, 16)),
    ("conv", (1, 7, 1, 3), (3, 3, 3, 2)),
    ("conv", (2, 3, 3, 17), (3, 3, 17, 4)),
    ("conv", (2, 9, 11, 4), (5, 5, 4, 6)),
    ("conv, stride 2", (2, 16, 16, 8), (3, 3, 8, 16)),
    ("conv, stride 2", (1, 15, 17, 3), (3, 3, 3, 8)),
    ("conv, stride 2", (3, 15, 16, 8), (1, 1, 8, 16)),
    ("batchnorm", (16, 16, 16, 8), (8,), (8,)),
    ("batchnorm", (1, 7, 5, 3), (3,), (3,)),
    ("conv, filter alone", (2, 17, 16, 3), (7, 7, 3, 8)),
    ("batchnorm, frozen", (4, 7, 5, 3), (3,), (3,)),
    ("maxpool", (2, 16, 17, 8)),
    ("relu", (8, 9, 9, 16)),
    ("meanpool", (8, 7, 9, 16)),
    ("linear", (128, 128), (128, 10), (10,))]


def every(cases):
    """One test per case, as arguments `layer` and `shapes`."""
    names = [" ".join([layer, *("x".join(map(str, shape)) for shape in shapes)]) for layer, *shapes in cases]
    return pytest.mark.parametrize("layer, shapes", [(layer, shapes) for layer, *shapes in cases], ids=names)


def row(layer):
    """Where the evidence notes it: the three simple layers together."""
    return "relu, mean, linear" if layer in ("relu", "meanpool", "linear") else layer


def error(layer, shapes, xp, derivative, directions):
    forward, backward, _ = LAYERS[layer]
    masks = {"relu": lambda out: [out > 0], "maxpool": lambda cache: [cache[0]]}.get(layer)
    return worst_error(forward, backward, moved(normal(shapes), xp), np.random.default_rng(1), derivative, directions,
                       masks)


def both_passes(layer, arrays, xp, dtype=np.float64):
    """[out, gradients ...] from NumPy arrays, in another precision."""
    forward, backward, _ = LAYERS[layer]
    arrays = [xp.asarray(a).astype(dtype) for a in arrays]
    out, cache = forward(*arrays)
    dout = xp.asarray(normal([out.shape], seed=7)[0].astype(dtype))
    return [out, *as_list(backward(dout, cache))]


# ---- the ladder ----------------------------------------------------------------------------------------------------

@every(TINY)
def test_every_coordinate_of_the_gradient(xp, layer, shapes):
    measured(row(layer), "complex step", xp, error(layer, shapes, xp, complex_step, "all"), 1e-12)
    measured(row(layer), "central differences", xp, error(layer, shapes, xp, central, "all"), 1e-7)


@every(REAL)
def test_the_gradient_in_random_directions(xp, layer, shapes):
    measured(row(layer), "complex step", xp, error(layer, shapes, xp, complex_step, 3), 1e-12)
    measured(row(layer), "central differences", xp, error(layer, shapes, xp, central, 3), 1e-7)


@every(TINY)
def test_the_forward_pass_is_the_definition(xp, layer, shapes):
    forward, _, definition = LAYERS[layer]
    out, _ = forward(*moved(normal(shapes), xp))
    measured(row(layer), "definition in loops", xp, distance(out, definition(*normal(shapes))), 1e-14)


@every(REAL)
def test_float32_is_near_float64(xp, layer, shapes):
    arrays = [a.astype(np.float32) for a in normal(shapes)]
    single, double = (both_passes(layer, arrays, xp, dtype) for dtype in (np.float32, np.float64))
    measured(row(layer), "float32 against float64", xp, max(map(distance, single, double)), 1e-6)


# ---- manners -------------------------------------------------------------------------------------------------------

@every(TINY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_the_precision_is_kept(xp, layer, shapes, dtype):
    assert {a.dtype for a in both_passes(layer, normal(shapes), xp, dtype)} == {np.dtype(dtype)}


@every(TINY)
def test_arguments_are_not_written_to(xp, layer, shapes):
    forward, backward, _ = LAYERS[layer]
    arrays = moved(normal(shapes), xp)
    out, cache = forward(*arrays)
    before = [*normal(shapes), to_host(out).copy(), *normal([out.shape])]
    dout = xp.asarray(normal([out.shape])[0])
    first, second = (list(map(to_host, as_list(backward(dout, cache)))) for _ in range(2))    # the cache is not, either
    for after, expected in zip([*map(to_host, arrays), to_host(out), to_host(dout), *second], before + first,
                               strict=True):
        np.testing.assert_array_equal(after, expected)


@every(TINY)
def test_read_only_and_non_contiguous_arguments_give_the_same(xp, layer, shapes):
    forward, backward, _ = LAYERS[layer]
    views = [scattered(a, xp) for a in normal(shapes)]
    out, cache = forward(*views)
    grads = backward(scattered(normal([out.shape], seed=7)[0], xp), cache)
    for found, expected in zip([out, *as_list(grads)], both_passes(layer, normal(shapes), xp), strict=True):
        assert distance(found, to_host(expected)) < 1e-14


def scattered(a, xp):
    """The same numbers in every second column of a larger array, whose columns come first in memory;
    read-only in NumPy."""
    larger = np.asfortranarray(np.repeat(a, 2, axis=-1))
    larger.flags.writeable = False
    return xp.asarray(larger)[..., ::2]
