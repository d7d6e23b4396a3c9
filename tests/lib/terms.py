"""The terms of the objective as functions of the logits alone, and batches to try them on."""
import numpy as np

from core import objective
from core.backend import to_host
from tests.lib.arrays import moved

ALPHA, BETA = 1.2, 0.8                                  # of symmetric noise at 70 %
TERMS = ["L_c", "L_p", "L_e", "L"]


def batch(N, C, labels="soft", spread=2.0, seed=0):
    """z, y, p: logits, labels (soft; one-hot; sparse: some entries zero, in the prior too),
    and a prior that is not uniform."""
    rng = np.random.default_rng(seed)
    y, p = rng.dirichlet(np.ones(C), N), rng.dirichlet(np.ones(C))
    if labels == "one-hot":
        y = np.eye(C)[rng.integers(C, size=N)]
    if labels == "sparse":
        y[:, 0] = p[-1] = 0
    return spread * rng.standard_normal((N, C)), y / y.sum(axis=1, keepdims=True), p / p.sum()


def pair(term, y, p):
    """(forward, backward) of a term as functions of the logits alone."""
    def whole(z):
        (L, *_), cache = objective.objective_forward(z, y, p, ALPHA, BETA)
        return L, cache
    return {"L_c": (lambda z: objective.kl_forward(z, y), objective.kl_backward),
            "L_p": (lambda z: objective.prior_forward(z, p), objective.prior_backward),
            "L_e": (objective.entropy_forward, objective.entropy_backward),
            "L": (whole, objective.objective_backward)}[term]


def value_and_gradient(term, z, y, p, xp, dL=1.0):
    """L and dL/dz on the host."""
    z, y, p = moved([z, y, p], xp)
    forward, backward = pair(term, y, p)
    L, cache = forward(z)
    return to_host(L), to_host(backward(dL, cache))


def gradient(term, z, y, p, xp, dL=1.0):
    return value_and_gradient(term, z, y, p, xp, dL)[1]
