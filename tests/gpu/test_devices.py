"""Both devices do the same: from one state one step, from one seed the same order, crops, flips and noise;
and two runs one result.

Here they run on the stand-in, whose numbers are NumPy's to the last bit; where there is a GPU, on CuPy, whose sums have
another order.
"""
import numpy as np
import pytest

from core import train
from core.backend import to_host
from core.batches import augmented, batches, draws
from core.labels import one_hot
from core.model import fresh_model
from core.noise import symmetric
from core.objective import Objective
from core.optim import Flat
from nets import preact_resnet as net
from nets.preact_resnet import Architecture
from tests.lib.arrays import distance, using
from tests.lib.evidence import measured
from tests.paper.test_train import RECIPE, begin, state

BOUND = 1e-4                           # of a step in float32; a ReLU's input that moves across zero would show as more
ARCH = Architecture(classes=3, widths=(8, 16), blocks=(1, 1))


def after_steps(xp, steps=1, dtype=np.float32):
    """[theta, velocity, running statistics, Y, ring of predictions, sums of the terms] after so many steps."""
    with using(xp):
        _, task, labels = begin(xp)
        model = fresh_model(net, ARCH, np.random.default_rng(1), xp)
        model = model._replace(theta=Flat({name: a.astype(dtype) for name, a in model.theta.views.items()}),
                               running=Flat({name: a.astype(dtype) for name, a in model.running.views.items()}),
                               velocity=model.velocity.astype(dtype))
        if dtype == np.float64:
            task, labels = as_double(task), labels_as_double(labels)
        trained = train.theta_iterations(model, task, labels, Objective(xp.full(3, 1 / 3, dtype), 1.2, 0.8), 0.1,
                                         RECIPE, 0)
        terms = [to_host(next(trained)) for _ in range(steps)]
        return [*state(model), to_host(labels.Y), to_host(labels.ring), sum(terms)]


def as_double(task):
    """The mean image in float64; a network of float64 then computes in it."""
    return task._replace(train=task.train._replace(mean=task.train.mean.astype(np.float64)))


def labels_as_double(labels):
    labels.Y, labels.ring = labels.Y.astype(np.float64), labels.ring.astype(np.float64)
    return labels


@pytest.mark.parametrize("dtype, bound", [(np.float32, BOUND), (np.float64, 1e-9)])
def test_a_step_from_the_same_state_agrees(xp, dtype, bound):
    """Of float64 a whole step of both devices may differ by the order of the sums alone."""
    for found, expected in zip(after_steps(xp, 1, dtype), after_steps(np, 1, dtype), strict=True):
        assert found.dtype == expected.dtype
        measured("step, both devices", f"{np.dtype(dtype).name} against NumPy", xp, distance(found, expected), bound)


def test_the_same_seed_gives_the_same_order_crops_flips_and_images(xp):
    images, there = begin(np)[1].train, begin(xp)[1].train
    for epoch in (0, 3):
        for (i, n), (i_there, n_there) in zip(batches(20, 8, 7, epoch), batches(20, 8, 7, epoch, xp), strict=True):
            assert n == n_there and np.array_equal(i, to_host(i_there))
            for part, part_there in zip(draws(i, 7, epoch, 4), draws(i_there, 7, epoch, 4), strict=True):
                assert part.dtype == part_there.dtype and np.array_equal(part, to_host(part_there))
            assert distance(augmented(there, i_there, 7, epoch), augmented(images, i, 7, epoch)) < 1e-6


def test_the_same_seed_gives_the_same_noise(xp):
    """It is drawn on the host for both; what is made of it on the device is the same."""
    given = symmetric(np.arange(300) % 10, 0.5, 10, np.random.default_rng(4))
    assert np.array_equal(to_host(one_hot(xp.asarray(given), 10)), one_hot(given, 10))


def test_two_runs_give_the_same_bits(xp):
    for first, second in zip(after_steps(xp, 3), after_steps(xp, 3), strict=True):
        assert np.array_equal(first, second)
    runs = [whole_run(xp) for _ in range(2)]
    assert runs[0][0] == runs[1][0]
    assert all(np.array_equal(a, b) for a, b in zip(runs[0][1], runs[1][1], strict=True))


def whole_run(xp):
    """(records, arrays) of both steps of the method."""
    model, task, labels = begin(xp)
    records = list(train.joint_optimization(model, task, labels, RECIPE))
    again = fresh_model(net, model.arch, np.random.default_rng(1), xp)
    records += train.retrain(again, task, labels, RECIPE)
    return [r._replace(seconds=0) for r in records], [*state(model), *state(again), to_host(labels.Y),
                                                      to_host(labels.ring)]
