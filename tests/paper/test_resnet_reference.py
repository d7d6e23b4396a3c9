"""ResNet-18 and 50 against PyTorch, by the names in which PyTorch saves them: features, logits, terms, every gradient,
and ten steps of fine-tuning.

The stored results were recorded by tests/reference/record_resnet.py and need no PyTorch. Of every tensor the file has
the norm and three projections, so that the error is that of these, in units of the norm.
"""
from pathlib import Path

import numpy as np
import pytest

from core import layers
from core.backend import to_host
from core.data.resnet_weights import expected, parameters
from core.model import fresh_model
from core.objective import objective_backward, objective_forward
from core.optim import sgd_step
from nets import resnet
from nets.resnet import Pretrained
from nets.resnet_fast_training import FastPretrained
from tests.lib.arrays import distance, moved
from tests.lib.evidence import measured
from tests.lib.strict import strict
from tests.reference import resnet_cases
from tests.reference.cases import fingerprint
from tests.reference.resnet_cases import ALPHA, BETA, CLASSES, DECAY, LR, MOMENTUM, RUNS, data, values

FILE = Path(__file__).parents[1] / "reference" / "resnet.npz"
BOUND = 1e-10
SLOW = ("resnet50",)                   # ten steps of 26 million parameters in float64: half a minute


def stored(run):
    """{name: fingerprint} of a run."""
    with np.load(FILE, allow_pickle=False) as file:
        return {name.partition("/")[2]: file[name] for name in file if name.startswith(f"{run}/")}


def there(arrays, arch, prefix):
    """Arrays by the names of theta or running, as PyTorch has them."""
    names = expected(arch)
    return {prefix + names[name][0]: to_host(a).transpose({4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[a.ndim])
            for name, a in arrays.items()}


def ours(xp, depth, frozen, n, size, steps, network=Pretrained):
    """{name: NumPy array} of all that PyTorch computed."""
    names = dict(expected(resnet.architecture(depth, CLASSES)).values())
    arch, theta, running = parameters({name: values(name, shape) for name, shape in names.items()}, dtype=np.float64,
                                      frozen=frozen)
    assert arch == resnet.architecture(depth, CLASSES, frozen)
    pixels, *label = data(n, size)
    x, (y, p) = resnet.centred(xp.asarray(pixels), np.float64), moved(label, xp)
    model = begun(network(theta, running) if xp is np else network(theta, running, xp), arch, xp)
    found = {"features": resnet.features(model.theta.views, model.running.views, x, arch),
             "inference": model.predict(x)}
    for step in range(steps):
        z, cache = model.forward(x, n)
        (L, *_), cache_L = objective_forward(z, y, p, ALPHA, BETA)
        dz = objective_backward(1, cache_L)
        found[f"step{step}.L"] = L
        if step == 0:
            gradient = model.net.backward(dz, cache)
            found |= {"logits": z} | there(gradient, arch, "gradient.")
        sgd_step(model.theta.buffer, model.velocity, model.backward(dz, cache), LR, MOMENTUM, DECAY)
        model.update_running(cache)
    found |= there(model.theta.views, arch, "end.") | there(model.running.views, arch, "end.")
    found["end.inference"] = model.predict(x)
    return {name: np.asarray(to_host(a)) for name, a in found.items()}


def begun(network, arch, xp):
    """A Model of the pretrained network in float64, whose linear layer is the given one, too."""
    network.init = lambda arch, rng: (network.theta, network.running)
    return fresh_model(network, arch, None, xp)


@pytest.mark.parametrize("run", [pytest.param(run, marks=[pytest.mark.thorough] * (run in SLOW)) for run in RUNS])
def test_resnets_equal_the_stored_pytorch_run(xp, run):
    if xp is strict:
        pytest.skip("tests/paper/test_resnet.py shows the same of the stand-in")
    compare(ours(xp, **RUNS[run]), run, run, xp)


@pytest.mark.thorough
def test_fast_fine_tuning_equals_the_stored_pytorch_run():
    compare(ours(np, **RUNS["resnet50"], network=FastPretrained), "resnet50", "resnet50, fast", np)


def compare(found, run, called, xp):
    """Every name is in both; the errors are measured."""
    found, reference = fingerprint(found), stored(run)
    assert sorted(found) == sorted(reference)
    for name, a in reference.items():
        part = {"gradient": "gradients", "end": "after the steps", "features": "features, logits, terms"}
        what = part.get(name.partition(".")[0], part["features"])
        measured(f"{what}, PyTorch", f"{called}, stored", xp, np.linalg.norm(found[name] - a) / a[0], BOUND)


@pytest.mark.parametrize("run", RUNS)
def test_the_stored_run_moves_all_that_it_is_to_compare(run):
    options, reference = RUNS[run], stored(run)
    shapes = dict(expected(resnet.architecture(options["depth"], CLASSES)).values())
    for name in [name for name, shape in shapes.items() if len(shape) == 1]:
        start, = fingerprint({f"end.{name}": values(name, shapes[name])}).values()
        changed = np.linalg.norm(reference[f"end.{name}"] - start) > 1e-9 * start[0]
        assert changed != (options["frozen"] and "running" in name), name


def test_ties_of_a_maximum_are_pytorchs(xp):
    x, dout = moved(resnet_cases.ties(), xp)
    out, cache = layers.maxpool_forward(x)
    assert (to_host(out) == stored("maxpool")["out"]).all()
    measured("maxpool", "PyTorch, ties", xp, distance(layers.maxpool_backward(dout, cache), stored("maxpool")["dx"]),
             1e-15)
