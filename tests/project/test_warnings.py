"""pyproject.toml: which warnings of CuPy fail a test. The texts are those of CuPy 14.2.0."""
import warnings

import numpy as np
import pytest

SHOWN = {
    "softlink": "CuPy failed to load libnccl.so.2: OSError: libnccl.so.2: cannot open shared object file",
    "preload": "CuPy failed to preload library (/usr/lib/libcutensor.so.2): OSError (damaged)",
    "library": "\ncutensor library could not be loaded.\n\nReason: ImportError (libcutensor.so.2)\n",
    "path": "CUDA path could not be detected. Set CUDA_PATH environment variable if CuPy fails to load.",
    "headers": "CUB headers are not found.",
    "pinned": "Using synchronous transfer as pinned memory (4096 bytes) could not be allocated.",
}
FAILS = {
    "complex": ("Casting complex values to real discards the imaginary part", np.exceptions.ComplexWarning),
    "device": ("The device where the array resides (1) is different from the current device (0). Peer access has been "
               "activated automatically.", RuntimeWarning),
    "deprecated": ("`ndarray.scatter_add` is deprecated. Please use `cupy.add.at` instead.", DeprecationWarning),
    "truth": ("The truth value of an empty array is ambiguous.", DeprecationWarning),
    "einsum": ("memory efficient einsum is not supported yet", RuntimeWarning),
}


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("category", [UserWarning, RuntimeWarning])
def test_what_changes_no_number_is_shown(name, category):
    with warnings.catch_warnings(record=True) as shown:
        warnings.warn(SHOWN[name], category, stacklevel=1)
    assert [str(warning.message) for warning in shown] == [SHOWN[name]]


@pytest.mark.parametrize("name", FAILS)
def test_what_a_call_of_ours_has_caused_fails(name):
    text, category = FAILS[name]
    with pytest.raises(category):
        warnings.warn_explicit(text, category, "layers.py", 1, "core.layers", registry={})


def test_a_deprecated_call_of_numpy_fails_in_this_project_and_is_shown_in_cupys_own_code():
    text = "Setting the shape on a NumPy array has been deprecated in NumPy 2.5."
    with warnings.catch_warnings(record=True) as shown:
        warnings.warn_explicit(text, DeprecationWarning, "sumprod.py", 1, "cupy._math.sumprod", registry={})
    assert len(shown) == 1
    with pytest.raises(DeprecationWarning):
        warnings.warn_explicit(text, DeprecationWarning, "layers.py", 1, "core.layers", registry={})
