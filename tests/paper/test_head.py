"""The head on features: its gradient, its dropout, its features,
and its training by core/train.py on one and on several ranks."""
import os
import sys
from functools import partial
from itertools import product
from zlib import crc32

import numpy as np
import pytest

from core import features, train
from core.backend import to_host
from core.batches import Images, augmented, hashed, unaugmented
from core.features import Features, kept, mean_and_std
from core.labels import SoftLabels, one_hot, prior
from core.model import Model, Task, fresh_model
from core.noise import symmetric
from core.objective import objective_backward, objective_forward
from core.optim import Flat
from core.parallel.launch import launch
from core.parallel.ranks import Serial
from core.recipes import Recipe
from nets import head
from nets.head import Head
from tests.lib import naive
from tests.lib.arrays import distance, moved, normal
from tests.lib.evidence import measured
from tests.lib.gradcheck import central, complex_step, worst_error
from tests.paper.test_reference import BOUND, named, run, scope, stored
from tests.reference import cases

HEADS = {"linear": Head(features=5, classes=4), "hidden": Head(features=5, classes=4, hidden=6, dropout=0.5),
         "few dropped": Head(features=3, classes=2, hidden=9, dropout=0.2), "none dropped": Head(3, 3, 4, 0)}
every_head = pytest.mark.parametrize("arch", HEADS.values(), ids=HEADS)


def drawn(arch, N=7, seed=0, dtype=np.float64):
    """theta of which nothing is 0, features and keys of N samples, and a gradient for the logits."""
    rng = np.random.default_rng(seed)
    theta = {name: rng.standard_normal(a.shape).astype(dtype) for name, a in head.init(arch, rng)[0].items()}
    x, dlogits = rng.standard_normal((N, arch.features)), rng.standard_normal((N, arch.classes))
    return theta, x.astype(dtype), rng.integers(2 ** 32, size=N, dtype=np.uint32), dlogits.astype(dtype)


def as_pair(arch, x, keys, names):
    """forward and backward as functions of the list of the parameters."""
    def backward(dlogits, cache):
        g = head.backward(dlogits, cache)
        assert g.keys() == set(names)
        return [g[name] for name in names]
    return lambda *arrays: head.forward(dict(zip(names, arrays)), (x, keys), arch), backward


def both_passes(arch, theta, x, keys, dlogits, xp, dtype=np.float64):
    """Logits and gradients on the host, computed in dtype."""
    theta = moved({name: a.astype(dtype) for name, a in theta.items()}, xp)
    z, cache = head.forward(theta, (xp.asarray(x.astype(dtype)), xp.asarray(keys)), arch)
    return to_host(z), {name: to_host(a) for name, a in head.backward(xp.asarray(dlogits.astype(dtype)), cache).items()}


# ---- gradients -----------------------------------------------------------------------------------------------------

@every_head
def test_every_coordinate_of_the_gradient(xp, arch):
    theta, x, keys, _ = drawn(arch)
    forward, backward = as_pair(arch, *moved([x, keys], xp), list(theta))
    parameters, rng = moved(list(theta.values()), xp), np.random.default_rng(1)
    error = worst_error(forward, backward, parameters, rng, complex_step, "all")
    measured("head", "complex step", xp, error, 1e-12)
    masks = (lambda cache: [cache[1]["relu"] > 0]) if arch.hidden else None
    error = worst_error(forward, backward, parameters, rng, partial(central, eps=1e-6), "all", masks)
    measured("head", "central differences", xp, error, 1e-7)


def test_the_gradient_of_the_objective_through_a_head_of_real_size(xp):
    arch = Head(features=64, classes=10, hidden=32)
    theta, x, keys, _ = drawn(arch, N=48)
    net_forward, net_backward = as_pair(arch, *moved([x, keys], xp), list(theta))
    rng = np.random.default_rng(2)
    y, p = moved([rng.dirichlet(np.ones(10), 48), rng.dirichlet(np.ones(10))], xp)

    def forward(*arrays):
        z, c_net = net_forward(*(a / 8 for a in arrays))
        (L, *_), c_objective = objective_forward(z, y, p, 1.2, 0.4)
        return L, (c_objective, c_net)

    def backward(dL, cache):
        return [g / 8 for g in net_backward(objective_backward(dL, cache[0]), cache[1])]

    error = worst_error(forward, backward, moved(list(theta.values()), xp), rng, complex_step, 3)
    measured("L through the head", "complex step", xp, error, 1e-12)


