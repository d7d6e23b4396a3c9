"""The array libraries on which every test of array code runs, one body for all.

    def test_something(xp):        numpy; strict, the stand-in for a second library; cupy where there is a usable GPU
        x = xp.asarray(...)

While the test runs, the program believes that strict (or cupy) is its CuPy: `core.backend.cupy` is set,
and put back afterwards.
"""
import warnings
from contextlib import contextmanager

import numpy as np
import pytest

from core import backend
from core.errors import InputError
from tests.lib.strict import strict


def usable_cupy():
    """cupy where there is a GPU that it can compute on, else None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")                    # what CuPy says while it is imported is no error of ours
            return backend.use_gpu()
    except InputError:
        return None
    finally:
        backend.cupy = None


LIBRARIES = [library for library in (np, strict, usable_cupy()) if library is not None]


@contextmanager
def using(library):
    """The program computes with `library` beside NumPy."""
    before = backend.cupy
    backend.cupy = None if library is np else library
    try:
        yield library
    finally:
        backend.cupy = before


@pytest.fixture(params=LIBRARIES, ids=lambda library: library.__name__)
def xp(request):
    """Each of the libraries in turn."""
    with using(request.param) as library:
        yield library


def moved(arrays, xp):
    """The same list, tuple or dict of NumPy arrays as arrays of xp; what is no array stays."""
    if isinstance(arrays, dict):
        return {name: moved(array, xp) for name, array in arrays.items()}
    if isinstance(arrays, (list, tuple)):
        return type(arrays)(moved(array, xp) for array in arrays)
    return xp.asarray(arrays) if isinstance(arrays, np.ndarray) else arrays


def normal(shapes, seed=0):
    """A list of NumPy arrays of standard normal numbers, the same at every call."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def distance(found, expected):
    """|found - expected| / |expected|, in float64: the error of a whole array in units of its norm."""
    found, expected = (np.asarray(backend.to_host(x) if hasattr(x, "dtype") else x).astype(complex)
                       for x in (found, expected))
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return float(np.linalg.norm(found - expected) / max(np.linalg.norm(expected), np.finfo(float).tiny))
