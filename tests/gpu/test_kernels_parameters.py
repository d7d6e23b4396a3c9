"""The sums of the slots, in whatever number and wherever they lie, are the gradient; what is not finite is counted."""
import numpy as np
import pytest

from core.kernels.parameters import MANY, SHORT, Parameters, placed
from core.kernels.program import Program
from tests.lib.emulator import devices, in_every_order

SHAPES = {"conv": (3, 3, 3, 16), "bn.gamma": (48,), "bn.beta": (48,), "projection": (1, 1, 32, 64),
          "long": (3, 3, 16, 40),
          "linear.w": (30, 10), "linear.b": (10,)}
PARTS = {"conv": MANY + 5, "projection": 512, "long": 3}


@pytest.fixture(params=devices())
def summed(request):
    """(xp, Parameters, run)"""
    xp = request.param
    program = Program(xp, "half", {})
    parameters = Parameters(program, SHAPES, PARTS, 1024)
    with program.section("collect"):
        parameters.collect(["projection", "bn.beta"])
        parameters.collect(list(parameters.uncollected))
    program.compile()
    rng = np.random.default_rng(0)
    parameters.all_slots[...] = xp.asarray(rng.standard_normal(len(parameters.all_slots)).astype(np.float32))
    return xp, parameters, lambda: program.run("collect")


def test_the_gradient_is_the_sum_of_the_slots_by_the_loss_scale(summed):
    xp, parameters, run = summed
    in_every_order(xp, run, [parameters.gradient])
    for name, found in parameters.gradient_views.items():
        slots = xp.asnumpy(parameters.slots[name]).astype(float)
        slots = slots[..., :3, :] if name == "conv" else slots
        assert (np.abs(xp.asnumpy(found) - slots.sum(axis=0) / 1024).max()
                < 1e-6 * np.abs(slots).sum(axis=0).max() / 1024)
    assert parameters.fate.tolist() == [0] * 5


def test_every_number_that_is_not_finite_is_counted(summed):
    xp, parameters, run = summed
    parameters.slots["projection"][500, 0, 0, 3, 7], parameters.slots["linear.b"][0, 9] = np.nan, -np.inf
    parameters.slots["conv"][2, 1, 1, 2, 0] = parameters.slots["conv"][MANY, 1, 1, 2, 0] = np.inf        # of one number
    parameters.slots["conv"][0, 0, 0, 3] = np.nan                                           # no parameter lies there
    run()
    assert parameters.fate.tolist() == [3, 0, 0, 0, 0]


def test_a_parameter_with_many_slots_lies_in_short_runs():
    xp = devices()[0].values[0]
    parameters = Parameters(Program(xp, "half", {}), SHAPES, PARTS, 1)
    counts = {name: [row[1] for row in runs] for name, runs in parameters.uncollected.items()}
    assert (set(counts["projection"]) == {SHORT} and set(counts["conv"]) == {SHORT, 16}
            and counts["long"] == [512, 128] * 9)
    assert all(sum(counts[name]) == np.prod(place.shape) for name, place in placed(SHAPES, PARTS).items())
