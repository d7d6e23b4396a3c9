"""nets/resnet_fast_training.py: the same logits and gradients as nets/resnet.py with frozen batch normalisation."""
import numpy as np
import pytest

from core import layers
from core.fast import workspace
from nets import resnet, resnet_fast_training
from nets.resnet import Architecture, Pretrained, architecture
from nets.resnet_fast import largest
from nets.resnet_fast_memory import Counting, claim, fast_training_bytes
from nets.resnet_fast_training import FastPretrained, largest_backward
from tests.lib.arrays import distance
from tests.lib.evidence import measured
from tests.lib.small_resnet import BASIC, BOTTLENECK, drawn, images, peak_of_a_step

DEEP = dict(widths=(4, 6, 5, 8), blocks=(2, 1, 2, 1), frozen=True)
ARCHITECTURES = {"basic": BASIC._replace(frozen=True), "bottleneck": BOTTLENECK._replace(frozen=True),
                 "deep, basic": Architecture(5, bottleneck=False, **DEEP), "deep, bottleneck": Architecture(5, **DEEP)}
every = pytest.mark.parametrize("kind", ARCHITECTURES)


def passes(net, theta, x, arch, seed=3):
    """{name: array}: logits and gradients."""
    z, cache = net.forward(theta, x, arch)
    z = z.copy()
    dlogits = np.random.default_rng(seed).standard_normal(z.shape).astype(z.dtype)
    return {"logits": z, **{name: np.array(a) for name, a in net.backward(dlogits, cache).items()}}


def worst(found, expected):
    assert found.keys() == expected.keys()
    return max(distance(found[name], expected[name]) for name in expected)


@every
@pytest.mark.parametrize("N, H, W", [(3, 40, 33), (2, 17, 19), (1, 3, 2), (1, 1, 1)])
def test_logits_and_gradients_are_those_of_the_readable_network_in_float64(kind, N, H, W, monkeypatch):
    arch = ARCHITECTURES[kind]
    theta, running = drawn(arch)
    monkeypatch.setattr(resnet_fast_training, "BLOCK_PIXELS", 2 * H * W)          # two blocks of three images
    net, readable = FastPretrained(theta, running), Pretrained(theta, running)
    for seed in (1, 2):                                    # the second time in arrays that have been used
        x = images(N, H, W, seed)
        error = worst(passes(net, theta, x, arch, seed), passes(readable, theta, x, arch, seed))
        measured("ResNet, frozen", "fast against readable", np, error, 1e-11)


@pytest.mark.parametrize("depth", [18, pytest.param(50, marks=pytest.mark.thorough)])
def test_float32_is_near_the_readable_network_in_float64(depth):
    arch, x = architecture(depth, 3, frozen=True), images(2, 64, 64)
    theta, running = drawn(arch)
    theta |= {name: a / 4 for name, a in theta.items() if name.endswith("bn3.gamma" if depth == 50 else "bn2.gamma")}
    single = ({name: a.astype(np.float32) for name, a in arrays.items()} for arrays in (theta, running))
    single_theta, single_running = single
    found = passes(FastPretrained(single_theta, single_running), single_theta, x.astype(np.float32), arch)
    assert {a.dtype for a in found.values()} == {np.dtype(np.float32)}
    expected = passes(Pretrained(theta, running), theta, x, arch)
    readable = passes(Pretrained(single_theta, single_running), single_theta, x.astype(np.float32), arch)
    assert worst(found, expected) < max(2e-4, 4 * worst(readable, expected))


@every
def test_neither_pass_writes_to_what_it_is_given(kind):
    arch = ARCHITECTURES[kind]
    theta, running = drawn(arch)
    net, x = FastPretrained(theta, running), images()
    dlogits = np.ones((3, arch.classes))
    for array in (*theta.values(), *running.values(), x, dlogits):
        array.flags.writeable = False
    z, cache = net.forward(theta, x, arch)
    g = net.backward(dlogits, cache)
    assert all(g[name].shape == theta[name].shape for name in theta) and net.moments(cache).keys() == running.keys()


