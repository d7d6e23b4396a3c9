"""What the CPU benchmarks compute and count is what they say; how long it takes is not tested."""
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from benchmarks import peers
from benchmarks.cpu import summary
from benchmarks.flops import direct_flops, product_flops
from benchmarks.growth import fitted, slope
from benchmarks.lesson import problem, table
from benchmarks.operations import CLOCKS, REST, WAIT
from benchmarks.peers import FAST, PEAK, PEERS, READABLE, installed_peers, is_half, numpy_steps, steps_of
from benchmarks.stages import as_images, loops, stages
from core.layers import conv_forward
from core.parallel.ranks import Serial
from nets import preact_resnet
from nets.preact_resnet import Architecture
from nets.preact_resnet_fast import FastNet

ARCH = Architecture(widths=(4, 6), blocks=(1, 2))


def test_flops_are_those_of_the_convolutions_one_by_one():
    first = 2 * 2 * 9 * 3 * 4 * 8 * 8                                  # no gradient of the images
    stage1 = 3 * 2 * 8 * 8 * (4 * 4 * (9 + 1) + 4 * 4 * 9)
    stage2 = 3 * 2 * 4 * 4 * (4 * 6 * (9 + 1) + 6 * 6 * 9 * 3)
    assert direct_flops(ARCH, 8, 5) == 5 * (first + stage1 + stage2 + 3 * 2 * 6 * 10)


def test_products_are_a_quarter_at_stride_1_and_25_of_36_at_stride_2():
    first, linear = 2 * 2 * 9 * 3 * 4 * 8 * 8, 3 * 2 * 6 * 10
    stage1 = 3 * 2 * 8 * 8 * (4 * 4 * (9 / 4 + 1) + 4 * 4 * 9 / 4)
    stage2 = 3 * 2 * 4 * 4 * (4 * 6 * (9 * 25 / 36 + 1) + 6 * 6 * 9 / 4 * 3)
    assert product_flops(ARCH, 8, 1) == first + stage1 + stage2 + linear


@pytest.mark.parametrize("name", [name for name in stages() if "whole" not in name])
def test_the_stages_of_the_lesson_are_one_convolution(name):
    x, w = problem(8, 8)
    y = conv_forward(x.astype(float), w.astype(float))[0]
    run = stages()[name](x, w)
    for _ in range(2):                                                 # the second time on memory that is in use
        assert np.abs(as_images(run()) - y).max() < 1e-5 * np.abs(y).max()


def test_the_loops_are_the_convolution():
    x, w = problem(2, 3)
    x, w = x[..., :2].astype(float), w[:, :, :2, :3].astype(float)
    assert np.allclose(loops(x, w)(), conv_forward(x, w)[0], rtol=0, atol=1e-12)


def test_fast_and_readable_contestants_take_the_same_steps():
    steps = [numpy_steps(net, Serial(), ARCH, 8, 6, np.float64) for net in (FastNet(), preact_resnet)]
    for _ in range(3):
        (loss, gradient), (plain_loss, plain_gradient) = (step() for step in steps)
        assert abs(loss - plain_loss) < 1e-10 and np.abs(gradient - plain_gradient).max() < 1e-10


@pytest.mark.thorough
@pytest.mark.parametrize("kind", [kind for kind in PEERS if "compile" not in kind])
def test_peers_take_the_same_steps_as_the_readable_path(kind):
    """Those that are compiled are the same functions, and compiling takes a minute."""
    if kind not in installed_peers():
        pytest.skip("not installed")
    if kind == "JAX jit":                          # where JAX has been, no process may be forked: other tests do that
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            process.submit(check_steps, kind).result()
    else:
        check_steps(kind)


def check_steps(kind):
    """Two steps, of which the second has the weights that the first one made."""
    dtype, bound = (np.float32, 0.1) if is_half(kind) else (np.float64, 1e-10)
    arch = Architecture(widths=(4, 6), blocks=(1, 1))
    steps = [steps_of(name, Serial(), arch, 8, 6, dtype) for name in (kind, READABLE)]
    for _ in range(2):
        (loss, gradient), (plain_loss, plain_gradient) = (step() for step in steps)
        assert abs(loss - plain_loss) < bound * abs(plain_loss)
        assert np.linalg.norm(gradient - plain_gradient) < bound * np.linalg.norm(plain_gradient)


def test_peers_are_those_that_are_installed(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda library: library == "torch")
    monkeypatch.setattr(peers.shutil, "which", lambda compiler: compiler == "c++")
    assert installed_peers() == [kind for kind in PEERS if kind != "JAX jit"]
    monkeypatch.setattr(peers.shutil, "which", lambda compiler: None)
    assert installed_peers() == ["PyTorch default", "PyTorch channels_last", "PyTorch bfloat16"]


def test_the_peak_is_a_contestant_too():
    assert steps_of(PEAK, Serial(), ARCH, 8, 6, np.float32)() == (0, None)


def test_a_fit_finds_the_polynomial_and_what_is_off_it():
    n = np.array([1, 2, 4, 8])
    coefficients, off = fitted(n, 3 + 2 * n + 0.5 * n**2, 2)
    assert np.allclose(coefficients, [3, 2, 0.5]) and off < 1e-9
    assert fitted(n, [5, 7, 11, 30], 1)[1] > 0.1
    assert abs(slope(n, 7 * n**1.5) - 1.5) < 1e-9


def test_the_table_of_the_lesson_has_a_row_for_every_stage():
    seconds = {name: 0.01 for name in stages()}
    lines = table({"convolution": seconds, "P": {"F(4x4), blocks": 1.5}, "S16": {"F(4x4), blocks": 0.02}})
    assert "| F(4x4), blocks | 10.0 | 242 | 1500 | 20.0 |" in lines
    assert all(any(line.startswith(f"| {name} |") for line in lines) for name in seconds)


def test_the_summary_has_the_median_of_the_ratios_of_every_net():
    seconds = {FAST: [0.1, 0.2, 0.1], "JAX jit": [0.2, 0.3, 0.4], PEAK: [1, 1, 1]}
    assert summary({"P": seconds})[2] == "| P | 100.0 ms | 2.00 |"
    assert summary({"P": seconds})[0].endswith("| fast path | JAX jit |")


def test_every_function_with_a_clock_exists_and_has_one_clock():
    places = [place for places in CLOCKS.values() for place in places]
    assert len(places) == len(set(places)) and all(callable(getattr(*place)) for place in places)
    assert {REST, WAIT}.isdisjoint(CLOCKS)
