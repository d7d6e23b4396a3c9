"""Algorithm 1 step by step, the retraining, and what an Epoch says."""
import math
import time
from functools import partial
from itertools import islice

import numpy as np
import pytest

from core import train
from core.backend import to_host
from core.batches import Images, batches, mean_image, unaugmented
from core.errors import InputError
from core.labels import SoftLabels, hard_update, hard_update_top, label_update, one_hot, soft_update
from core.measure import predictions, recovery
from core.model import Task, fresh_model
from core.noise import symmetric
from core.optim import step_schedule
from core.recipes import Recipe
from nets import preact_resnet as net
from nets.preact_resnet import Architecture

RECIPE = Recipe(lr=0.1, alpha=1.2, beta=0.8, epochs=4, begin=2, K=2, lr2=0.1, epochs2=5, drops2=(2, 4), batch=8)

UPDATES = {"soft": lambda Y, s: soft_update(s), "hard": lambda Y, s: hard_update(s),
           "hard-3": partial(hard_update_top, k=3)}


def coloured(rng, n, classes=3, size=8):
    """Images that are bright in the channel of their class, and the classes."""
    truth = rng.integers(classes, size=n)
    pixels = rng.integers(60, 196, size=(n, size, size, 3))
    pixels[np.arange(n), :, :, truth] += 50
    return pixels.astype(np.uint8), truth


def begin(xp, n=20, seed=0, noise=0.4, recipe=RECIPE, pad=1, flip=True, known=True):
    """(model, task, labels) of a small problem."""
    rng = np.random.default_rng(100)
    (pixels, truth), (held_out, classes) = coloured(rng, n), coloured(rng, 7)
    images = Images(pixels, mean_image(pixels), pad, flip).on(xp)
    validation = (images._replace(pixels=xp.asarray(held_out)), xp.asarray(classes))
    test = (images._replace(pixels=xp.asarray(held_out[:4])), xp.asarray(classes[:4]))
    task = Task(images, validation, test, xp.asarray(truth) if known else None, seed)
    model = fresh_model(net, Architecture(classes=3, widths=(8,), blocks=(1,)), np.random.default_rng(seed), xp)
    return model, task, SoftLabels(one_hot(xp.asarray(symmetric(truth, noise, 3, rng)), 3), recipe.K)


def state(model):
    """Everything of a model that training may change, copied."""
    return [to_host(a).copy() for a in (model.theta.buffer, model.velocity, model.running.buffer)]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def spied(monkeypatch, name, before):
    """Call before(*args) ahead of every call of train.<name>."""
    original = getattr(train, name)

    def spy(*args):
        before(*args)
        return original(*args)
    monkeypatch.setattr(train, name, spy)


# ---- Algorithm 1 ---------------------------------------------------------------------------------------------------

def test_theta_moves_while_Y_is_fixed_and_Y_moves_while_theta_is_fixed(xp, monkeypatch):
    model, task, labels = begin(xp)
    during, around = [], []
    spied(monkeypatch, "sgd_step", lambda *_: during.append((len(around), to_host(labels.Y).copy(), state(model))))
    end_epoch = labels.end_epoch

    def watched(update):
        before = to_host(labels.Y).copy(), state(model)
        changed = end_epoch(update)
        around.append((*before, to_host(labels.Y).copy(), state(model)))
        return changed
    labels.end_epoch = watched
    list(train.joint_optimization(model, task, labels, RECIPE))
    assert len(around) == 4 and len(during) == 10                       # 20 images, 4 epochs, batches of 8
    for epoch, Y, _ in during:
        assert np.array_equal(Y, around[epoch][0])
    for _, model_before, _, model_after in around:
        assert same(model_before, model_after)
    assert all(not np.array_equal(a[2][0], b[2][0]) for a, b in zip(during, during[1:]))


@pytest.mark.parametrize("first", [1, 2, 4])
@pytest.mark.parametrize("name", UPDATES)
def test_labels_first_change_after_epoch_begin_and_are_used_in_the_next(xp, monkeypatch, first, name):
    update = UPDATES[name]
    recipe = RECIPE._replace(begin=first, update=name)
    model, task, labels = begin(xp)
    used, given, s_of = [], to_host(labels.Y).copy(), []
    spied(monkeypatch, "objective_forward", lambda z, y, *_: used.append(to_host(y).copy()))
    spied(monkeypatch, "augmented", lambda images, i, *_: used.append(to_host(i).copy()))
    after = []
    for r in train.joint_optimization(model, task, labels, recipe):
        for i, y in zip(used[::2], used[1::2]):
            Y = after[-1] if after else given
            assert np.array_equal(y, Y[i])                             # the batch's labels are those of the last update
        used.clear()
        after.append(to_host(labels.Y).copy())
        s_of.append(to_host(labels.ring[(r.epoch - 1) % 2]).copy())
        before = after[-2] if r.epoch > 1 else given
        assert r.changed == (after[-1].argmax(axis=1) != before.argmax(axis=1)).sum()
        if r.epoch < first:
            assert np.array_equal(after[-1], given) and r.changed == 0
        else:
            mean = (s_of[-1] + s_of[-2]) / 2 if r.epoch > 1 else s_of[-1]
            assert np.array_equal(after[-1], to_host(update(xp.asarray(before), xp.asarray(mean))))


