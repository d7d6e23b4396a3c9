"""--gpu works or says in one sentence why not: every kind of failure, played by a stand-in for CuPy."""
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from core import backend
from core.errors import InputError
from tests.lib.arrays import using
from tests.lib.strict import strict
from tests.lib.tf32 import tf32_rounded


class CudaError(Exception):
    """Stands for cupy.cuda.runtime.CUDARuntimeError."""


def cupy_with(devices, compute=lambda: None, obeys=True, capability="90"):
    """A module like CuPy: `devices` is their number or the error that asking for them raises.

    obeys: whether its products have the precision that set_compute_type asks for; else that of a new CuPy, float32.
    capability: of all devices, or of each. used: the devices that were made current, in order.
    """
    precision = ["float32"]

    def count():
        if isinstance(devices, Exception):
            raise devices
        return devices

    def full(shape, value, dtype):
        compute()
        return np.full(shape, tf32_rounded(np.asarray(value, dtype)) if precision[0] == "tf32" else value, dtype)

    def set_compute_type(dtype, compute_type):
        assert dtype is np.float32
        precision[0] = {1: "float32", 7: "tf32"}[compute_type] if obeys else "float32"

    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CudaError)
    used = []
    cuda = SimpleNamespace(runtime=runtime, Device=lambda n: SimpleNamespace(
        use=lambda: used.append(n), compute_capability=capability if isinstance(capability, str) else capability[n]))
    return SimpleNamespace(cuda=cuda, full=full, name="stand-in", used=used,
                           _core=SimpleNamespace(set_compute_type=set_compute_type), precision=precision)


@pytest.fixture
def installed(monkeypatch):
    """Install a stand-in for CuPy; backend.cupy is put back afterwards."""
    monkeypatch.setattr(backend, "cupy", None)
    monkeypatch.setenv("CUPY_TF32", "before")
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    return lambda module: monkeypatch.setitem(sys.modules, "cupy", module)


def raising(error):
    def compute():
        raise error
    return compute


@pytest.mark.parametrize("module, device, words", [
    (None, 0, ["not installed", "pip install", "cupy-cuda12x"]),
    (cupy_with(CudaError("cudaErrorInsufficientDriver: driver too old")), 0, ["driver", "nvidia-smi"]),
    (cupy_with(CudaError("cudaErrorNoDevice: no CUDA-capable device is detected")), 0,
     ["no device", "CUDA_VISIBLE_DEVICES"]),
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


def test_the_device_asked_for_is_the_one_that_is_used_and_looked_at(installed):
    module = cupy_with(3, obeys=False, capability=["75", "80", "75"])
    installed(module)
    with pytest.warns(RuntimeWarning, match="this GPU has TF32"):
        backend.use_gpu(1, "tf32")
    for device in (2, 0):
        with pytest.raises(InputError, match="older than NVIDIA's Ampere"):
            backend.use_gpu(device, "tf32")
    backend.use_gpu(2)
    assert module.used == [1, 2, 0, 2]


def test_without_gpu_cupy_is_never_imported():
    assert backend.xp_of(np.zeros(1)) is np
    assert backend.to_host(np.zeros(1)).shape == (1,)


# ---- precision -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("precision", backend.PRECISIONS)
def test_products_have_the_precision_asked_for_and_float32_if_nothing_is_said(installed, precision):
    module = cupy_with(1)
    installed(module)
    backend.use_gpu(0, precision)
    assert module.precision == [precision] == [backend.precision_of(module)]
    assert os.environ["CUPY_TF32"] == {"tf32": "1", "float32": "0"}[precision]
    backend.use_gpu(0)
    assert module.precision == ["float32"]


@pytest.mark.parametrize("capability, override", [("75", None), ("90", "0")], ids=["older than Ampere", "forbidden"])
def test_a_gpu_without_tf32_is_refused_if_it_was_asked_for(installed, monkeypatch, capability, override):
    installed(cupy_with(1, obeys=False, capability=capability))
    if override:
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
    with pytest.raises(InputError, match="--precision tf32.*--precision float32") as error:
        backend.use_gpu(0, "tf32")
    assert "\n" not in str(error.value) and backend.cupy is None


def test_a_gpu_with_tf32_that_takes_another_kernel_for_the_probe_is_used_with_a_warning(installed):
    module = cupy_with(1, obeys=False)
    installed(module)
    with pytest.warns(RuntimeWarning, match="--precision tf32: .* came out in float32"):
        assert backend.use_gpu(0, "tf32") is module is backend.cupy


def test_a_gpu_that_rounds_more_than_it_should_is_refused(installed):
    module = cupy_with(1)
    installed(module)
    module._core.set_compute_type = lambda *_: module.precision.__setitem__(0, "tf32")
    with pytest.raises(InputError, match="in tf32 all the same.*NVIDIA_TF32_OVERRIDE"):
        backend.use_gpu(0, "float32")


def test_a_cupy_without_that_function_is_asked_by_its_environment_variable(installed):
    module = cupy_with(1)
    installed(module)
    del module._core
    assert backend.use_gpu(0) is module and os.environ["CUPY_TF32"] == "0"


# ---- fused functions -----------------------------------------------------------------------------------------------

def test_a_fused_function_is_made_one_kernel_once_and_is_itself_on_numpy(monkeypatch):
    made = []
    monkeypatch.setattr(strict, "fuse", lambda f: made.append(f) or f)

    @backend.fused
    def half(x):
        """x / 2"""
        return x / 2

    assert half(np.ones(2)).tolist() == [0.5, 0.5] and made == [] and half.__doc__ == "x / 2"
    with using(strict):
        for _ in range(3):
            assert backend.to_host(half(strict.asarray(np.ones(2)))).tolist() == [0.5, 0.5]
    assert [f.__name__ for f in made] == ["half"]