@pytest.mark.parametrize("rate", [0, 0.25, 0.5])
def test_dropout_is_its_definition_and_its_gradient_too(xp, rate):
    (x, dout), keep = normal([(5, 6), (5, 6)]), np.random.default_rng(3).random((5, 6)) >= rate
    out, cache = head.dropout_forward(*moved([x, keep], xp), rate)
    dx = head.dropout_backward(xp.asarray(dout), cache)
    for found, given in ((out, x), (dx, dout)):
        expected = [[given[n, u] / (1 - rate) if keep[n, u] else 0.0 for u in range(6)] for n in range(5)]
        measured("dropout", "definition in loops", xp, distance(found, expected), 1e-15)
    error = worst_error(lambda x: head.dropout_forward(x, xp.asarray(keep), rate), head.dropout_backward,
                        [xp.asarray(x)], np.random.default_rng(4), complex_step, "all")
    measured("dropout", "complex step", xp, error, 1e-13)


@every_head
def test_the_forward_pass_is_the_definition(xp, arch):
    theta, x, keys, dlogits = drawn(arch)
    h = x
    if arch.hidden:
        h = naive.relu(naive.linear(x, theta["hidden.w"], theta["hidden.b"]))
        h = [[h[n, u] / (1 - arch.dropout) if keep else 0.0 for u, keep in enumerate(kept_by_hand(int(key), arch))]
             for n, key in enumerate(keys)]
    z, _ = both_passes(arch, theta, x, keys, dlogits, xp)
    measured("head", "definition in loops", xp,
             distance(z, naive.linear(np.array(h), theta["linear.w"], theta["linear.b"])), 1e-14)


@every_head
def test_float32_is_near_float64_and_stays_float32(xp, arch):
    given = drawn(arch, N=40, dtype=np.float32)
    (z, g), (z_64, g_64) = (both_passes(arch, *given, xp, dtype) for dtype in (np.float32, np.float64))
    assert {a.dtype for a in [z, *g.values()]} == {np.dtype(np.float32)}
    measured("head", "float32 against float64", xp,
             max(distance(z, z_64), *(distance(g[name], g_64[name]) for name in g)), 2e-6)


# ---- laws ----------------------------------------------------------------------------------------------------------

@every_head
def test_neither_pass_writes_to_what_it_is_given(xp, arch):
    theta, x, keys, dlogits = drawn(arch)
    given = moved([theta, x, keys, dlogits], xp)
    _, cache = head.forward(given[0], (given[1], given[2]), arch)
    first, second = ({name: to_host(a).copy() for name, a in head.backward(given[3], cache).items()} for _ in range(2))
    head.predict(given[0], {}, given[1], arch)
    for after, before in zip([*given[0].values(), *given[1:]], [*theta.values(), x, keys, dlogits], strict=True):
        np.testing.assert_array_equal(to_host(after), before)
    assert all(np.array_equal(first[name], second[name]) for name in theta)     # the cache is not written to, either


@every_head
def test_the_order_of_the_samples_is_the_order_of_the_logits_and_changes_no_gradient(xp, arch):
    theta, x, keys, dlogits = drawn(arch)
    order = np.random.default_rng(1).permutation(len(x))
    z, g = both_passes(arch, theta, x, keys, dlogits, xp)
    z_moved, g_moved = both_passes(arch, theta, x[order], keys[order], dlogits[order], xp)
    error = max(distance(z_moved, z[order]), *(distance(g_moved[name], g[name]) for name in theta))
    measured("head", "order of the samples", xp, error, 1e-13)


@every_head
def test_the_gradient_of_a_batch_is_the_sum_of_those_of_its_parts_and_a_part_may_be_empty(xp, arch):
    theta, x, keys, dlogits = drawn(arch)
    _, whole = both_passes(arch, theta, x, keys, dlogits, xp)
    parts = [both_passes(arch, theta, x[rows], keys[rows], dlogits[rows], xp)[1]
             for rows in (slice(0, 3), slice(3, 3), slice(3, 4), slice(4, None))]
    measured("head", "sum over parts", xp, max(distance(sum(g[name] for g in parts), whole[name]) for name in theta),
             1e-13)


