"""--gpu works or says in one sentence why not: every kind of failure, played by a stand-in for CuPy."""
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from core import backend
from core.errors import InputError


class CudaError(Exception):
    """Stands for cupy.cuda.runtime.CUDARuntimeError."""


def cupy_with(devices, compute=lambda: None):
    """A module like CuPy: `devices` is their number or the error that asking for them raises."""
    def count():
        if isinstance(devices, Exception):
            raise devices
        return devices

    def arange(*args, **kwargs):
        compute()
        return np.arange(*args, **kwargs)

    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CudaError)
    device = SimpleNamespace(use=lambda: None)
    return SimpleNamespace(cuda=SimpleNamespace(runtime=runtime, Device=lambda n: device), arange=arange, name="stand-in")


@pytest.fixture
def installed(monkeypatch):
    """Install a stand-in for CuPy; backend.cupy is put back afterwards."""
    monkeypatch.setattr(backend, "cupy", None)
    return lambda module: monkeypatch.setitem(sys.modules, "cupy", module)


def raising(error):
    def compute():
        raise error
    return compute


@pytest.mark.parametrize("module, device, words", [
    (None, 0, ["not installed", "pip install", "cupy-cuda12x"]),
    (cupy_with(CudaError("cudaErrorInsufficientDriver: driver too old")), 0, ["driver", "nvidia-smi"]),
    (cupy_with(CudaError("cudaErrorNoDevice: no CUDA-capable device is detected")), 0, ["no device", "CUDA_VISIBLE_DEVICES"]),
    (cupy_with(CudaError("cudaErrorUnknown")), 0, ["could not be started", "cudaErrorUnknown"]),
    (cupy_with(2), 2, ["2 CUDA device(s)", "0 to 1"]),
    (cupy_with(2), -1, ["2 CUDA device(s)"]),
    (cupy_with(1, raising(RuntimeError("libnvrtc.so.12: cannot open shared object file\nmore"))), 0,
     ["libnvrtc.so.12", "pip install"]),
])
def test_why_the_gpu_cannot_be_used(installed, module, device, words):
    installed(module)
    with pytest.raises(InputError) as error:
        backend.use_gpu(device)
    text = str(error.value)
    assert all(word in text for word in words), text
    assert "\n" not in text and backend.cupy is None


def test_a_cupy_that_fails_to_import_is_told_from_one_that_is_missing():
    missing = backend.why_not_imported(ModuleNotFoundError("No module named 'cupy'", name="cupy"))
    broken = backend.why_not_imported(ImportError("libcudart.so.12: cannot open shared object file\nmore"))
    assert "not installed" in missing
    assert "cannot be imported" in broken and "libcudart.so.12" in broken and "more" not in broken


def test_a_working_gpu_becomes_the_array_library(installed):
    module = cupy_with(1)
    installed(module)
    assert backend.use_gpu(0) is module is backend.cupy


def test_without_gpu_cupy_is_never_imported():
    assert backend.xp_of(np.zeros(1)) is np
    assert backend.to_host(np.zeros(1)).shape == (1,)
