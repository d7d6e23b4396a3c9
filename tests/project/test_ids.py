"""Every process finds the same tests under the same names: where its workers disagree, pytest-xdist runs none."""
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLLECT = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider",
           "--assert=plain"]           # asserts are not rewritten: 2.6 s of CPU for a collection, and not 6.5


def collected(seed):
    """The ids of all tests, in order, as a process with that PYTHONHASHSEED finds them."""
    environment = os.environ | {"PYTHONHASHSEED": str(seed), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(COLLECT, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return [line for line in done.stdout.splitlines() if "::" in line]


@pytest.mark.thorough
def test_another_second_and_another_order_of_sets_change_no_id():
    start = time.monotonic()
    first = collected(seed=1)
    time.sleep(max(0, start + 1.1 - time.monotonic()))
    second = collected(seed=2)
    assert len(first) > 1000
    assert [pair for pair in zip(first, second) if pair[0] != pair[1]] == [] and len(first) == len(second)