def test_the_mean_over_all_masks_is_what_inference_gives(xp, monkeypatch):
    """Each of the 2^U masks as often as its probability says: what follows dropout is linear."""
    arch = Head(features=5, classes=4, hidden=6, dropout=0.25)
    theta, x, keys, _ = drawn(arch)
    theta, x, keys = moved([theta, x, keys], xp)
    mean = 0
    for mask in product([0, 1], repeat=arch.hidden):
        keep = xp.asarray(np.tile(np.array(mask, bool), (len(x), 1)))
        monkeypatch.setattr(head, "kept", lambda *_: keep)
        mean = mean + 0.75 ** sum(mask) * 0.25 ** (arch.hidden - sum(mask)) * head.forward(theta, (x, keys), arch)[0]
    measured("dropout", "mean over all masks", xp, distance(mean, to_host(head.predict(theta, {}, x, arch))), 1e-14)


def test_without_dropout_training_and_inference_give_the_same_bits(xp):
    for arch in (HEADS["linear"], HEADS["none dropped"]):
        theta, x, keys, _ = moved(drawn(arch), xp)
        trained, inferred = head.forward(theta, (x, keys), arch)[0], head.predict(theta, {}, x, arch)
        np.testing.assert_array_equal(to_host(trained), to_host(inferred))


# ---- initial values ------------------------------------------------------------------------------------------------

def test_the_parameters_have_their_names_and_shapes():
    shapes = {name: a.shape for name, a in head.init(Head(7, 3, 5), np.random.default_rng(0))[0].items()}
    assert shapes == {"hidden.w": (7, 5), "hidden.b": (5,), "linear.w": (5, 3), "linear.b": (3,)}
    theta, running = head.init(Head(7, 3), np.random.default_rng(0))
    assert {name: a.shape for name, a in theta.items()} == {"linear.w": (7, 3), "linear.b": (3,)}
    assert running == head.moments(head.forward(theta, drawn(Head(7, 3))[1:3], Head(7, 3))[1]) == {}


def test_init_draws_a_he_normal_hidden_layer_and_begins_with_uniform_predictions():
    arch = Head(features=300, classes=4, hidden=200)
    for dtype in (np.float32, np.float64):
        (theta, running), (again, _) = (head.init(arch, np.random.default_rng(7), dtype) for _ in range(2))
        assert {a.dtype for a in [*theta.values(), *running.values()]} == {np.dtype(dtype)}
        assert all((theta[name] == again[name]).all() for name in theta)
        sigmas = theta["hidden.w"].astype(float) / np.sqrt(2 / 300)      # standard normal, within five standard errors:
        assert abs(sigmas.mean()) < 5 / np.sqrt(sigmas.size) and abs(sigmas.var() - 1) < 5 * np.sqrt(2 / sigmas.size)
        assert not any(theta[name].any() for name in ("hidden.b", "linear.w", "linear.b"))
    assert (head.init(arch, np.random.default_rng(8))[0]["hidden.w"] != theta["hidden.w"]).all()


# ---- which units are kept ------------------------------------------------------------------------------------------

def kept_by_hand(key, arch):
    """Of one sample, in Python's unbounded integers."""
    def mixed(h):
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
            h = (h ^ h >> shift) * factor % 2 ** 32
        return h

    return [mixed(key ^ mixed(unit)) >= int(arch.dropout * 2 ** 32) for unit in range(arch.hidden)]


@pytest.mark.parametrize("rate", [0, 0.1, 0.5, 0.75, 1 - 2 ** -30])
def test_kept_is_the_hash_in_python_integers(xp, rate):
    keys = np.r_[0, 1, 2 ** 31, 2 ** 32 - 1, np.random.default_rng(0).integers(2 ** 32, size=30)].astype(np.uint32)
    found = to_host(kept(xp.asarray(keys), 40, rate))
    assert found.tolist() == [kept_by_hand(int(key), Head(1, 1, 40, rate)) for key in keys] and found.dtype == bool


def test_kept_has_the_stored_values(xp):
    """Every implementation of the hash must give these."""
    keys = hashed(xp.asarray(np.arange(1000)), 20180330, 70)
    found = to_host(kept(keys, 256, 0.5))
    assert np.flatnonzero(found[0])[:8].tolist() == [1, 3, 4, 5, 8, 10, 11, 15]
    assert crc32(np.packbits(found).tobytes()) == 1215460044


