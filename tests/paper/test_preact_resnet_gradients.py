"""The gradient of the network: of single blocks, of a small net to each of its parameters,
of the objective through it."""
from functools import partial

import numpy as np
import pytest

from core.backend import to_host
from core.objective import objective_backward, objective_forward
from nets import preact_resnet as net
from nets.preact_resnet import Architecture
from tests.lib.arrays import distance, moved
from tests.lib.evidence import measured
from tests.lib.gradcheck import central, complex_step, worst_error
from tests.lib.small_net import SMALL, drawn, images


def net_masks(cache):
    """The masks of all ReLUs of a network's cache."""
    arch, caches = cache
    blocks = [caches[name] for name, *_ in net.block_plan(arch)]
    return [out > 0 for out in [caches["relu"], *(block[k] for block in blocks for k in (1, 4))]]


def as_pair(arch, x, theta):
    """forward and backward of the network as functions of the list of its parameters."""
    def backward(dlogits, cache):
        g = net.backward(dlogits, cache)
        assert g.keys() == theta.keys()
        return [g[name] for name in theta]
    return lambda *arrays: net.forward(dict(zip(theta, arrays)), x, arch), backward


# ---- gradients -----------------------------------------------------------------------------------------------------

BLOCKS = {"block": ("stage1.block1", (3, 5, 4, 3), 1, False),
          "block, projecting": ("stage1.block0", (3, 5, 4, 3), 1, True),
          "block, projecting, stride 2": ("stage2.block0", (3, 5, 6, 3), 2, True)}


@pytest.mark.parametrize("kind", BLOCKS)
def test_the_gradient_of_a_block(xp, kind):
    name, shape, stride, projecting = BLOCKS[kind]
    theta = moved({key: a for key, a in drawn(SMALL)[0].items() if key.startswith(name)}, xp)
    x = xp.asarray(np.random.default_rng(2).standard_normal(shape))

    def backward(dout, cache):
        g = {}
        dx = net.block_backward(dout, cache, name, g)
        assert g.keys() == theta.keys()
        return [dx, *(g[key] for key in theta)]

    def forward(x, *arrays):
        return net.block_forward(dict(zip(theta, arrays)), name, x, stride, projecting)

    for method, derivative, bound in [("complex step", complex_step, 1e-12), ("central differences", central, 1e-7)]:
        error = worst_error(forward, backward, [x, *theta.values()], np.random.default_rng(3), derivative,
                            masks=lambda cache: [cache[1] > 0, cache[4] > 0])                   # those of its two ReLUs
        measured("block", method, xp, error, bound)


@pytest.mark.parametrize("N, H, W", [(3, 9, 8), (1, 7, 5)])
def test_the_gradient_of_a_whole_net_to_each_of_its_parameters(xp, N, H, W):
    theta = moved(drawn(SMALL)[0], xp)
    forward, backward = as_pair(SMALL, xp.asarray(images(SMALL, N, H, W)), theta)
    parameters, rng = list(theta.values()), np.random.default_rng(3)
    measured("net", "complex step", xp, worst_error(forward, backward, parameters, rng, complex_step, 2), 1e-12)
    short = partial(central, eps=1e-6)                          # so as to stay between two of the many kinks
    measured("net", "central differences", xp, worst_error(forward, backward, parameters, rng, short, 1, net_masks),
             1e-7)


def test_the_gradient_of_the_objective_through_the_whole_net(xp):
    """dL/dtheta, the gradient that a step of the training takes"""
    theta, x = moved(drawn(SMALL)[0], xp), xp.asarray(images(SMALL, 6))
    rng = np.random.default_rng(4)
    y, p = moved([rng.dirichlet(np.ones(4), 6), rng.dirichlet(np.ones(4))], xp)
    net_forward, net_backward = as_pair(SMALL, x, theta)

    def forward(*arrays):
        z, c_net = net_forward(*arrays)
        (L, *_), c_objective = objective_forward(z, y, p, 1.2, 0.8)
        return L, (c_objective, c_net)

    def backward(dL, cache):
        return net_backward(objective_backward(dL, cache[0]), cache[1])

    error = worst_error(forward, backward, list(theta.values()), rng, complex_step, 2)
    measured("L through the net", "complex step", xp, error, 1e-12)


@pytest.mark.parametrize("arch, N, size", [(SMALL, 6, 8), (Architecture(widths=(8, 16, 32), blocks=(1, 1, 1)), 8, 16)])
def test_float32_is_near_float64_and_stays_float32(xp, arch, N, size):
    theta, x = drawn(arch, dtype=np.float32)[0], images(arch, N, size, size, dtype=np.float32)
    dlogits = np.random.default_rng(5).standard_normal((N, arch.classes)).astype(np.float32)
    (z, g), (z_64, g_64) = (passes(theta, x, dlogits, arch, xp, dtype) for dtype in (np.float32, np.float64))
    assert {a.dtype for a in [z, *g.values()]} == {np.dtype(np.float32)}
    measured("net", "float32 against float64", xp,
             max(distance(z, z_64), *(distance(g[name], g_64[name]) for name in g)), 2e-5)


def passes(theta, x, dlogits, arch, xp, dtype):
    """Logits and gradients, computed in dtype."""
    theta = moved({name: a.astype(dtype) for name, a in theta.items()}, xp)
    x, dlogits = moved([x.astype(dtype), dlogits.astype(dtype)], xp)
    z, cache = net.forward(theta, x, arch)
    return z, net.backward(dlogits, cache)


# ---- laws ----------------------------------------------------------------------------------------------------------

def test_neither_pass_writes_to_what_it_is_given(xp):
    (theta, running), x, dlogits = drawn(SMALL), images(SMALL), images(SMALL)[:, 0, :4, 0]
    given = moved([theta, running, x, dlogits], xp)
    _, cache = net.forward(given[0], given[2], SMALL)
    first, second = ({name: to_host(a) for name, a in net.backward(given[3], cache).items()} for _ in range(2))
    net.predict(given[0], given[1], given[2], SMALL)
    arrays = {"x": given[2], "dlogits": given[3]}, {"x": x, "dlogits": dlogits}
    for after, before in [(given[0], theta), (given[1], running), arrays, (second, first)]:
        for name in before:
            np.testing.assert_array_equal(to_host(after[name]), before[name])


def test_the_order_of_the_images_is_the_order_of_the_logits_and_changes_no_gradient(xp):
    theta, x, order = drawn(SMALL)[0], images(SMALL, 6), np.random.default_rng(1).permutation(6)
    dlogits = np.random.default_rng(2).standard_normal((6, 4))
    z, g = passes(theta, x, dlogits, SMALL, xp, np.float64)
    z_moved, g_moved = passes(theta, x[order], dlogits[order], SMALL, xp, np.float64)
    error = max(distance(z_moved, to_host(z)[order]), *(distance(g_moved[name], g[name]) for name in theta))
    measured("net", "order of the images", xp, error, 1e-12)
