"""Nothing crosses between host and device inside an epoch, and the host waits for the device twice, when it has ended.

Counted on the stand-in for CuPy: what it counts is what CuPy does, with the same arrays,
in the same lines of the program.
"""
import numpy as np
import pytest

from core import train
from core.batches import batches
from core.model import fresh_model
from core.objective import Objective
from nets.preact_resnet import Architecture
from tests.lib.arrays import using
from tests.lib.strict import counted, strict
from tests.paper.test_train import RECIPE, begin

LAUNCHES = 1150                        # of a step of the paper's network; at 6 us of the CPU for each, 7 ms


@pytest.fixture
def device():
    with using(strict):
        yield strict


def epochs(algorithm, recipe, **changed):
    """The traffic of every epoch of a training of 20 images."""
    training, found = algorithm(*begin(strict, recipe=recipe, **changed), recipe), []
    while True:
        with counted() as traffic:
            if next(training, None) is None:
                return found
        found.append(traffic)


@pytest.mark.parametrize("change", [dict(), dict(update="hard"), dict(update="hard-3"), dict(predict="evaluation"),
                                    dict(prior="given")])
@pytest.mark.parametrize("algorithm", [train.joint_optimization, train.retrain])
def test_an_epoch_sends_its_order_and_is_waited_for_after_training_and_after_measuring(device, algorithm, change):
    found = epochs(algorithm, RECIPE._replace(**change))
    assert [traffic["to device"] for traffic in found] == [1] * len(found) and len(found) >= 4
    assert [traffic["to host"] for traffic in found] == [2] * len(found)


def test_that_holds_without_truth_and_without_validation_images(device):
    found = epochs(train.joint_optimization, RECIPE, known=False)
    assert [(traffic["to device"], traffic["to host"]) for traffic in found] == [(1, 2)] * 4


def test_the_steps_of_an_epoch_send_nothing_and_wait_for_nothing(device):
    """However many there are: the epoch's order is there before the first of them."""
    for size in (2, 4, 20):
        model, task, labels = begin(strict)
        recipe = RECIPE._replace(batch=size)
        with counted() as traffic:
            steps = list(train.theta_iterations(model, task, labels, Objective(strict.full(3, 1 / 3), 1.2, 0.8), 0.1,
                                                recipe, 0))
        assert len(steps) == sum(1 for _ in batches(20, size, 0, 0))
        assert traffic["to device"] == 1 and traffic["to host"] == 0


def test_launches_of_a_step_of_the_papers_network(device):
    """Their number does not depend on the widths, so a narrow one is counted."""
    model, task, labels = begin(strict)
    model = fresh_model(model.net, Architecture(classes=3, widths=(4, 4, 4)), np.random.default_rng(0), strict)
    with counted() as traffic:
        list(train.theta_iterations(model, task, labels, Objective(strict.full(3, 1 / 3), 1.2, 0.8), 0.1,
                                    RECIPE._replace(batch=20), 0))
    assert 0.9 * LAUNCHES < traffic["launches"] <= LAUNCHES
