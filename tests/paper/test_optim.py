"""SGD by hand, beside PyTorch's form, on one flat buffer; running statistics; the schedule."""
import numpy as np
import pytest

from core.backend import to_host
from core.optim import Flat, flatten, sgd_step, step_schedule, update_running
from tests.lib.arrays import distance, moved
from tests.lib.evidence import measured

SHAPES = {"w": (3, 3, 2, 4), "gamma": (4,), "one": (1,), "linear": (5, 2)}


def arrays(seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()}


def by_hand(theta, velocity, gradients, rates, momentum, decay):
    """The official code's rule for one parameter, in Python's floats."""
    for g, lr in zip(gradients, rates):
        g = g + decay * theta
        velocity = momentum * velocity - lr * g
        theta = theta + velocity
    return theta, velocity


def in_pytorchs_form(theta, gradients, rates, momentum, decay):
    """The learning rate outside the velocity."""
    b = 0.0
    for g, lr in zip(gradients, rates):
        b = momentum * b + (g + decay * theta)
        theta = theta - lr * b
    return theta


def steps(theta, gradients, rates, momentum, decay, xp):
    theta, velocity = xp.asarray(np.array(theta)), xp.zeros(len(theta))
    for g, lr in zip(gradients, rates):
        sgd_step(theta, velocity, xp.asarray(np.array(g)), lr, momentum, decay)
    return to_host(theta), to_host(velocity)


def test_three_steps_are_those_made_by_hand(xp):
    rng = np.random.default_rng(0)
    theta, gradients, rates = rng.standard_normal(7), rng.standard_normal((3, 7)), (0.1, 0.1, 0.01)
    found = steps(theta, gradients, rates, 0.9, 0.01, xp)
    expected = np.array([by_hand(float(theta[i]), 0.0, gradients[:, i].tolist(), rates, 0.9, 0.01) for i in range(7)]).T
    for name, a, b in zip(("theta", "velocity"), found, expected):
        measured(f"SGD, {name}", "three steps by hand", xp, distance(a, b), 1e-15)


def test_a_step_in_numbers(xp):
    theta, velocity = steps([1.0], [[2.0]], [0.5], 0.9, 0.25, xp)       # g = 2 + 0.25;  v = -0.5 * 2.25
    assert (theta, velocity) == ([-0.125], [-1.125])
    theta, velocity = steps([1.0], [[2.0], [0.0]], [0.5, 0.25], 0.5, 0.0, xp)    # v = -1, then -0.5 - 0: lr 0.5 lingers
    assert (theta, velocity) == ([-0.5], [-0.5])


def test_while_the_learning_rate_is_constant_the_form_is_pytorchs(xp):
    rng = np.random.default_rng(1)
    theta, gradients = rng.standard_normal(5), rng.standard_normal((20, 5))
    setting = gradients, [0.05] * 20, 0.9, 1e-4
    found, _ = steps(theta, *setting, xp)
    measured("SGD, theta", "PyTorch's form, constant lr", xp, distance(found, in_pytorchs_form(theta, *setting)), 1e-14)


def test_after_the_learning_rate_drops_the_larger_steps_linger(xp):
    """With no gradient after the drop, theta goes on by lr_before * b * momentum^t,
    where PyTorch's form uses lr_after."""
    before, after = [0.5] * 3, [0.05] * 4
    gradients = [[1.0], [2.0], [-0.5]] + [[0.0]] * 4
    found, _ = steps([0.0], gradients, before + after, 0.9, 0.0, xp)
    at_drop, velocity = by_hand(0.0, 0.0, [1.0, 2.0, -0.5], before, 0.9, 0.0)
    lingering = velocity * (0.9 + 0.9 ** 2 + 0.9 ** 3 + 0.9 ** 4)
    assert abs(found[0] - (at_drop + lingering)) < 1e-14
    pytorch = in_pytorchs_form(0.0, [g for g, in gradients], before + after, 0.9, 0.0)
    assert abs(pytorch - (at_drop + lingering / 10)) < 1e-14


def test_weight_decay_acts_on_every_parameter(xp):
    theta = Flat(moved(arrays(2), xp))
    before = {name: to_host(a).copy() for name, a in theta.views.items()}
    sgd_step(theta.buffer, xp.zeros_like(theta.buffer), xp.zeros_like(theta.buffer), 0.5, 0.9, 0.1)
    for name, a in theta.views.items():
        assert distance(a, 0.95 * before[name]) < 1e-15, name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_step_keeps_the_dtype_and_works_in_place(xp, dtype):
    theta = Flat(moved(arrays(3, dtype), xp))
    velocity, gradient = xp.zeros_like(theta.buffer), xp.ones_like(theta.buffer)
    view, buffer = theta.views["w"], theta.buffer
    start = to_host(view).copy()
    sgd_step(theta.buffer, velocity, gradient, 0.1, 0.9, 1e-4)
    assert theta.buffer is buffer and theta.buffer.dtype == velocity.dtype == dtype
    assert not np.array_equal(to_host(view), start)         # the views move with it


# ---- the buffer ----------------------------------------------------------------------------------------------------

def test_views_and_buffer_are_the_same_memory(xp):
    given = moved(arrays(4), xp)
    flat = Flat(given)
    assert list(flat.views) == list(SHAPES) and flat.buffer.size == sum(a.size for a in given.values())
    assert all(np.array_equal(to_host(flat.views[name]), to_host(a)) for name, a in given.items())
    flat.buffer *= 0
    assert all(float(abs(view).max()) == 0 for view in flat.views.values())
    flat.views["linear"][1, 1] = 7
    assert to_host(flat.buffer).tolist() == [0] * (flat.buffer.size - 7) + [7] + [0] * 6
    assert float(abs(given["w"]).max()) > 0                 # what was given is copied


def test_gather_brings_the_arrays_into_the_order_of_the_views(xp):
    theta, g = Flat(moved(arrays(5), xp)), arrays(6)
    shuffled = moved({name: g[name] for name in ("one", "linear", "gamma", "w")}, xp)
    expected = np.array([number for name in SHAPES for number in g[name].ravel()])
    assert np.array_equal(to_host(theta.gather(shuffled)), expected)


def test_flatten_reads_every_array_in_c_order(xp):
    a = xp.asarray(np.arange(6.0).reshape(2, 3))
    assert to_host(flatten([a.T, a])).tolist() == [0, 3, 1, 4, 2, 5, 0, 1, 2, 3, 4, 5]
    assert to_host(flatten([a])).tolist() == [0, 1, 2, 3, 4, 5]


# ---- the others ----------------------------------------------------------------------------------------------------

def test_running_statistics_forget_a_tenth_per_batch(xp):
    rng = np.random.default_rng(7)
    start, moments = rng.standard_normal(4), rng.standard_normal((6, 4))
    running = xp.asarray(start)
    expected = start.copy()
    for m in moments:
        given = xp.asarray(m)
        update_running(running, given)
        assert np.array_equal(to_host(given), m)
        expected = 0.9 * expected + 0.1 * m
    measured("running statistics", "six steps by hand", xp, distance(running, expected), 1e-15)
    update_running(running, xp.ones(4), rate=1)
    assert to_host(running).tolist() == [1] * 4


def test_schedule_drops_after_the_named_epochs():
    rates = [step_schedule(0.2, (40, 80), epoch) for epoch in range(1, 121)]
    assert np.allclose(rates, [0.2] * 40 + [0.02] * 40 + [0.002] * 40, rtol=1e-15, atol=0)
    assert step_schedule(0.2, (), 1000) == 0.2 and np.isclose(step_schedule(1, (3, 3), 4), 0.01, rtol=1e-15)
