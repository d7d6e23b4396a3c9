"""The updates of Y against their definitions, their optimality, and the memory of the last K epochs."""
import math

import numpy as np
import pytest

from core.backend import to_host
from core.batches import batches
from core.labels import SoftLabels, hard_update, hard_update_top, label_update, one_hot, prior, soft_update
from core.objective import kl_forward
from tests.lib.evidence import measured


def simplex(rng, *shape):
    """Random distributions over the last axis, float64."""
    return rng.dirichlet(np.ones(shape[-1]), size=shape[:-1])


def naive_one_hot(labels, classes):
    return np.array([[1.0 if j == label else 0.0 for j in range(classes)]
                     for label in labels]).reshape(len(labels), classes)


def naive_hard(s):
    return naive_one_hot([max(range(len(row)), key=lambda j: (row[j], -j)) for row in s], s.shape[1])


def naive_top(Y, s, k):
    """The k samples of largest cross-entropy, the smaller index first where two are equal."""
    cross_entropy = [-sum(y * math.log(q) for y, q in zip(*rows) if y > 0) for rows in zip(Y, s)]
    chosen = sorted(range(len(Y)), key=lambda i: (-cross_entropy[i], i))[:k]
    return np.array([naive_hard(s[i:i + 1])[0] if i in chosen else Y[i] for i in range(len(Y))])


# ---- the updates ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_hot_is_one_at_the_label_and_zero_elsewhere(xp, dtype):
    labels = np.array([2, 0, 3, 3])
    found = one_hot(xp.asarray(labels), 5, dtype)
    assert np.array_equal(to_host(found), naive_one_hot(labels, 5)) and found.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_soft_and_hard_updates_are_their_definitions(xp, dtype):
    rng = np.random.default_rng(0)
    s = simplex(rng, 40, 6).astype(dtype)
    s[0] = s[1, ::-1] = 1 / 6                               # a tie: the smaller class
    s[2, [3, 5]] = 2
    soft, hard = (update(xp.asarray(s)) for update in (soft_update, hard_update))
    assert np.array_equal(to_host(soft), s) and np.array_equal(to_host(hard), naive_hard(s))
    assert soft.dtype == hard.dtype == dtype


def test_labels_do_not_change_with_the_predictions_that_they_came_from(xp):
    s = xp.asarray(simplex(np.random.default_rng(1), 4, 3))
    Y = soft_update(s)
    kept = to_host(Y).copy()
    s *= 0
    assert np.array_equal(to_host(Y), kept)


@pytest.mark.parametrize("k", [0, 1, 7, 29, 30, 1000])
def test_top_k_relabels_the_k_samples_of_largest_cross_entropy(xp, k):
    rng = np.random.default_rng(2)
    s = simplex(rng, 30, 5)
    for Y in (naive_one_hot(rng.integers(5, size=30), 5), simplex(rng, 30, 5)):
        given = xp.asarray(Y.copy())
        assert np.array_equal(to_host(hard_update_top(given, xp.asarray(s), k)), naive_top(Y, s, k))
        assert np.array_equal(to_host(given), Y)            # the argument is untouched


def test_top_k_gives_ties_to_the_smaller_index(xp):
    Y, s = naive_one_hot([0] * 20, 3), np.tile([0.2, 0.5, 0.3], (20, 1))
    s[13] = [0.1, 0.2, 0.7]
    found = to_host(hard_update_top(xp.asarray(Y), xp.asarray(s), 4)).argmax(axis=1)
    assert found.tolist() == [1, 1, 1] + [0] * 10 + [2] + [0] * 6


def test_top_k_survives_predictions_of_exactly_zero(xp):
    Y, s = naive_one_hot([0, 0, 1], 2).astype(np.float32), np.array([[0.4, 0.6], [0, 1], [0.1, 0.9]], np.float32)
    found = to_host(hard_update_top(xp.asarray(Y), xp.asarray(s), 1))
    assert np.array_equal(found, [[1, 0], [0, 1], [0, 1]]) and found.dtype == np.float32


