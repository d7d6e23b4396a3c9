"""A loss that is no longer finite: which layer, in which batch."""
import numpy as np
import pytest

from core import finite, train
from core.errors import InputError
from core.finite import all_finite
from core.objective import Objective
from core.parallel.launch import launch
from nets.preact_resnet_fast import FastNet
from tests.paper.test_train import RECIPE, begin, same, state

STEPS = 3                                # batches of the first epoch: 20 images, 8 at a time


@pytest.mark.parametrize("names", [["conv"], ["stage1.block0.conv1"], ["linear.b"], ["conv", "linear.w"]])
def test_the_infinite_gradient_that_is_computed_first_is_named_with_its_batch(monkeypatch, names):
    model, task, labels = begin(np)
    gather, calls = model.theta.gather, []

    def spoil(arrays):
        calls.append(1)
        if len(calls) in (2, STEPS + 2):               # the second batch, and the same when the epoch is computed again
            for name in names:
                arrays[name].flat[0] = np.inf
        return gather(arrays)

    monkeypatch.setattr(model.theta, "gather", spoil)
    sentence = rf"epoch 1 .*first the gradient of {names[-1]} in batch 2 of 3: start again"
    with np.errstate(all="ignore"), pytest.raises(InputError, match=sentence):
        next(train.joint_optimization(model, task, labels, RECIPE))


@pytest.mark.parametrize("name, words", [("conv", "the input of stage1.block0.bn1"), ("linear.w", "the logits")])
def test_the_input_of_a_layer_and_the_logits_are_named(name, words):
    model, task, labels = begin(np)
    model.theta.views[name][...] = 3e38                      # finite, but not the sums in which it is a factor
    with np.errstate(all="ignore"), pytest.raises(InputError, match=f"first {words} in batch 1 of 3"):
        next(train.joint_optimization(model, task, labels, RECIPE))


def test_what_is_finite_the_second_time_was_no_result_of_the_arithmetic(monkeypatch):
    model, task, labels = begin(np)
    calls, step = [], train.sgd_step

    def once(theta, *args):
        step(theta, *args)
        calls.append(1)
        if len(calls) == 2:
            theta[5] = np.nan

    monkeypatch.setattr(train, "sgd_step", once)
    with np.errstate(all="ignore"), pytest.raises(
            InputError, match="it is when the epoch is computed again: .* resume the run"):
        next(train.joint_optimization(model, task, labels, RECIPE))


def test_all_ranks_name_the_same(capfd):
    def diverging(comm):
        model, task, labels = begin(np)
        model = model._replace(net=FastNet(comm), comm=comm)
        with np.errstate(all="ignore"):
            list(train.joint_optimization(model, task, labels, RECIPE._replace(lr=1e30)))

    with pytest.raises(InputError, match="no longer finite in epoch 1 .*first the .* in batch [123] of 3"):
        launch(diverging, 2)
    assert "Traceback" not in capfd.readouterr().err


def test_a_training_that_stays_finite_is_computed_once(monkeypatch):
    model, task, labels = begin(np)
    calls = []
    monkeypatch.setattr(finite, "first_not_finite", lambda *args: calls.append(args))
    list(train.joint_optimization(model, task, labels, RECIPE))
    assert not calls and all_finite(model.theta.buffer)
    assert not all_finite(np.zeros(3), np.array([1, np.inf])) and not all_finite(np.array([np.nan]), np.zeros(2))


def test_what_a_model_hands_out_as_its_buffers_is_all_that_an_epoch_changes(xp):
    model, task, labels = begin(xp)
    objective, found = Objective(xp.full(3, 1 / 3, np.float32), 1.2, 0.8), []
    train.theta_epoch(model, task, labels, objective, 0.1, RECIPE, 0)               # velocity is no longer zero
    begun = [buffer.copy() for buffer in model.buffers()]
    for _ in range(2):
        for buffer, array in zip(model.buffers(), begun, strict=True):
            buffer[...] = array
        found.append([train.theta_epoch(model, task, labels, objective, 0.1, RECIPE, 1), *state(model)])
    assert found[0][0] == found[1][0] and same(found[0][1:], found[1][1:])


def test_parameters_that_the_last_batch_of_an_epoch_made_infinite_are_noticed():
    """The loss of that epoch, computed before, is finite."""
    model, task, labels = begin(np)
    sentence = "no longer finite in epoch 1 .*, first the gradient of .* in batch 1 of 1"
    with np.errstate(all="ignore"), pytest.raises(InputError, match=sentence):
        next(train.joint_optimization(model, task, labels, RECIPE._replace(batch=20, lr=1e39)))
