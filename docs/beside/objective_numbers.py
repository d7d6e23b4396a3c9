"""The numbers beside the objective and the labels: one batch of two samples and three classes."""
from types import SimpleNamespace

import numpy as np

from core.features import Features
from core.labels import SoftLabels, hard_update, one_hot, soft_update
from core.model import Task, fresh_model
from core.objective import (
    entropy_backward,
    entropy_forward,
    kl_backward,
    kl_forward,
    log_softmax,
    objective_backward,
    objective_forward,
    prior_backward,
    prior_forward,
    softmax,
)
from core.recipes import Recipe
from core.train import joint_optimization
from docs.beside.derivatives import Quantity, proved
from nets import head

Z = np.array([[1., 0, 2], [0, 3, 1]])
Y = np.array([[0., 0, 1], [.5, .5, 0]])
P = np.full(3, 1 / 3)
SOFT = np.array([[.1, .2, .7], [.5, .5, 0]])
ALPHA, BETA = 1.2, 0.8
TINY = Recipe(lr=1, alpha=ALPHA, beta=BETA, epochs=4, begin=2, K=2, batch=2)


def label_spaces():
    hard = one_hot(np.array([2, 0]), 3, float)
    return [Quantity(r"y \in \mathcal{H}", hard), Quantity(r"\sum_j y_j", hard.sum(axis=1, keepdims=True)),
            Quantity(r"y \in \mathcal{S}", SOFT), Quantity(r"\sum_j y_j", SOFT.sum(axis=1, keepdims=True))]


def given_labels():
    (L, L_c, _, _), _ = objective_forward(Z, Y, P, 0, 0)
    return [Quantity("y", Y), Quantity("L_c", L_c), Quantity("L_c + 0 L_p + 0 L_e", L)]


def batch():
    s = softmax(Z)
    return [Quantity("z", Z), Quantity("s", s), Quantity(r"\sum_j s_{ij}", s.sum(axis=1, keepdims=True)),
            Quantity(r"\log s", log_softmax(Z))]


def classification():
    L_c, cache = kl_forward(Z, Y)
    return [Quantity("s", softmax(Z)), Quantity("y", Y), Quantity("L_c", L_c),
            *proved(r"\frac{\partial L_c}{\partial z}", kl_backward(1, cache), lambda z: kl_forward(z, Y)[0], Z)]


def prior():
    L_p, cache = prior_forward(Z, P)
    s_bar = softmax(Z).mean(axis=0)
    r = P * softmax(Z) / s_bar
    return [Quantity("s", softmax(Z)), Quantity(r"\bar s", s_bar), Quantity("p", P), Quantity("L_p", L_p),
            Quantity("r", r), Quantity(r"\rho", r.sum(axis=1, keepdims=True)),
            *proved(r"\frac{\partial L_p}{\partial z}", prior_backward(1, cache), lambda z: prior_forward(z, P)[0], Z)]


def entropy():
    L_e, cache = entropy_forward(Z)
    s = softmax(Z)
    H = -(s * np.log(s)).sum(axis=1, keepdims=True)
    return [Quantity("s", s), Quantity("H", H), Quantity("L_e", L_e), Quantity(r"\log s + H", np.log(s) + H),
            *proved(r"\frac{\partial L_e}{\partial z}", entropy_backward(1, cache), lambda z: entropy_forward(z)[0], Z)]


def total():
    (L, L_c, L_p, L_e), cache = objective_forward(Z, Y, P, ALPHA, BETA)
    return [Quantity("L_c", L_c), Quantity(r"\alpha L_p", ALPHA * L_p), Quantity(r"\beta L_e", BETA * L_e),
            Quantity("L", L),
            *proved(r"\frac{\partial L}{\partial z}", objective_backward(1, cache),
                    lambda z: objective_forward(z, Y, P, ALPHA, BETA)[0][0], Z)]


def updates():
    s = softmax(Z)
    at_s, cache = kl_forward(Z, soft_update(s))
    return [Quantity("y", Y), Quantity("L_c", kl_forward(Z, Y)[0]), Quantity(r"\mathrm{soft}", soft_update(s)),
            Quantity("L_c", at_s), Quantity(r"\frac{\partial L_c}{\partial z}", kl_backward(1, cache)),
            Quantity(r"\mathrm{hard}", hard_update(s)), Quantity("L_c", kl_forward(Z, hard_update(s))[0])]


def ring():
    """Predictions of one sample in four epochs, K = 3: the mean is over the last three."""
    labels = SoftLabels(one_hot(np.array([2]), 3, float), K=3)
    found = []
    for epoch, logits in enumerate(([0., 0, 1], [0, 1, 1], [0, 2, 1], [1, 3, 1]), start=1):
        s = softmax(np.array([logits]))
        labels.remember(np.array([0]), s)
        labels.end_epoch(lambda Y, s: soft_update(s))
        found.append(Quantity(rf"s^{{({epoch})}}", s))
    return [*found, Quantity("s", labels.s)]


def algorithm():
    """Algorithm 1 on two samples in float64: L of every epoch, and the labels after it."""
    net = SimpleNamespace(**{**vars(head), "init": lambda arch, rng: head.init(arch, rng, np.float64)})
    features = Features(np.array([[[1., .5]], [[-.5, 1.]]]), np.zeros(2), np.ones(2))
    nothing = Features(np.zeros((0, 1, 2)), np.zeros(2), np.ones(2)), np.zeros(0, int)
    task = Task(features, validation=nothing, test=nothing, truth=None, seed=0)
    model = fresh_model(net, head.Head(2, 3), np.random.default_rng(0), np)
    labels, found = SoftLabels(one_hot(np.array([2, 1]), 3, float), TINY.K), []
    for epoch in joint_optimization(model, task, labels, TINY):
        found += [Quantity(f"L^{{({epoch.epoch})}}", epoch.loss), Quantity(f"Y^{{({epoch.epoch})}}", labels.Y)]
    return found
