"""The true class of each sample, given what its image looks like *and* which label it was given.

A network's P says what an image looks like. It knows neither the label that somebody chose who saw
the image, nor how these people err. Both are in this model: sample i has the true class j with
probability r_ij, and then gets the label k with probability T_jk:

    r_ij  =  P_ij^tau / sum_m P_im^tau         tau: temperature, as P may be surer than it is right
    p_i   =  sum_j r_ij T[j, given_i]          T: noise matrix, as core/noise.py takes it
    q_ij  =  r_ij T[j, given_i] / p_i          the posterior, for suggestions, scores, corrections

tau and T are those that make the given labels most likely, up to priors that stand where they are
used. They are found by expectation-maximisation (Dempster, Laird, Rubin: "Maximum Likelihood from
Incomplete Data via the EM Algorithm", J. R. Stat. Soc. B 1977): every step raises the likelihood
times the priors.
T tells the annotators' errors from the network's only as far as r is right. So P has to come from
networks that did not see the sample's label: otherwise P repeats it, and no label is wrong.

    N samples, C classes
    P (N, C)      class probabilities, rows sum to one    given (N,)  labels, 0 .. C-1
    log_P (N, C)  its logarithm, in float64               q (N, C)    posterior, rows sum to one
    T (C, C)      row: true class, column: given label    L           log-likelihood, sum_i log p_i
"""
import math
from typing import NamedTuple

import numpy as np

from core.objective import log_softmax

STRENGTH = 10      # of the prior of T, in samples of each class: of 0 to 200 the best compromise
START = 0.2        # share of random labels where EM begins; it can leave neither 0 nor 1
CONVERGED = 1e-7   # of L for each sample: a step that gains less is the last
STEPS = 2000


class Posterior(NamedTuple):
    """The posterior of the true classes and what it was made from."""
    q: object                          # (N, C) float64
    T: object                          # (C, C)
    tau: float
    L: float                           # of the given labels
    free: bool                         # T was fitted entry by entry; else labels drawn at random


def noise_posterior(P, given, strength=STRENGTH):
    """The Posterior by probabilities P (N, C) of networks that did not see the labels given (N,).

    A free T is taken only if it raises L by more than log log N for each parameter (Hannan, Quinn:
    "The Determination of the Order of an Autoregression", J. R. Stat. Soc. B 1979), else the T of
    labels drawn at random. Where few labels are wrong, a free T would take the network's errors for
    the annotators'. A parameter: an entry off the diagonal with half a label or more.
    """
    N, C = P.shape
    if N == 0:
        return Posterior(P.astype(np.float64), np.eye(C), 1.0, 0.0, False)
    log_P = np.log(np.maximum(P, np.finfo(np.float32).tiny), dtype=np.float64)
    tau_0, share, L_0 = fit_random(log_P, given)
    T_0 = random_matrix(share, given, C)
    tau, T, L = fit_free(log_P, given, tau_0, T_0, strength)
    log_r = log_softmax(tau * log_P)
    q, _ = expectation(log_r, T, given)
    J = joint(q, given)
    parameters = (J >= 0.5).sum() - (J.diagonal() >= 0.5).sum()
    if L - L_0 > parameters * math.log(math.log(max(N, 16))):
        return Posterior(left_out(log_r, q, given, T_0, strength), T, tau, L, True)
    q, _ = expectation(log_softmax(tau_0 * log_P), T_0, given)
    return Posterior(q, T_0, tau_0, L_0, False)


def joint(q, given):
    """J (C, C): J_kj = sum of q_ij over the samples i with label k.

    The estimated number of samples with label k and true class j. It takes the place of
    confident_joint in core/quality.py, for noise_matrix and estimated_errors.
    """
    J = np.zeros((q.shape[1], q.shape[1]))
    np.add.at(J, given, q)
    return J


def by_chance(found, given):
    """Whether P predicts the given labels no better than their frequencies m (C,) do.

    sum_i log m_k, k = given_i, is the L of labels that have nothing to do with the images. P has to
    beat it by log log N for each of tau and share. If not, nothing says what tau is, and q is P: as
    sure as the network is of what it does not know.
    """
    m, N = np.bincount(given) / max(len(given), 1), len(given)
    return bool(found.L - np.log(m[given]).sum() <= 2 * math.log(math.log(max(N, 16))))


def for_training(found, given):
    """(N, C) labels to train on: q, or the given labels where q knows nothing of them."""
    return np.eye(found.q.shape[1])[given] if by_chance(found, given) else found.q


# ---- the expectation step ------------------------------------------------------------------------

def expectation(log_r, T, given):
    """(q, L):  q_ij = r_ij T[j, given_i] / p_i,  p_i = sum_j r_ij T[j, given_i]"""
    with np.errstate(divide="ignore"):                                 # log 0 = -inf, and back to 0
        return normalised(log_r + np.log(T).T[given])


def normalised(log_q):
    """(exp(log_q_ij) / p_i, sum_i log p_i),  p_i = sum_j exp(log_q_ij)"""
    top = log_q.max(axis=1, keepdims=True)
    log_p = top + np.log(np.exp(log_q - top).sum(axis=1, keepdims=True))                    # (N, 1)
    return np.exp(log_q - log_p), float(log_p.sum())


