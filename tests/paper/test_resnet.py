"""nets/resnet.py: its table, its gradients with statistics of the batch and frozen ones, inference, fine-tuning."""
import tracemalloc
from functools import partial

import numpy as np
import pytest

from core.backend import to_host
from core.optim import update_running
from nets import resnet as net
from nets.resnet import Architecture, Pretrained, architecture
from tests.lib import naive
from tests.lib.arrays import distance, moved
from tests.lib.evidence import measured
from tests.lib.gradcheck import central, complex_step, worst_error
from tests.lib.small_resnet import BASIC, BOTTLENECK, drawn, images

ARCHITECTURES = {"basic": BASIC, "bottleneck": BOTTLENECK, "basic, frozen": BASIC._replace(frozen=True),
                 "bottleneck, frozen": BOTTLENECK._replace(frozen=True)}
every = pytest.mark.parametrize("kind", ARCHITECTURES)


# ---- its table -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("depth, parameters, convolutions", [(18, 11_689_512, 20), (34, 21_797_672, 36),
                                                             (50, 25_557_032, 53)])
def test_the_numbers_of_parameters_and_convolutions_are_torchvisions(depth, parameters, convolutions):
    arch = architecture(depth)
    theta, running = net.init(arch, np.random.default_rng(0))
    assert sum(a.size for a in theta.values()) == parameters
    assert sum(a.ndim == 4 for a in theta.values()) == convolutions == len(net.convolutions(arch))
    assert {name.rsplit(".", 1)[0] for name in running} == {name.rsplit(".", 1)[0] for name in theta
                                                            if name.endswith("gamma")}
    assert net.features_of(arch) == len(theta["linear.w"]) == (2048 if depth == 50 else 512)


def test_the_shapes_are_those_of_the_table():
    arch = architecture(50)
    theta, _ = net.init(arch, np.random.default_rng(0))
    logits, (_, _, caches) = net.forward(theta, images(1, 64, 64, dtype=np.float32), arch)
    sizes = {"stage1": (16, 16, 256), "stage2": (8, 8, 512), "stage3": (4, 4, 1024), "stage4": (2, 2, 2048)}
    assert caches["relu"].shape == (1, 32, 32, 64) and logits.shape == (1, 1000) and logits.dtype == np.float32
    for block in net.block_plan(arch):
        *_, c_shortcut, out = caches[block.name]
        assert out.shape[1:] == sizes[block.name[:6]] and (c_shortcut is not None) == block.name.endswith("block0")


def test_the_stride_is_in_the_three_by_three_and_only_shapes_that_change_are_projected():
    for depth, first in ((18, ("stage2.block0.conv1", 3)), (50, ("stage2.block0.conv2", 3))):
        strided = [(conv.name, conv.R) for conv in net.convolutions(architecture(depth)) if conv.stride == 2]
        assert strided[:3] == [("conv", 7), first, ("stage2.block0.projection", 1)] and len(strided) == 7
    projected = [block.name for block in net.block_plan(architecture(34)) if block.shortcut]
    assert projected == ["stage2.block0", "stage3.block0", "stage4.block0"]


