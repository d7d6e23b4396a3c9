""".ci/run: what it takes for a passed suite."""
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("last, status", [
    ("{more} passed, 33 skipped in 101.23s (0:01:41)", 0), ("{fewest} passed in 9.1s", 0),
    ("{fewer} passed, 33 skipped in 9.1s", 1), ("no tests ran in 0.2s", 1), ("", 1), ("9{more} deselected", 1)])
def test_fewer_tests_than_the_stated_number_are_a_failure(tmp_path, last, status):
    """As once, when two processes that disagreed on the names of tests ran none."""
    fewest = int(re.search(r"^fewest=(\d+)", SCRIPT, re.MULTILINE)[1])
    assert fewest > 3000
    (tmp_path / "tests.log").write_text("...\n" + last.format(more=fewest + 9, fewest=fewest, fewer=fewest - 1) + "\n")
    check = SCRIPT[SCRIPT.index("passed=$("):SCRIPT.index('echo "+ .venv/bin/python -m pytest -q -n 2 -m thorough"')]
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", f'fewest={fewest} work={tmp_path}\n{check}'],
                          capture_output=True, text=True)
    assert done.returncode == status and ("error: only" in done.stdout) == status
