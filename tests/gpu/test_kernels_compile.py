"""Every kernel of the paper's network compiles for a GPU, keeps its numbers in registers, and fits.

With nvcc, or with NVRTC from the package nvidia-cuda-nvrtc-cu12 or -cu13 (then without the report on registers).
"""
import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from core.batches import Images
from core.kernels.program import source
from core.kernels.step import Step
from core.recipes import RECIPES
from nets.preact_resnet import Architecture
from nets.preact_resnet_launches import Network
from tests.lib.emulator import LARGEST, SMALLEST, Emulator

NVCC = shutil.which("nvcc")
CAPABILITIES = (pytest.param("sm_80", marks=pytest.mark.thorough), "sm_90")
FILES = ("conv.cu", "ends.cu", "norm.cu", "objective.cu", "sgd.cu", "wgrad.cu")
NUMBERS = ("half", "float")
SHARED = SMALLEST, LARGEST
REGISTERS = 65536                      # of a multiprocessor
OPTIONS = "-std=c++17", "-ftz=true"    # the second is CuPy's own: float32 below 1e-38 become zero


class Unfilled(Emulator):
    """Arrays of which nothing is looked at: they take no memory."""

    def empty(self, shape, dtype=float):
        return np.empty(shape, dtype)

    def zeros(self, shape, dtype=float):
        return np.empty(shape, dtype)


@cache
def launches(number, shared=SMALLEST):
    """All launches of the paper's network at batch 128: training and prediction; shared: bytes that a block may ask for."""
    xp = Unfilled(shared=shared)
    pixels, mean = xp.empty((9, 32, 32, 3), np.uint8), xp.empty((32, 32, 3), np.float32)
    networks = [Network(xp, number, {}, Architecture(), (128, 32, 32, 3), inference) for inference in (False, True)]
    networks[0].program.compile = lambda: None                          # nothing to be run
    step = Step(networks[0], Images(pixels, mean, 4, True), 1000, RECIPES["sn-70"])
    programs = step.program, networks[1].program
    return [launch for program in programs for section in program.sections.values() for launch in section]


def names(file):
    return sorted({launch.name for number in NUMBERS for shared in SHARED for launch in launches(number, shared)
                   if launch.file == file})


def nvrtc_library():
    """The NVRTC library of a package, or None."""
    for package in ("nvidia.cu13", "nvidia.cuda_nvrtc"):
        try:
            spec = find_spec(package)
        except ModuleNotFoundError:
            continue
        for folder in spec.submodule_search_locations if spec else ():
            for path in sorted(Path(folder).glob("lib/libnvrtc.so.*")):
                return ctypes.CDLL(str(path))
    return None


def words_of_nvcc(text, capability):
    """What ptxas says of this program; kept beside the shim's libraries by the hash of all that it depends on."""
    options = [*OPTIONS, "-cubin", "-gencode", f"arch=compute_80,code={capability}", "-Xptxas", "-v"]
    version = subprocess.run([NVCC, "--version"], capture_output=True, text=True, check=True).stdout
    folder = Path(tempfile.gettempdir()) / f"nvcc-{os.getuid()}"
    folder.mkdir(exist_ok=True, mode=0o700)
    kept = folder / f"{hashlib.sha256(chr(0).join([version, *options, text]).encode()).hexdigest()[:24]}.txt"
    if not kept.exists():
        run = subprocess.run([NVCC, *options, "-x", "cu", "-o", os.devnull, "-"], input=text, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        fresh = kept.with_name(f"{os.getpid()}-{kept.name}")
        fresh.write_text(run.stderr, encoding="utf-8")
        fresh.replace(kept)
    return kept.read_text(encoding="utf-8")


def compiled_by_nvcc(text, capability):
    """[(mangled name, registers, bytes of stack, bytes of spills)]"""
    report = re.findall(r"Function properties for (\w+)\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
                        r"\s+ptxas info\s+: Used (\d+) registers", words_of_nvcc(text, capability))
    return [(name, int(registers), int(stack), int(stores) + int(loads)) for name, stack, stores, loads, registers in report]


def compiled_by_nvrtc(library, text, names, capability):
    """The log; "" where everything went well."""
    program, log = ctypes.c_void_p(), ctypes.create_string_buffer(1 << 16)
    library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
    for name in names:
        library.nvrtcAddNameExpression(program, name.encode())
    options = [option.encode() for option in (*OPTIONS, f"-arch={capability}", "--device-as-default-execution-space")]    # as CuPy
    failed = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    library.nvrtcGetProgramLog(program, log)
    return log.value.decode() if failed else ""


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("file", FILES)
def test_every_kernel_compiles_without_spills(file, capability):
    wanted = names(file)
    if NVCC is None:
        library = nvrtc_library() or pytest.skip("neither nvcc nor the package nvidia-cuda-nvrtc-cu12 is there")
        assert compiled_by_nvrtc(library, source(file), wanted, capability) == ""
        return
    table = ", ".join(f"(void*){name}" for name in wanted)
    report = compiled_by_nvcc(f"{source(file)}\nvoid* table[] = {{{table}}};\n", capability)
    assert len(report) >= len(wanted)
    for name, registers, stack, spills in report:
        assert spills == 0 and stack <= 32, name
        assert registers <= (148 if "conv" in name else 128), name


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("number", NUMBERS)
def test_every_launch_is_one_that_a_gpu_accepts(number, shared):
    for launch in launches(number, shared):
        assert launch.block <= 1024 and launch.block % 32 == 0 and launch.shared <= shared, launch.name
        assert all(1 <= n <= limit for n, limit in zip(launch.grid, (2**31 - 1, 65535, 65535), strict=False)), launch.name
