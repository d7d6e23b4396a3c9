"""A program for the GPU: arrays that stay where they are, and launches of kernels on them, written down once and run many times.

    program = Program(xp, "half", {})
    out = program.array((N, K))                                          an array of the program's own
    with program.section("forward"):
        program.launch("norm.cu", "norm_apply<T>", grid, block, arguments, shared=bytes)
    program.compile()
    program.run("forward", ...)                                          the launches of these sections, in order

Arguments are arrays of xp, NumPy scalars of the kernel's own types, and NULL. As nothing is allocated and no address changes, what
runs can be captured as a CUDA graph. Everything goes to the current stream.
"""
import re
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = Path(__file__).parent
NULL = np.uint64(0)                    # a null pointer
UNASKED = 48 * 1024                    # bytes of shared memory that a block may have without asking for it
NUMBERS = {"half": np.float16, "float": np.float32}


class Launch(NamedTuple):
    """One launch of one kernel."""
    file: str
    name: str                          # in C++, with the arguments of the template
    grid: tuple                        # blocks: (x,) or (x, y)
    block: int                         # threads
    arguments: tuple
    shared: int                        # bytes of dynamic shared memory


class Program:
    """Arrays and launches; number: what activations are stored as, half or float; kernels: those compiled before, by name."""

    def __init__(self, xp, number, kernels):
        self.xp, self.number, self.dtype, self.kernels = xp, number, np.dtype(NUMBERS[number]), kernels
        self.sections, self.open = {}, None

    def array(self, shape, dtype=None):
        """A new array, unfilled; of the number type of the activations unless another is given."""
        return self.xp.empty(shape, dtype or self.dtype)

    @contextmanager
    def section(self, name):
        """What is launched inside belongs to this section."""
        self.open = self.sections.setdefault(name, [])
        yield
        self.open = None

    def launch(self, file, name, grid, block, arguments, shared=0):
        """Write one launch down; T in the template's arguments is the program's number type."""
        name = name.replace("<T", f"<{self.number}")
        self.open.append(Launch(file, name, grid, block, tuple(arguments), shared))

    def compile(self):
        """All kernels that are not compiled yet; every file once."""
        launches = [launch for section in self.sections.values() for launch in section]
        for file in sorted({launch.file for launch in launches}):
            names = sorted({launch.name for launch in launches if launch.file == file} - self.kernels.keys())
            if names:
                module = self.xp.RawModule(code=source(file), options=("--std=c++17",), name_expressions=names)
                self.kernels |= {name: module.get_function(name) for name in names}
        for launch in launches:
            if launch.shared > UNASKED:
                self.kernels[launch.name].max_dynamic_shared_size_bytes = launch.shared

    def run(self, *sections):
        """The launches of the sections, in order."""
        for section in sections:
            for launch in self.sections[section]:
                self.kernels[launch.name](launch.grid, (launch.block,), launch.arguments, shared_mem=launch.shared)


def source(file):
    """The text of a kernel file with those that it includes in it, each once. (CuPy's cache does not look into included files.)"""
    done = set()

    def text(name):
        if name in done:
            return ""
        done.add(name)
        return re.sub(r'#include "(\w+\.cuh)"', lambda found: text(found[1]), (FOLDER / name).read_text(encoding="utf-8"))
    return text(file).replace("#pragma once", "")


def integers(*values):
    """The values as the kernels' int."""
    return [np.int32(value) for value in values]
