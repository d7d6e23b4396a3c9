"""Single layers of core/layers.py: convolutions of any shape, the laws of batch normalisation,
running moments, edges."""
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as drawn

from core import layers
from core.backend import to_host
from tests.lib import naive
from tests.lib.arrays import distance, moved, normal
from tests.lib.evidence import measured
from tests.lib.gradcheck import inner

sizes = st.integers(1, 7)


@given(st.integers(1, 3), sizes, sizes, st.integers(1, 3), st.integers(1, 3), st.sampled_from([1, 3, 5]),
       st.integers(1, 3))
@example(1, 3, 1, 2, 2, 3, 2)          # an image that is narrower than the stride, and one that is lower
@example(1, 1, 3, 2, 2, 3, 2)
def test_conv_of_any_shape_is_the_definition_and_its_backward_pass_the_adjoint(xp, N, H, W, C, K, R, stride):
    """<dout, conv(x)> = <conv_T(dout), x> = <dw, w>, as conv is linear in x and in w"""
    x, w = normal([(N, H, W, C), (R, R, C, K)])
    out, cache = layers.conv_forward(*moved([x, w], xp), stride)
    measured("conv", "definition in loops", xp, distance(out, naive.conv(x, w, stride)), 1e-14)
    dout, = normal([out.shape], seed=1)
    dx, dw = layers.conv_backward(xp.asarray(dout), cache)
    measured("conv", "definition in loops", xp, distance(dx, naive.conv_transposed(dout, w, stride, x.shape)), 1e-14)
    product, size = inner(xp.asarray(dout), out), np.linalg.norm(dout) * np.linalg.norm(to_host(out))
    adjoint = max(abs(inner(dx, xp.asarray(x)) - product), abs(inner(dw, xp.asarray(w)) - product)) / size
    measured("conv", "adjoint", xp, adjoint, 1e-13)


@given(st.integers(1, 2), sizes, sizes, st.integers(1, 3), st.sampled_from([1, 3, 5]), st.integers(1, 3))
def test_maxpool_of_any_shape_is_the_definition_and_ties_go_to_the_first(xp, N, H, W, C, R, stride):
    x = np.random.default_rng(0).integers(-2, 3, (N, H, W, C)).astype(float)           # many ties
    out, cache = layers.maxpool_forward(xp.asarray(x), R, stride)
    assert (to_host(out) == naive.maxpool(x, R, stride)).all()
    dout = np.random.default_rng(1).integers(-9, 10, out.shape).astype(float)          # sums of whole numbers are exact
    dx = to_host(layers.maxpool_backward(xp.asarray(dout), cache))
    assert (dx == naive.maxpool_transposed(dout, x, R, stride)).all()


def test_maxpool_lets_nan_through(xp):
    x = normal([(1, 6, 6, 1)])[0]
    x[0, 2, 3, 0] = np.nan
    out = to_host(layers.maxpool_forward(xp.asarray(x))[0])
    assert np.isnan(out[0, :, :, 0]).tolist() == [[False, False, False], [False, True, True], [False, False, False]]


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
def test_sum_pixels_of_any_shape_is_the_sum(xp, N, M, C):
    x = normal([(N, M, C)])[0] + 1
    exact = [math.fsum(channel) for channel in x.reshape(-1, C).T]
    measured("sum over the pixels", "exact sum", xp, distance(layers.sum_pixels(xp.asarray(x)), exact), 1e-14)


def test_inference_is_the_definition_and_with_the_moments_of_a_batch_its_forward_pass(xp):
    x, gamma, beta, mean, var = normal([(2, 3, 4, 5), (5,), (5,), (5,), (5,)])
    out = layers.batchnorm_inference(*moved([x, gamma, beta, mean, var ** 2], xp))
    expected = naive.normalised(x, gamma, beta, mean, var ** 2)
    measured("batchnorm in inference", "definition in loops", xp, distance(out, expected), 1e-14)
    x, gamma, beta = moved([x, gamma, beta], xp)
    out, (*_, mean, var) = layers.batchnorm_forward(x, gamma, beta)
    same = distance(layers.batchnorm_inference(x, gamma, beta, mean, var), to_host(out))
    measured("batchnorm in inference", "equals training, same moments", xp, same, 1e-14)


@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (7, 2), (2, 1, 1, 3)])
def test_the_running_moments_are_mean_and_unbiased_variance(xp, shape):
    x, gamma, beta = normal([shape, shape[-1:], shape[-1:]])
    mean, var = layers.batch_moments(layers.batchnorm_forward(*moved([x, gamma, beta], xp))[1])
    pixels = x.reshape(-1, shape[-1])
    error = max(distance(mean, pixels.mean(axis=0)), distance(var, pixels.var(axis=0, ddof=1)))
    measured("running moments", "definition", xp, error, 1e-14)


def test_the_running_variance_of_a_single_pixel_is_zero(xp):
    _, cache = layers.batchnorm_forward(*moved(normal([(1, 1, 1, 3), (3,), (3,)]), xp))
    assert to_host(layers.batch_moments(cache)[1]).tolist() == [0, 0, 0]


# ---- identities ----------------------------------------------------------------------------------------------------

