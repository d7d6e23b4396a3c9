"""The examples do what they say."""
import importlib.util
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import demo
from core.run import Config, options
from core.run.sweep import folder_name
from tests.lib.tiny_demo import IMAGES

ROOT = Path(__file__).parents[2]
TINY = "--quick --epochs 1"

dask = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="needs dask and distributed")


def check_dask(printed, out):
    lines = sorted(printed.splitlines())
    assert [line.split(":")[0] for line in lines[1:]] == ["seed 0", "seed 1"] and lines[0].startswith("mean ")
    assert all((out / f"seed{seed}" / "summary.json").exists() for seed in range(2))


@dask
@pytest.mark.thorough
def test_dask_runs_every_seed_in_a_folder_of_its_own(tmp_path, monkeypatch, capsys):
    """On a cluster that has an address, of threads and with few images."""
    from dask.distributed import LocalCluster

    from examples import on_dask
    monkeypatch.setattr(on_dask, "Config", partial(Config, digits=IMAGES))
    with LocalCluster(1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        on_dask.main(["--seeds", "2", "--epochs", "1", "--out", str(tmp_path), "--cluster", cluster.scheduler_address])
    check_dask(capsys.readouterr().out, tmp_path)


@dask
@pytest.mark.thorough
def test_dask_starts_a_cluster_of_its_own(tmp_path):
    command = [sys.executable, "-m", "examples.on_dask", "--seeds", "2", "--epochs", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    check_dask(done.stdout, tmp_path)


@pytest.mark.skipif(shutil.which("bash") is None, reason="a shell script")
@pytest.mark.thorough
def test_a_slurm_array_runs_one_line_in_each_job_and_the_sweep_then_knows_it(tmp_path, monkeypatch, capsys):
    """In a folder with nothing but the program, which draws few images here."""
    (tmp_path / "demo.py").write_text("import runpy\nrunpy.run_module('tests.lib.tiny_demo', run_name='__main__')\n")
    lines = [f"{TINY} --seed 4", f"{TINY} --seed 5"]
    (tmp_path / "runs.txt").write_text(f"# two seeds\n\n{lines[0]}   # the first\n  # and\n{lines[1]}\n")
    folders = [tmp_path / "runs" / "runs" / folder_name(line) for line in lines]
    settings = {"PYTHONPATH": str(ROOT), "PYTHON": sys.executable}
    for job, expected in [("2", [False, True]), ("1", [True, True])]:
        done = subprocess.run(["bash", ROOT / "examples" / "slurm.sh", "runs.txt"], cwd=tmp_path, capture_output=True,
                              text=True, env=os.environ | settings | {"SLURM_ARRAY_TASK_ID": job}, timeout=120)
        assert done.returncode == 0, done.stderr
        assert [(folder / "summary.json").exists() for folder in folders] == expected
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "QUICK", IMAGES)
    assert demo.main(["sweep", "runs.txt"]) == 0
    out, err = capsys.readouterr()
    assert "Parallel" not in out + err and f"{TINY}: 2 seeds" in out, err
