"""A training on the kernels ends where the readable one of its seed ends: labels recovered, images known, losses equal.

How near, is measured by other seeds: sd is the standard deviation over seeds of the readable training.
"""
import numpy as np
import pytest

from benchmarks.convergence import SEEDS, SMALL, measured, trained
from core import train
from core.batches import Images, mean_image
from core.labels import SoftLabels, one_hot
from core.model import Task, fresh_model
from core.noise import symmetric_others
from nets import preact_resnet as plain
from nets.preact_resnet import Architecture
from nets.preact_resnet_gpu import GpuNet
from tests.lib.arrays import usable_cupy, using
from tests.lib.emulator import devices
from tests.paper.test_train import RECIPE, coloured

ARCH = Architecture(classes=3, widths=(16,), blocks=(1,))
TOY = RECIPE._replace(epochs=10, begin=5, K=3, batch=16, epochs2=4, drops2=(3,))
TERMS = ("loss", "L_c", "L_p", "L_e")


def end(net, seed, xp=np):
    """(records of the last epochs of both steps, the labels): 48 images of three colours, 40 % of the labels wrong."""
    rng = np.random.default_rng(100)
    (pixels, truth), (shown, classes) = coloured(rng, 48), coloured(rng, 24)
    images = Images(pixels, mean_image(pixels), 1, True).on(xp)
    test, nothing = (images._replace(pixels=xp.asarray(shown)), xp.asarray(classes)), xp.zeros(0, np.int64)
    task = Task(images, (images._replace(pixels=images.pixels[:0]), nothing), test, xp.asarray(truth), seed)
    labels = SoftLabels(one_hot(xp.asarray(symmetric_others(truth, 0.4, 3, rng)), 3), TOY.K)
    first, second = (fresh_model(net, ARCH, np.random.default_rng([seed, step]), xp) for step in (1, 2))
    theta_epoch = getattr(net, "theta_epoch", train.theta_epoch)
    *_, joint = train.joint_optimization(first, task, labels, TOY, theta_epoch=theta_epoch)
    *_, last = train.retrain(second, task, SoftLabels(labels.Y, 1), TOY, theta_epoch=theta_epoch)
    return joint, last


def values(records):
    """The losses at the end of both steps; L_p and L_e of step 2 are only watched."""
    return np.array([getattr(record, term) for record in records for term in TERMS])


@pytest.fixture(scope="module")
def readable():
    """The readable training with six seeds."""
    with using(np):
        return [end(plain, seed) for seed in range(6)]


@pytest.mark.thorough
@pytest.mark.parametrize("number", ["half", "float"])
@pytest.mark.parametrize("xp", devices())
def test_a_small_training_learns_and_ends_within_a_fifth_of_the_spread_of_seeds(xp, number, readable):
    spread = np.std([values(records) for records in readable], axis=0, ddof=1)
    with using(xp):
        joint, last = end(GpuNet(xp, number), 0, xp)
    assert joint.recovery == readable[0][0].recovery == 1 and last.test == readable[0][1].test == 1
    assert (np.abs(values([joint, last]) - values(readable[0])) < spread / 5).all()


@pytest.mark.skipif(usable_cupy() is None, reason="no GPU")
@pytest.mark.parametrize("path", ["kernels, half", "kernels, float"])
def test_digits_with_wrong_labels_are_learned_as_by_the_readable_path(path):
    with using(usable_cupy()) as xp:
        ends = [[list(measured(trained(SMALL, xp, one, seed)).values()) for seed in range(SEEDS)]
                for one in ("readable", path)]
    check_ends(*map(np.array, ends))


def check_ends(readable, kernels):
    """(seeds, values) each: labels are learned; the means are equal within four standard errors of their difference."""
    assert kernels[:, 1:].min() > 75                    # percent of the labels and of the test images; 67.5 were given
    error = np.sqrt((readable.var(axis=0, ddof=1) + kernels.var(axis=0, ddof=1)) / SEEDS)
    assert (np.abs(kernels.mean(axis=0) - readable.mean(axis=0)) < 4 * error).all()
