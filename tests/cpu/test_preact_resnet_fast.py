"""The fast network is the readable one, on any number of ranks."""
import resource
import tracemalloc

import numpy as np
import pytest

from core.parallel.launch import launch
from nets import preact_resnet as plain
from nets.preact_resnet import Architecture
from nets.preact_resnet_fast import FastNet

CASES = {                                          # architecture, images, H, W
    "the paper's widths": (Architecture(blocks=(2, 1, 1)), 2, 8, 8),
    "odd sizes": (Architecture(widths=(4, 6, 8), blocks=(1, 2, 1)), 5, 9, 7),
    "two stages": (Architecture(classes=7, widths=(3, 5), blocks=(1, 2), channels=2), 6, 14, 10),
    "one stage, one image": (Architecture(classes=3, widths=(16,), blocks=(1,), channels=1), 1, 8, 8),
    "several blocks and a rest": (Architecture(widths=(16, 8), blocks=(1, 1)), 9, 32, 32),
}


def problem(arch, N, H, W, dtype=np.float64, seed=0):
    """theta and running, all away from their initial values; x and dlogits."""
    rng = np.random.default_rng(seed)
    theta, running = plain.init(arch, rng, dtype)
    theta = {name: w + (0.1 * rng.standard_normal(w.shape)).astype(dtype) for name, w in theta.items()}
    running = {name: v + (0.1 * rng.random(v.shape)).astype(dtype) for name, v in running.items()}
    x = rng.standard_normal((N, H, W, arch.channels)).astype(dtype)
    return theta, running, x, (rng.standard_normal((N, arch.classes)) / N).astype(dtype)


def everything(net, arch, theta, running, x, dlogits):
    """All that a network computes, as one dictionary."""
    found = {"predict": net.predict(theta, running, x, arch)}
    found["logits"], cache = net.forward(theta, x, arch)
    found |= net.moments(cache)
    return found | {f"d {name}": dw for name, dw in net.backward(dlogits, cache).items()}


def errors(found, expected):
    assert found.keys() == expected.keys()
    assert all(found[k].shape == v.shape and found[k].dtype == v.dtype for k, v in expected.items())
    return {k: np.abs(found[k] - v).max() / np.abs(v).max() for k, v in expected.items()}


@pytest.mark.parametrize("case", CASES)
def test_equals_the_readable_network_in_float64(case):
    arch, *shape = CASES[case]
    given = problem(arch, *shape)
    assert max(errors(everything(FastNet(), arch, *given), everything(plain, arch, *given)).values()) < 1e-10


def test_float32_is_as_near_to_float64_as_the_readable_network():
    arch, *shape = CASES["two stages"]
    given = problem(arch, *shape, dtype=np.float32)
    exact = everything(plain, arch, *({k: v.astype(float) for k, v in a.items()}
                                      if isinstance(a, dict) else a.astype(float)
                                      for a in given))
    exact = {k: v.astype(np.float32) for k, v in exact.items()}
    assert max(errors(everything(FastNet(), arch, *given), exact).values()) < 1e-5


def test_batches_of_changing_size_share_one_workspace():
    arch, _, H, W = CASES["several blocks and a rest"]
    net = FastNet()
    for N in (9, 1, 10, 9):
        given = problem(arch, N, H, W, seed=N)
        assert max(errors(everything(net, arch, *given), everything(plain, arch, *given)).values()) < 1e-10


def test_images_of_changing_size_share_one_workspace():
    arch, N, _, _ = CASES["two stages"]
    net = FastNet()
    for H, W in ((8, 8), (7, 6), (8, 8)):                              # the tiles of all three cover 8 x 8 pixels
        given = problem(arch, N, H, W)
        assert max(errors(everything(net, arch, *given), everything(plain, arch, *given)).values()) < 1e-10


def test_the_steady_state_makes_no_new_workspace():
    arch, N, H, W = CASES["several blocks and a rest"]
    net, given = FastNet(), problem(arch, N, H, W)
    first = everything(net, arch, *given)
    arrays = {key: id(array) for space in net.spaces.values() for key, array in space.arrays.items()}
    again = everything(net, arch, *given)
    assert arrays == {key: id(array) for space in net.spaces.values() for key, array in space.arrays.items()}
    assert all(np.array_equal(first[k], again[k]) for k in first)


def test_the_steady_state_allocates_nothing_of_an_activations_size_and_faults_no_page():
    arch, N = Architecture(widths=(16, 16), blocks=(1, 1)), 64
    theta, _, x, dlogits = problem(arch, N, 16, 16, np.float32)
    net = FastNet()

    def step():
        _, cache = net.forward(theta, x, arch)
        net.backward(dlogits, cache)

    step()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < N * 16 * 16 * 16 * 4 / 2                    # half an activation
    faults = []
    for _ in range(3):
        faults.append(-resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
        step()
        faults[-1] += resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    assert min(faults) < 10


def split(comm, x):
    """This rank's part: rank 0 has one image more than its share, so that the parts differ."""
    bounds = [0, *(k * len(x) // comm.size + 1 for k in range(1, comm.size)), len(x)]
    return x[bounds[comm.rank]:bounds[comm.rank + 1]]


def on_ranks(size, arch, theta, running, x, dlogits):
    """`everything` on several ranks, put together."""
    def main(comm):
        found = everything(FastNet(comm), arch, theta, running, split(comm, x), split(comm, dlogits))
        for name in found:
            if name in ("predict", "logits"):
                whole = np.zeros((len(x), arch.classes), x.dtype)
                split(comm, whole)[...] = found[name]
                found[name] = whole
            if name in ("predict", "logits") or name.startswith("d "):
                comm.allreduce(found[name])
        return found

    return launch(main, size)


@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.thorough), 3])
@pytest.mark.parametrize("case", CASES)
def test_ranks_equal_one_rank(case, size):
    arch, *shape = CASES[case]
    given = problem(arch, *shape)
    alone = everything(FastNet(), arch, *given)
    assert max(errors(on_ranks(size, arch, *given), alone).values()) < 1e-10


def test_two_ranks_give_the_same_bits_again():
    arch, *shape = CASES["several blocks and a rest"]
    given = problem(arch, *shape, dtype=np.float32)
    first, again = on_ranks(2, arch, *given), on_ranks(2, arch, *given)
    assert all(np.array_equal(first[k], again[k]) for k in first)
