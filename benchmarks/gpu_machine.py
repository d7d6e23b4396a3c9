"""Which GPU there is, and whether CuPy can compute on it: python -m benchmarks.gpu_machine

Prints what a result has to be read with: driver, clocks, processors, versions, compilers. The last line is the GPU, or,
with exit status 2, the sentence of core/backend.py that says why it cannot be used.
"""
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import distributions

from core import backend
from core.errors import InputError

ASKED = (["nvidia-smi"], ["nvidia-smi", "-q", "-d", "CLOCK,PERFORMANCE"])
PACKAGES = ("cupy", "numpy", "torch", "triton", "nvidia", "cuda", "pytest", "hypothesis")        # beginnings of names
TOOLS = ("g++", "nvcc", "ncu", "compute-sanitizer")
CANNOT = 2                             # exit status


def said(command):
    """The output of a command, or why there is none."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"


def versions():
    """name version, of the packages that matter."""
    names = {(found.metadata["Name"] or "", found.version) for found in distributions()}
    return sorted(f"{name} {version}" for name, version in names if name.lower().startswith(PACKAGES))


def main():
    """The command line."""
    print(*map(said, ASKED), sep="\n\n")
    print(f"\n{os.cpu_count()} processors, {platform.platform()}, Python {platform.python_version()}")
    print("\n".join(versions()))
    print(*(f"{tool}: {shutil.which(tool)}" for tool in TOOLS), sep="\n", flush=True)
    try:
        xp = backend.use_gpu(precision="tf32")
    except InputError as error:
        print(error)
        return CANNOT
    xp.show_config()
    free, total = xp.cuda.runtime.memGetInfo()
    name = xp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    capability = xp.cuda.Device().compute_capability
    print(f"{name}, compute capability {capability}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free")
    return 0


if __name__ == "__main__":
    sys.exit(main())
