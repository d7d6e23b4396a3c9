"""The network on the kernels is the readable one: exactly in its logic, within rounding in its results."""
from types import SimpleNamespace

import numpy as np
import pytest

from core.batches import Images
from core.errors import InputError
from core.kernels import convolution
from core.kernels.variant import variant
from core.layers import conv_backward, conv_forward
from core.recipes import RECIPES
from nets import preact_resnet as plain
from nets import preact_resnet_gpu
from nets.preact_resnet import Architecture
from nets.preact_resnet_gpu import GpuNet, net_for
from tests.cpu.test_preact_resnet_fast import errors, everything, problem
from tests.gpu.test_kernels_conv import rounded
from tests.lib.arrays import using
from tests.lib.emulator import COMPILER, Emulator, devices
from tests.lib.paper_launches import SHARED, launches

CASES = {                                          # architecture, images, H, W
    "two stages, odd": (Architecture(classes=7, widths=(16, 32), blocks=(2, 1)), 3, 9, 10),
    "the paper's widths": (Architecture(blocks=(1, 1, 1)), 2, 8, 8),
    "more layers of a shape than one launch takes": (Architecture(classes=3, widths=(16,), blocks=(4,)), 2, 5, 8),
    "one image, one channel": (Architecture(classes=3, widths=(32,), blocks=(1,), channels=1), 1, 5, 26),
}
emulated = pytest.mark.skipif(COMPILER is None, reason="no g++ that could compile the kernels")


def as_float32(arrays):
    """Everything of a problem in float32."""
    return [{name: a.astype(np.float32) for name, a in x.items()} if isinstance(x, dict) else x.astype(np.float32)
            for x in arrays]


def on_kernels(xp, net, arch, given):
    """`everything` on the device xp, as float64 on the host."""
    moved = [{name: xp.asarray(a) for name, a in x.items()} if isinstance(x, dict) else xp.asarray(x)
             for x in as_float32(given)]
    with using(xp):
        return {name: xp.asnumpy(a).astype(float) for name, a in everything(net, arch, *moved).items()}


@emulated
@pytest.mark.parametrize("case", [case for case in CASES if case != "the paper's widths"])    # the next test has them
def test_without_rounding_of_operands_it_equals_the_readable_network(case):
    arch, *shape = CASES[case]
    given, xp = problem(arch, *shape), Emulator(exact=True)
    found = on_kernels(xp, GpuNet(xp, "float"), arch, given)
    assert max(errors(found, everything(plain, arch, *given)).values()) < 5e-6
    xp.check_guards()


@emulated
@pytest.mark.parametrize("shared", [pytest.param(SHARED[0], marks=pytest.mark.thorough), *SHARED[1:]])
def test_the_very_kernels_of_the_paper_s_network_equal_it_too(monkeypatch, shared):
    monkeypatch.setattr(convolution, "ADDED_UP", 1024)      # as few as for a large batch
    arch = Architecture(blocks=(1, 1, 1))                   # more blocks and images are more of the same launches
    given, xp = problem(arch, 2, 32, 32), Emulator(exact=True, shared=shared)
    net = GpuNet(xp, "float")
    found = on_kernels(xp, net, arch, given)
    assert max(errors(found, everything(plain, arch, *given)).values()) < 5e-6
    xp.check_guards()
    left = {launch.name for launch in launches("float", shared)} - net.kernels.keys()
    assert left == {"gather<float>", "objective", "sgd<float>", "advance"}    # those of tests/gpu/test_kernels_step.py


@emulated
@pytest.mark.parametrize("letters", ["-", "b", "rpcs", "sh"])
def test_in_every_variant_it_equals_the_readable_network(letters):
    arch, xp = Architecture(classes=3, widths=(16, 32), blocks=(2, 1)), Emulator(exact=True, capability=90)
    given, net = problem(arch, 8, 9, 10), GpuNet(xp, "float", variant(letters))
    found = on_kernels(xp, net, arch, given)
    assert max(errors(found, everything(plain, arch, *given)).values()) < 5e-6
    assert any(name.endswith(", 4, 1, 8>") for name in net.kernels) == ("s" in letters)
    xp.check_guards()


@emulated
def test_the_order_of_threads_and_blocks_changes_no_bit():
    arch, *shape = CASES["two stages, odd"]
    given, xp, found = problem(arch, *shape), Emulator(exact=True), []
    net = GpuNet(xp, "float")
    for xp.order in range(4):
        found.append(on_kernels(xp, net, arch, given))
    assert all(np.array_equal(other[name], a) for other in found[1:] for name, a in found[0].items())


@pytest.fixture
def rounding(monkeypatch):
    """The readable network with the operands of its convolutions rounded to TF32."""
    def tf32(x):
        return rounded(x.astype(np.float32), "float")

    def backward(dout, cache):
        return conv_backward(tf32(dout), cache)
    monkeypatch.setattr(plain, "conv_forward", lambda x, w, stride=1: conv_forward(tf32(x), tf32(w), stride))
    monkeypatch.setattr(plain, "conv_backward", backward)


def norm_error(found, expected):
    """The largest error of an array, in units of its norm."""
    return max(np.linalg.norm(found[name] - a) / np.linalg.norm(a) for name, a in expected.items())


@pytest.mark.parametrize("xp", devices())
@pytest.mark.parametrize("case", CASES)
def test_in_tf32_it_is_the_readable_network_with_rounded_operands(xp, case, rounding):
    arch, *shape = CASES[case]
    given = problem(arch, *shape)
    found = on_kernels(xp, GpuNet(xp, "float"), arch, given)
    assert norm_error(found, everything(plain, arch, *given)) < 2e-3    # some numbers on an edge round the other way