# ---- the maximisation step: tau ------------------------------------------------------------------

def best_temperature(q, log_P, tau):
    """argmax over tau of  sum_ij q_ij log r_ij(tau) + log tau - tau,  beginning at tau.

    With l = log P the slope is sum_i (sum_j q_ij l_ij - sum_j r_ij l_ij) + 1/tau - 1. It falls, as
    its derivative is minus the variances of l_i under r_i, minus 1/tau^2: there is one maximum.
    Newton's method, inside the interval that is known to hold it.
    """
    low, high, expected = 0.0, np.inf, (q * log_P).sum()
    for _ in range(100):
        r = np.exp(log_softmax(tau * log_P))
        mean = (r * log_P).sum(axis=1)
        slope = expected - mean.sum() + 1 / tau - 1
        curvature = ((r * log_P ** 2).sum(axis=1) - mean ** 2).sum() + 1 / tau ** 2
        low, high = (tau, high) if slope > 0 else (low, tau)
        before, tau = tau, tau + slope / curvature
        if not low < tau < high:
            tau = min((low + high) / 2, 2 * before)
        if abs(tau - before) <= 1e-9 * before:
            break
    return float(tau)


def prior_of_temperature(tau):
    """log tau - tau: concave, largest at tau = 1, and counts about as much as one sample.

    Without it tau is infinite where P and the labels agree in all.
    """
    return np.log(tau) - tau


# ---- the maximisation step: T --------------------------------------------------------------------

def random_matrix(share, given, C):
    """T = (1 - share) I + share m: that share is drawn anew from m (C,), the given labels' mean."""
    return (1 - share) * np.eye(C) + share * np.bincount(given, minlength=C) / len(given)


def best_share(q, given, share):
    """(1 + sum_i a_i) / (1 + N),  a_i = 1 - q_ik (1 - share) / T_kk,  k = given_i

    a_i is the posterior probability that label i was drawn anew. This maximises the expectation of
    their log-likelihood + log share: the prior is one label drawn anew. Without it a set with no
    wrong label has share = 0, and then no label is more suspicious than another.
    """
    own = (1 - share) / random_matrix(share, given, q.shape[1]).diagonal()[given]
    anew = 1 - q[np.arange(len(given)), given] * own
    return float((1 + anew.sum()) / (1 + len(given)))


def best_matrix(q, given, T_0, strength):
    """T_jk = (J_kj + strength T_0[j, k]) / (sum_m J_mj + strength)

    It maximises sum_ij q_ij log T[j, given_i] + prior_of_matrix(T): each row has a Dirichlet prior
    that counts as `strength` samples in the proportions of T_0. Without it, the row of a class with
    few samples is made from the very samples that it is to judge.
    """
    J = joint(q, given).T + strength * T_0
    return J / np.maximum(J.sum(axis=1, keepdims=True), np.finfo(float).tiny)


def prior_of_matrix(T, T_0, strength):
    """strength sum_jk T_0[j, k] log T_jk, where 0 log 0 = 0"""
    return strength * (T_0 * np.log(np.where(strength * T_0 > 0, T, 1))).sum()


# ---- both steps in turn --------------------------------------------------------------------------

def fit_random(log_P, given, say=lambda L: None):
    """(tau, share, L) of T = random_matrix(share);  say(L + priors) hears of every step."""
    C, tau, share, best = log_P.shape[1], 1.0, START, -np.inf
    for _ in range(STEPS):
        T = random_matrix(share, given, C)
        q, L = expectation(log_softmax(tau * log_P), T, given)
        best, before = L + prior_of_temperature(tau) + math.log(share), best
        say(best)
        if best - before < CONVERGED * len(given):
            break
        tau, share = best_temperature(q, log_P, tau), best_share(q, given, share)
    return tau, share, L


def fit_free(log_P, given, tau, T_0, strength=STRENGTH, say=lambda L: None):
    """(tau, T, L) of a free T, T_0 the mean of its prior;  say(L + priors) hears of every step."""
    T, best = random_matrix(START, given, len(T_0)), -np.inf
    for _ in range(STEPS):
        q, L = expectation(log_softmax(tau * log_P), T, given)
        best, before = L + prior_of_temperature(tau) + prior_of_matrix(T, T_0, strength), best
        say(best)
        if best - before < CONVERGED * len(given):
            break
        tau, T = best_temperature(q, log_P, tau), best_matrix(q, given, T_0, strength)
    return tau, T, L


def left_out(log_r, q, given, T_0, strength):
    """q once more, each sample by the T of all others: best_matrix without q_i in J.

    Otherwise the only sample with some confusion would itself be the evidence that it happens.
    """
    J = joint(q, given)
    others = np.maximum(J[given] - q, 0) + strength * T_0.T[given]                          # (N, C)
    of_class = np.maximum(J.sum(axis=0) - q, 0) + strength
    with np.errstate(divide="ignore"):
        return normalised(log_r + np.log(others) - np.log(of_class))[0]
