"""The emulation of CUDA: tensor-core instructions multiply, and what a GPU would leave to chance is noticed."""
import re

import numpy as np
import pytest

from core.kernels import program
from tests.gpu.test_kernels_conv import LAYERS, Trial
from tests.lib.emulator import COMPILER, Emulator, KernelError, devices, filled, in_every_order, poisoned

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no g++ that could compile the kernels")
COMMON = (program.FOLDER / "device.cuh").read_text(encoding="utf-8").replace("#pragma once", "")

PRODUCT = """
// d (16, 16) = a (16, KSTEP) b (KSTEP, 16), each operand once with k along its rows, once down them
template <typename T, bool ALONG>
__global__ void product(const T* a, const T* b, float* d) {
    using Num = Number<T>;
    DYNAMIC_SHARED(memory);
    T *const sa = reinterpret_cast<T*>(memory), *const sb = sa + 16 * Num::KSTEP;
    const int lane = threadIdx.x;
    for (int e = lane; e < 16 * Num::KSTEP; e += 32) sa[e] = a[e], sb[e] = b[e];
    __syncthreads();
    unsigned fa[4], fb[4];
    if (ALONG) {
        a_along(fa, sa + a_row(lane) * Num::KSTEP, lane), b_along(fb, sb + b_row(lane) * Num::KSTEP, lane);
    } else {
        Num::a_down(fa, [&](int k) { return sa + k * 16; }, 0, lane),
            Num::b_down(fb, [&](int k) { return sb + k * 16; }, 0, lane);
    }
    for (int n = 0; n < 2; n++) {
        float sum[4] = {};
        Num::mma(sum, fa, fb[2 * n], fb[2 * n + 1]);
        for (int i = 0; i < 4; i++) d[(lane / 4 + i / 2 * 8) * 16 + 8 * n + lane % 4 * 2 + i % 2] = sum[i];
    }
}
"""


def function(xp, text, name):
    return xp.RawModule(code=COMMON + text, options=("--std=c++17",), name_expressions=[name]).get_function(name)


@pytest.mark.parametrize("xp", devices())
@pytest.mark.parametrize("along", ["true", "false"])
@pytest.mark.parametrize("number", ["half", "float"])
def test_fragments_and_mma_are_a_product_of_matrices(xp, number, along):
    rng, K = np.random.default_rng(0), {"half": 16, "float": 8}[number]
    a, b = rng.integers(-8, 9, (2, 16, K)).astype(program.NUMBERS[number])          # b by columns
    given = [filled(xp, array if along == "true" else array.T) for array in (a, b)]
    d = poisoned(xp, (16, 16), np.float32)
    product = function(xp, PRODUCT, f"product<{number}, {along}>")
    found, = in_every_order(xp, lambda: product((1,), (32,), (*given, d), shared_mem=2048), [d])
    assert np.array_equal(found, a.astype(float) @ b.astype(float).T)


EDGES = np.array([1, -2.5, 65504, 6e-8, 2**-25, 1 + 2**-11, 1 + 3 * 2**-11, 65520, np.inf, -np.inf, np.nan, -0.1],
                 np.float32)
RELU = """
__global__ void relu(const float* x, NUMBER* y) {
    float in[Number<NUMBER>::VEC];
    for (int i = 0; i < Number<NUMBER>::VEC; i++) in[i] = x[i];
    *pieces(y) = Number<NUMBER>::pack_positive(in);
}
"""


@pytest.mark.parametrize("xp", devices())
def test_halves_are_rounded_as_numpy_rounds_them(xp):
    text = ("__global__ void convert(const float* x, half* y, int n) "
            "{ for (int i = 0; i < n; i++) y[i] = Number<half>::put(x[i]); }")
    y = poisoned(xp, len(EDGES), np.float16)
    function(xp, text, "convert")((1,), (1,), (filled(xp, EDGES), y, np.int32(len(EDGES))))
    with np.errstate(over="ignore"):
        assert np.array_equal(xp.asnumpy(y), EDGES.astype(np.float16), equal_nan=True)


