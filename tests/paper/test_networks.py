"""Every network keeps the contract of nets/__init__.py."""
import numpy as np
import pytest

from nets import preact_resnet, resnet
from nets.preact_resnet import Architecture
from nets.preact_resnet_fast import FastNet
from nets.preact_resnet_gpu import GpuNet
from nets.resnet_fast_training import FastPretrained
from tests.lib.emulator import COMPILER, Emulator

PREACT = Architecture(classes=3, widths=(16, 32), blocks=(1, 1))
BASIC = resnet.Architecture(classes=3, widths=(8, 16), blocks=(1, 1), bottleneck=False)
FROZEN = resnet.Architecture(classes=3, widths=(4, 8), blocks=(1, 1), frozen=True)
FAMILIES = {                           # name: (network, architecture, shape of an image); called in tests: may need g++
    "readable": lambda: (preact_resnet, PREACT, (8, 8, 3)),
    "fast": lambda: (FastNet(), PREACT, (8, 8, 3)),
    "ResNet": lambda: (resnet, BASIC, (16, 16, 3)),
    "ResNet, frozen": lambda: (resnet.Pretrained(*resnet.init(FROZEN, np.random.default_rng(1))), FROZEN, (16, 16, 3)),
    "ResNet, frozen, fast": lambda: (FastPretrained(*resnet.init(FROZEN, np.random.default_rng(1))), FROZEN,
                                     (16, 16, 3)),
    "kernels": lambda: (GpuNet(Emulator(), "float"), PREACT, (8, 8, 3)),
}


@pytest.fixture(params=FAMILIES, scope="module")
def family(request):
    if request.param == "kernels" and COMPILER is None:
        pytest.skip("no g++ to emulate the kernels")
    return FAMILIES[request.param]()


def drawn(family, N=6):
    net, arch, shape = family
    rng = np.random.default_rng(0)
    theta, running = net.init(arch, rng)
    return (theta, running, rng.standard_normal((N, *shape)).astype(np.float32),
            rng.standard_normal((N, 3)).astype(np.float32))


def frozen(*values):
    """The arrays, as ones that nobody can write to."""
    for value in values:
        for array in value.values() if isinstance(value, dict) else [value]:
            array.flags.writeable = False
    return values


def test_fresh_arrays_are_named_float32_and_drawn_by_the_generator(family):
    net, arch, _ = family
    (theta, running), (again, _), (other, _) = (net.init(arch, np.random.default_rng(seed)) for seed in (0, 0, 1))
    for name, array in {**theta, **running}.items():
        assert isinstance(name, str) and array.dtype == np.float32, name
    assert all(np.array_equal(theta[name], again[name]) for name in theta)
    assert any(not np.array_equal(theta[name], other[name]) for name in theta)
    assert theta.keys().isdisjoint(running.keys())


def test_a_training_pass_gives_logits_gradients_and_moments_under_the_names_of_init(family):
    net, arch, _ = family
    theta, running, x, dlogits = frozen(*drawn(family))
    logits, cache = net.forward(theta, x, arch)
    assert logits.shape == (6, 3) and logits.dtype == np.float32
    logits = np.array(logits)
    gradient, moments = net.backward(dlogits, cache), net.moments(cache)
    assert gradient.keys() == theta.keys() and moments.keys() == running.keys()
    assert all(gradient[name].shape == theta[name].shape for name in theta)
    assert all(moments[name].shape == running[name].shape for name in running)
    assert np.array_equal(net.forward(theta, x, arch)[0], logits)         # nothing is left from the first time


def test_inference_looks_at_each_image_alone(family):
    net, arch, _ = family
    theta, running, x, _ = frozen(*drawn(family))
    together = np.array(net.predict(theta, running, x, arch))
    alone = np.concatenate([np.array(net.predict(theta, running, x[k:k + 1], arch)) for k in range(len(x))])
    assert together.shape == (6, 3) and np.abs(together - alone).max() < 1e-4 * np.abs(together).max()
