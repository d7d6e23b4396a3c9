"""The examples do what they say."""
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.run.sweep import folder_name

ROOT = Path(__file__).parents[2]
TINY = "--quick --epochs 1"


@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="needs dask and distributed")
def test_dask_runs_every_seed_in_a_folder_of_its_own(tmp_path):
    command = [sys.executable, "-m", "examples.on_dask", "--seeds", "2", "--epochs", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    lines = sorted(done.stdout.splitlines())
    assert done.returncode == 0 and len(lines) == 3, done.stderr
    assert [line.split(":")[0] for line in lines[1:]] == ["seed 0", "seed 1"] and lines[0].startswith("mean ")
    assert all((tmp_path / f"seed{seed}" / "summary.json").exists() for seed in range(2))


@pytest.mark.skipif(shutil.which("bash") is None, reason="a shell script")
def test_a_slurm_array_runs_one_line_in_each_job_and_the_sweep_then_knows_it(tmp_path):
    """In a folder with nothing but the program."""
    for name in ("demo.py", "core", "nets"):
        (tmp_path / name).symlink_to(ROOT / name)
    lines = [f"{TINY} --seed 4", f"{TINY} --seed 5"]
    (tmp_path / "runs.txt").write_text(f"# two seeds\n\n{lines[0]}   # the first\n  # and\n{lines[1]}\n")

    def here(*command, **variables):
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | variables, timeout=120)

    def completed():
        return [(tmp_path / "runs" / "runs" / folder_name(line) / "summary.json").exists() for line in lines]

    for job, expected in [("2", [False, True]), ("1", [True, True])]:
        done = here("bash", str(ROOT / "examples" / "slurm.sh"), "runs.txt", SLURM_ARRAY_TASK_ID=job, PYTHON=sys.executable)
        assert done.returncode == 0 and completed() == expected, done.stderr
    table = here(sys.executable, "demo.py", "sweep", "runs.txt")
    assert "Parallel" not in table.stdout + table.stderr and f"{TINY}: 2 seeds" in table.stdout, table.stderr