def test_units_are_kept_at_their_rate_independently_of_one_another_of_the_sample_and_of_the_epoch():
    for rate in (0.25, 0.5):
        masks = np.stack([kept(hashed(np.arange(400), 1, epoch), 64, rate) for epoch in range(8)])     # (8, 400, 64)
        error = np.sqrt(rate * (1 - rate) / masks.size)
        assert abs(masks.mean() - (1 - rate)) < 4 * error
        for a, b in ((masks[1:], masks[:-1]), (masks[:, 1:], masks[:, :-1]), (masks[..., 1:], masks[..., :-1])):
            correlation = np.corrcoef(a.ravel(), b.ravel())[0, 1]
            assert abs(correlation) < 4 / np.sqrt(a.size)
        of_units, of_samples = masks.mean(axis=(0, 1)), masks.mean(axis=(0, 2))
        assert np.std(of_units) < 1.5 * error * 8 and np.std(of_samples) < 1.5 * error * 20        # sqrt(64), sqrt(400)


# ---- features ------------------------------------------------------------------------------------------------------

def seen(x, dtype):
    """Features of one view, x (N, D), standardised by themselves."""
    return Features(x[:, None], *mean_and_std(x[:, None], dtype))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_features_are_standardised_over_the_training_set_and_constant_ones_become_zero(xp, dtype):
    x = (normal([(50, 6)])[0] * np.arange(1, 7) + np.arange(6)).astype(dtype)
    x[:, 2], x[:, 4] = dtype(0.1), 0
    shown = seen(x, np.float32).on(xp)
    for found in (unaugmented(shown, slice(None)), unaugmented(shown, xp.asarray(np.arange(50)))):
        assert isinstance(found, xp.ndarray) and found.dtype == np.float32
        for d in range(6):
            column = [float(v) for v in x[:, d]]
            mean = sum(column) / 50
            std = (sum((v - mean) ** 2 for v in column) / 50) ** 0.5
            expected = np.zeros(50) if d in (2, 4) else [(v - mean) / std for v in column]
            assert np.abs(to_host(found)[:, d] - expected).max() < 2e-6, d


def test_the_augmented_features_are_the_plain_ones_with_the_hash_as_key(xp):
    x = normal([(20, 3)])[0].astype(np.float32)
    shown, i = seen(x, np.float32).on(xp), xp.asarray(np.array([7, 0, 19, 7]))
    found, keys = augmented(shown, i, 5, 6)
    np.testing.assert_array_equal(to_host(found), to_host(features.unaugmented(shown, i)))
    np.testing.assert_array_equal(to_host(keys), to_host(hashed(i, 5, 6)))
    assert keys.dtype == np.uint32 and isinstance(keys, xp.ndarray)
    np.testing.assert_array_equal(x, to_host(shown.features)[:, 0])


