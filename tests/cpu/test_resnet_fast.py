"""nets/resnet_fast.py: the same features as nets/resnet.py, its specification."""
import tracemalloc

import numpy as np
import pytest

from nets import resnet, resnet_fast
from nets.resnet import Architecture, architecture
from nets.resnet_fast import FastResnet, largest
from tests.lib.arrays import distance
from tests.lib.evidence import measured
from tests.lib.lite import pixels
from tests.lib.small_resnet import BASIC, BOTTLENECK, drawn

DEEP = dict(widths=(4, 6, 5, 8), blocks=(2, 1, 2, 1))
ARCHITECTURES = {"basic": BASIC, "bottleneck": BOTTLENECK, "deep, basic": Architecture(5, bottleneck=False, **DEEP),
                 "deep, bottleneck": Architecture(5, **DEEP)}


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("size, N", [(64, 3), (33, 1), (47, 2), (5, 2), (1, 1)])
def test_features_are_those_of_the_readable_network_in_float64(kind, size, N):
    arch, images = ARCHITECTURES[kind], pixels(N, size)
    theta, running = drawn(arch)
    net, x = FastResnet(theta, running, arch, np.float64), resnet.centred(images, np.float64)
    for _ in range(2):                                     # the second time in arrays that have been used
        measured("ResNet in inference", "fast against readable", np,
                 distance(net.features(images), resnet.features(theta, running, x, arch)), 1e-12)
        measured("ResNet in inference", "fast against readable", np,
                 distance(net.logits(images), resnet.predict(theta, running, x, arch)), 1e-12)


@pytest.mark.parametrize("depth", [18, 50])
def test_float32_is_as_exact_as_the_readable_network_s(depth):
    arch, images = architecture(depth, 3), pixels(2, 64)
    theta, running = drawn(arch, dtype=np.float32)
    expected = resnet.features(theta, running, resnet.centred(images), arch)
    found = FastResnet(theta, running, arch).features(images)
    assert found.dtype == np.float32 and found.std() > 0
    measured("ResNet in inference", "fast against readable, float32", np, distance(found, expected), 1e-5)


def test_a_block_may_have_another_size_than_the_one_before(monkeypatch):
    theta, running = drawn(BOTTLENECK, dtype=np.float32)
    images, net = pixels(7, 32), FastResnet(theta, running, BOTTLENECK)
    before, whole = images.copy(), net.features(images)
    monkeypatch.setattr(resnet_fast, "BLOCK_PIXELS", 3 * 32 * 32)
    assert distance(net.features(images), whole) < 1e-6 and (images == before).all()
    assert net.features(pixels(2, 40)).shape == (2, 12)
    assert distance(net.features(images[:1]), whole[:1]) < 1e-6
    assert net.features(images[:0]).shape == (0, 12) and net.logits(images[:0]).shape == (0, 3)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_an_output_in_pieces_is_the_same(kind, monkeypatch):
    theta, running = drawn(ARCHITECTURES[kind], dtype=np.float32)
    images = pixels(2, 72)
    whole = FastResnet(theta, running, ARCHITECTURES[kind]).features(images)
    monkeypatch.setattr(resnet_fast, "PIECE", 1)
    monkeypatch.setattr(resnet_fast, "ROWS", 7 * 2 * 2)    # two rows of a map or more, and a last piece that is short
    assert distance(FastResnet(theta, running, ARCHITECTURES[kind]).features(images), whole) < 1e-6


def test_views_of_images_give_the_same():
    theta, running = drawn(BASIC, dtype=np.float32)
    images, net = pixels(2, 32), FastResnet(theta, running, BASIC)
    mirrored = net.features(images[:, :, ::-1])
    assert (mirrored == net.features(np.ascontiguousarray(images[:, :, ::-1]))).all()


def test_neither_weights_nor_results_are_written_to():
    theta, running = drawn(BASIC, dtype=np.float32)
    for array in (*theta.values(), *running.values()):
        array.flags.writeable = False
    net = FastResnet(theta, running, BASIC)
    first = net.features(pixels(1, 32))
    kept = first.copy()
    net.features(pixels(1, 32, seed=1))
    assert (first == kept).all()


def test_memory_is_that_of_a_block(monkeypatch):
    theta, running = drawn(BASIC, dtype=np.float32)
    net, images, peaks = FastResnet(theta, running, BASIC), pixels(64, 32), []
    monkeypatch.setattr(resnet_fast, "BLOCK_PIXELS", 4 * 32 * 32)
    net.features(images)
    for n in (4, 64):
        tracemalloc.start()
        net.features(images[:n])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 64 * 5 * 4 * 2


@pytest.mark.parametrize("H", range(1, 8))
def test_largest_is_the_maximum_of_three_rows_with_stride_2(H):
    x = np.random.default_rng(H).standard_normal((H, 4))
    out = np.empty((-(-H // 2), 4))
    largest(x, out)
    assert (out == [x[max(2 * i - 1, 0):2 * i + 2].max(axis=0) for i in range(len(out))]).all()