def test_s_of_an_evaluation_pass_is_that_of_the_plain_images_in_inference_mode(xp):
    recipe = RECIPE._replace(predict="evaluation", K=1, begin=1)
    model, task, labels = begin(xp, recipe=recipe)
    for _ in train.joint_optimization(model, task, labels, recipe):
        expected = np.concatenate([one_by_one(model, task.train, k, xp) for k in range(20)])
        assert np.allclose(to_host(labels.Y), expected, rtol=0, atol=1e-6)


def one_by_one(model, images, k, xp):
    """s of the image k, alone."""
    z = net.predict(model.theta.views, model.running.views, unaugmented(images, slice(k, k + 1)), model.arch)
    return np.exp(to_host(z).astype(float)) / np.exp(to_host(z).astype(float)).sum()


def test_predictions_do_not_depend_on_how_the_images_are_cut(xp):
    model, task, _ = begin(xp)
    expected = np.concatenate([one_by_one(model, task.train, k, xp) for k in range(20)])
    for batch in (1, 7, 20, 500):
        assert np.allclose(to_host(predictions(model, task.train, batch)), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("algorithm", [train.joint_optimization, train.retrain])
def test_every_batch_is_augmented_as_of_its_epoch_and_recorded_with_its_share_of_the_pass(xp, monkeypatch, algorithm):
    model, task, labels = begin(xp, seed=5)
    seen = []
    spied(monkeypatch, "augmented",
          lambda images, i, *seed_and_epoch: seen.append((to_host(i).tolist(), *seed_and_epoch)))
    remember = labels.remember
    labels.remember = lambda i, s, own: (seen.append((to_host(i).tolist(), own)), remember(i, s, own))
    assert len(list(algorithm(model, task, labels, RECIPE._replace(epochs2=4)))) == 4
    expected = [(e, i.tolist(), n) for e in range(4) for i, n in batches(20, 8, 5, e)]
    assert seen == [entry for e, i, n in expected for entry in ((i, 5, e), (i, n))]


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_training_that_goes_on_ends_as_if_it_had_not_been_interrupted(done):
    ends, recipe = [], RECIPE._replace(prior="given")
    for times in (recipe.epochs, done):
        model, task, labels = begin(np)
        list(islice(train.joint_optimization(model, task, labels, recipe), times))
        list(train.joint_optimization(model, task, labels, recipe, done=times))
        ends.append([*state(model), labels.Y])
    assert same(*ends)


def test_both_steps_train_by_the_epoch_that_they_are_given():
    model, task, labels = begin(np)
    asked = []

    def own(*args):
        asked.append(args[3:])
        labels.remember(np.arange(20), np.full((20, 3), 1 / 3), 20)
        return 1, 2, 3, 4, 5

    records = list(train.joint_optimization(model, task, labels, RECIPE, theta_epoch=own))
    assert [(*objective[1:], *rest) for objective, *rest in asked] == [
        (1.2, 0.8, 0.1, RECIPE, epoch) for epoch in range(4)]
    records += train.retrain(model, task, labels, RECIPE, theta_epoch=own)
    assert [(*objective[1:], *rest) for objective, *rest in asked[4:]] == [
        (0, 0, step_schedule(0.1, (2, 4), epoch + 1), RECIPE, epoch) for epoch in range(5)]
    assert [r[4:9] for r in records] == [(1, 2, 3, 4, 5)] * 9


# ---- step 2 --------------------------------------------------------------------------------------------------------

def test_retraining_leaves_the_labels_alone_and_knows_no_alpha_and_beta(xp):
    ends = []
    for alpha, beta in ((1.2, 0.8), (7, 0)):
        model, task, labels = begin(xp)
        labels.Y = soft_update((labels.Y + 0.1) / 1.3)
        Y = to_host(labels.Y).copy()
        records = list(train.retrain(model, task, labels,
                                     RECIPE._replace(alpha=alpha, beta=beta, update="hard", begin=1)))
        assert np.array_equal(to_host(labels.Y), Y)
        assert all(r.loss == r.L_c and r.changed == 0 and r.step == "retrain" for r in records)
        assert [r.epoch for r in records] == [1, 2, 3, 4, 5]
        assert np.allclose([r.lr for r in records], [0.1, 0.1, 0.01, 0.01, 0.001], rtol=1e-15, atol=0)
        ends.append(state(model))
    assert same(*ends)


def test_retraining_closes_its_epochs():
    model, task, labels = begin(np)
    assert [labels.epochs for _ in train.retrain(model, task, labels, RECIPE)] == [1, 2, 3, 4, 5]


def test_random_labels_of_32_random_images_are_learnt_by_heart(xp):
    rng = np.random.default_rng(0)
    pixels, truth = rng.integers(256, size=(32, 6, 6, 3), dtype=np.uint8), xp.asarray(rng.integers(3, size=32))
    images = Images(pixels, mean_image(pixels), 0, False).on(xp)
    model = fresh_model(net, Architecture(classes=3, widths=(8,), blocks=(1,)), rng, xp)
    recipe = RECIPE._replace(epochs2=60, drops2=(), batch=16, decay=0)
    task = Task(images, (images, truth), (images, truth), truth, seed=0)
    records = list(train.retrain(model, task, SoftLabels(one_hot(truth, 3)), recipe))
    assert records[0].loss > 0.8 and records[-1].loss < 0.02 and records[-1].accuracy == records[-1].test == 1


def test_labels_wrong_by_symmetric_noise_are_corrected(xp):
    recipe = RECIPE._replace(lr=0.05, epochs=12, begin=5, K=3, batch=16)
    model, task, labels = begin(xp, n=120, recipe=recipe)
    at_start = recovery(labels, task.truth)
    records = list(train.joint_optimization(model, task, labels, recipe))
    assert at_start < 0.8 and all(r.recovery == at_start for r in records[:4])
    assert records[-1].recovery > 0.95 and sum(r.changed for r in records) > 0.2 * 120


# ---- records -------------------------------------------------------------------------------------------------------

def test_record_says_what_can_be_counted_again(xp, monkeypatch):
    model, task, labels = begin(xp)
    seen = []
    spied(monkeypatch, "objective_forward",
          lambda z, y, *_: seen.append((to_host(z).astype(float), to_host(y).astype(float))))
    for number, r in enumerate(train.joint_optimization(model, task, labels, RECIPE), start=1):
        terms = np.mean([slow_terms(z, y) for z, y in seen], axis=0)    # mean over the batches
        assert np.allclose((r.L_c, r.L_p, r.L_e), terms, rtol=1e-5, atol=1e-6)
        assert np.isclose(r.loss, terms @ [1, 1.2, 0.8], rtol=1e-5)
        assert np.isclose(r.accuracy, np.mean([z.argmax(axis=1) == y.argmax(axis=1) for z, y in seen]), rtol=1e-6)
        for said, (images, classes) in ((r.validation, task.validation), (r.test, task.test)):
            hits = [one_by_one(model, images, k, xp).argmax() == c for k, c in enumerate(to_host(classes))]
            assert math.isclose(said, sum(hits) / len(hits))
        right = [y.argmax() == c for y, c in zip(to_host(labels.Y), to_host(task.truth))]
        assert math.isclose(r.recovery, sum(right) / 20)
        assert (r.step, r.epoch, r.lr) == ("joint", number, 0.1) and r.seconds > 0
        # no value is left on the device
        assert r.fold is None and all(type(value) in (str, int, float) for value in r if value is not None)
        seen.clear()


@pytest.mark.parametrize("algorithm", [train.joint_optimization, train.retrain])
def test_seconds_of_all_epochs_are_no_more_than_have_gone_by(algorithm):
    start = time.perf_counter()
    records = list(algorithm(*begin(np), RECIPE))
    assert 0 < sum(r.seconds for r in records) <= time.perf_counter() - start


def slow_terms(z, y):
    s = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    s_bar, N = s.mean(axis=0), len(z)
    L_c = sum(a * math.log(a / b) for a, b in zip(y.ravel(), s.ravel()) if a > 0) / N
    return L_c, sum(math.log(1 / 3 / b) / 3 for b in s_bar), -(s * np.log(s)).sum() / N


def test_recovery_is_not_a_number_where_the_truth_is_unknown(xp):
    model, task, labels = begin(xp, known=False)
    assert math.isnan(next(train.joint_optimization(model, task, labels, RECIPE)).recovery)


def test_accuracy_on_no_images_is_not_a_number(xp):
    model, task, labels = begin(xp)
    images, classes = task.test
    none = images._replace(pixels=images.pixels[:0]), classes[:0]
    record = next(train.joint_optimization(model, task._replace(validation=none, test=none), labels, RECIPE))
    assert math.isnan(record.validation) and math.isnan(record.test) and record.recovery > 0


def test_fewer_images_than_a_batch_make_one_batch_of_all(xp):
    model, task, labels = begin(xp, n=5)
    records = list(train.joint_optimization(model, task, labels, RECIPE._replace(batch=128)))
    assert len(records) == 4 and all(math.isfinite(r.loss) for r in records)


@pytest.mark.parametrize("algorithm", [train.joint_optimization, train.retrain])
def test_loss_that_is_no_longer_finite_is_the_users_to_mend(algorithm):
    model, task, labels = begin(np)
    sentence = r"no longer finite in epoch 1 \(learning rate 1e\+30\).*smaller --lr"
    with np.errstate(all="ignore"), pytest.raises(InputError, match=sentence):
        list(algorithm(model, task, labels, RECIPE._replace(lr=1e30, lr2=1e30)))


def test_names_of_the_updates():
    Y, s = np.eye(2), np.array([[0.4, 0.6], [0.3, 0.7]])
    assert (np.array_equal(label_update("soft")(Y, s), s)
            and np.array_equal(label_update("hard")(Y, s), [[0, 1], [0, 1]]))
    top = label_update("hard-50")
    assert top.func is hard_update_top and top.keywords == {"k": 50}