def test_no_images_give_no_logits_and_a_gradient_of_zeros():
    """A rank may have none."""
    arch = ARCHITECTURES["bottleneck"]
    theta, running = drawn(arch)
    net = FastPretrained(theta, running)
    z, cache = net.forward(theta, images(0), arch)
    assert z.shape == (0, 3) and not any(a.any() for a in net.backward(z, cache).values())


def test_with_the_statistics_of_the_batch_it_is_the_readable_network():
    arch = BASIC
    theta, running = drawn(arch)
    found = passes(FastPretrained(theta, running), theta, images(), arch)
    assert worst(found, passes(resnet, theta, images(), arch)) == 0


SMALL = {"b", "zeros", "patches"}      # rows: of these the memory is not told
SIZES = {"narrow": (Architecture(10, (16, 24, 32, 40), (1, 2, 1, 1), frozen=True), 96, 8),
         "narrow, basic": (Architecture(10, (16, 24, 32, 40), (1, 2, 1, 1), bottleneck=False, frozen=True), 81, 7),
         "ResNet-18": (architecture(18, 10, frozen=True), 64, 4), "ResNet-50": (architecture(50, 10, True), 64, 3)}


@pytest.mark.parametrize("case", SIZES)
def test_every_array_of_the_workspace_is_told_before(case, monkeypatch):
    arch, size, N = SIZES[case]
    monkeypatch.setattr(resnet_fast_training, "BLOCK_PIXELS", 3 * size ** 2)
    theta, running = drawn(arch, dtype=np.float32)
    net, counting = FastPretrained(theta, running), Counting(np.float32)
    passes(net, theta, images(N, size, size, dtype=np.float32), arch)
    shapes = [(min(3, N - k), size, size, 3) for k in range(0, N, 3)]
    claim(counting, arch, shapes)
    space, = net.spaces.values()
    used = {key: a.shape for key, a in space.arrays.items() if key[0] not in SMALL}
    assert used == {key: a.shape for key, a in counting.arrays.items()}


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.thorough] * (case == "ResNet-50"))
                                  for case in SIZES])        # narrow ones have few gradients beside their pixels
def test_the_memory_of_a_step_is_what_is_said_before(case, monkeypatch):
    monkeypatch.setattr(workspace, "MEMORY", 0)              # what a piece has left over is never touched, but counted
    arch, size, N = SIZES[case]
    said = fast_training_bytes(arch, size, N)
    allocated = peak_of_a_step(arch, size, N, FastPretrained)
    assert abs(said / allocated - 1) < 0.03, (said, allocated)


@pytest.mark.parametrize("H, W", [(1, 1), (2, 3), (5, 4), (7, 7)])
def test_pooling_by_columns_and_rows_is_the_layer_s_ties_included(H, W):
    x = np.random.default_rng(0).integers(-2, 3, (H, W, 2, 3)).astype(float)
    h, w = -(-H // 2), -(-W // 2)
    across, top = np.empty((H, w, 2, 3)), np.empty((h, w, 2, 3))
    largest(x.swapaxes(0, 1), across.swapaxes(0, 1))
    largest(across, top)
    out, cache = layers.maxpool_forward(x.transpose(2, 0, 1, 3))
    assert (top.transpose(2, 0, 1, 3) == out).all()
    dout = np.random.default_rng(1).standard_normal(top.shape)
    dacross, dx = np.empty(across.shape), np.empty(x.shape)
    largest_backward(dout, top, across, dacross)
    largest_backward(*(a.swapaxes(0, 1) for a in (dacross, across, x, dx)))
    assert distance(dx.transpose(2, 0, 1, 3), layers.maxpool_backward(dout.transpose(2, 0, 1, 3), cache)) < 1e-15
