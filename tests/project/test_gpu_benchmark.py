"""benchmarks/gpu.py on a small problem: what it counts; its PyTorch is the same training; it survives its peers."""
import time

import numpy as np
import pytest

from benchmarks import gpu
from benchmarks.ceilings import least_bytes
from benchmarks.flops import direct_flops
from benchmarks.gpu_peers import Kernels, Ours, Problem
from benchmarks.gpu_report import report
from core import backend
from nets.preact_resnet import Architecture
from tests.lib.emulator import COMPILER, Emulator

TINY = Problem(Architecture(widths=(4, 6), blocks=(2, 1)), 8, 40, 16)


def test_arithmetic_and_bytes_of_a_step_of_the_papers_network_are_those_counted_by_hand():
    pixels, widths = (1024, 256, 64), (32, 64, 128)
    same = sum(9 * p * 9 * c * c for p, c in zip(pixels, widths))         # nine convolutions of a stage, and the first:
    first = 1024 * 9 * 32 * 32 + 256 * 9 * 32 * 64 + 64 * 9 * 64 * 128
    projections = 1024 * 32 * 32 + 256 * 32 * 64 + 64 * 64 * 128
    stem = 1024 * 9 * 3 * 32                                                    # the images need no gradient
    assert direct_flops(Architecture(), 32, 128) == 128 * 2 * (3 * (same + first + projections + 128 * 10) + 2 * stem)
    assert round(direct_flops(Architecture(), 32, 128) / 1e9, 1) == 212.2
    T = [p * c for p, c in zip(pixels, widths)]                                 # numbers in an activation
    between = 19 * T[0] + T[0] + 18 * T[1] + T[1] + T[0] + 18 * T[2] + T[2] + T[1]
    assert least_bytes(Architecture(), 32, 128, 4) == 128 * 4 * (3 * between + 3 * T[0] + 2 * 1024 * 3)


def test_pytorch_sees_the_same_images_and_takes_the_same_steps():
    torch = pytest.importorskip("torch")
    from benchmarks.gpu_peers import Torch, hash_of
    from core.batches import augmented
    ours, theirs = Ours(TINY), Torch(TINY, "cpu")
    theirs.hashed.fill_(hash_of(0))
    i = np.arange(40)
    x = theirs.twin.augmented(theirs.pixels, theirs.mean, torch.from_numpy(i), theirs.hashed, 4)
    assert np.array_equal(x.permute(0, 2, 3, 1).numpy(), augmented(ours.task.train, i, 0, 0))
    (found, found_32), (expected, expected_32) = theirs.checked(), ours.checked()
    assert gpu.deviation(found, expected) < 1e-12 and gpu.deviation(found_32, expected_32) < 1e-4
    ours.run(7)                                                                 # over the end of the second epoch
    theirs.run(7)
    assert np.allclose(theirs.sums.numpy(), ours.sums, rtol=1e-3, atol=1e-3)
    remembered = theirs.ring[1].numpy()
    seen = remembered.any(axis=1)                                        # the others came in the batch before the epoch
    assert seen.sum() >= 30 and np.allclose(remembered[seen], ours.labels.ring[1][seen], rtol=0, atol=1e-3)


def test_the_fast_path_takes_the_same_steps_as_the_readable_one():
    sums = []
    for fast in (False, True):
        peer = Ours(TINY, fast=fast)
        peer.run(5)
        sums.append(peer.sums)
    assert np.allclose(*sums, rtol=1e-4)


@pytest.mark.skipif(COMPILER is None, reason="no g++ that could compile the kernels")
def test_the_kernels_take_the_same_steps_as_the_readable_path(monkeypatch):
    monkeypatch.setattr(backend, "use_gpu", lambda *_: Emulator(exact=True))
    problem = TINY._replace(arch=Architecture(widths=(16,), blocks=(1,)))
    readable, kernels = Ours(problem), Kernels(problem, number="float")
    (expected, _), found = readable.checked(), kernels.checked()
    assert gpu.deviation(found[0], expected) < 1e-12 and gpu.deviation(found[1], expected) < 1e-4
    readable.run(7)                                                             # over the end of the second epoch
    kernels.run(3)
    kernels.run(4)
    assert kernels.epoch == 2 and kernels.labels.epochs == 2
    assert np.allclose(kernels.step.network.parameters.theta, readable.model.theta.buffer, rtol=0, atol=1e-3)
    assert np.allclose(kernels.labels.ring[:2], readable.labels.ring[:2], rtol=0, atol=1e-3)
    assert np.allclose(kernels.step.ring, readable.labels.ring[2], rtol=0, atol=1e-3)


def test_a_peer_that_fails_is_told_and_does_not_end_the_others(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(gpu, "SMALL", TINY)
    monkeypatch.setitem(gpu.CPU, "broken", (Ours, dict(gpu=99), "float32"))
    monkeypatch.setattr(gpu, "ceilings", ceilings)
    out = tmp_path / "page.md"
    status = gpu.main(["--cpu", "--peers", "broken", "ours, fast path", "--rounds", "2", "--steps", "2", "--warm", "1",
                       "--out", str(out)])
    page = out.read_text(encoding="utf-8")
    assert status == 0 and page.strip() == capfd.readouterr().out.split(" ...\n")[-1].strip()
    assert "| broken | failed: InputError: --gpu" in page
    row = next(line for line in page.splitlines() if line.startswith("| ours, fast path |"))
    low, high = (float(word) for word in row.split("[")[1].split("]")[0].split(" .. "))
    assert 0 < low <= float(row.split("**")[1]) <= high and "python -m benchmarks.gpu --cpu --peers broken" in page
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def ceilings(on_gpu):
    """In the place of measured ones."""
    return {"copy": 1e10, "float32": 1e11}


class Recorder:
    """A peer that writes down what is asked of it."""

    def __init__(self, name, asked):
        self.name, self.asked = name, asked

    def send(self, request):
        self.asked.append((request, self.name))

    def begin(self, limit, reference):
        self.asked.append(("wait", self.name))


@pytest.mark.parametrize("together, expected", [
    (True, "begin a, begin b, wait a, wait b"),
    (False, "begin a, wait a, begin b, wait b")], ids=["together", "in turn"])
def test_peers_begin_together_before_anyone_waits_for_one(together, expected):
    asked = []
    gpu.begin_all([Recorder("a", asked), Recorder("b", asked)], None, lambda: 1, together)
    assert ", ".join(" ".join(words) for words in asked) == expected


def broken_ceilings(on_gpu):
    raise RuntimeError("no such rate")


def endless_ceilings(on_gpu):
    time.sleep(600)


@pytest.mark.parametrize("measure, told", [
    (broken_ceilings, "RuntimeError: no such rate"), (endless_ceilings, "TimeoutError")])
def test_ceilings_that_fail_or_hang_are_told_and_the_page_does_without(monkeypatch, capsys, measure, told):
    monkeypatch.setattr(gpu, "ceilings", measure)
    assert gpu.measured_ceilings(False, 1 if measure is endless_ceilings else 60) == {}
    assert f"no ceilings: {told}" in capsys.readouterr().out
    assert "no ceilings, they failed" in report([], TINY, {}, [], "command", cpu=True)
