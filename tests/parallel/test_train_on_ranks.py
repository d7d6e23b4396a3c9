"""A training that several ranks share is the training of one; under MPI: tests/parallel/test_ranks_mpi.py."""
import hashlib
import os
import sys

import numpy as np
import pytest

from core import train
from core.batches import Images
from core.labels import SoftLabels
from core.model import Model
from core.optim import Flat
from core.parallel.launch import launch
from core.parallel.ranks import Serial
from nets.preact_resnet_fast import FastNet
from tests.paper.test_train import RECIPE, begin

forking = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="ranks need fork")

CASES = {                                                                 # the algorithm and what its recipe differs in
    "step 1": (train.joint_optimization, {}),
    "step 1, odd batches": (train.joint_optimization, {"batch": 7}),
    "step 1, fewer images in a batch than ranks": (train.joint_optimization, {"batch": 2}),
    "step 1, one image in a batch": (train.joint_optimization, {"batch": 1}),
    "step 1, labels from a pass in inference mode": (train.joint_optimization, {"predict": "evaluation"}),
    "step 2": (train.retrain, {"batch": 5}),
}


def trained(case, comm, dtype=np.float64):
    """What it leaves behind: theta (by the gradients), running statistics, Y, recorded predictions, and the records."""
    algorithm, changes = CASES[case]
    model, task, labels = begin(np, n=21)
    few = Images(task.test[0].pixels[:2], *task.test[0][1:])                # fewer test images than ranks
    task = task._replace(test=(few, task.test[1][:2]))
    theta, running = (Flat({name: a.astype(dtype) for name, a in flat.views.items()})
                      for flat in (model.theta, model.running))
    model = Model(FastNet(comm), model.arch, theta, running, np.zeros_like(theta.buffer), comm)
    labels = SoftLabels(labels.Y.astype(dtype), RECIPE.K)                   # float64: what is left is no rounding
    records = [r._replace(step=0, seconds=0) for r in algorithm(model, task, labels, RECIPE._replace(**changes))]
    return model.theta.buffer, model.running.buffer, labels.Y, labels.ring, np.array(records, float)


def deviation(found, expected):
    """The largest difference between two trainings."""
    return max(np.abs(a - b).max() for a, b in zip(found, expected, strict=True))


def digest(case, comm):
    """One number for all that a training in float32 leaves behind, of the own rank,
    and whether it is the same on all."""
    own = hashlib.sha256(b"".join(a.tobytes() for a in trained(case, comm, np.float32))).digest()
    all_ranks = np.zeros((comm.size, len(own)))
    all_ranks[comm.rank] = list(own)
    comm.allreduce(all_ranks)
    return own, bool((all_ranks == all_ranks[0]).all())


@forking
@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.thorough), 3])
@pytest.mark.parametrize("case", CASES)
def test_ranks_that_share_a_training_end_where_one_rank_ends(case, size):
    assert deviation(launch(lambda comm: trained(case, comm), size), trained(case, Serial())) < 1e-10


@forking
def test_the_same_number_of_ranks_gives_the_same_bits_on_all_of_them_and_again():
    first, again = (launch(lambda comm: digest("step 1, odd batches", comm), 3) for _ in range(2))
    assert first == again and first[1]


@forking
def test_another_number_of_ranks_gives_other_bits():
    """So that the tests above compare something."""
    assert len({launch(lambda comm: digest("step 1, odd batches", comm), size)[0] for size in (1, 2, 3)}) > 1
