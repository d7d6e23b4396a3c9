"""The whole of it against PyTorch: terms, logits, every gradient, and ten training steps, by name.

The stored results were recorded by tests/reference/record.py and need no PyTorch; where that can be imported, fresh
inputs are compared too.
The error of a tensor is the norm of the difference in units of its own norm.
"""
from pathlib import Path

import numpy as np
import pytest

from core import train
from core.backend import to_host
from core.batches import Images, unaugmented
from core.labels import SoftLabels, prior
from core.model import Model, Task
from core.objective import objective_backward, objective_forward
from core.optim import Flat
from nets import preact_resnet as net
from nets.preact_resnet import Architecture
from tests.lib.arrays import moved
from tests.lib.evidence import measured
from tests.lib.strict import strict
from tests.reference import cases

FOLDER = Path(__file__).parents[1] / "reference"
BOUND = 1e-10


def ours(case, xp):
    """{name: NumPy array} of everything that PyTorch computed, by the project's own functions on the device of xp."""
    found = given(case)
    images = Images(case.pixels, case.mean, pad=0, flip=False).on(xp)
    held_out = images._replace(pixels=images.pixels[:1]), xp.asarray(case.truth[:1])
    task = Task(images, held_out, held_out, xp.asarray(case.truth), seed=0)
    found |= first_batch(case, images, xp)
    labels = SoftLabels(xp.asarray(case.Y), case.recipe.K)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "batches",
                      lambda n, size, seed, epoch, xp: [(xp.asarray(i), n) for i, n in case.order[epoch]])
        run(found, "joint", train.joint_optimization, case, case.theta, task, labels, xp)
        run(found, "retrain", train.retrain, case, case.theta2, task, labels, xp)
    return {name: to_host(a) for name, a in found.items()}


def given(case):
    return {"input.pixels": case.pixels, "input.mean": case.mean, "input.Y": case.Y, **named("input.theta", case.theta),
            **named("input.theta2", case.theta2), **named("input.running", case.running)}


def named(prefix, arrays):
    return {f"{prefix}.{name}": a.copy() for name, a in arrays.items()}


def first_batch(case, images, xp):
    rows, y = xp.asarray(case.order[0][0][0]), xp.asarray(case.Y)
    z, cache = net.forward(moved(case.theta, xp), unaugmented(images, rows), case.arch)
    terms, cache_L = objective_forward(z, y[rows], prior(case.recipe.prior, y), case.recipe.alpha, case.recipe.beta)
    dz = objective_backward(1, cache_L)
    return {"first.logits": z, **dict(zip(("first.L", "first.L_c", "first.L_p", "first.L_e"), terms)),
            "first.dlogits": dz, **named("first.gradient", net.backward(dz, cache))}


def run(found, step, algorithm, case, theta, task, labels, xp):
    theta = Flat(moved(theta, xp))
    running = Flat(moved(case.running, xp), empty=theta.buffer[:0])
    model = Model(net, case.arch, theta, running, xp.zeros_like(theta.buffer))
    for r in algorithm(model, task, labels, case.recipe):
        found[f"{step}.epoch{r.epoch}.losses"] = np.array([r.loss, r.L_c, r.L_p, r.L_e])
        found[f"{step}.epoch{r.epoch}.Y"] = labels.Y.copy()
    velocity = Flat(theta.views)
    velocity.buffer[:] = model.velocity
    found |= named(f"{step}.theta", theta.views) | named(f"{step}.velocity", velocity.views)
    found |= named(f"{step}.running", model.running.views)
    found[f"{step}.inference"] = net.predict(theta.views, model.running.views, unaugmented(task.train, slice(None)),
                                             case.arch)


def compare(found, reference, scale, method, xp):
    """Every name is in both; the errors of each group (first, joint, retrain) are measured."""
    assert sorted(found) == sorted(reference)
    for name, a in reference.items():
        assert found[name].shape == a.shape, name
        measured(f"{scope(name)}, PyTorch", method, xp, np.linalg.norm(found[name] - a) / scale(a), BOUND)


def scope(name):
    return {"input": "inputs", "first": "logits, terms, gradients", "joint": "step 1, SGD and labels",
            "retrain": "step 2, SGD after a drop"}[name.split(".")[0]]


def stored(name):
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def test_small_net_equals_the_stored_pytorch_run_tensor_by_tensor(xp):
    compare(ours(cases.small(), xp), stored("small"), np.linalg.norm, "small net, stored", xp)


def test_full_net_equals_the_stored_pytorch_run_in_norms_and_projections(xp):
    if xp is strict:
        pytest.skip("the small net shows the same of the stand-in")
    compare(cases.fingerprint(ours(cases.full(), xp)), stored("full"), lambda a: a[0], "PreAct ResNet-32, stored", xp)


def test_stored_run_moves_all_that_it_is_to_compare():
    file, r = stored("small"), cases.small().recipe
    for step, start in (("joint", "theta"), ("retrain", "theta2")):
        for name in cases.small().theta:
            assert np.abs(file[f"{step}.theta.{name}"] - file[f"input.{start}.{name}"]).min() > 1e-7, name
    Y = [file["input.Y"], *(file[f"joint.epoch{e}.Y"] for e in (1, 2, 3, 4))]
    assert [not np.array_equal(a, b) for a, b in zip(Y, Y[1:])] == [e >= r.begin for e in (1, 2, 3, 4)]


@pytest.mark.parametrize("seed, arch, height, width", [
    (11, Architecture(classes=3, widths=(5,), blocks=(1,)), 5, 4),
    (12, Architecture(classes=6, widths=(3, 5, 4), blocks=(1, 2, 1)), 9, 6),
    (13, Architecture(classes=2, widths=(4, 4), blocks=(1, 1)), 7, 7)])
def test_fresh_inputs_give_what_pytorch_gives(seed, arch, height, width, xp):
    pytest.importorskip("torch")
    from tests.reference import twin
    case = cases.case(seed, arch, n=7, height=height, width=width, size=5)
    compare(ours(case, xp), twin.run(case), np.linalg.norm, "small nets, live", xp)
