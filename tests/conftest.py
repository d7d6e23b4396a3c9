"""What every test may ask for: the array library `xp`, and property tests that draw the same examples every time.

Tests that compute on a GPU get a marker: `cupy` (array code: the fixture xp) or `gpu` (kernels: tests/lib/emulator.py).
"""
import os

import pytest
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

from tests.lib.arrays import xp  # noqa: F401   the fixture
from tests.lib.signals import heard_by_children
from tests.lib.undrawn import undrawn

settings.register_profile("proofs", derandomize=True, deadline=None, max_examples=25, database=None,
                          suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("proofs")

heard_by_children()
threadpool_limits(1, "blas")           # small arrays: on a busy machine two threads took the full net from 5 s to 31 s


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk():
    """`fsync` only matters when the power fails: tests/lib/power.py plays that. 3,700 calls took 12 seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture
def no_pictures(monkeypatch):
    """tests/lib/undrawn.py, for one test."""
    undrawn(monkeypatch)


SLOWEST = ("gpu/test_kernels_compile", "gpu/test_kernels_convergence", "gpu/test_kernels_net", "run/test_kill",
           "run/test_interrupt", "project/test_examples", "run/test_demo", "gpu/test_kernels_conv",
           "paper/test_reference")


@pytest.hookimpl(tryfirst=True)        # before -m chooses
def pytest_collection_modifyitems(items):
    """Markers of what runs on a GPU, and the slowest files first: both processes then end at the same time.

    A test that has CuPy as a parameter is marked by the name of that parameter in its id: [gpu-...] or [...-cupy].
    """
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec and any(getattr(value, "__name__", "") == "cupy" for value in callspec.params.values()):
            for marker in {"gpu", "cupy"}.intersection(callspec.id.split("-")):
                item.add_marker(marker)
    place = {f"tests/{name}.py": number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(place)))
