"""What every test may ask for: the array library `xp`, and property tests that draw the same examples every time."""
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

from tests.lib.arrays import xp  # noqa: F401   the fixture

settings.register_profile("proofs", derandomize=True, deadline=None, max_examples=25, database=None,
                          suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("proofs")

threadpool_limits(1, "blas")    # the arrays are small: on a busy machine two threads took the full net from 5 s to 31 s
