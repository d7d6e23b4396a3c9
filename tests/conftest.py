"""What every test may ask for: the array library `xp`, and property tests that draw the same examples every time."""
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

from tests.lib.arrays import xp  # noqa: F401   the fixture

settings.register_profile("proofs", derandomize=True, deadline=None, max_examples=25, database=None,
                          suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("proofs")

SLOWEST = ("gpu/test_kernels_compile", "gpu/test_kernels_convergence", "gpu/test_kernels_net", "run/test_kill",
           "run/test_interrupt", "project/test_examples", "run/test_demo", "gpu/test_kernels_conv",
           "paper/test_reference")


def pytest_collection_modifyitems(items):
    """The slowest files first: with `-n 2 --dist worksteal` both processes then end at the same time."""
    place = {f"tests/{name}.py": number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(place)))


threadpool_limits(1, "blas")           # small arrays: on a busy machine two threads took the full net from 5 s to 31 s