def test_top_k_tells_small_predictions_apart(xp):
    Y, s = naive_one_hot([0, 0, 0], 2), np.array([[1e-5, 1], [1e-8, 1], [1e-7, 1]])
    assert to_host(hard_update_top(xp.asarray(Y), xp.asarray(s), 1)).argmax(axis=1).tolist() == [0, 1, 0]


@pytest.mark.parametrize("name, competitors", [("soft", lambda rng, N, C: simplex(rng, N, C)),
                                               ("hard", lambda rng, N, C: naive_one_hot(rng.integers(C, size=N), C))])
def test_update_minimises_L_c_over_its_label_space(xp, name, competitors):
    rng = np.random.default_rng(4)
    z = xp.asarray(3 * rng.standard_normal((50, 4)))
    s = xp.exp(z) / xp.exp(z).sum(axis=1, keepdims=True)

    def L_c_of_each(Y):
        return np.array([float(kl_forward(z[i:i + 1], Y[i:i + 1])[0]) for i in range(50)])

    best = L_c_of_each(label_update(name)(None, s))
    for _ in range(20):
        assert (best <= L_c_of_each(xp.asarray(competitors(rng, 50, 4))) + 1e-15).all()
    if name == "soft":
        measured("L_c at y = s", "soft update", xp, np.abs(best).max(), 1e-15)


# ---- the prior -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_prior_is_uniform_or_the_mean_label_or_the_normalised_weights(xp, dtype):
    Y = simplex(np.random.default_rng(6), 100, 4).astype(dtype)
    for kind, expected in [("uniform", [0.25] * 4), ("given", Y.astype(float).sum(axis=0) / 100),
                           ([1, 2, 0, 5], [1 / 8, 2 / 8, 0, 5 / 8]), ((3e5, 1e5, 1e5, 5e5), [0.3, 0.1, 0.1, 0.5]),
                           ([0.1, 0.2, 0.2, 0], [0.2, 0.4, 0.4, 0])]:
        p = prior(kind, xp.asarray(Y))
        assert p.dtype == dtype and p.shape == (4,)
        measured("p", "definition", xp, np.abs(to_host(p) - expected).max(), 1e-6 if dtype == np.float32 else 1e-15)


@pytest.mark.parametrize("kind", [[1, 2, 3], [[1, 2, 3, 4]], [0] * 4, [1, 1, 1, -1], [1, 1, 1, np.nan],
                                  [1, 1, 1, np.inf], [1e308] * 4, 1])
def test_prior_that_is_no_distribution_is_refused(kind):
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="the prior must be 4 numbers"):
        prior(kind, np.ones((3, 4)))


# ---- the memory ----------------------------------------------------------------------------------------------------

def closed(labels):
    """End the running epoch and give the s that an update is given."""
    seen = []
    labels.end_epoch(lambda Y, s: seen.append(to_host(s).copy()) or Y)
    return seen[0]


def record_epoch(labels, batches_of_epoch, rng, last, xp):
    """Feed random predictions; enters in `last` each sample's, one by one: the later of two counts."""
    for i, n in batches_of_epoch:
        s = simplex(rng, len(i), labels.Y.shape[1])
        labels.remember(xp.asarray(i), xp.asarray(s), n)
        for sample, prediction in zip(i, s):
            last[sample] = prediction


def test_the_memory_is_of_ten_epochs_if_nothing_else_is_said():
    assert SoftLabels(np.ones((3, 2))).ring.shape == (10, 3, 2)


@pytest.mark.parametrize("K", [1, 2, 3, 10])
@pytest.mark.parametrize("size", [4, 5, 9])
def test_s_is_the_mean_of_exactly_the_last_K_epochs_and_of_fewer_before(xp, K, size):
    rng, N, C = np.random.default_rng(K), 9, 3
    labels = SoftLabels(xp.asarray(naive_one_hot([0] * N, C)), K)
    history, last = [], np.zeros((N, C))
    for epoch in range(2 * K + 3):
        record_epoch(labels, batches(N, size, K, epoch), rng, last, xp)
        history.append(last.copy())
        expected = sum(history[-K:]) / len(history[-K:])
        measured("s", "mean of K epochs as a loop", xp, np.abs(closed(labels) - expected).max(), 1e-15)


