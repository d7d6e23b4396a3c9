"""The network: its table, its initial values, and inference."""
import numpy as np

from core.backend import to_host
from nets import preact_resnet as net
from nets.preact_resnet import Architecture
from tests.lib.arrays import distance, moved
from tests.lib.evidence import measured
from tests.lib.small_net import SMALL, drawn, images

FULL = Architecture()

# ---- its table -----------------------------------------------------------------------------------------------------

def test_the_full_network_has_1861162_parameters():
    theta, running = net.init(FULL, np.random.default_rng(0))
    assert sum(a.size for a in theta.values()) == 1_861_162
    assert sum("conv" in name for name in theta) + 1 == 32 and sum("projection" in name for name in theta) == 3
    assert {name.rsplit(".", 1)[0] for name in running} == {name.rsplit(".", 1)[0] for name in theta
                                                            if name.endswith("gamma")}


def test_the_shapes_are_those_of_the_table(xp):
    theta, _ = net.init(FULL, np.random.default_rng(0))
    logits, (_, caches) = net.forward(moved(theta, xp), xp.asarray(images(FULL, 2, 32, 32, dtype=np.float32)), FULL)
    sizes = {"stage1": (32, 32, 32), "stage2": (16, 16, 64), "stage3": (8, 8, 128)}
    plan = net.block_plan(FULL)
    assert [name for name, *_ in plan] == [f"stage{s}.block{b}" for s in (1, 2, 3) for b in range(5)]
    assert [name for name, *_, projecting in plan if projecting] == ["stage1.block0", "stage2.block0", "stage3.block0"]
    for name, *_ in plan:
        *_, c_conv2, c_projection = caches[name]
        assert c_conv2[0].shape == (2, *sizes[name[:6]]) and (c_projection is not None) == name.endswith("block0")
    assert caches["mean"] == (2, 8, 8, 128) and logits.shape == (2, 10) and logits.dtype == np.float32


def test_the_parameters_have_their_names_and_shapes():
    theta, running = net.init(Architecture(classes=4, widths=(3, 5), blocks=(1, 2), channels=2),
                              np.random.default_rng(0))
    assert {name: a.shape for name, a in theta.items()} == {
        "conv": (3, 3, 2, 3),
        "stage1.block0.bn1.gamma": (3,), "stage1.block0.bn1.beta": (3,), "stage1.block0.conv1": (3, 3, 3, 3),
        "stage1.block0.bn2.gamma": (3,), "stage1.block0.bn2.beta": (3,), "stage1.block0.conv2": (3, 3, 3, 3),
        "stage1.block0.projection": (1, 1, 3, 3),
        "stage2.block0.bn1.gamma": (3,), "stage2.block0.bn1.beta": (3,), "stage2.block0.conv1": (3, 3, 3, 5),
        "stage2.block0.bn2.gamma": (5,), "stage2.block0.bn2.beta": (5,), "stage2.block0.conv2": (3, 3, 5, 5),
        "stage2.block0.projection": (1, 1, 3, 5),
        "stage2.block1.bn1.gamma": (5,), "stage2.block1.bn1.beta": (5,), "stage2.block1.conv1": (3, 3, 5, 5),
        "stage2.block1.bn2.gamma": (5,), "stage2.block1.bn2.beta": (5,), "stage2.block1.conv2": (3, 3, 5, 5),
        "bn.gamma": (5,), "bn.beta": (5,), "linear.w": (5, 4), "linear.b": (4,)}
    assert running["stage2.block0.bn1.mean"].shape == (3,) and running["stage2.block0.bn2.var"].shape == (5,)


# ---- initial values ------------------------------------------------------------------------------------------------

def test_init_draws_he_normal_convolutions_and_a_linear_layer_of_variance_one_over_fan_in():
    theta, running = net.init(FULL, np.random.default_rng(0))
    for name, a in theta.items():
        if a.ndim > 1:
            fan_in, gain = a.size // a.shape[-1], 1 if name == "linear.w" else 2
            sigmas = a.astype(float) / np.sqrt(gain / fan_in)            # standard normal, within five standard errors:
            assert abs(sigmas.mean()) < 5 / np.sqrt(a.size) and abs(sigmas.var() - 1) < 5 * np.sqrt(2 / a.size), name
        else:
            assert (a == (1 if name.endswith("gamma") else 0)).all(), name
    assert all((a == (1 if name.endswith("var") else 0)).all() for name, a in running.items())


def test_init_is_the_generator_s_and_in_the_precision_asked_for():
    for dtype in (np.float32, np.float64):
        (theta, running), (again, _) = (net.init(SMALL, np.random.default_rng(7), dtype) for _ in range(2))
        assert {a.dtype for a in [*theta.values(), *running.values()]} == {np.dtype(dtype)}
        assert all((theta[name] == again[name]).all() for name in theta)
    other, _ = net.init(SMALL, np.random.default_rng(8))
    assert (other["conv"] != theta["conv"]).all()
    assert (theta["stage1.block0.conv1"] != theta["stage1.block0.conv2"]).all()


# ---- inference -----------------------------------------------------------------------------------------------------

def test_predict_with_the_moments_of_a_batch_is_its_forward_pass(xp, monkeypatch):
    theta, x = moved(drawn(SMALL)[0], xp), xp.asarray(images(SMALL))
    z, cache = net.forward(theta, x, SMALL)
    monkeypatch.setattr(net, "batch_moments", lambda bn_cache: bn_cache[3:])    # biased, as the forward pass uses them
    error = distance(net.predict(theta, net.moments(cache), x, SMALL), z)
    measured("net in inference", "equals training, same moments", xp, error, 1e-13)


def test_the_moments_for_inference_are_unbiased_and_named_like_the_running_ones(xp):
    theta, running = moved(drawn(SMALL), xp)
    _, cache = net.forward(theta, xp.asarray(images(SMALL)), SMALL)
    found, x = net.moments(cache), to_host(cache[1]["conv"][0])
    assert {name: a.shape for name, a in found.items()} == {name: a.shape for name, a in running.items()}
    h = to_host(net.conv_forward(xp.asarray(x), theta["conv"])[0]).reshape(-1, 3)    # what the first normalisation sees
    assert distance(found["stage1.block0.bn1.mean"], h.mean(axis=0)) < 1e-13
    assert distance(found["stage1.block0.bn1.var"], h.var(axis=0, ddof=1)) < 1e-13


def test_predict_takes_images_one_by_one_as_well_as_together(xp):
    (theta, running), x = moved(drawn(SMALL), xp), xp.asarray(images(SMALL))
    one_by_one = [to_host(net.predict(theta, running, x[i:i + 1], SMALL)) for i in range(3)]
    assert distance(net.predict(theta, running, x, SMALL), np.concatenate(one_by_one)) < 1e-13