@pytest.mark.parametrize("xp", devices())
@pytest.mark.parametrize("case", CASES)
def test_stored_in_16_bits_it_stays_near_the_readable_network(xp, case):
    arch, *shape = CASES[case]
    given = problem(arch, *shape)
    found, expected = on_kernels(xp, GpuNet(xp, "half"), arch, given), everything(plain, arch, *given)
    for name in ("logits", "predict"):
        assert np.linalg.norm(found[name] - expected[name]) < 3e-3 * np.linalg.norm(expected[name])
    names = [name for name in expected if name.startswith("d ")]
    g, exact = (np.concatenate([arrays[name].ravel() for name in names]) for arrays in (found, expected))
    # where a ReLU's argument is near 0, its gradient jumps
    assert np.linalg.norm(g - exact) < 0.2 * np.linalg.norm(exact)


@pytest.mark.parametrize("xp", devices())                            # on a GPU single instructions keep NaN, or do not
@pytest.mark.parametrize("number", ["half", "float"])
def test_what_is_not_finite_does_not_vanish(xp, number):
    arch, *shape = CASES["one image, one channel"]
    theta, running, x, dlogits = problem(arch, *shape)
    x[0, 2, 3, 0] = np.nan
    with np.errstate(invalid="ignore"):
        found = on_kernels(xp, GpuNet(xp, number), arch, (theta, running, x, dlogits))
    convolutions = [found[f"d {name}"] for name, w in theta.items() if w.ndim == 4]
    assert all(np.isnan(dw).any() for dw in convolutions)
    assert np.isnan(found["logits"]).all() and np.isnan(found["predict"]).all()


@emulated
def test_predictions_need_only_the_memory_of_a_few_blocks():
    arch, xp = Architecture(widths=(16,), blocks=(4,)), Emulator()
    network = GpuNet(xp).network(arch, (1, 8, 8, 3), inference=True)
    assert sorted(name for name, _ in network.activations) == ["conv", "conv1", "conv2", "projection"]


def test_other_networks_are_left_to_the_readable_one(monkeypatch):
    said = []
    for arch in (Architecture(widths=(16, 24)), Architecture(channels=17),
                 Architecture(widths=(128, 128), blocks=(1, 1))):
        assert net_for(Emulator(), arch, said.append) is None
        with pytest.raises(InputError, match="they are made for widths"):
            GpuNet(Emulator()).network(arch, (1, 8, 8, arch.channels), inference=False)
    for capability, used in ((75, False), (79, False), (80, True), (90, True), (120, True)):
        xp = Emulator()
        monkeypatch.setattr(xp.cuda, "Device", lambda: SimpleNamespace(compute_capability=f"{capability}"))
        net = net_for(xp, Architecture(), said.append, "float" if capability > 90 else "half")
        assert isinstance(net, GpuNet) == used
    assert net_for(Emulator(), Architecture(), said.append).number == "half"
    assert net_for(Emulator(), Architecture(), said.append, "float").number == "float"
    assert [text[:17] for text in said] == ["kernels  not used"] * 5 and "8.0, this GPU has 7.5" in said[3]


def test_a_graph_is_made_anew_for_everything_that_it_holds(monkeypatch):
    """Its addresses are of these images, its numbers of that recipe."""
    net = GpuNet(Emulator(), "half")
    monkeypatch.setattr(net, "network", lambda *key: key)
    monkeypatch.setattr(preact_resnet_gpu, "StepGraph", lambda *given: list(given))
    arch, recipe = Architecture(classes=3, widths=(16,), blocks=(1,)), RECIPES["digits"]._replace(batch=8)
    images = Images(np.zeros((20, 8, 9, 3), np.uint8), np.zeros((8, 9, 3), np.float32), 1, True)
    first = arch, images, 20, recipe
    others = [(arch._replace(widths=(32,)), images, 20, recipe), (arch, images, 19, recipe), (arch, images, 7, recipe),
              *((arch, images._replace(**new), 20, recipe) for new in (
                  {"pixels": images.pixels.copy()}, {"mean": images.mean.copy()}, {"pad": 2}, {"flip": False})),
              *((arch, images, 20, recipe._replace(**new)) for new in ({"batch": 9}, {"momentum": .5}, {"decay": .5}))]
    for other in others:
        made = [net.step_for(*asked) for asked in (first, first, other, other)]
        assert made[0] is made[1] and made[2] is made[3] and made[0] is not made[2], other
        for (key, *given), (arch_, images_, N, recipe_) in zip(made[::2], (first, other)):
            assert given == [images_, N, recipe_, net.say] and key == (arch_, (min(recipe_.batch, N), 8, 9, 3), False)
    assert net.step_for(arch, images, 20, recipe._replace(epochs=99, lr=1.)) is net.step_for(*first)


@emulated
def test_a_network_is_kept_for_its_shape_and_its_results_outlive_the_next_batch():
    net, (arch, *shape) = GpuNet(Emulator(), "float"), CASES["one image, one channel"]
    theta, running, x, _ = as_float32(problem(arch, *shape))
    for run in (lambda x: net.forward(theta, x, arch)[0], lambda x: net.predict(theta, running, x, arch)):
        found = run(x)
        before = found.copy()
        other = run(2 * x)
        assert np.array_equal(found, before) and not np.array_equal(found, other)
    made = [net.network(arch, x.shape, inference) for inference in (False, True)]
    assert made[0] is not made[1] and [network.inference for network in made] == [False, True]
    assert [net.network(arch, [*x.shape], inference) for inference in (False, True)] == made and len(net.networks) == 2
