"""A test of ranks that wait for each other ends."""
import signal

import pytest

SECONDS = 60


@pytest.fixture(autouse=True)
def nobody_waits_for_ever():
    """Rank 0 stops waiting, and so launch ends the others."""
    def late(*_):
        raise TimeoutError(f"after {SECONDS} s ranks still wait for each other")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
