"""A training that several ranks share is the training of one."""
import numpy as np
import pytest

from core import train
from core.data.batches import Images
from core.labels import SoftLabels
from core.optim import Flat
from core.ranks import Serial, launch
from nets.preact_resnet_fast import FastNet
from tests.test_train import RECIPE, begin


def trained(algorithm, comm):
    """What the algorithm leaves behind: theta, running statistics, Y, the ring and the records but for their seconds."""
    model, task, labels = begin(np, n=21)
    few = Images(task.test[0].pixels[:2], *task.test[0][1:])                # fewer test images than ranks
    task = task._replace(test=(few, task.test[1][:2]))
    theta, running = (Flat({name: a.astype(float) for name, a in flat.views.items()}) for flat in (model.theta, model.running))
    model = train.Model(FastNet(comm), model.arch, theta, running, np.zeros_like(theta.buffer), comm)
    labels = SoftLabels(labels.Y.astype(float), RECIPE.K)                   # float64: what is left is no rounding
    records = [r._replace(step=0, seconds=0) for r in algorithm(model, task, labels, RECIPE._replace(predict="evaluation"))]
    return model.theta.buffer, model.running.buffer, labels.Y, labels.ring, np.array(records)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("algorithm", [train.joint_optimization, train.retrain])
def test_ranks_that_share_a_training_end_where_one_rank_ends(algorithm, size):
    for found, expected in zip(launch(lambda comm: trained(algorithm, comm), size), trained(algorithm, Serial()), strict=True):
        assert np.allclose(found, expected, rtol=1e-9, atol=1e-9)
