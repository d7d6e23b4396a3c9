"""benchmarks/gpu_kernels.py: its rows are the launches of a step, its FLOP and bytes those counted by hand;
times are not tested."""
from functools import cache
from math import ceil
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock, Timeout

from benchmarks import gpu_kernels
from benchmarks.flops import direct_flops
from benchmarks.gpu import PAPER
from benchmarks.gpu_kernels import copied, imagined, measured, median_seconds, of_variant, rows_of
from benchmarks.gpu_kernels_page import page
from benchmarks.gpu_peers import Kernels
from benchmarks.gpu_predicted import CACHE, CACHE_RATE, COPY, GAP, MEMORY, nearest, of_quarter
from core import backend
from core.errors import InputError
from core.kernels.step import SECTIONS
from core.kernels.variant import variant
from nets.preact_resnet import Architecture, init
from tests.lib import emulator
from tests.lib.emulated_streams import Event
from tests.project.test_gpu_benchmark import TINY

NUMBERS = ("half", "float")
X = 128 * 32 * 32 * 32                 # numbers of an activation of the first stage


@cache
def program(number):
    return imagined(PAPER, number)


@cache
def rows(number):
    return rows_of(program(number), number, 128)


def one(name, layers=1):
    """(the only launch whose name begins so, of so many layers, its work), in 16 bits."""
    (launches, work, *_), = [row for row in rows("half") if row.launches[0].name.startswith(name) and
                             (*row.launches[0].grid, 1, 1)[2] == layers]
    return *launches, work


@pytest.mark.parametrize("number", NUMBERS)
def test_every_launch_of_a_step_is_in_one_row_and_every_row_in_the_page(number):
    launches = [id(launch) for section in SECTIONS for launch in program(number).sections[section]]
    assert sorted(id(launch) for row in rows(number) for launch in row.launches) == sorted(launches)
    text = page("command", PAPER, {number: (rows(number), None)})
    lines = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    assert len(lines) == len(rows(number)) and sum(int(line[3]) for line in lines) == len(launches)
    assert "nothing on this page has been measured" in text and "of the prediction" not in text


@pytest.mark.parametrize("number", NUMBERS)
def test_arithmetic_is_that_of_the_definition_without_the_head_and_with_the_images_filled_up_to_16_channels(number):
    head, filled = 128 * 3 * 2 * 128 * 10, 128 * 2 * 2 * 9 * (16 - 3) * 32 * 32**2
    assert sum(len(row.launches) * row.work.flop
               for row in rows(number)) == direct_flops(Architecture(), 32, 128) - head + filled
    zeros = sum(len(row.launches) * (row.work.products - row.work.flop) for row in rows(number))
    # their gradients meet three zeros for each number
    strided = 128 * 2 * (9 + 1) * (16**2 * 32 * 64 + 8**2 * 64 * 128)
    assert zeros == 3 * strided


def test_bytes_and_time_of_a_convolution_with_a_residual_are_those_counted_by_hand():
    second = program("half").sections["forward"][3]                     # the second convolution of the first block
    row, = [row for row in rows("half") if any(launch is second for launch in row.launches)]
    work, blocks = row.work, second.grid[0]                             # one for each tile
    sums, w, affine, norm, moments = blocks * 2 * 32 * 4, 9 * 32 * 32 * 2, 2 * 32 * 4, 4 * 32 * 4, 2 * 32 * 4
    assert work.flop == work.products == 2 * 9 * 32 * X
    assert work.read == 2 * X + sums + affine + w + 2 * X and work.written == norm + moments + 2 * X + sums
    assert work.again == (blocks - 1) * sums                            # all blocks add up the same sums
    assert blocks == 256                                               # 124 multiprocessors have two blocks, 8 have one
    waits = ceil((work.read + work.again) / (256 * second.block * 144)) * MEMORY + CACHE
    products = work.flop / 490e12 * (2 * 132 / 256)
    for gpu, copy in COPY.items():
        expected = GAP + waits + work.read / copy + work.again / CACHE_RATE + products + work.written / copy
        assert row.predicted[gpu] == pytest.approx(expected, rel=1e-12)


