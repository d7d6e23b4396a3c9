"""NumPy or CuPy: the only module that imports cupy, and the named borders between the two.

The rest of the code asks the array which library it belongs to (`xp = xp_of(x)`) and then computes
with `xp`, so that the same line runs on both devices.
Nothing crosses between them except through `to_device` and `to_host`.
"""
import os
import sys
import warnings
from functools import cache, wraps

import numpy as np

from core.errors import InputError, need

cupy = None                        # set by use_gpu: without --gpu nobody waits for cupy's import

WHEEL = "cupy-cuda12x[ctk] (driver 525 or newer) or cupy-cuda13x[ctk] (driver 580 or newer)"
INSTALL = f'{sys.executable} -m pip install "cupy-cuda12x[ctk]>=14.2.0"'

# How matrix products of float32 round on the GPU. tf32: their factors to 10 of 23 bits before they
# are multiplied, sums as ever. It is what PyTorch does in its convolutions unless told otherwise,
# and the default of --gpu: without it the tensor cores are idle. tests/gpu/test_precision.py holds
# the errors. Whoever calls use_gpu without saying anything gets float32.
PRECISIONS = ("tf32", "float32")
DOUBTFUL = ("--precision tf32: the product tried first came out in float32, although this "
            "GPU has TF32 and nothing forbids it: no result is less exact than asked "
            "for, but products may be slower")


def xp_of(x):
    """The module that owns the array x: numpy or cupy."""
    return np if cupy is None else cupy.get_array_module(x)


def to_host(x):
    """x as a NumPy array; waits for the device where x lives on one."""
    return x if cupy is None else cupy.asnumpy(x)


def to_device(x, xp):
    """x as an array of xp; copies only when it has to cross."""
    return xp.asarray(x)


def read_out(*values):
    """Arrays without axes as floats, in a single transfer from the device."""
    return xp_of(values[0]).stack(values).tolist()


def fused(f):
    """f, a function of elementwise operations, as one kernel on CuPy (cupy.fuse);
    on NumPy it stays what it is.

    On a GPU every operation of its own is a launch, 5 to 10 microseconds of the CPU,
    and a pass over all its arrays.
    """
    @wraps(f)
    def apply(*args):
        return (f if cupy is None else one_kernel(cupy, f))(*args)
    return apply


@cache
def one_kernel(library, f):
    """library.fuse(f), made once."""
    return library.fuse(f)


def use_gpu(device=0, precision="float32"):
    """cupy, with CUDA device number `device` made current and tried out.
    Raises InputError with the remedy if it can't be used.

    precision: one of PRECISIONS, for all matrix products of float32 from now on.
    """
    global cupy
    try:
        import cupy as found
    except ImportError as error:
        raise InputError(why_not_imported(error)) from None
    try:
        devices = found.cuda.runtime.getDeviceCount()
    except found.cuda.runtime.CUDARuntimeError as error:
        raise InputError(why_no_device(str(error))) from None
    if not 0 <= device < devices:
        raise InputError(f"--gpu {device}: this machine has {devices} CUDA device(s), "
                         f"numbered from 0 to {devices - 1}; choose one of these")
    try:
        found.cuda.Device(device).use()
        set_precision(found, precision)
        works = precision_of(found)    # needs the runtime, NVRTC and cuBLAS: what every step needs
    except Exception as error:         # of CuPy, the driver or the loader: the same to the user
        raise InputError("--gpu: the CUDA device was found, but a first computation on it failed "
                         f"({first_line(error)}); most often CUDA libraries are missing, "
                         f"which this installs: {INSTALL}") from None
    if works != precision:
        need(may_be_precise(found, device, precision), why_not_precise(precision, works))
        warnings.warn(DOUBTFUL, RuntimeWarning, stacklevel=2)
    cupy = found
    return cupy


def set_precision(library, precision):
    """Matrix products of float32 by CuPy from now on in `precision`,
    whatever the environment variable CUPY_TF32 says.

    CuPy reads that variable once, at the first product,
    and so it serves here only in case a later CuPy has not this function.
    """
    os.environ["CUPY_TF32"] = str(int(precision == "tf32"))
    change = getattr(getattr(library, "_core", None), "set_compute_type", None)
    if change is not None:
        default, tf32 = 1, 7                   # COMPUTE_TYPE_... in cupy/_core/_routines_linalg.pxd
        change(np.float32, tf32 if precision == "tf32" else default)


def precision_of(library):
    """The precision that a product really has: 1 + 2^-12 has more bits than TF32 keeps,
    and fewer than float32."""
    n = 256
    more, one = (library.full((n, n), value, np.float32) for value in (1 + 2 ** -12, 1))
    return "tf32" if float((more @ one).max()) == n else "float32"


def may_be_precise(library, device, precision):
    """Whether TF32 was asked for and nothing but the probe speaks against it.

    cuBLAS is free to take a float32 kernel for a product of the probe's size.
    """
    ampere = int(library.cuda.Device(device).compute_capability) >= 80
    return precision == "tf32" and ampere and os.environ.get("NVIDIA_TF32_OVERRIDE") != "0"


def why_not_precise(precision, works):
    """The remedy for a GPU whose products round otherwise than they were asked to."""
    if precision == "tf32":
        return ("--precision tf32: this GPU computes in float32 all the same, "
                "because it is older than NVIDIA's Ampere or because "
                "NVIDIA_TF32_OVERRIDE=0 is set: choose --precision float32")
    return (f"--precision {precision}: this GPU computes in {works} all the same: "
            "unset NVIDIA_TF32_OVERRIDE")


def why_not_imported(error):
    """The remedy for an `import cupy` that failed."""
    if getattr(error, "name", None) == "cupy":
        return (f"--gpu needs CuPy, which is not installed for {sys.executable}: install {WHEEL}, "
                f"for example: {INSTALL} -- or leave out --gpu to compute on the CPU")
    return (f"--gpu: CuPy is installed but cannot be imported ({first_line(error)}): "
            "remove every package whose name begins with cupy and install exactly one, "
            f"for example: {INSTALL}")


def why_no_device(text):
    """The remedy for a CUDA runtime that shows no device."""
    if "InsufficientDriver" in text:
        return ("--gpu: there is no NVIDIA driver, or it is older than this CuPy's CUDA "
                "(cudaErrorInsufficientDriver): if `nvidia-smi` fails, this machine has no usable "
                "NVIDIA GPU and --gpu must be left out; otherwise update the driver or install "
                f"the CuPy that suits it: {WHEEL}")
    if "NoDevice" in text:
        return ("--gpu: the NVIDIA driver works but shows no device (cudaErrorNoDevice): "
                "check CUDA_VISIBLE_DEVICES and `nvidia-smi`, "
                "or leave out --gpu to compute on the CPU")
    return (f"--gpu: CUDA could not be started ({text}); check `nvidia-smi`, "
            "or leave out --gpu to compute on the CPU")


def first_line(error):
    """The first line of an exception's text, or its type's name where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