def test_every_view_is_shown_as_often_and_by_the_key_of_the_sample_and_the_first_one_in_inference(xp):
    x = normal([(400, 2, 3)])[0]
    shown, rows = Features(x, *mean_and_std(x, np.float64)).on(xp), xp.asarray(np.arange(400))
    mean, std = x.reshape(800, 3).mean(axis=0), x.reshape(800, 3).std(axis=0)
    drawn = set()
    for epoch in range(6):
        found, keys = (to_host(a) for a in augmented(shown, rows, 1, epoch))
        view = [int(key) // 2 ** 31 for key in keys]                          # its highest bit
        expected = [(x[i, v] - mean) / std for i, v in enumerate(view)]
        assert np.abs(found - expected).max() < 1e-12
        assert abs(np.mean(view) - 0.5) < 4 * 0.5 / 20
        drawn.add(tuple(view))
    assert len(drawn) == 6
    assert np.abs(to_host(unaugmented(shown, slice(3, 9))) - (x[3:9, 0] - mean) / std).max() < 1e-12


def test_images_are_still_images():
    pixels = np.random.default_rng(0).integers(256, size=(3, 4, 4, 3)).astype(np.uint8)
    shown = Images(pixels, np.zeros((4, 4, 3), np.float32), 0, False)
    assert augmented(shown, np.arange(3), 0, 0).shape == unaugmented(shown, slice(3)).shape == (3, 4, 4, 3)


# ---- training ------------------------------------------------------------------------------------------------------

RECIPE = Recipe(lr=0.05, alpha=1.2, beta=0.4, epochs=6, begin=3, K=3, lr2=0.05, epochs2=5, drops2=(3,), batch=8,
                decay=0.01)
TRAININGS = {"step 1": (train.joint_optimization, {}), "step 1, odd batches": (train.joint_optimization, {"batch": 7}),
             "step 1, fewer samples in a batch than ranks": (train.joint_optimization, {"batch": 2}),
             "step 1, labels from a pass in inference mode": (train.joint_optimization, {"predict": "evaluation"}),
             "step 2": (train.retrain, {"batch": 5})}


def begin(xp, arch, comm=Serial(), n=61, dtype=np.float64):
    """(model, task, labels) of a small problem whose classes can be told from the features.

    theta begins off zero: there logits are equal, and rounding would decide which is the largest.
    """
    rng = np.random.default_rng(100)
    truth = rng.integers(arch.classes, size=n + 30)
    x = (3 * np.eye(arch.classes, arch.features)[truth] + rng.standard_normal((n + 30, arch.features))).astype(dtype)
    shown = seen(x[:n], dtype).on(xp)
    validation, test = ((shown._replace(features=xp.asarray(x[k:k + 15, None])), xp.asarray(truth[k:k + 15]))
                        for k in (n, n + 15))
    theta, running = head.init(arch, rng, dtype)
    theta = {name: a + 0.1 * rng.standard_normal(a.shape).astype(dtype) for name, a in theta.items()}
    theta, running = Flat(moved(theta, xp)), Flat({}, empty=xp.zeros(0, dtype))
    model = Model(head, arch, theta, running, xp.zeros_like(theta.buffer), comm)
    given = symmetric(truth[:n], 0.3, arch.classes, rng)
    Y = one_hot(xp.asarray(given), arch.classes, dtype)
    return model, Task(shown, validation, test, xp.asarray(truth[:n]), 3), SoftLabels(Y, RECIPE.K)


def trained(arch, case, comm=Serial(), dtype=np.float64, xp=np):
    """What a training leaves behind."""
    (algorithm, changes), (model, task, labels) = TRAININGS[case], begin(xp, arch, comm, dtype=dtype)
    records = [r._replace(step=0, seconds=0) for r in algorithm(model, task, labels, RECIPE._replace(**changes))]
    return [to_host(a) for a in (model.theta.buffer, labels.Y, labels.ring)] + [np.array(records, float)]


TRAINED = [HEADS["linear"], HEADS["hidden"]]


@pytest.mark.parametrize("arch", [Head(5, 4), Head(5, 4, 64)], ids=["linear", "hidden"])
def test_algorithm_1_as_it_is_trains_the_head_and_mends_labels(xp, arch):
    recipe = RECIPE._replace(epochs=20, begin=8, K=5)
    model, task, labels = begin(xp, arch, n=300, dtype=np.float32)
    *_, last = train.joint_optimization(model, task, SoftLabels(labels.Y, 5), recipe)
    before = float((labels.Y.argmax(axis=1) == task.truth).mean())
    assert before < 0.85 and last.recovery > before + 0.05 and last.test > 0.85
    assert model.theta.buffer.dtype == np.float32


def test_the_model_of_the_program_holds_a_head(xp):
    model = fresh_model(head, HEADS["hidden"], np.random.default_rng(0), xp)
    assert model.running.buffer.size == 0
    assert model.theta.views.keys() == {"hidden.w", "hidden.b", "linear.w", "linear.b"}


@pytest.mark.parametrize("case", TRAININGS)
def test_every_device_trains_the_same(xp, case):
    for found, expected in zip(trained(HEADS["hidden"], case, xp=xp), trained(HEADS["hidden"], case), strict=True):
        assert distance(np.nan_to_num(found), np.nan_to_num(expected)) < 1e-10


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="ranks need fork")
@pytest.mark.parametrize("arch", TRAINED, ids=["linear", "hidden"])
@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.thorough), 3])
@pytest.mark.parametrize("case", TRAININGS)
def test_ranks_that_share_a_training_end_where_one_rank_ends(case, size, arch):
    together, alone = launch(lambda comm: trained(arch, case, comm), size), trained(arch, case)
    assert max(np.abs(a - b).max() for a, b in zip(together, alone, strict=True)) < 1e-10


