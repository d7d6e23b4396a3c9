"""The objective of the paper, term by term:  L = L_c + alpha L_p + beta L_e,
 and its gradient with respect to the logits.

    z (N, C)  logits of a batch             s = softmax(z)    s_bar (C,) mean of s over the batch
    y (N, C)  labels, rows sum to one       p (C,)  prior over the classes
    i runs over the N samples, j over the C classes

Everything is computed from log s, because products such as y * (1 / s) are 0 * inf where s
underflows. So written, terms and gradients are finite in float32 for logits up to +-1e4, and for a
batch that has collapsed onto one class.  0 log 0 is taken as 0.
The terms are true Kullback-Leibler divergences; the official code prints cross-entropies, which are
larger by the entropies of y and of p (for ten classes and a uniform p: alpha ln 10) and have the
same gradient.
"""
import math

from core.backend import xp_of


def log_softmax(z):
    """log s_ij = z_ij - log sum_k exp z_ik"""
    z = z - z.max(axis=1, keepdims=True)
    return z - xp_of(z).log(xp_of(z).exp(z).sum(axis=1, keepdims=True))


def softmax(z):
    """s_ij = exp z_ij / sum_k exp z_ik"""
    return xp_of(z).exp(log_softmax(z))


def xlogx(x):
    """x log x, and 0 where x is 0"""
    xp = xp_of(x)
    return x * xp.log(xp.where(x > 0, x, 1))


# ---- L_c: the classification loss ----------------------------------------------------------------

def kl_forward(z, y):
    """L_c = 1/N sum_i D_KL(y_i || s_i) = 1/N sum_ij y_ij log(y_ij / s_ij)"""
    log_s = log_softmax(z)
    L_c = (xlogx(y) - y * log_s).sum() / len(z)
    return L_c, (log_s, y)


def kl_backward(dL, cache):
    """dL_c/dz_ij = (s_ij - y_ij) / N"""
    log_s, y = cache
    return dL * (xp_of(log_s).exp(log_s) - y) / len(y)


# ---- L_p: the prior loss -------------------------------------------------------------------------

def prior_forward(z, p):
    """L_p = D_KL(p || s_bar) = sum_j p_j log(p_j / s_bar_j),  s_bar = 1/N sum_i s_i

    s_bar couples the samples of a batch. It is taken over the mini-batch,
    as the paper does for the mean over all data.
    """
    log_s = log_softmax(z)
    log_s_bar = log_mean_exp(log_s)                                         # (C,)
    L_p = (xlogx(p) - p * log_s_bar).sum()
    return L_p, (log_s, log_s_bar, p)


def prior_backward(dL, cache):
    """dL_p/dz_ij = -1/N (r_ij - s_ij sum_k r_ik),  r_ij = p_j s_ij / s_bar_j"""
    log_s, log_s_bar, p = cache
    xp = xp_of(log_s)
    r = p * xp.exp(log_s - log_s_bar)                             # (N, C), its columns sum to N p_j
    return -dL * (r - xp.exp(log_s) * r.sum(axis=1, keepdims=True)) / len(r)


def log_mean_exp(log_s):
    """log s_bar_j = log(1/N sum_i exp log s_ij), without leaving the logarithm"""
    top = log_s.max(axis=0)
    return top + xp_of(log_s).log(xp_of(log_s).exp(log_s - top).sum(axis=0)) - math.log(len(log_s))


# ---- L_e: the entropy loss -----------------------------------------------------------------------

def entropy_forward(z):
    """L_e = -1/N sum_ij s_ij log s_ij"""
    log_s = log_softmax(z)
    s_log_s = xp_of(z).exp(log_s) * log_s
    return -s_log_s.sum() / len(z), (log_s, s_log_s)


def entropy_backward(dL, cache):
    """dL_e/dz_ij = -1/N s_ij (log s_ij - sum_k s_ik log s_ik)"""
    log_s, s_log_s = cache
    s = xp_of(log_s).exp(log_s)
    return -dL * (s_log_s - s * s_log_s.sum(axis=1, keepdims=True)) / len(s)


# ---- L: their weighted sum -----------------------------------------------------------------------

def objective_forward(z, y, p, alpha, beta):
    """L = L_c + alpha L_p + beta L_e;  returns ((L, L_c, L_p, L_e), cache)"""
    L_c, cache_c = kl_forward(z, y)
    L_p, cache_p = prior_forward(z, p)
    L_e, cache_e = entropy_forward(z)
    return (L_c + alpha * L_p + beta * L_e, L_c, L_p, L_e), (cache_c, cache_p, cache_e, alpha, beta)


def objective_backward(dL, cache):
    """dL/dz = dL_c/dz + alpha dL_p/dz + beta dL_e/dz"""
    cache_c, cache_p, cache_e, alpha, beta = cache
    return (kl_backward(dL, cache_c) + prior_backward(alpha * dL, cache_p)
            + entropy_backward(beta * dL, cache_e))
