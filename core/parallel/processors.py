"""How many processors this program may use."""
import os
from pathlib import Path

from core.errors import need


def available_processors(groups=Path("/sys/fs/cgroup"), own=Path("/proc/self/cgroup")):
    """Processors that this process may use: those of its affinity mask, and no more than the quota of its container."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    lines = own.read_text().splitlines() if own.exists() else []
    for controllers, path in (line.split(":", 2)[1:] for line in lines):
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = groups / controllers if controllers else groups               # version 1, or version 2 of control groups
        for folder in [root, *(root / part for part in (Path(path.strip("/")), *Path(path.strip("/")).parents))]:
            found = min(found, quota(folder))
    return max(1, int(found))


def quota(folder):
    """Processors' worth of time that a control group grants, infinite where it doesn't say."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        files = [folder / name for name in names]
        if all(file.exists() for file in files):
            time_us, period_us = " ".join(file.read_text() for file in files).split()
            return float("inf") if time_us in ("max", "-1") else int(time_us) / int(period_us)
    return float("inf")


def check_number(option, number):
    """Raises InputError for a number of processes below 1, or far above that of the processors.

    Four for each processor are for trying things out; 500 on two processors stopped a machine for minutes.
    """
    need(number >= 1, f"{option} {number}: choose 1 or more")
    found = available_processors()
    need(number <= max(8, 4 * found), f"{option} {number}: this program may use {found} processors, and more processes "
                                      f"only wait for each other: choose at most {max(8, 4 * found)}")
