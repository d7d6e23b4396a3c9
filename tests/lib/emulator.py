"""A stand-in for CuPy that runs CUDA kernels as C++, by tests/lib/cuda_shim/cuda_shim.h:
`emulator` looks like the module cupy.

Arrays are NumPy's. Those of `empty` hold NaN and lie between guards, which `check_guards` looks at: a kernel that
leaves a number unwritten, reads beside an array or writes there is noticed.
Streams and graphs: tests/lib/emulated_streams.py.
"""
import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import types
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from tests.lib.arrays import usable_cupy
from tests.lib.emulated_streams import Event, Stream

SHIM = Path(__file__).parent / "cuda_shim"
FLAGS = ["-std=c++17", "-O1", "-fPIC", "-U_FORTIFY_SOURCE",
         "-Wall", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-function", "-Wno-unused-variable", "-Wno-clobbered"]
CPU = Path("/proc/cpuinfo")
# 16 bits by the processor: a third of the time
FLAGS += ["-mf16c"] if CPU.exists() and " f16c " in CPU.read_text() else []
GUARD = 512                            # bytes before and behind an array
SMALLEST, LARGEST = 99 * 1024, 227 * 1024   # bytes of shared memory of a block: what all GPUs from 8.0 on have; an H200


def compiler():
    """A g++ that knows 16-bit numbers and fibers, or None."""
    found, probe = shutil.which("g++"), b"#include <ucontext.h>\n_Float16 x; ucontext_t y;"
    works = found and subprocess.run([found, "-fsyntax-only", "-x", "c++", "-"], input=probe,
                                     capture_output=True).returncode == 0
    return found if works else None


COMPILER = compiler()


def devices(**options):
    """What kernels are tried on: the emulator where there is a compiler, and a GPU where there is one;
    as pytest's parameters."""
    missing = pytest.mark.skipif(COMPILER is None, reason="no g++ that could compile the kernels")
    found = [pytest.param(Emulator(**options), id="emulator", marks=missing)]
    gpu = usable_cupy()
    return found + ([] if gpu is None else [pytest.param(gpu, id="gpu")])


def filled(xp, array):
    """A NumPy array on the device; on the emulator between guards."""
    found = xp.empty(array.shape, array.dtype)
    found[...] = xp.asarray(array)
    return found


def poisoned(xp, shape, dtype):
    """An array of NaN."""
    return filled(xp, np.full(shape, np.nan, dtype))


def in_every_order(xp, run, results):
    """run() with the threads in four orders, copies late and at once: always the same bits. Returns the results,
    on the host."""
    found = []
    for order in range(4):
        for array in results:
            array[...] = np.nan
        xp.order = order                                     # a GPU has an order of its own
        run()
        found.append([xp.asnumpy(array).copy() for array in results])
    xp.order = 0
    assert all(np.array_equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))
    if isinstance(xp, Emulator):
        xp.check_guards()
    return found[0]


class KernelError(Exception):
    """What the shim found wrong in a launch."""


class Emulator(types.ModuleType):
    """NumPy's functions, and of CuPy's what the program uses beside them."""

    def __init__(self, exact=False, shared=SMALLEST, capability=80):
        """shared: bytes of shared memory that a block may ask for; capability: 90 has clusters of blocks."""
        super().__init__("emulator")
        self.exact, self.order, self.guarded = exact, 0, []
        self.current = [Stream(self)]                        # the default stream, and what `with` has put above it
        self.cuda = types.SimpleNamespace(Stream=lambda non_blocking, priority=0: Stream(self, priority),
                                          get_current_stream=lambda: self.current[-1],
                                          Event=lambda disable_timing: Event(),
                                          runtime=types.SimpleNamespace(
                                              cudaDevAttrMaxSharedMemoryPerBlockOptin=97,
                                              deviceGetAttribute=lambda attribute, device: shared),
                                          Device=lambda: types.SimpleNamespace(id=0, compute_capability=str(capability),
                                                                               synchronize=lambda: None))

    def __getattr__(self, name):
        return getattr(np, name)

    def get_array_module(self, x):
        return self

    def asnumpy(self, x):
        return x

    def fuse(self, f):
        return f

    def empty(self, shape, dtype=float):
        dtype = np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        memory = np.full(size + 2 * GUARD + 16, 0xFF, np.uint8)
        begin = GUARD + -(memory.ctypes.data + GUARD) % 16
        self.guarded.append((memory, begin, size))
        return memory[begin:begin + size].view(dtype).reshape(shape)

    def check_guards(self):
        """No array has been left by a write."""
        for memory, begin, size in self.guarded:
            assert (memory[:begin] == 0xFF).all() and (memory[begin + size:] == 0xFF).all(), "a write beside an array"

    def RawModule(self, code, options, name_expressions):
        return Module(self, code, list(name_expressions))