def test_bytes_of_what_takes_its_batch_alone_or_many_layers_or_reads_what_it_writes_are_those_counted_by_hand():
    (_, gather), (_, objective), (launch, sgd) = one("gather"), one("objective"), one("sgd")
    theta = sum(w.size for w in init(Architecture(), np.random.default_rng(0))[0].values())
    assert (gather.read == 128 * 32 * 32 * 3 + 32 * 32 * 3 * 4 + 128 * 4 + 4 * 4
            and gather.written == 128 * 32 * 32 * 16 * 2)
    assert objective.read == 2 * 128 * 10 * 4 + 10 * 4 + 3 * 4 + 4 * 4 + 128 * 4 + 4
    # theta, velocity, gradient; settings; fate; table
    assert sgd.read == 3 * 4 * theta + 3 * 4 + 5 * 4 + launch.grid[0] * 6 * 4
    (launch, six), x = one("wgrad<half, 3, 128, 128, 1, ", layers=6), 128 * 8 * 8 * 128 * 2
    assert six.flop == 6 * 2 * 9 * 128 * (x // 2) and six.read == 6 * (2 * x + 4 * 128 * 4)
    assert six.written == 6 * launch.grid[1] * 9 * 128 * 128 * 4        # a slot for each part
    projection = one("wgrad<half, 1, 32, 64, 2, ")[1]             # of its x only every second pixel of every second row
    assert projection.read == 2 * X // 4 + 4 * 32 * 4 + 2 * X // 2 and projection.flop == 2 * 64 * X // 4
    assert launch.grid[0] == 4 * 4 and six.again == 6 * 2 * 3 * x      # 32 by 32 channels: each is read four times
    added = [(launch, row.work) for row in rows("half") for launch in row.launches if launch.name == "add_slots"]
    slots, unread = (added[0][0].arguments[1],
                     one("wgrad<half, 3, 16, 32, ")[0].grid[1] * 9 * 13 * 32 * 4)       # of the images' zeros
    # 4: the scale
    assert sum(work.read - launch.grid[0] * 6 * 4 - 4 for launch, work in added) == slots.nbytes - unread
    assert sum(work.written - 5 * 4 for launch, work in added) == 4 * theta


@pytest.mark.parametrize("number", NUMBERS)
def test_nothing_is_predicted_to_be_faster_than_its_bound(number):
    assert all(row.predicted[gpu] > row.bound[gpu] > 0 for row in rows(number) for gpu in COPY)
    assert all(row.predicted["H100"] >= row.predicted["H200"] for row in rows(number))


def test_the_gpu_is_the_one_whose_copy_is_nearest_and_a_quarter_gives_registers_to_whole_warps():
    assert [nearest(rate * 1e12) for rate in (1.5, 2.9, 3.5, 3.8, 4.4)] == ["H100"] * 3 + ["H200"] * 2
    assert of_quarter(256, 112) == 2 * 3584 and of_quarter(288, 96) == 3 * 3072      # together 16,384, all of a quarter
    assert of_quarter(32, 120) == 3840 and of_quarter(256, 113) == 2 * 3840            # in units of 256


@pytest.fixture
def pretended(monkeypatch):
    """(the emulator as the GPU, the names of the kernels launched): every launch takes a millisecond."""
    xp, begun, run = emulator.Emulator(), [], emulator.Kernel.run
    monkeypatch.setattr(backend, "use_gpu", lambda *_: xp)
    monkeypatch.setattr(emulator.Kernel, "run",
                        lambda kernel, *arguments: (begun.append(kernel.name), run(kernel, *arguments)))
    monkeypatch.setattr(Event, "record", lambda event: setattr(event, "at", len(begun)), raising=False)
    monkeypatch.setattr(Event, "synchronize", lambda event: None, raising=False)
    xp.cuda.Event = lambda disable_timing=False: Event()
    xp.cuda.get_elapsed_time = lambda begin, end: end.at - begin.at
    return xp, begun


SMALL = TINY._replace(arch=Architecture(widths=(16,), blocks=(1,)))


@pytest.mark.skipif(emulator.COMPILER is None, reason="no g++ that could compile the kernels")
def test_each_row_is_measured_by_its_own_launches_and_the_step_by_all(pretended):
    xp, begun = pretended
    peer, other = (Kernels(SMALL, number="float") for _ in range(2))
    other.run(2)
    found, begun[:] = rows_of(peer.step.program, "float", 16, ("H100",)), []
    timed, step = measured(peer, found, many=3, turns=1, steps=1)
    assert [row.measured for row in timed] == [1e-3] * len(found)
    whole = sum(len(row.launches) for row in found)
    assert step == 1e-3 * whole
    assert begun[1 + 2 * whole:-2 * whole] == [row.launches[0].name for row in found for _ in range(2 * 3)]
    # as after the two steps before
    assert (peer.step.network.parameters.theta == other.step.network.parameters.theta).all()
    text = page("command", SMALL, {"float": (timed, step)}, (4, 2.9e12, "H100"))
    assert "of the prediction" in text and "moves 2.90 TB/s here, so the predictions are those for an H100" in text
    assert "predicted, µs, H100" in text and "predicted, µs, H200" not in text


@pytest.mark.thorough
@pytest.mark.skipif(emulator.COMPILER is None, reason="no g++ that could compile the kernels")
def test_a_variant_is_timed_alone_and_has_the_gradient_of_the_others_but_for_two_branches(pretended, tmp_path,
                                                                                          monkeypatch):
    launches, digests = sum(len(row.launches) for row in rows_of(Kernels(SMALL).step.program, "half", 16)), {}

    def alone(*arguments):
        with pytest.raises(Timeout):
            FileLock(tmp_path / "lock").acquire(timeout=0)
        return median_seconds(*arguments)
    monkeypatch.setattr(gpu_kernels, "median_seconds", alone)
    for letters in ("-", "r", "rpc", "b", "rb"):
        seconds, digests[letters] = of_variant(Kernels(SMALL, variant=variant(letters)), tmp_path / "lock",
                                               steps=1, turns=1)
        assert seconds == 1e-3 * launches
    assert digests["-"] == digests["r"] == digests["rpc"] and digests["b"] == digests["rb"]


def test_a_copy_is_timed_and_names_its_gpu():
    xp = SimpleNamespace(zeros=np.zeros, empty_like=np.empty_like, cuda=SimpleNamespace(
        Event=lambda: SimpleNamespace(record=lambda: None, synchronize=lambda: None),
        get_elapsed_time=lambda *_: 0.5))                               # ms
    gigabytes, rate, gpu = copied(xp, 1e-3, 3)
    assert (gigabytes, gpu) == (1e-3, "H100") and rate == pytest.approx(2e6 / 0.5e-3)


def test_without_a_gpu_a_variant_ends_with_one_sentence(monkeypatch):
    def missing():
        raise InputError("no GPU here")
    monkeypatch.setattr(backend, "use_gpu", missing)
    with pytest.raises(SystemExit, match="no GPU here"):
        gpu_kernels.main(["--variant", "rp"])
