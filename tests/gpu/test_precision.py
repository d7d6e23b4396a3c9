"""What float32 and TF32 cost: their errors against float64, of every product,
of every layer with weights and of a whole step.

On a GPU the modes are the GPU's own; on NumPy TF32 is emulated by tests/lib/tf32.py. The bounds are the same, and are
those of the README. u is the rounding of one factor: 2^-11 to the nearest, 2^-10 where the bits are cut off.
"""
from contextlib import contextmanager

import numpy as np
import pytest

from core import backend, layers
from core.backend import to_host
from core.objective import objective_backward, objective_forward
from core.optim import Flat
from nets import preact_resnet as net
from nets.preact_resnet import Architecture
from tests.lib.arrays import distance, normal
from tests.lib.evidence import measured
from tests.lib.small_net import drawn
from tests.lib.strict import strict
from tests.lib.tf32 import Rounded, tf32_rounded

OF_A_LAYER = {"float32": 1e-6, "tf32": 1e-3}
OF_LOGITS = {"float32": 1e-5, "tf32": 5e-3}
OF_GRADIENT = {("small", "float32"): 1e-4, ("small", "tf32"): 0.05, ("paper", "float32"): 0.01, ("paper", "tf32"): 0.3}
# images, size
NETS = {"small": (Architecture(widths=(16, 32, 64), blocks=(1, 1, 1)), 32, 16), "paper": (Architecture(), 8, 32)}
U = 2 ** -10


@pytest.fixture(autouse=True)
def not_on_the_stand_in(xp):
    if xp is strict:
        pytest.skip("its products are NumPy's")


@contextmanager
def precision(xp, mode):
    """Products of float32 in that mode; yields what turns NumPy arrays into the arrays to compute with."""
    if xp is np:
        yield lambda a: a.view(Rounded) if mode == "tf32" and a.dtype == np.float32 else a
        return
    backend.set_precision(xp, mode)
    try:
        yield xp.asarray
    finally:
        backend.set_precision(xp, "float32")


# ---- the emulation -------------------------------------------------------------------------------------------------

def test_tf32_keeps_ten_bits_and_rounds_to_the_nearest():
    x = np.float32([1 + 2 ** -10, 1 + 2 ** -11, 1 + 2 ** -12, -1 - 3 * 2 ** -12, 3e38, 1e-38, 0, 65519])
    assert tf32_rounded(x).tolist()[:4] == [1 + 2 ** -10, 1 + 2 ** -10, 1, -1 - 2 ** -10]
    x = normal([(1000,)])[0].astype(np.float32)
    assert (np.abs(tf32_rounded(x) - x) <= 2 ** -11 * np.abs(x)).all() and (tf32_rounded(x) != x).mean() > 0.99
    assert np.array_equal(tf32_rounded(tf32_rounded(x)), tf32_rounded(x))


def test_the_mode_asked_for_is_the_one_computed_in(xp):
    for mode in backend.PRECISIONS:
        with precision(xp, mode) as as_arrays:
            x = as_arrays(np.full((64, 64), 1 + 2 ** -12, np.float32))
            product = x @ as_arrays(np.ones((64, 64), np.float32))
            assert float(product.max()) == (64 if mode == "tf32" else 64 * (1 + 2 ** -12))


# ---- a product -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("M, K, N", [(1000, 288, 32), (32, 4096, 288), (128, 128, 10), (257, 27, 32)])
def test_every_entry_of_a_product_in_tf32_is_within_the_bound_that_follows_from_the_rounding(xp, M, K, N):
    """|out - a b| <= (2 u + u^2) |a| |b|, and what float32 adds in K sums"""
    a, b = (x.astype(np.float32) for x in normal([(M, K), (K, N)]))
    with precision(xp, "tf32") as as_arrays:
        out = to_host(as_arrays(a) @ as_arrays(b)).view(np.ndarray).astype(float)
    error = np.abs(out - a.astype(float) @ b.astype(float))
    assert (error <= (2 * U + U * U + K * 2 ** -23) * (np.abs(a).astype(float) @ np.abs(b).astype(float))).all()
    assert distance(out, a.astype(float) @ b.astype(float)) > 1e-5                  # and it is TF32


# ---- a layer -------------------------------------------------------------------------------------------------------

LAYERS = {"conv": (layers.conv_forward, layers.conv_backward),
          "linear": (layers.linear_forward, layers.linear_backward)}


@pytest.mark.parametrize("mode", OF_A_LAYER)
@pytest.mark.parametrize("layer, shapes", [
    ("conv", [(8, 32, 32, 3), (3, 3, 3, 32)]), ("conv", [(4, 32, 32, 32), (3, 3, 32, 32)]),
    ("conv", [(4, 16, 16, 64), (3, 3, 64, 64)]), ("conv", [(8, 8, 8, 128), (3, 3, 128, 128)]),
    ("conv", [(4, 16, 16, 64), (1, 1, 64, 128)]), ("linear", [(128, 128), (128, 10), (10,)])])
def test_output_and_gradients_of_a_layer(xp, layer, shapes, mode):
    arrays = [a.astype(np.float32) for a in normal(shapes)]
    with precision(xp, mode) as as_arrays:
        found = both_passes(layer, [as_arrays(a) for a in arrays], as_arrays)
    expected = both_passes(layer, list(map(as_float64, arrays)), as_float64)
    measured(layer, f"{mode} against float64", xp, max(map(distance, found, expected)), OF_A_LAYER[mode])


def both_passes(layer, arrays, as_arrays):
    forward, backward = LAYERS[layer]
    out, cache = forward(*arrays)
    return [out, *backward(as_arrays(normal([out.shape], seed=7)[0].astype(np.float32)), cache)]


# ---- a step --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("key, mode", OF_GRADIENT)
def test_logits_and_gradient_of_a_whole_step(xp, key, mode):
    """The gradient's error is no rounding of it: where an input of a ReLU moves across zero,
    its slope jumps from 0 to 1.

    So it is held against what the choice of the batch does to the gradient:
    the gradient of other images is as far away.
    """
    arch, N, size = NETS[key]
    theta, _ = drawn(arch, dtype=np.float32)
    x, y = images_and_labels(N, size, seed=2)
    with precision(xp, mode) as as_arrays:
        z, gradient = step(theta, x, y, arch, as_arrays)
    (z_64, gradient_64), (_, of_others) = (step(theta, *images_and_labels(N, size, seed), arch, as_float64)
                                           for seed in (2, 3))
    error = distance(gradient, gradient_64)
    measured(f"step, {key} net", f"logits, {mode} against float64", xp, distance(z, z_64), OF_LOGITS[mode])
    measured(f"step, {key} net", f"gradient of L, {mode} against float64", xp, error, OF_GRADIENT[key, mode])
    measured(f"step, {key} net", f"the same, in units of another batch's, {mode}", xp,
             error / distance(of_others, gradient_64), 0.3)


def images_and_labels(N, size, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, size, size, 3)).astype(np.float32), rng.dirichlet(np.ones(10), N).astype(np.float32)


def as_float64(a):
    return a.astype(float)


def step(theta, x, y, arch, as_arrays):
    """Logits, and the gradient of the three-term loss as one array."""
    theta = {name: as_arrays(a) for name, a in theta.items()}
    z, cache = net.forward(theta, as_arrays(x), arch)
    _, cache_L = objective_forward(z, as_arrays(y), as_arrays(np.full(10, 0.1, np.float32)), 1.2, 0.8)
    return z, Flat(theta).gather(net.backward(objective_backward(1, cache_L), cache))
