"""Every term of the objective and its gradient: derivatives, definitions, and the laws of the paper."""
import math

import numpy as np
import pytest

from core import objective
from core.backend import to_host
from tests.lib import naive
from tests.lib.arrays import distance, moved
from tests.lib.evidence import measured
from tests.lib.gradcheck import central, complex_step, worst_error
from tests.lib.terms import ALPHA, BETA, TERMS, batch, gradient, pair, value_and_gradient

every_term = pytest.mark.parametrize("term", TERMS)
LAWS = "laws: rows sum to 0, shift, order, batch, scale"


# ---- derivatives and definitions -----------------------------------------------------------------------------------

@every_term
@pytest.mark.parametrize("labels", ["soft", "one-hot", "sparse"])
@pytest.mark.parametrize("N, C, directions", [(3, 4, "all"), (1, 3, "all"), (7, 2, "all"), (128, 10, 3)])
def test_the_gradient_is_the_derivative(xp, term, labels, N, C, directions):
    z, y, p = moved(batch(N, C, labels), xp)
    for method, derivative, bound in [("complex step", complex_step, 1e-12), ("central differences", central, 1e-7)]:
        error = worst_error(*pair(term, y, p), [z], np.random.default_rng(1), derivative, directions)
        measured(term, method, xp, error, bound)


@pytest.mark.parametrize("labels", ["soft", "one-hot", "sparse"])
@pytest.mark.parametrize("N, C", [(6, 5), (1, 3)])
def test_the_terms_are_their_definitions(xp, labels, N, C):
    z, y, p = batch(N, C, labels)
    L_c, L_p, L_e = naive.L_c(z, y), naive.L_p(z, p), naive.L_e(z)
    for term, expected in zip(TERMS, [L_c, L_p, L_e, L_c + ALPHA * L_p + BETA * L_e]):
        measured(term, "definition in loops", xp, distance(value_and_gradient(term, z, y, p, xp)[0], expected), 1e-14)
    measured("s", "definition in loops", xp, distance(objective.softmax(xp.asarray(z)), naive.softmax(z)), 1e-14)


def test_the_terms_are_reported_as_they_are_summed(xp):
    z, y, p = batch(5, 4)
    (L, *terms), _ = objective.objective_forward(*moved([z, y, p], xp), ALPHA, BETA)
    assert [float(x) for x in terms] == [float(value_and_gradient(term, z, y, p, xp)[0]) for term in TERMS[:3]]
    assert float(L) == float(terms[0] + ALPHA * terms[1] + BETA * terms[2])


@every_term
def test_the_gradient_is_the_chain_rule_through_s(xp, term):
    """dL/dz = s * (dL/ds - sum_k s_k dL/ds_k), where logits are moderate"""
    z, y, p = batch(9, 5)
    s = naive.softmax(z)
    dc, dp, de = -y / s, np.broadcast_to(-p / s.mean(axis=0), s.shape), -np.log(s) - 1
    ds = {"L_c": dc, "L_p": dp, "L_e": de, "L": dc + ALPHA * dp + BETA * de}[term] / len(z)
    expected = s * (ds - (s * ds).sum(axis=1, keepdims=True))
    measured(term, "chain rule through s", xp, distance(gradient(term, z, y, p, xp), expected), 1e-13)


# ---- laws ----------------------------------------------------------------------------------------------------------

@every_term
def test_the_rows_of_the_gradient_sum_to_zero_as_a_shift_of_all_logits_changes_nothing(xp, term):
    z, y, p = batch(20, 6)
    shift = np.arange(20.0)[:, None]
    (L, dz), (L_shifted, dz_shifted) = (value_and_gradient(term, logits, y, p, xp) for logits in (z, z + shift))
    error = max(abs(dz.sum(axis=1)).max() / np.linalg.norm(dz), distance(L_shifted, L), distance(dz_shifted, dz))
    measured(term, LAWS, xp, error, 1e-13)


@every_term
def test_the_order_of_samples_and_of_classes_is_the_order_of_the_gradient(xp, term):
    z, y, p = batch(20, 6)
    rows, columns = np.random.default_rng(1).permutation(20), np.random.default_rng(2).permutation(6)
    L, dz = value_and_gradient(term, z, y, p, xp)
    L_moved, dz_moved = value_and_gradient(term, z[rows][:, columns], y[rows][:, columns], p[columns], xp)
    error = max(distance(L_moved, L), distance(dz_moved, dz[rows][:, columns]))
    measured(term, LAWS, xp, error, 1e-13)


@every_term
def test_a_batch_twice_has_the_same_loss_and_half_the_gradient_and_the_gradient_is_linear_in_dL(xp, term):
    z, y, p = batch(8, 5)
    L, dz = value_and_gradient(term, z, y, p, xp)
    L_twice, dz_twice = value_and_gradient(term, np.tile(z, (2, 1)), np.tile(y, (2, 1)), p, xp)
    error = max(distance(L_twice, L), distance(2 * dz_twice[8:], dz),
                distance(gradient(term, z, y, p, xp, dL=-3.5), -3.5 * dz))
    measured(term, LAWS, xp, error, 1e-13)


def test_L_c_is_zero_with_zero_gradient_at_y_equal_s_and_nowhere_smaller(xp):
    z, y, p = batch(9, 5)
    L, dz = value_and_gradient("L_c", z, naive.softmax(z), p, xp)
    measured("L_c", "zero, with its gradient, at y = s", xp, max(abs(float(L)), np.linalg.norm(dz)), 1e-14)
    assert value_and_gradient("L_c", z, y, p, xp)[0] > 0


def test_L_p_is_zero_with_zero_gradient_at_s_bar_equal_p_and_nowhere_smaller(xp):
    z, y, p = batch(9, 5)
    L, dz = value_and_gradient("L_p", z, y, naive.softmax(z).mean(axis=0), xp)
    measured("L_p", "zero, with its gradient, at s_bar = p", xp, max(abs(float(L)), np.linalg.norm(dz)), 1e-14)
    assert value_and_gradient("L_p", z, y, p, xp)[0] > 0


def test_the_gradient_of_L_p_follows_from_r_whose_columns_sum_to_N_p(xp):
    z, y, p = batch(9, 5)
    _, cache = objective.prior_forward(*moved([z, p], xp))
    s, s_bar = (np.exp(to_host(a)) for a in cache[:2])
    r = p * s / s_bar
    expected = (s * r.sum(axis=1, keepdims=True) - r) / 9
    error = max(distance(r.sum(axis=0), 9 * p), distance(objective.prior_backward(1.0, cache), expected))
    measured("L_p", "columns of r", xp, error, 1e-14)


def test_L_p_of_a_batch_is_at_most_the_mean_of_its_parts(xp):
    """D_KL(p || .) is convex: a split batch is not the same loss, and never a smaller one."""
    z, y, p = batch(12, 5)
    parts = [float(value_and_gradient("L_p", part, y, p, xp)[0]) for part in (z[:6], z[6:])]
    assert float(value_and_gradient("L_p", z, y, p, xp)[0]) < sum(parts) / 2


def test_L_e_is_zero_at_one_hot_and_log_C_at_uniform_with_zero_gradient_at_both(xp):
    z, y, p = batch(9, 5)
    for logits, expected in [(1e3 * np.eye(5), 0), (np.ones((9, 5)), math.log(5))]:
        L, dz = value_and_gradient("L_e", logits, y, p, xp)
        measured("L_e", "its two extremes, with zero gradient", xp, max(abs(L - expected), np.linalg.norm(dz)), 1e-14)
    assert 0 < value_and_gradient("L_e", z, y, p, xp)[0] < math.log(5)
