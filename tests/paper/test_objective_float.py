"""The objective in a computer's numbers: float32 against float64, logits beyond reason, collapsed batches,
zeros in y and p."""
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as drawn

from core import objective
from core.backend import to_host
from tests.lib.arrays import distance, moved
from tests.lib.evidence import measured
from tests.lib.terms import ALPHA, BETA, TERMS, batch, value_and_gradient


def in_both_precisions(term, data, xp):
    return [value_and_gradient(term, *(a.astype(dtype) for a in data), xp) for dtype in (np.float32, np.float64)]


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("labels", ["soft", "one-hot", "sparse"])
def test_float32_stays_float32_and_near_float64(xp, term, labels):
    """the value's error in units of log C, the gradient's in units of its norm"""
    data = [a.astype(np.float32) for a in batch(128, 10, labels, spread=3)]
    (L, dz), (L_64, dz_64) = in_both_precisions(term, data, xp)
    assert L.dtype == dz.dtype == np.float32
    measured(term, "float32 against float64", xp, max(abs(L - L_64) / math.log(10), distance(dz, dz_64)), 2e-6)


def test_arguments_are_not_written_to(xp):
    before = batch(5, 4)
    z, y, p = moved(before, xp)
    _, cache = objective.objective_forward(z, y, p, ALPHA, BETA)
    first, second = (to_host(objective.objective_backward(1.0, cache)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    for array, expected in zip([z, y, p], before):
        np.testing.assert_array_equal(to_host(array), expected)


def assert_finite(z, y, p, xp):
    """all terms and gradients; the rows of the gradient sum to zero within float32's rounding of its largest entry"""
    for term in TERMS:
        L, dz = value_and_gradient(term, z, y, p, xp)
        assert np.isfinite(L) and np.isfinite(dz).all() and dz.dtype == np.float32, term
        assert (abs(dz.sum(axis=1)) <= 4e-6 * np.maximum(abs(dz).max(axis=1), 1 / len(z))).all(), term


@given(drawn(np.float32, st.tuples(st.integers(1, 5), st.integers(2, 4)), elements=st.floats(-1e4, 1e4, width=32)),
       st.sampled_from(["soft", "one-hot", "sparse"]))
def test_logits_up_to_ten_thousand_in_float32_are_finite(xp, z, labels):
    _, y, p = (a.astype(np.float32) for a in batch(*z.shape, labels))
    assert_finite(z, y, p, xp)


@pytest.mark.parametrize("labels", ["soft", "one-hot", "sparse"])
@pytest.mark.parametrize("top", [1e2, 1e4])
def test_a_batch_collapsed_onto_one_class_is_finite_and_driven_apart(xp, labels, top):
    """Each class in turn takes all: L_p is the others' share in p times the gap between the logits,
    and lowers that class."""
    _, y, p = (a.astype(np.float32) for a in batch(16, 4, labels))
    for winner in range(4):
        z = np.full((16, 4), -top, np.float32)
        z[:, winner] = top
        assert_finite(z, y, p, xp)
        L, dz = value_and_gradient("L_p", z, y, p, xp)
        expected = (1 - float(p[winner])) * 2 * top + float(objective.xlogx(p).sum())
        assert abs(L - expected) < 1e-5 * expected and (dz[:, winner] > 0).all()
        measured("L_p", "collapsed batch, float32", xp, distance(dz, (np.eye(4)[[winner] * 16] - p) / 16), 1e-6)


def test_the_gradient_at_extreme_logits_in_float32_is_that_of_float64(xp):
    """Logits of +-1e4 are themselves known to 1e-3 only, and L_p depends on their differences: hence the bound."""
    rng = np.random.default_rng(0)
    z = rng.uniform(-1e4, 1e4, (64, 10)).astype(np.float32)
    _, y, p = (a.astype(np.float32) for a in batch(64, 10))
    for term in ["L_c", "L_p", "L"]:                    # that of L_e is zero there
        (_, dz), (_, dz_64) = in_both_precisions(term, [z, y, p], xp)
        measured(term, "float32 against float64, logits to 1e4", xp, distance(dz, dz_64), 1e-4)
