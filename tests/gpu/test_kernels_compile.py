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
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import pytest

from benchmarks.gpu_predicted import of_quarter
from core.kernels.program import source
from core.kernels.variant import REGISTERS, variant
from tests.lib.emulator import LARGEST
from tests.lib.paper_launches import SHARED, launches

NVCC = shutil.which("nvcc")
CAPABILITIES = (pytest.param("sm_80", marks=pytest.mark.thorough), "sm_90")
FILES = ("conv.cu", "head_stem.cu", "norm.cu", "objective.cu", "sgd.cu", "wgrad.cu")
NUMBERS = ("half", "float")
OPTIONS = "-std=c++17", "-ftz=true"    # the second is CuPy's own: float32 below 1e-38 become zero
QUARTER, OF_ALL = 16384, {80: 164 * 1024, 90: 228 * 1024}   # registers of a quarter multiprocessor; its shared memory
SPILLS = {                             # bytes of stack and of spills, by NVRTC 13.5; all others have none
    "conv<float, GRADIENT, 3, 64, 64, 1, 1, true, 1, 16, 16, 64, 8, 1>": 16,
}
# In TF32 they leave too little shared memory for all pairs: three launches of a step.
LARGE = "conv<float, PLAIN, 1, 128, 64, 1, 2, true, ", "wgrad<float, 3, 32, 64, 2, ", "wgrad<float, 3, 64, 128, 2, "


