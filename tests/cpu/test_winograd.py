"""The fast convolution is the readable one."""
import numpy as np
import pytest

from core.fast.winograd import algorithms, toom_cook
from core.fast.workspace import MEMORY, Workspace
from core.layers import conv_backward, conv_forward

# H W n C K
SHAPES = [(8, 8, 2, 3, 5), (7, 9, 3, 4, 4), (1, 1, 2, 3, 5), (5, 2, 1, 2, 2), (14, 6, 2, 1, 3), (16, 16, 3, 32, 16)]


def pixel_major(x):
    return x.transpose(1, 2, 0, 3)


def fast_and_plain(shape, stride, dtype, times=1):
    """(y, dx, dw) of the fast convolution, pixel-major, and of the readable one in float64."""
    H, W, n, C, K = shape
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((n, H, W, C)).astype(dtype), rng.standard_normal((3, 3, C, K)).astype(dtype)
    plain_y, cache = conv_forward(x.astype(float), w.astype(float), stride)
    dy = rng.standard_normal(plain_y.shape).astype(dtype)
    plain_dx, plain_dw = conv_backward(dy.astype(float), cache)
    space = Workspace(dtype)
    filters, conv = space.filters(C, K, stride), space.convolution("conv", (H, W, n, C), K, stride)
    y, dx = pixel_major(dy).copy(), pixel_major(x).copy()
    conv.x[...], conv.dy[...] = pixel_major(x), pixel_major(dy)
    filters.forward(w)
    conv.forward(filters, y)
    filters.backward(w)
    for _ in range(times):
        conv.backward(filters, dx)
    return (y, dx, filters.gradient()), (pixel_major(plain_y), pixel_major(plain_dx), times * plain_dw)


def error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("m, r", [(2, 2), (4, 3), (2, 3), (3, 2)])
def test_toom_cook_is_the_correlation(m, r):
    points = (0, 1, -1, 1 / 2, -1 / 2)[:m + r - 2]
    BT, G, AT = toom_cook(points, m, r)
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(m + r - 1), rng.standard_normal(r)
    assert np.allclose(AT @ ((G @ w) * (BT @ x)), np.correlate(x, w, "valid"), rtol=0, atol=1e-12)


@pytest.mark.parametrize("stride, products", [(1, 6), (2, 5)])
def test_products_per_tile(stride, products):
    assert all(len(BT) == len(G) == products for BT, G, _ in algorithms(stride))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_readable_convolution_in_float64(shape, stride):
    for found, expected in zip(*fast_and_plain(shape, stride, np.float64)):
        assert error(found, expected) < 1e-13


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", SHAPES + [(8, 8, 4, 128, 128)])
def test_float32_stays_within_1e_5(shape, stride):
    for found, expected in zip(*fast_and_plain(shape, stride, np.float32)):
        assert found.dtype == np.float32 and error(found, expected) < 1e-5


def test_the_arrays_of_a_workspace_begin_a_cache_line():
    space = Workspace(np.float32)
    arrays = [space(f"array {k}", (k, 3)) for k in range(1, 6)]
    assert all(array.ctypes.data % 64 == 0 and array.flags.c_contiguous and not array.any() for array in arrays)


def test_the_arrays_of_a_workspace_lie_apart_in_one_piece_of_memory():
    """Which is what the system maps in large pages; an array that is larger has a piece of its own."""
    space = Workspace(np.float32)
    arrays = [space(f"array {k}", (k, 3000)) for k in (1, 50, 2, 1000)]
    for k, array in enumerate(arrays):
        array[...] = k
    assert [array.min() for array in arrays] == [array.max() for array in arrays] == [0, 1, 2, 3]
    starts = [array.ctypes.data for array in arrays]
    assert starts == sorted(starts) and starts[-1] + arrays[-1].nbytes - starts[0] < MEMORY < space("more", (
        MEMORY // 4 + 1,)).nbytes


def test_the_weight_gradient_is_collected_over_blocks():
    (_, _, dw), (_, _, plain_dw) = fast_and_plain((8, 8, 2, 3, 5), 1, np.float64, times=3)
    assert error(dw, plain_dw) < 1e-13


def test_points_of_the_tiles_lose_less_than_the_usual_ones():
    usual, ours = toom_cook((0, 1, -1, 2, -2), 4, 3), algorithms(1)[0]
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1000, 6)), rng.standard_normal((1000, 3))
    exact = np.stack([(x[:, i:i + 3] * w).sum(axis=1) for i in range(4)], axis=1)

    def rms(matrices):
        BT, G, AT = (matrix.astype(np.float32) for matrix in matrices)
        y = ((w.astype(np.float32) @ G.T) * (x.astype(np.float32) @ BT.T)) @ AT.T
        return np.sqrt(((y - exact) ** 2).mean())

    assert rms(ours) < 0.75 * rms(usual)