def test_dropout_differs_from_epoch_to_epoch_and_from_seed_to_seed():
    outcomes = set()
    for seed, epoch in product((0, 1), (0, 1)):
        _, task, _ = begin(np, HEADS["hidden"])
        theta, *_ = drawn(HEADS["hidden"])
        z, _ = head.forward(theta, augmented(task.train, np.arange(9), seed, epoch), HEADS["hidden"])
        outcomes.add(z.tobytes())
    assert len(outcomes) == 4


# ---- against PyTorch -----------------------------------------------------------------------------------------------

def ours(case, xp, monkeypatch):
    """{name: NumPy array} of everything that PyTorch computed, by the project's own functions on the device of xp."""
    given = ("features", "mean", "std", "masks", "Y")
    found = {f"input.{name}": getattr(case, name) for name in given} | named("input.theta", case.theta)
    found |= named("input.theta2", case.theta2)
    shown, Y, now = Features(case.features[:, None], case.mean, case.std).on(xp), xp.asarray(case.Y), {}
    held_out = shown._replace(features=shown.features[:1]), xp.asarray(case.truth[:1])
    task = Task(shown, held_out, held_out, xp.asarray(case.truth), seed=0)

    def batches(n, size, seed, epoch, xp):
        return [(xp.asarray(i), n) for i, n in case.order[epoch]]

    def augmented(shown, i, seed, epoch):                                # the case's own masks in the place of the hash
        now["masks"] = xp.asarray(case.masks[epoch])[i] > 0
        return unaugmented(shown, i), None

    monkeypatch.setattr(train, "batches", batches)
    monkeypatch.setattr(train, "augmented", augmented)
    monkeypatch.setattr(head, "kept", lambda keys, units, rate: now["masks"])
    monkeypatch.setattr("tests.paper.test_reference.net", head)                   # that `run` trains and predicts with
    rows, p = xp.asarray(case.order[0][0][0]), prior(case.recipe.prior, Y)
    z, cache = head.forward(moved(case.theta, xp), augmented(shown, rows, 0, 0), case.arch)
    terms, cache_L = objective_forward(z, Y[rows], p, case.recipe.alpha, case.recipe.beta)
    dz = objective_backward(1, cache_L)
    found |= {"first.logits": z, **dict(zip(("first.L", "first.L_c", "first.L_p", "first.L_e"), terms)),
              "first.dlogits": dz}
    found |= named("first.gradient", head.backward(dz, cache))
    labels = SoftLabels(Y, case.recipe.K)
    case = case._replace(running=head.init(case.arch, np.random.default_rng(0), np.float64)[1])
    run(found, "joint", train.joint_optimization, case, case.theta, task, labels, xp)
    run(found, "retrain", train.retrain, case, case.theta2, task, labels, xp)
    return {name: to_host(a) for name, a in found.items()}


def compared(found, reference, method, xp):
    assert sorted(found) == sorted(reference)
    for name, a in reference.items():
        assert found[name].shape == a.shape, name
        error = np.linalg.norm(found[name] - a) / np.linalg.norm(a)
        measured(f"head: {scope(name)}, PyTorch", method, xp, error, BOUND)


def test_head_equals_the_stored_pytorch_run_tensor_by_tensor(xp, monkeypatch):
    compared(ours(cases.head(), xp, monkeypatch), stored("head"), "head, stored", xp)


def test_stored_run_moves_all_that_it_is_to_compare():
    file, recipe = stored("head"), cases.head().recipe
    assert 0.1 < 1 - file["input.masks"].mean() < 0.4
    for step, start in (("joint", "theta"), ("retrain", "theta2")):
        for name in cases.head().theta:
            assert np.abs(file[f"{step}.theta.{name}"] - file[f"input.{start}.{name}"]).min() > 1e-7, name
    Y = [file["input.Y"], *(file[f"joint.epoch{epoch}.Y"] for epoch in (1, 2, 3, 4))]
    assert [not np.array_equal(a, b) for a, b in zip(Y, Y[1:])] == [epoch >= recipe.begin for epoch in (1, 2, 3, 4)]
