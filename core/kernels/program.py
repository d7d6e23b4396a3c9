"""A GPU program: arrays at fixed addresses, and kernel launches on them, recorded once and run many times.

    program = Program(xp, "half", {})
    out = program.array((N, K))                                          a new array
    with program.section("forward"):
        program.launch("norm.cu", "norm_backward<T>", grid, block, arguments, shared=bytes)
        with program.aside():
            program.launch(...)                                          concurrent with later launches
        program.join()                                                   later launches wait for it
    program.compile()
    program.run("forward", ...)                                          runs these sections in order

Arguments are arrays of xp, NumPy scalars of the kernel's own types, and NULL. A run allocates nothing and changes no
address, so it can be captured as a CUDA graph. A section has two branches, on the current and on a second stream:

    main     a --- b --- c --- d            with aside(): e           e waits for b, c does not wait for e
                   |           |            join()                    d waits for e, too; so does the next section
    aside          +---- e ----+
"""
import re
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.kernels.variant import Variant

FOLDER = Path(__file__).parent
NULL = np.uint64(0)                    # a null pointer
MAIN, ASIDE = 0, 1                     # branches
UNASKED = 48 * 1024                    # bytes of shared memory that a block gets without opting in
NUMBERS = {"half": np.float16, "float": np.float32}


class Launch(NamedTuple):
    """One launch of one kernel."""
    file: str
    name: str                          # in C++, with template arguments
    grid: tuple                        # blocks: (x,), (x, y) or (x, y, z)
    block: int                         # threads
    arguments: tuple
    shared: int                        # bytes of dynamic shared memory
    branch: int                        # MAIN or ASIDE
    waits: bool                        # whether it waits for the earlier launches of the other branch


class Program:
    """Arrays and launches; number: type of the stored activations, half or float; kernels: {name: compiled kernel}."""

    def __init__(self, xp, number, kernels, variant=Variant()):
        self.xp, self.number, self.dtype, self.kernels = xp, number, np.dtype(NUMBERS[number]), kernels
        self.sections, self.open, self.branch, self.joining = {}, None, MAIN, False
        self.side, self.event = xp.cuda.Stream(non_blocking=True), xp.cuda.Event(disable_timing=True)
        self.kept, self.variant, device = [], variant, xp.cuda.Device()
        self.options, self.clusters = variant.options(int(device.compute_capability))
        runtime = xp.cuda.runtime      # bytes of shared memory that a block may request
        self.largest = runtime.deviceGetAttribute(runtime.cudaDevAttrMaxSharedMemoryPerBlockOptin, device.id)

    def array(self, shape, dtype=None):
        """A new uninitialised array; default type: that of the activations."""
        return self.xp.empty(shape, dtype or self.dtype)

    def addresses(self, rows):
        """Addresses of rows of arrays and NULL, as an array on the device. The program keeps the arrays alive."""
        self.kept.append(rows)
        return self.xp.asarray(np.array([[address(a) for a in row] for row in rows], np.uint64))

    @contextmanager
    def section(self, name):
        """Launches in the block belong to this section."""
        self.open = self.sections.setdefault(name, [])
        self.join()
        yield
        self.open = None

    @contextmanager
    def aside(self):
        """Launches in the block wait for all earlier ones; the main branch does not wait for them."""
        self.branch = MAIN if self.variant.one_branch else ASIDE
        yield
        self.branch = MAIN

    def join(self):
        """Later launches wait for all launches aside."""
        self.joining = any(launch.branch == ASIDE for launch in self.open)

    def launch(self, file, name, grid, block, arguments, shared=0):
        """Record one launch; T in the template arguments is the program's number type."""
        name = name.replace("<T", f"<{self.number}")
        if self.branch == MAIN:
            waits, self.joining = self.joining, False
        else:
            waits = not self.open or self.open[-1].branch == MAIN
        self.open.append(Launch(file, name, grid, block, tuple(arguments), shared, self.branch, waits))

    def compile(self):
        """Compile all kernels that are not compiled yet; each file once."""
        launches = [launch for section in self.sections.values() for launch in section]
        for file in sorted({launch.file for launch in launches}):
            names = sorted({launch.name for launch in launches if launch.file == file} - self.kernels.keys())
            if names:
                module = self.xp.RawModule(code=source(file), options=("--std=c++17", *self.options),
                                           name_expressions=names)
                self.kernels |= {name: loaded(module, name, self.variant.carveout) for name in names}
        for launch in launches:
            if launch.shared > UNASKED:
                self.kernels[launch.name].max_dynamic_shared_size_bytes = launch.shared

    def run(self, *sections):
        """Run the sections in order, each launch on its branch; the next section waits for both branches."""
        streams = self.xp.cuda.get_current_stream(), self.side
        for launches in [self.sections[name] for name in sections]:
            for launch in launches:
                if launch.waits:
                    self.wait(streams[launch.branch], streams[1 - launch.branch])
                with streams[launch.branch]:
                    self.start(launch)
            if any(launch.branch == ASIDE for launch in launches):
                self.wait(*streams)

    def start(self, launch):
        """One launch, on the current stream."""
        self.kernels[launch.name](launch.grid, (launch.block,), launch.arguments, shared_mem=launch.shared)

    def wait(self, stream, other):
        """Later work on the stream waits for the work so far on `other`."""
        stream.wait_event(other.record(self.event))


def loaded(module, name, carveout):
    """A kernel of a compiled module; carveout: request all of a multiprocessor's L1 memory as shared memory."""
    kernel = module.get_function(name)
    if carveout:
        kernel.preferred_shared_memory_carveout = 100                      # percent
    return kernel


def source(file):
    """The text of a kernel file with its includes inlined, each once. (CuPy's cache does not see included files.)"""
    done = set()

    def text(name):
        if name in done:
            return ""
        done.add(name)
        code = (FOLDER / name).read_text(encoding="utf-8")
        return re.sub(r'#include "(\w+\.cuh)"', lambda found: text(found[1]), code)
    return text(file).replace("#pragma once", "")


def address(array):
    """The address of a contiguous NumPy or CuPy array; NULL stays NULL."""
    if array is NULL:
        return NULL
    assert array.flags.c_contiguous
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


def integers(*values):
    """The values as int32, the kernels' int."""
    return [np.int32(value) for value in values]