@pytest.mark.parametrize("xp", devices())
@pytest.mark.parametrize("number", program.NUMBERS)
def test_the_relu_of_what_is_not_finite(xp, number):
    x = np.array([np.nan, np.inf, -np.inf, -1, 0.5, -np.nan, 65504, -1e-8],
                 np.float32)[:16 // program.NUMBERS[number]().itemsize]
    y = poisoned(xp, len(x), program.NUMBERS[number])
    function(xp, RELU.replace("NUMBER", number), "relu")((1,), (1,), (filled(xp, x), y))
    assert np.array_equal(xp.asnumpy(y), np.maximum(x, 0), equal_nan=True)


WRONG = {                              # message: (argument list, body)
    "a barrier that not all threads came to": ("float* x", "if (threadIdx.x < 32) __syncthreads();"),
    "an operation of the warp that not all": ("float* x", "if (threadIdx.x) __shfl_xor_sync(0xFFFFFFFF, 1.f, 1);"),
    "behind the end of shared memory": ("float* x", "DYNAMIC_SHARED(m); m[64] = 0;"),
    "no multiple of 16": ("float* x", "DYNAMIC_SHARED(m); cp_async(m + 8, x);"),
    "before its asynchronous copies": ("float* x", "DYNAMIC_SHARED(m); cp_async(m, x); cp_async_commit();"),
    "not made of whole clusters": ("float* x", "in_clusters_of(2);"),
    "twice at the barrier of a cluster": ("float* x", "cluster_arrive(); cluster_arrive();"),
    "before the thread arrived": ("float* x", "cluster_wait();"),
    "while its cluster may read": ("float* x", "cluster_arrive();"),
    "outside of the cluster's memory": (
        "float* x", "DYNAMIC_SHARED(m); x[0] = cluster_load(reinterpret_cast<double*>(m) + 8, 0);"),
    "barrier of a cluster that not all": (
        "float* x", "if (threadIdx.x) cluster_arrive(), cluster_wait(); else __syncthreads();"),
    "number of arguments": ("float* x, int n", ""),
    "wrong size": ("int n", ""),
}
KERNELS = "".join(f"__global__ void f{i}({given}) {{ {body} }}\n" for i, (given, body) in enumerate(WRONG.values()))


@pytest.mark.parametrize("message", WRONG)
def test_what_cuda_leaves_undefined_ends_the_launch(message):
    xp = Emulator()
    f = xp.RawModule(code=COMMON + KERNELS, options=(),
                     name_expressions=[f"f{i}" for i in range(len(WRONG))]).get_function(
        f"f{list(WRONG).index(message)}")
    with pytest.raises(KernelError, match=message):
        f((1,), (64,), (xp.empty(16, np.float32),), shared_mem=64)


def test_more_shared_memory_has_to_be_asked_for():
    xp = Emulator()
    f = function(xp, "__global__ void f() {}", "f")
    with pytest.raises(KernelError, match="without having asked"):
        f((1,), (32,), (), shared_mem=50_000)
    f.max_dynamic_shared_size_bytes = 50_000
    f((1,), (32,), (), shared_mem=50_000)


@pytest.mark.parametrize("grid", [(0,), (1, 65536), (1, 1, 65536)])
def test_a_grid_that_cuda_refuses_is_refused(grid):
    with pytest.raises(KernelError, match="a grid or a block that CUDA refuses"):
        function(Emulator(), "__global__ void f() {}", "f")(grid, (32,), ())


def test_a_write_beside_an_array_is_noticed():
    xp = Emulator()
    x = xp.empty(5, np.float32)
    function(xp, "__global__ void f(float* x) { x[5] = 1; }", "f")((1,), (1,), (x,))
    with pytest.raises(AssertionError, match="beside an array"):
        xp.check_guards()


SHIFTED = """
// y of a block = x of the block `by` before it in the cluster of four, through the shared memory of that
__global__ void shifted(const double* x, double* y, int by, int ends) {
    in_clusters_of(4);
    DYNAMIC_SHARED(memory);
    double* const mine = reinterpret_cast<double*>(memory);
    mine[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
    if (ends) {
        if (blockIdx.x % 4) y[blockIdx.x * blockDim.x + threadIdx.x] = cluster_load(mine + threadIdx.x, 0);
        return;
    }
    cluster_arrive();
    cluster_wait();
    y[blockIdx.x * blockDim.x + threadIdx.x] = cluster_load(mine + threadIdx.x, (blockIdx.x + 4 - by) % 4);
    cluster_arrive();
    __syncthreads();
    cluster_wait();
}
"""


@pytest.mark.parametrize("by", [1, 3])
def test_the_blocks_of_a_cluster_read_each_other_s_shared_memory(by):
    xp = Emulator(capability=90)
    x, y = filled(xp, np.random.default_rng(0).standard_normal((2, 4, 64))), poisoned(xp, (2, 4, 64), np.float64)
    shift = function(xp, SHIFTED, "shifted")
    found, = in_every_order(xp, lambda: shift((8,), (64,), (x, y, np.int32(by), np.int32(0)), shared_mem=512), [y])
    assert np.array_equal(found, np.roll(x, by, axis=1))
    for xp.order in range(4):                                # a block that has ended, or has not written yet
        with pytest.raises((KernelError, AssertionError), match="a block that has ended|^assert"):
            y[...] = 0
            shift((8,), (64,), (x, y, np.int32(by), np.int32(1)), shared_mem=512)
            assert np.array_equal(y[:, 1:], np.repeat(x[:, :1], 3, axis=1))


# ---- every barrier and every wait of the convolutions is needed, and would be missed ---------------------------------

FENCED = (*((file, "forward") for file in ("conv.cu", "conv_in.cuh", "conv_out.cuh", "norm.cuh")),
          ("wgrad.cu", "wgrad"))
BARRIERS, OF_CLUSTERS = (r"__syncthreads\(\);|cp_async_wait<0>\(\);",
                         r"cluster_arrive\(\);\s+cluster_wait\(\);|cluster_\w+\(\);")
FENCES = [(file, section, *place.span(), letters) for letters, fence, fenced in (
              ("rpc", BARRIERS, FENCED), ("rpcs", OF_CLUSTERS, [("norm.cuh", "forward"), ("conv.cu", "forward")]))
          for file, section in fenced
          for place in re.finditer(fence, (program.FOLDER / file).read_text(encoding="utf-8"))]


@pytest.mark.parametrize("file, section, begin, end, letters", FENCES)
def test_a_kernel_without_one_of_its_fences_gives_itself_away(file, section, begin, end, letters, tmp_path,
                                                              monkeypatch):
    texts = {path.name: path.read_text(encoding="utf-8") for path in program.FOLDER.glob("*.cu*")}
    for name, text in (texts | {file: f"{texts[file][:begin]};{texts[file][end:]}"}).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(program, "FOLDER", tmp_path)
    xp = Emulator(capability=90)
    trial = Trial(xp, LAYERS["one tile and its halo"]._replace(H=20), {}, letters)
    trial.program.sections = {section: trial.program.sections[section]}
    trial.program.compile()
    results = [trial.out, trial.sums] if section == "forward" else [trial.slots]
    with pytest.raises((AssertionError, KernelError)):
        found = in_every_order(xp, lambda: trial.program.run(section), results)
        exact = trial.exact(trial.norm, trial.arrays["dy"])[0 if section == "forward" else 2]
        np.testing.assert_allclose(found[0] if section == "forward" else found[0].sum(axis=0), exact, atol=0.05)
