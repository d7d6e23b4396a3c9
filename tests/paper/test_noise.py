"""Every kind of noise: exact counts, the classes that it may touch, and what it leaves alone."""
import numpy as np
import pytest

from core.noise import CIFAR10_MAP, asymmetric, pair_flip, symmetric, symmetric_others, transition

RATES = [0, 0.1, 0.25, 0.4, 0.5, 0.7, 0.9, 1]


def balanced(per_class=100, classes=10):
    """Labels of equal numbers, in a random order."""
    return np.random.default_rng(0).permutation(np.repeat(np.arange(classes), per_class))


def T_of(*rows):
    return np.array(rows, float)


KINDS = {"symmetric": lambda labels, rate, rng: symmetric(labels, rate, 10, rng),
         "others": lambda labels, rate, rng: symmetric_others(labels, rate, 10, rng),
         "asymmetric": lambda labels, rate, rng: asymmetric(labels, rate, CIFAR10_MAP, rng),
         "pair": lambda labels, rate, rng: pair_flip(labels, rate, 10, rng),
         "transition": lambda labels, rate, rng: transition(labels, (1 - rate) * np.eye(10) + rate / 10, rng)}


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def kind(request):
    return request.param


# ---- what they share -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("rate", RATES)
def test_noise_leaves_its_argument_alone_and_depends_on_nothing_but_the_generator(kind, rate):
    labels = balanced()
    labels.setflags(write=False)
    first, again, other = (kind(labels, rate, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(labels, balanced()) and not np.shares_memory(first, labels)
    assert np.array_equal(first, again)
    # a rate of 1 may leave no choice
    assert np.array_equal(first, other) == (rate == 0 or len(set(zip(labels, first))) == 10)
    assert first.shape == labels.shape and first.dtype == labels.dtype and 0 <= first.min() and first.max() <= 9


def test_rate_zero_changes_nothing(kind):
    assert np.array_equal(kind(balanced(), 0, np.random.default_rng(1)), balanced())


def test_no_labels_are_no_error(kind):
    assert len(kind(np.zeros(0, np.int64), 0.5, np.random.default_rng(1))) == 0


def test_which_samples_are_hit_does_not_depend_on_their_place(kind):
    labels = np.tile(np.arange(10), 20)
    hits = np.mean([kind(labels, 0.4, np.random.default_rng(seed)) != labels for seed in range(400)], axis=0)
    # of every class the first and the second half: 4000 draws each
    first, second = hits.reshape(2, 10, 10).mean(axis=1)
    assert np.abs(first - second).max() < 5 * np.sqrt(2 * 0.25 / 4000)


# ---- symmetric -----------------------------------------------------------------------------------------------------

def test_symmetric_redraws_exactly_round_r_N_labels_over_all_classes():
    labels, N, C = np.zeros(20000, np.int64), 20000, 10
    for rate in RATES:
        redrawn = round(rate * N)
        wrong = int((symmetric(labels, rate, C, np.random.default_rng(1)) != labels).sum())
        # the true class is drawn too
        assert wrong <= redrawn and abs(wrong - 0.9 * redrawn) <= 4 * np.sqrt(redrawn * 0.09)


def test_symmetric_never_touches_more_than_round_r_N_and_can_touch_all():
    labels = np.full(7, 10 ** 6)                            # a class that no draw can give: every redrawn label shows
    for rate in np.linspace(0, 1, 29):
        assert (symmetric(labels, rate, 10, np.random.default_rng(2)) != labels).sum() == round(rate * 7)


def test_symmetric_draws_every_class_equally_often():
    found = symmetric(np.full(50000, 3), 1, 5, np.random.default_rng(3))
    assert np.abs(np.bincount(found, minlength=5) - 10000).max() < 4 * np.sqrt(8000)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("N", [1, 7, 1000])
def test_symmetric_others_makes_exactly_round_r_N_labels_wrong(rate, N):
    labels = np.random.default_rng(4).integers(10, size=N)
    assert (symmetric_others(labels, rate, 10, np.random.default_rng(5)) != labels).sum() == round(rate * N)


@pytest.mark.parametrize("true", [0, 2, 4])
def test_symmetric_others_draws_the_other_classes_equally_often(true):
    counts = np.bincount(symmetric_others(np.full(40000, true), 1, 5, np.random.default_rng(6)), minlength=5)
    assert counts[true] == 0 and np.abs(np.delete(counts, true) - 10000).max() < 4 * np.sqrt(7500)


# ---- by class ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("rate", RATES)
def test_asymmetric_moves_exactly_round_r_n_of_every_mapped_class_and_nothing_else(rate):
    labels = np.random.default_rng(7).integers(10, size=997)
    noisy = asymmetric(labels, rate, CIFAR10_MAP, np.random.default_rng(8))
    for c in range(10):
        n = int((labels == c).sum())
        moved = round(rate * n) if c in CIFAR10_MAP else 0
        expected = {c: n - moved, CIFAR10_MAP.get(c): moved}
        assert {k: int((noisy[labels == c] == k).sum())
                for k in range(10)} == {k: expected.get(k, 0) for k in range(10)}


def test_asymmetric_selects_by_the_true_label_so_that_cats_and_dogs_flip_once():
    labels = np.repeat([3, 5], 1000)
    noisy = asymmetric(labels, 1, CIFAR10_MAP, np.random.default_rng(9))
    assert np.array_equal(noisy, 8 - labels)                # by the given label, all would be cats
    noisy = asymmetric(labels, 0.4, CIFAR10_MAP, np.random.default_rng(9))
    assert (noisy[:1000] == 5).sum() == (noisy[1000:] == 3).sum() == 400


def test_asymmetric_does_not_depend_on_the_order_of_the_map_for_its_counts():
    labels, backwards = balanced(), dict(reversed(CIFAR10_MAP.items()))
    for class_map in (CIFAR10_MAP, backwards):
        assert (asymmetric(labels, 0.4, class_map, np.random.default_rng(10)) != labels).sum() == 5 * 40


def test_map_is_the_papers():
    names = "airplane automobile bird cat deer dog frog horse ship truck".split()
    assert {names[a]: names[b] for a, b in CIFAR10_MAP.items()} == {
        "truck": "automobile", "bird": "airplane", "deer": "horse", "cat": "dog", "dog": "cat"}


@pytest.mark.parametrize("rate", RATES)
def test_pair_flip_moves_every_class_to_the_next_and_the_last_to_the_first(rate):
    labels = balanced(30, 4)
    noisy = pair_flip(labels, rate, 4, np.random.default_rng(11))
    for c in range(4):
        assert np.bincount(noisy[labels == c], minlength=4).tolist() == [
            round(rate * 30) if k == (c + 1) % 4 else 30 - round(rate * 30) if k == c else 0 for k in range(4)]


# ---- by a matrix ---------------------------------------------------------------------------------------------------

def test_transition_draws_from_the_row_of_the_true_class():
    T = T_of([0.5, 0.3, 0.2, 0], [0, 0.1, 0, 0.9], [0.25, 0.25, 0.25, 0.25], [0.05, 0.9, 0.05, 0])
    labels = balanced(20000, 4)
    noisy = transition(labels, T, np.random.default_rng(12))
    for c in range(4):
        counts = np.bincount(noisy[labels == c], minlength=4)
        assert np.abs(counts - 20000 * T[c]).max() < 4 * np.sqrt(20000 * 0.25)
        assert (counts[T[c] == 0] == 0).all()


def test_transition_by_the_identity_or_a_permutation_is_exact():
    labels = balanced()
    assert np.array_equal(transition(labels, np.eye(10), np.random.default_rng(13)), labels)
    assert np.array_equal(transition(labels, np.roll(np.eye(10), 3, axis=1), np.random.default_rng(13)),
                          (labels + 3) % 10)


class Fixed:
    """A generator that draws what it is told."""
    def __init__(self, u):
        self.u = u

    def random(self, size):
        return np.full(size, self.u)


@pytest.mark.parametrize("u", [0, 0.3, np.nextafter(1, 0)])
def test_transition_never_draws_a_class_of_probability_zero(u):
    T = T_of([0, 0.3, 0.7, 0], [0, 1, 0, 0], [1 / 3, 1 / 3, 1 / 3 - 1e-16, 0], [0.1 + 0.2, 0, 0.7, 0])
    found = transition(np.arange(4), T, Fixed(u))
    assert (T[np.arange(4), found] > 0).all()


def test_transition_gives_each_class_its_interval():
    T = T_of([0.25, 0.5, 0.25])
    assert [int(transition(np.zeros(1, int), T, Fixed(u))[0])
            for u in (0, 0.24, 0.25, 0.74, 0.75, 0.99)] == [0, 0, 1, 1, 2, 2]