def test_batchnorm_gives_every_channel_mean_beta_and_variance_gamma_squared(xp):
    """exactly: gamma^2 var / (var + eps)"""
    x, gamma, beta = normal([(4, 5, 6, 3), (3,), (3,)])
    out = to_host(layers.batchnorm_forward(*moved([10 * x + 3, gamma, beta], xp))[0])
    var = 100 * x.var(axis=(0, 1, 2))
    error = max(distance(out.mean(axis=(0, 1, 2)), beta),
                distance(out.var(axis=(0, 1, 2)), gamma ** 2 * var / (var + naive.EPS)))
    measured("batchnorm", "moments of the output", xp, error, 1e-13)


def test_the_input_gradient_of_batchnorm_is_orthogonal_to_what_it_removes(xp):
    """sum dx = 0 and, but for eps, sum dx x_hat = 0:  sum dx x_hat = gamma / std^3 * eps * dgamma"""
    x, gamma, beta, dout = normal([(4, 5, 6, 3), (3,), (3,), (4, 5, 6, 3)])
    _, cache = layers.batchnorm_forward(*moved([x, gamma, beta], xp))
    dx, dgamma, _ = map(to_host, layers.batchnorm_backward(xp.asarray(dout), cache))
    x_hat, inv_std = to_host(cache[0]), to_host(cache[2])
    rest = gamma * inv_std ** 3 * naive.EPS * dgamma
    error = max(abs(dx.sum(axis=(0, 1, 2))).max(),
                abs((dx * x_hat).sum(axis=(0, 1, 2)) - rest).max()) / np.linalg.norm(dx)
    measured("batchnorm", "orthogonality of dx", xp, error, 1e-13)


@pytest.mark.parametrize("shift, scale", [(5.0, 1.0), (0.0, 1e3), (-2.0, 1e4)])
def test_batchnorm_knows_neither_shift_nor_scale_nor_order_of_the_pixels(xp, shift, scale):
    """f(scale x + shift) = f(x) and dx(scale x + shift) = dx(x) / scale, exactly where eps is below the rounding"""
    x, gamma, beta, dout = normal([(40, 3), (3,), (3,), (40, 3)])
    x, order = 1e4 * x, np.random.default_rng(2).permutation(40)
    results = []
    for a, da in [(x, dout), ((scale * x + shift)[order], dout[order])]:
        out, cache = layers.batchnorm_forward(*moved([a, gamma, beta], xp))
        results.append([to_host(out), to_host(layers.batchnorm_backward(xp.asarray(da), cache)[0])])
    (out, dx), (out_2, dx_2) = results
    error = max(distance(out_2, out[order]), distance(scale * dx_2, dx[order]))
    measured("batchnorm", "shift, scale and order", xp, error, 1e-11)


@pytest.mark.parametrize("R, stride", [(1, 1), (3, 1), (5, 1), (1, 2), (3, 2), (5, 3)])
def test_a_filter_of_one_pixel_shifts_the_image(xp, R, stride):
    """w = 1 at (r, q) only:  out[i, j] = x[i*stride + r - R//2, j*stride + q - R//2], bit for bit"""
    x, = normal([(2, 7, 6, 2)])
    padded = np.pad(x, [(0, 0), (R // 2, R // 2), (R // 2, R // 2), (0, 0)])
    for r, q in np.ndindex(R, R):
        w = np.zeros((R, R, 2, 2))
        w[r, q] = np.eye(2)
        out, _ = layers.conv_forward(*moved([x, w], xp), stride)
        np.testing.assert_array_equal(to_host(out), padded[:, r:r + 7:stride, q:q + 6:stride])


def test_relu_has_the_slope_zero_at_zero(xp):
    out, cache = layers.relu_forward(xp.asarray(np.array([-1.0, 0.0, -0.0, 2.0])))
    assert to_host(layers.relu_backward(xp.asarray(np.full(4, 3.0)), cache)).tolist() == [0, 0, 0, 3]


extreme = st.floats(-1e4, 1e4, width=32)


@given(drawn(np.float32, (2, 3, 2, 2), elements=extreme))
def test_batchnorm_of_extreme_values_in_float32_is_finite(xp, x):
    """also of channels that do not vary; |x_hat| <= sqrt(M)"""
    out, cache = layers.batchnorm_forward(*moved([x, np.ones(2, np.float32), np.zeros(2, np.float32)], xp))
    grads = layers.batchnorm_backward(xp.asarray(np.ones_like(x)), cache)
    assert all(np.isfinite(to_host(a)).all() for a in [out, *grads])
    assert abs(to_host(out)).max() <= 12 ** 0.5 * (1 + 1e-6)


def test_a_constant_channel_becomes_beta(xp):
    out, _ = layers.batchnorm_forward(*moved([np.full((2, 2, 2, 1), 0.1), np.array([3.0]), np.array([0.7])], xp))
    assert distance(out, np.full((2, 2, 2, 1), 0.7)) < 1e-12


def test_batchnorm_of_a_channel_far_from_zero_does_not_cancel(xp):
    """its variance is that of x - mean, not the difference of two large numbers"""
    x = (300 + normal([(4, 5, 6, 3)])[0]).astype(np.float32)
    ones = np.ones(3)
    out, _ = layers.batchnorm_forward(*moved([x, ones.astype(np.float32), 0 * ones.astype(np.float32)], xp))
    assert distance(out, naive.batchnorm(x.astype(float), ones, 0 * ones)) < 1e-4