def test_sample_shown_early_by_a_wrapped_batch_keeps_that_prediction_for_its_own_epoch(xp):
    labels = SoftLabels(xp.full((2, 2), 0.5), K=2)
    a, b, c = ([0.9, 0.1], [0.6, 0.4], [0.2, 0.8])
    labels.remember(xp.asarray([0]), xp.asarray([[0.5, 0.5]]), 1)
    labels.remember(xp.asarray([1, 1]), xp.asarray([a, b]), 1)          # sample 1 of this pass and, early, of the next
    labels.end_epoch()
    labels.remember(xp.asarray([0]), xp.asarray([c]), 1)                  # sample 1 does not come again in this epoch
    assert np.allclose(closed(labels), [[0.35, 0.65], b], rtol=0, atol=1e-15)


@pytest.mark.parametrize("rows, s, n", [([0, 1, 0], "abc", 1), ([0, 1, 0], "abc", 2), ([1, 0, 0], "bac", 2),
                                        ([0, 1], "cb", 2)])
def test_sample_twice_in_one_wrapped_batch_keeps_the_later_prediction(xp, rows, s, n):
    predictions = {"a": [0.9, 0.1], "b": [0.6, 0.4], "c": [0.3, 0.7]}
    labels = SoftLabels(xp.full((2, 2), 0.5), K=3)
    labels.remember(xp.asarray(rows), xp.asarray([predictions[letter] for letter in s]), n)
    assert np.array_equal(closed(labels), [predictions["c"], predictions["b"]])


def test_without_n_the_whole_batch_is_recorded(xp):
    labels = SoftLabels(xp.full((3, 2), 0.5), K=1)
    s = simplex(np.random.default_rng(7), 3, 2)
    labels.remember(xp.asarray([2, 0, 1]), xp.asarray(s))
    assert np.array_equal(closed(labels), s[[1, 2, 0]])


@pytest.mark.parametrize("name", ["soft", "hard", "hard-3"])
def test_Y_stays_in_its_space_and_changed_counts_the_classes_that_moved(xp, name):
    rng, N, C = np.random.default_rng(8), 11, 4
    labels = SoftLabels(xp.asarray(naive_one_hot(rng.integers(C, size=N), C)), K=5)
    before, moved, update = to_host(labels.Y).copy(), 0, label_update(name)
    for epoch, wanted in enumerate([None, None, update, update, None, update, update, update]):
        record_epoch(labels, batches(N, 4, 0, epoch), rng, np.zeros((N, C)), xp)
        changed = int(labels.end_epoch(wanted))
        Y = to_host(labels.Y).copy()
        assert np.abs(Y.sum(axis=1) - 1).max() <= 1e-14 and Y.min() >= 0
        assert changed == sum(int(a.argmax() != b.argmax()) for a, b in zip(Y, before))
        assert np.array_equal(Y, before) or wanted is not None
        before, moved = Y, moved + changed
    assert moved > 0


def test_rows_of_Y_sum_to_one_in_float32_after_many_epochs(xp):
    rng = np.random.default_rng(9)
    labels = SoftLabels(xp.asarray(naive_one_hot(rng.integers(10, size=200), 10).astype(np.float32)), K=10)
    for _ in range(25):
        labels.remember(xp.arange(200), xp.asarray(simplex(rng, 200, 10).astype(np.float32)))
        labels.end_epoch(label_update("soft"))
        assert labels.Y.dtype == np.float32
        measured("rows of Y", "sum to one, float32", xp, np.abs(to_host(labels.Y).astype(float).sum(axis=1) - 1).max(),
                 1e-6)
