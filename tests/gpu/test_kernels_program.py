"""The two branches of a program: what is launched aside waits for what came before it, and only a join waits for it."""
import numpy as np
import pytest

from core.errors import InputError
from core.kernels import convolution, graph, program
from core.kernels.program import Program
from core.kernels.variant import LETTERS, Variant, variant
from tests.lib.emulated_streams import CaptureError, Driver, Graph
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

    def __init__(self, xp, join, reused=False, chosen=Variant()):
        self.xp, self.program = xp, Program(xp, "float", {}, chosen)
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

    def captured(self):
        """(the stream, the graph)"""
        with self.xp.cuda.Stream(non_blocking=True, priority=-1) as stream:
            stream.begin_capture()
            self.program.run("first", "second")
            return stream, stream.end_capture()

    def replayed(self, made=lambda graph, stream: graph.launch):
        """The results of the graph, in every order."""
        stream, graph = self.captured()
        launch, found = made(graph, stream), []
        with stream:
            for self.xp.order in range(4):
                found.append(self.result(launch))
            self.xp.order = 0
        return found


@pytest.mark.parametrize("xp", devices())
@pytest.mark.parametrize("join", ["join", "end"])
def test_two_branches_give_the_bits_of_one_in_every_order(xp, join, kernels):
    trial = Trial(xp, join)
    assert [trial.launched(), *trial.replayed()] == [16] * 5


def test_each_launch_waits_once_for_what_the_other_branch_launched():
    """And none for its own branch: what waits needlessly is slow."""
    chain, expected = Program(Emulator(), "float", {}), {"first": "MAMAAMjMMAjM", "second": "MAjMM"}
    for name, launches in expected.items():
        with chain.section(name):
            for letter in launches:
                if letter == "j":
                    chain.join()
                elif letter == "A":
                    with chain.aside():
                        chain.launch("sum.cu", "sum", (1,), N, ())
                else:
                    chain.launch("sum.cu", "sum", (1,), N, ())
    assert {name: [launch.waits for launch in launches] for name, launches in chain.sections.items()} == {
        "first": [False, True, False, True, False, False, True, False, True, True],
        "second": [False, True, True, False]}


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


# ---- what a device has to decide -------------------------------------------------------------------------------------

@pytest.mark.parametrize("xp", devices())
@pytest.mark.parametrize("letters", ["-", *LETTERS, "rpcsh"])
def test_every_variant_gives_the_same_result(xp, letters, kernels):
    trial = Trial(xp, "join", chosen=variant(letters))
    assert [trial.launched(), *trial.replayed(graph.with_priorities)] == [16] * 5


def test_letters_choose_and_others_are_refused():
    assert variant("-") == Variant(*[False] * 6) and variant("rpc") == Variant()
    assert [letter for letter in LETTERS if getattr(variant("sb"), LETTERS[letter])] == ["b", "s"]
    for letters in ("", "rx", "-r"):
        with pytest.raises(InputError, match="give letters among r, p, c, b, s, h, or - for none"):
            variant(letters)


@emulated
def test_one_branch_is_one_stream_with_twice_the_blocks(kernels):
    one, two = (Trial(Emulator(), "join", chosen=variant(letters)).program for letters in "b-")
    assert ({launch.branch for launch in one.sections["first"]} == {0}
            and {launch.branch for launch in two.sections["first"]} == {0, 1})
    parts = [convolution.wgrad_parts(p, 3, 32, 32, 1, 128, 32, 32, 6) for p in (one, two)]
    assert parts == [44, 22]


@emulated
def test_carveouts_are_equal_and_the_compiler_is_told_of_the_registers(kernels):
    options, xp = [], Emulator()
    made, xp.RawModule = xp.RawModule, lambda **given: options.append(given["options"]) or made(**given)
    for letters in ("-", "rc"):
        found = Trial(xp, "join", chosen=variant(letters)).program.kernels.values()
        assert [getattr(kernel, "preferred_shared_memory_carveout", None) for kernel in found] == [
            100 if letters == "rc" else None]
    assert options == [("--std=c++17",), ("--std=c++17", "-DCONV_REGISTERS=112")]


@emulated
@pytest.mark.parametrize("told", [True, False])
def test_in_the_graph_the_main_branch_comes_first_where_the_driver_is_told_so(told, kernels, monkeypatch):
    trial, orders = Trial(Emulator(), "join"), []
    stream, captured = trial.captured()
    driver = Driver(captured)
    monkeypatch.setattr(graph, "driver", lambda: driver if told else None)
    monkeypatch.setattr(Graph, "graph", 55)
    launch = graph.with_priorities(captured, stream)
    for i, node in enumerate(captured.nodes):
        captured.nodes[i] = node._replace(run=lambda i=i, run=node.run: orders[-1].append(i) or run())
    for trial.xp.order in range(4):
        orders.append([])
        assert trial.result(launch) == 16
    main_first = [i for i, node in enumerate(captured.nodes) if not node.aside][:-1]
    assert all(order[:len(main_first)] == main_first for order in orders) == told
    assert driver.calls == [("instantiate", 55, 8), *[("launch", 77, 1)] * 4] * told
    del launch
    assert driver.calls[-1:] == [("destroy", 77)] * told


@emulated
def test_a_driver_that_refuses_leaves_the_graph_as_it_is_and_an_error_of_a_launch_is_one(kernels, monkeypatch):
    trial = Trial(Emulator(), "join")
    stream, captured = trial.captured()
    monkeypatch.setattr(graph, "driver", lambda: Driver(captured, refuses=True))
    assert trial.result(graph.with_priorities(captured, stream)) == 16 and not captured.heeds
    monkeypatch.setattr(graph, "driver", lambda: Driver(captured))
    stream.ptr = 0
    with pytest.raises(RuntimeError, match="cuGraphLaunch: CUDA error 400"):
        graph.with_priorities(captured, stream)()


def test_a_library_without_the_function_is_none(monkeypatch):
    for library in (object(), OSError("not found")):
        def loaded(name, library=library):
            if isinstance(library, OSError):
                raise library
            return library
        monkeypatch.setattr(graph.ctypes, "CDLL", loaded)
        assert graph.driver.__wrapped__() is None