def names(file, letters="rpc", sizes=SHARED):
    return sorted({launch.name for number in NUMBERS for shared in sizes for launch in launches(number, shared, letters)
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


def words_of_nvcc(text, options):
    """(what ptxas says of this program, its PTX), kept in the temporary folder by the hash of what they depend on."""
    version = subprocess.run([NVCC, "--version"], capture_output=True, text=True, check=True).stdout
    key = hashlib.sha256("\0".join([version, *options, text]).encode()).hexdigest()[:24]
    kept = Path(tempfile.gettempdir()) / f"nvcc-{os.getuid()}" / key
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            (Path(folder) / "kernels.cu").write_text(text, encoding="utf-8")
            command = [NVCC, *options, "-Xptxas", "-v", "--keep", "--keep-dir", ".", "-cubin", "-o", "kernels.cubin",
                       "kernels.cu"]
            run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            assert run.returncode == 0, run.stderr
            ptx, = Path(folder).glob("*.ptx")
            fresh = kept.with_name(f"{os.getpid()}-{key}")
            fresh.write_text(f"{run.stderr}\0{ptx.read_text(encoding='utf-8')}", encoding="utf-8")
            fresh.replace(kept)
    return kept.read_text(encoding="utf-8").split("\0")


def compiled_by_nvcc(text, names, options, capability):
    """([(name, registers, bytes of stack and of spills)], PTX) for a GPU of that capability."""
    table = ", ".join(f"(void*){name}" for name in names)
    target = f"arch=compute_{'90' if capability == 'sm_90' else '80'},code={capability}"
    words, ptx = words_of_nvcc(f"{text}\nvoid* table[] = {{{table}}};\n", [*OPTIONS, *options, "-gencode", target])
    report = re.findall(r"Function properties for (\w+)\s+(\d+) bytes stack frame, (\d+) bytes spill stores, "
                        r"(\d+) bytes spill loads\s+ptxas info\s+: Used (\d+) registers", words)
    return [(name_of(mangled, names), int(registers), sum(map(int, sizes)))
            for mangled, *sizes, registers in report], ptx


def name_of(mangled, names):
    """Which of the names the compiler has made this of: the same kernel with the same numbers in its template."""
    def key(kernel, number, numbers):
        return kernel, number, [int(value) for value in numbers]
    values = {"true": 1, "false": 0, **{source: i for i, source in enumerate(("PLAIN", "GIVEN", "BATCH", "GRADIENT"))}}
    length, rest = re.match(r"_Z(\d+)(\w+)", mangled).groups()
    found = key(rest[:int(length)], "I4half" in mangled, re.findall(r"L(?:i|b|6Source)(\d+)E", mangled))
    for name in names:
        kernel, _, rest = name.rstrip(">").partition("<")
        words = rest.split(", ") if rest else []
        numbers = [values.get(word, word) for word in words if word not in NUMBERS]
        if key(kernel, "half" in words, [*numbers, *[1] * (kernel == "conv" and len(numbers) == 13)]) == found:
            return name
    raise LookupError(mangled)


def compiled_by_nvrtc(library, text, names, capability):
    """The log; "" where everything went well."""
    program, log = ctypes.c_void_p(), ctypes.create_string_buffer(1 << 16)
    library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
    for name in names:
        library.nvrtcAddNameExpression(program, name.encode())
    options = (*OPTIONS, *variant("rpc").options(90)[0], f"-arch={capability}",
               "--device-as-default-execution-space")                   # as CuPy
    options = [option.encode() for option in options]
    failed = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    library.nvrtcGetProgramLog(program, log)
    return log.value.decode() if failed else ""


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("file", FILES)
def test_every_kernel_compiles_without_spills_but_for_those_named(file, capability):
    wanted = names(file)
    if NVCC is None:
        library = nvrtc_library() or pytest.skip("neither nvcc nor the package nvidia-cuda-nvrtc-cu12 is there")
        assert compiled_by_nvrtc(library, source(file), wanted, capability) == ""
        return
    report, _ = compiled_by_nvcc(source(file), wanted, variant("rpc").options(90)[0], capability)
    assert len(report) >= len(wanted)
    for name, registers, spilled in report:
        assert spilled <= SPILLS.get(name, 0), name
        assert registers <= limit_of(name), name


def limit_of(name):
    """Registers of a thread: of kernels that share a multiprocessor those that leave room for the other."""
    if name.startswith("conv"):
        return REGISTERS if ", true, " in name or name.endswith(", 8>") else 148
    return 96 if re.match(r"wgrad<\w+, 3", name) else 128


@pytest.mark.skipif(NVCC is None, reason="no nvcc")
def test_with_clusters_kernels_compile_for_the_gpus_that_have_them_and_demand_them():
    wanted = [name for name in names("conv.cu", "rpcs", [LARGEST]) if name.endswith(", 8>")]
    options, _ = variant("rpcs").options(90)
    report, ptx = compiled_by_nvcc(source("conv.cu"), wanted, options, "sm_90")
    assert len(wanted) > 16 and all(registers <= limit_of(name) == REGISTERS for name, registers, _ in report)
    assert {name for name, _, spilled in report if spilled} <= {f"{name[:-1]}, 8>" for name in SPILLS}
    assert len(re.findall(r"\.reqnctapercluster 8\b", ptx)) == len(wanted) == len(report)


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("number", NUMBERS)
def test_a_block_of_the_second_branch_fits_beside_one_of_the_first(number, shared):
    found = launches(number, shared)
    convs = [launch for launch in found if launch.file == "conv.cu" and ", true, " in launch.name]          # backward
    wgrads = [launch for launch in found if launch.file == "wgrad.cu"]
    for conv, wgrad in product(convs, wgrads):
        assert sum(of_quarter(launch.block, limit_of(launch.name)) for launch in (conv, wgrad)) <= QUARTER, (
            conv.name, wgrad.name)
        fits = conv.shared + wgrad.shared + 2048 <= OF_ALL[90 if shared == LARGEST else 80]
        assert fits or (number == "float" and (conv.name.startswith(LARGE) or wgrad.name.startswith(LARGE))), (
            conv.name, wgrad.name)


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("number", NUMBERS)
def test_every_launch_is_one_that_a_gpu_accepts(number, shared):
    for launch in launches(number, shared):
        assert launch.block <= 1024 and launch.block % 32 == 0 and launch.shared <= shared, launch.name
        assert all(1 <= n <= limit
                   for n, limit in zip(launch.grid, (2**31 - 1, 65535, 65535), strict=False)), launch.name