class Module:
    """A compiled source and the kernels in it."""

    def __init__(self, emulator, code, names):
        calls = "\n".join(f'extern "C" const char* kernel{i}(void** values, const int* sizes, int count, '
                          "const unsigned* grid, unsigned threads, size_t bytes, unsigned order, bool exact) "
                          f"{{ return emulator::run({name}, values, sizes, count, grid, threads, bytes, order, "
                          "exact); }"
                          for i, name in enumerate(names))
        self.emulator, self.names = emulator, names
        self.library = ctypes.CDLL(str(compiled(f"{code}\n{calls}\n")))

    def get_function(self, name):
        return Kernel(self.emulator, self.library[f"kernel{self.names.index(name)}"], name)


def compiled(text):
    """The shared library of this C++ text; compiled once for all tests."""
    header = compiled_header()
    return made(header.parent / f"{digest(text)}.so", ["-shared", "-include", header.with_suffix(""), "-x", "c++", "-"],
                text.encode())


@cache
def compiled_header():
    """The shim, which every library begins with, as a precompiled header: one for all copies of the project."""
    header = SHIM / "cuda_shim.h"
    folder = Path(tempfile.gettempdir()) / f"cuda-shim-{os.getuid()}"
    folder.mkdir(exist_ok=True, mode=0o700)
    folder = folder / digest(header.read_text(encoding="utf-8"), *FLAGS, COMPILER, str(os.stat(COMPILER).st_mtime_ns))
    folder.mkdir(exist_ok=True)
    return made(folder / "cuda_shim.h.gch", ["-x", "c++-header", header])


def digest(*texts):
    """A name for these texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:24]


def made(path, arguments, given=None):
    """The file of this path, made by the compiler unless it is there; given: the compiler's input."""
    if not path.exists():
        fresh = path.with_name(f"{os.getpid()}-{path.name}")
        subprocess.run([COMPILER, *FLAGS, f"-I{SHIM}", *arguments, "-o", fresh], input=given, check=True)
        fresh.replace(path)
    return path


class Kernel:
    """What RawModule.get_function returns: kernel(grid, block, arguments, shared_mem=bytes)."""
    max_dynamic_shared_size_bytes = 48 * 1024

    def __init__(self, emulator, function, name):
        self.emulator, self.function, self.name = emulator, function, name
        function.restype = ctypes.c_char_p

    def __call__(self, grid, block, arguments, shared_mem=0):
        self.emulator.current[-1].launch(partial(self.run, grid, block, arguments, shared_mem))

    def run(self, grid, block, arguments, shared_mem):
        """The launch itself."""
        if not 0 <= shared_mem <= min(self.max_dynamic_shared_size_bytes, LARGEST):
            raise KernelError(f"{self.name}: {shared_mem} bytes of shared memory without having asked for them")
        cells = [cell(a) for a in arguments]
        values = (ctypes.c_void_p * len(cells))(*[c.ctypes.data for c in cells])
        sizes = (ctypes.c_int * len(cells))(*[c.nbytes for c in cells])
        shape = (ctypes.c_uint * 3)(*grid, *[1] * (3 - len(grid)))
        error = self.function(values, sizes, len(cells), shape, ctypes.c_uint(*block), ctypes.c_size_t(shared_mem),
                              ctypes.c_uint(self.emulator.order), ctypes.c_bool(self.emulator.exact))
        if error:
            raise KernelError(f"{self.name}: {error.decode()}")


def cell(argument):
    """The bytes that a kernel receives: an array's address, or a scalar whose type has been said."""
    if isinstance(argument, np.ndarray):
        assert argument.flags.c_contiguous
        return np.array([argument.ctypes.data], np.uint64)
    assert isinstance(argument, np.generic), f"an argument without a type: {argument!r}"
    return np.array([argument])