def test_init_draws_he_normal_convolutions_and_a_linear_layer_of_variance_one_over_fan_in():
    theta, running = net.init(architecture(18), np.random.default_rng(0))
    for name, a in theta.items():
        if a.ndim > 1:
            sigmas = a.astype(float) / np.sqrt((1 if name == "linear.w" else 2) / (a.size // a.shape[-1]))
            assert abs(sigmas.mean()) < 5 / np.sqrt(a.size) and abs(sigmas.var() - 1) < 5 * np.sqrt(2 / a.size), name
        else:
            assert (a == (1 if name.endswith("gamma") else 0)).all(), name
    assert all((a == (1 if name.endswith("var") else 0)).all() for name, a in running.items())


# ---- gradients -----------------------------------------------------------------------------------------------------

def masks(cache):
    """What decides at the kinks: the masks of the ReLUs, the places of the maxima."""
    arch, _, caches = cache
    outs = [caches["relu"]]
    for block in net.block_plan(arch):
        _, c_relus, _, c_relu = caches[block.name]
        outs += [*c_relus, c_relu]
    return [caches["maxpool"][0], *(out > 0 for out in outs)]


def as_pair(arch, x, theta, running):
    """forward and backward of the network as functions of the list of its parameters."""
    def backward(dlogits, cache):
        g = net.backward(dlogits, cache)
        assert g.keys() == theta.keys()
        return [g[name] for name in theta]
    return lambda *arrays: net.forward(dict(zip(theta, arrays)), x, arch, running), backward


@every
def test_the_gradient_to_each_parameter(xp, kind):
    arch = ARCHITECTURES[kind]
    theta, running = moved(drawn(arch), xp)
    forward, backward = as_pair(arch, xp.asarray(images()), theta, running)
    parameters, rng = list(theta.values()), np.random.default_rng(3)
    what = f"ResNet, {kind}"
    measured(what, "complex step", xp, worst_error(forward, backward, parameters, rng, complex_step, 2), 1e-12)
    short = partial(central, eps=1e-6)                          # so as to stay between two of the many kinks
    measured(what, "central differences", xp, worst_error(forward, backward, parameters, rng, short, 1, masks), 1e-6)


@pytest.mark.parametrize("kind, number", [("basic", 0), ("basic", 2), ("bottleneck, frozen", 0),
                                          ("bottleneck", 1), ("bottleneck", 2)])
def test_the_gradient_of_a_block_to_its_input(xp, kind, number):
    arch = ARCHITECTURES[kind]
    theta, running = moved(drawn(arch), xp)
    block = net.block_plan(arch)[number]
    x = xp.asarray(np.random.default_rng(2).standard_normal((2, 5, 6, block.branch[0].C)))

    def backward(dout, cache):
        return net.block_backward(dout, cache, block, arch.frozen, {})

    def forward(x):
        return net.block_forward(theta, running if arch.frozen else None, block, x)

    error = worst_error(forward, backward, [x], np.random.default_rng(3), complex_step, 3)
    measured("ResNet, block", "complex step", xp, error, 1e-12)


@every
def test_float32_is_near_float64_and_stays_float32(xp, kind):
    arch, found = ARCHITECTURES[kind], []
    for dtype in (np.float32, np.float64):
        theta, running = moved(drawn(arch, dtype=dtype), xp)
        z, cache = net.forward(theta, xp.asarray(images(dtype=dtype)), arch, running)
        dlogits = np.random.default_rng(5).standard_normal(z.shape).astype(dtype)
        found.append({"z": z, **net.backward(xp.asarray(dlogits), cache)})
    assert {a.dtype for a in found[0].values()} == {np.dtype(np.float32)}
    measured("ResNet", "float32 against float64", xp, max(distance(found[0][name], found[1][name])
                                                          for name in found[0]), 3e-5)


@every
def test_neither_pass_writes_to_what_it_is_given(xp, kind):
    arch = ARCHITECTURES[kind]
    (theta, running), x = drawn(arch), images()
    given = moved([theta, running, {"x": x}], xp)
    z, cache = net.forward(given[0], given[2]["x"], arch, given[1])
    dlogits = xp.asarray(np.ones(z.shape))
    first, second = ({name: to_host(a) for name, a in net.backward(dlogits, cache).items()} for _ in range(2))
    net.predict(given[0], given[1], given[2]["x"], arch)
    for after, before in [(given[0], theta), (given[1], running), (given[2], {"x": x}), (second, first)]:
        for name in before:
            np.testing.assert_array_equal(to_host(after[name]), before[name])


# ---- statistics and inference --------------------------------------------------------------------------------------

@every
def test_a_frozen_network_computes_in_training_what_it_computes_in_inference(xp, kind):
    arch = ARCHITECTURES[kind]._replace(frozen=True)
    theta, running = moved(drawn(arch), xp)
    x = xp.asarray(images())
    z, cache = net.forward(theta, x, arch, running)
    measured("ResNet in inference", "equals training, frozen", xp, distance(net.predict(theta, running, x, arch), z),
             1e-13)
    assert net.moments(cache) is running


def test_the_statistics_of_a_frozen_network_stay_where_they_are():
    theta, running = drawn(BASIC, dtype=np.float32)
    start = running["bn.mean"].copy()
    _, cache = net.forward(theta, images(dtype=np.float32), BASIC._replace(frozen=True), running)
    kept = start.copy()
    for _ in range(1000):
        update_running(kept, net.moments(cache)["bn.mean"])
    assert np.abs(kept - start).max() < 1e-6 * np.abs(start).max() and (running["bn.mean"] == start).all()


@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
def test_predict_with_the_moments_of_a_batch_is_its_forward_pass(xp, kind, monkeypatch):
    arch = ARCHITECTURES[kind]
    theta, x = moved(drawn(arch)[0], xp), xp.asarray(images())
    z, cache = net.forward(theta, x, arch)
    monkeypatch.setattr(net, "batch_moments", lambda bn_cache: bn_cache[3:])    # biased, as the forward pass uses them
    error = distance(net.predict(theta, net.moments(cache), x, arch), z)
    measured("ResNet in inference", "equals training, same moments", xp, error, 1e-13)


@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
def test_the_moments_are_unbiased_and_named_like_the_running_ones(xp, kind):
    arch = ARCHITECTURES[kind]
    theta, running = moved(drawn(arch), xp)
    _, cache = net.forward(theta, xp.asarray(images()), arch)
    found = net.moments(cache)
    assert {name: a.shape for name, a in found.items()} == {name: a.shape for name, a in running.items()}
    h = naive.conv(images() / net.STD, to_host(theta["conv"]), 2).reshape(-1, arch.widths[0])
    assert distance(found["bn.mean"], h.mean(axis=0)) < 1e-13
    assert distance(found["bn.var"], h.var(axis=0, ddof=1)) < 1e-13


@pytest.mark.parametrize("frozen", [False, True])
def test_epsilon_is_pytorchs(frozen):
    """Of images that are all the same colour the variance is 0, and epsilon all that is left."""
    theta, running = drawn(BASIC)
    running = {name: 0 * a for name, a in running.items()}
    x = np.zeros((2, 5, 5, 3))
    _, (_, _, caches) = net.forward(theta, x, BASIC._replace(frozen=frozen), running)
    assert np.allclose(caches["stem"][1][2], 1 / np.sqrt(1e-5), rtol=1e-12)
    expected = np.maximum(theta["bn.beta"], 0)
    assert np.allclose(caches["relu"], np.broadcast_to(expected, caches["relu"].shape), rtol=1e-12)


def test_predict_takes_images_one_by_one_as_well_as_together(xp):
    (theta, running), x = moved(drawn(BOTTLENECK), xp), xp.asarray(images())
    one_by_one = [to_host(net.predict(theta, running, x[i:i + 1], BOTTLENECK)) for i in range(3)]
    assert distance(net.predict(theta, running, x, BOTTLENECK), np.concatenate(one_by_one)) < 1e-13


def test_inference_takes_the_memory_of_a_few_images(monkeypatch):
    (theta, running), x, peaks = drawn(BASIC), images(64), []
    whole = net.features(theta, running, x, BASIC)
    monkeypatch.setattr(net, "TOGETHER", 5)
    for n in (5, 64):
        tracemalloc.start()
        found = net.features(theta, running, x[:n], BASIC)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert distance(found, whole[:n]) < 1e-13
    assert peaks[1] < 1.1 * peaks[0]
    assert net.predict(theta, running, x[:0], BASIC).shape == (0, 4)


def test_features_are_the_means_before_the_linear_layer(xp):
    (theta, running), x = moved(drawn(BASIC), xp), xp.asarray(images())
    found = net.features(theta, running, x, BASIC)
    assert found.shape == (3, 5)
    assert distance(found @ theta["linear.w"] + theta["linear.b"], net.predict(theta, running, x, BASIC)) < 1e-14


def test_pixels_are_normalised_by_the_mean_and_standard_deviation_of_imagenet(xp):
    pixels = np.random.default_rng(0).integers(256, size=(2, 3, 4, 3)).astype(np.uint8)
    found = net.scaled(net.centred(xp.asarray(pixels), np.float64))
    red, green, blue = (pixels[..., c] / 255 for c in range(3))
    expected = [(red - 0.485) / 0.229, (green - 0.456) / 0.224, (blue - 0.406) / 0.225]
    assert distance(found, np.stack(expected, axis=-1)) < 1e-15
    assert net.centred(xp.asarray(pixels)).dtype == np.float32


# ---- fine-tuning ---------------------------------------------------------------------------------------------------

def test_pretrained_begins_with_its_weights_and_a_fresh_linear_layer(xp):
    theta, running = drawn(BOTTLENECK)
    arch = BOTTLENECK._replace(classes=7, frozen=True)
    start, statistics = Pretrained(theta, running, xp).init(arch, np.random.default_rng(0), np.float32)
    assert start["linear.w"].shape == (12, 7) and start["linear.b"].tolist() == [0] * 7
    assert start["linear.w"].dtype == np.float32 and 0.1 < start["linear.w"].std() < 0.5
    assert list(start) == list(theta) and list(statistics) == list(running)
    for name in start.keys() - {"linear.w", "linear.b"}:
        assert (start[name] == theta[name].astype(np.float32)).all() and start[name] is not theta[name], name
    start["conv"][:] = 0
    statistics["bn.mean"][:] = 0
    assert theta["conv"].any() and running["bn.mean"].any()


def test_pretrained_gives_its_statistics_to_the_forward_pass(xp):
    arch = BASIC._replace(frozen=True)
    theta, running = drawn(BASIC)
    network, x = Pretrained(theta, running, xp), xp.asarray(images())
    z, cache = network.forward(moved(theta, xp), x, arch)
    assert distance(z, net.predict(theta, running, images(), BASIC)) < 1e-12
    assert network.backward(z, cache).keys() == theta.keys()
    other, _ = network.forward(moved(theta, xp), x, arch._replace(frozen=False))
    assert distance(other, z) > 1e-3


def test_the_images_of_a_frozen_network_do_not_depend_on_each_other():
    arch = BASIC._replace(frozen=True)
    theta, running = drawn(arch)
    x, dlogits = images(4), np.random.default_rng(0).standard_normal((4, 4))
    z, cache = net.forward(theta, x, arch, running)
    parts = [net.forward(theta, x[k], arch, running) for k in (slice(0, 1), slice(1, 4), slice(4, 4))]
    assert distance(np.concatenate([part for part, _ in parts]), z) < 1e-13
    g = net.backward(dlogits, cache)
    shares = [net.backward(dlogits[k], c) for k, (_, c) in zip((slice(0, 1), slice(1, 4), slice(4, 4)), parts)]
    assert max(distance(sum(share[name] for share in shares), g[name]) for name in g) < 1e-12


def test_default_architecture_is_resnet50_with_statistics_of_the_batch():
    assert Architecture() == architecture(50) and not architecture(18).frozen
