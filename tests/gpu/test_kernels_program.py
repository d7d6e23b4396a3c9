"""The two branches of a program: what is launched aside waits for what came before it, and only a join waits for it."""
import numpy as np
import pytest

from core.kernels import program
from core.kernels.program import Program
from tests.lib.emulated_streams import CaptureError
from tests.lib.emulator import COMPILER, Emulator, devices, filled

emulated = pytest.mark.skipif(COMPILER is None, reason="no g++ that could compile the kernels")
N = 64
KERNEL = """
#include "device.cuh"
__global__ void sum(const float* a, const float* b, float* out) { out[threadIdx.x] = a[threadIdx.x] + b[threadIdx.x]; }
"""


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    """A folder with a kernel of the tests."""
    (tmp_path / "device.cuh").write_text((program.FOLDER / "device.cuh").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "sum.cu").write_text(KERNEL, encoding="utf-8")
    monkeypatch.setattr(program, "FOLDER", tmp_path)


class Trial:
    """x = 1; a chain of sums y = 2, z = 4, u = 8, and aside w = y + y = 4 and v = w + z = 8; out = u + v = 16.

    join: "join", "end" of the section, or None, which is wrong; reused: z takes the place of y, which is wrong, too.
    """

    def __init__(self, xp, join, reused=False):
        self.xp, self.program = xp, Program(xp, "float", {})
        x = filled(xp, np.ones(N, np.float32))
        self.arrays = y, z, w, u, v, self.out = [self.program.array(N, np.float32) for _ in range(6)]
        z = y if reused else z
        with self.program.section("first"):
            self.sum(x, x, y)
            with self.program.aside():
                self.sum(y, y, w)
            self.sum(y, y, z)
            with self.program.aside():
                self.sum(w, z, v)
            self.sum(z, z, u)
            if join == "join":
                self.program.join()
            if join != "end":
                self.sum(u, v, self.out)
        with self.program.section("second"):
            if join == "end":
                self.sum(u, v, self.out)
        self.program.compile()

    def sum(self, a, b, out):
        self.program.launch("sum.cu", "sum", (1,), N, (a, b, out))

    def result(self, run):
        """out, on the host."""
        for array in self.arrays:
            array[...] = np.nan
        run()
        return self.xp.asnumpy(self.out)[0].item()

    def launched(self):
        """The result one by one, from the default stream."""
        return self.result(lambda: self.program.run("first", "second"))

    def replayed(self):
        """The results of the graph, in every order."""
        with self.xp.cuda.Stream(non_blocking=True) as stream:
            stream.begin_capture()
            self.program.run("first", "second")
            graph = stream.end_capture()
            found = []
            for self.xp.order in range(4):
                found.append(self.result(graph.launch))
            self.xp.order = 0
        return found


@pytest.mark.parametrize("xp", devices())
@pytest.mark.parametrize("join", ["join", "end"])
def test_two_branches_give_the_bits_of_one_in_every_order(xp, join, kernels):
    trial = Trial(xp, join)
    assert [trial.launched(), *trial.replayed()] == [16] * 5


@emulated
@pytest.mark.parametrize("join, reused", [(None, False), ("join", True)])
def test_a_missing_join_and_an_array_reused_too_early_are_noticed(join, reused, kernels):
    trial = Trial(Emulator(), join, reused)
    assert not np.isnan(trial.launched()) and len(set(map(str, trial.replayed()))) > 1


@emulated
def test_what_cuda_would_not_capture_is_an_error(kernels):
    xp = Emulator()
    (main, side), event = (xp.cuda.Stream(non_blocking=True) for _ in range(2)), xp.cuda.Event(disable_timing=True)
    with pytest.raises(CaptureError, match="default stream"):
        xp.cuda.get_current_stream().begin_capture()
    main.begin_capture()
    with pytest.raises(CaptureError, match="waits for one that is not"):
        main.wait_event(side.record(event))
    side.wait_event(main.record(event))
    side.launch(lambda: None)
    with pytest.raises(CaptureError, match="not been joined"):
        main.end_capture()
