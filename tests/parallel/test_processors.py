"""The number of processors is what a container grants."""
import os

import pytest

from core.parallel.processors import available_processors

UNLIMITED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize("line, files, expected", [
    ("0::/job", {"job/cpu.max": "150000 100000"}, 1),
    ("0::/job/step", {"job/cpu.max": "100000 100000", "job/step/cpu.max": "max 100000"}, 1),
    ("0::/", {"cpu.max": "50000 100000"}, 1),
    ("0::/", {"cpu.max": "max 100000"}, None),
    ("4:cpu,cpuacct:/job", {"cpu,cpuacct/job/cpu.cfs_quota_us": "100000",
                            "cpu,cpuacct/job/cpu.cfs_period_us": "100000"}, 1),
    ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    ("7:memory:/", {}, None),
])
def test_the_quota_of_a_container_is_respected(tmp_path, line, files, expected):
    (tmp_path / "own").write_text(line + "\n")
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text + "\n")
    assert available_processors(tmp_path / "groups", tmp_path / "own") == min(UNLIMITED, expected or UNLIMITED)
