"""core/data/__init__.py: parts of a split and the stratified draw."""
import numpy as np
import pytest

from core.data import Split, stratified


def shares(parts, labels, classes):
    return np.array([np.bincount(labels[rows], minlength=classes) for rows in parts])


def test_take_keeps_all_that_is_known_of_an_image_together():
    split = Split(np.arange(5 * 12, dtype=np.uint8).reshape(5, 2, 2, 3), np.array([3, 1, 4, 1, 5]),
                  np.array([9, 2, 6, 5, 3]), paths=np.array(list("abcde")))
    part = split.take([4, 0])
    assert part.labels.tolist() == [5, 3] and part.index.tolist() == [3, 9]
    assert part.paths.tolist() == ["e", "a"] and part.truth is None
    assert (part.images == split.images[[4, 0]]).all()


@pytest.mark.parametrize("sizes", [(90, 10), (45, 55), (13,), (0, 100), (100, 0), (30, 30, 30, 10), (7,) * 14])
def test_parts_have_their_sizes_are_sorted_and_disjoint(sizes):
    rng = np.random.default_rng(0)
    for labels in (np.repeat(np.arange(10), 10), rng.integers(10, size=100),
                   np.sort(rng.geometric(0.4, size=100) % 10)):
        parts = stratified(labels, sizes, 10, rng)
        assert [len(rows) for rows in parts] == list(sizes)
        assert all((np.diff(rows) > 0).all() and rows.dtype == np.int64 for rows in parts)
        assert len(np.unique(np.concatenate(parts))) == sum(sizes)


def test_equal_classes_have_equal_shares():
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(10), 500))
    parts = stratified(labels, (4500, 500), 10, np.random.default_rng(0))
    assert shares(parts, labels, 10).tolist() == [[450] * 10, [50] * 10]


def test_unequal_classes_have_proportional_shares():
    labels = np.repeat(np.arange(4), (1000, 300, 30, 0))
    parts = stratified(labels, (665, 133), 4, np.random.default_rng(0))
    assert shares(parts, labels, 4).tolist() == [[500, 150, 15, 0], [100, 30, 3, 0]]


def test_shares_are_rounded_by_largest_remainder():
    labels = np.repeat(np.arange(3), (46, 35, 19))                                # a tenth: 4.6, 3.5 and 1.9
    assert shares(stratified(labels, (10,), 3, np.random.default_rng(0)), labels, 3).tolist() == [[5, 3, 2]]


def test_late_parts_have_every_class_too():
    labels = np.repeat(np.arange(10), 7)
    found = shares(stratified(labels, (7,) * 10, 10, np.random.default_rng(0)), labels, 10)
    assert found.max() == 1 and (found.sum(axis=0) == 7).all()         # 0.7 of a class: none or one, and all in the end


@pytest.mark.parametrize("seed", range(20))
def test_a_part_is_off_by_less_than_one_row_and_the_next_by_less_than_two(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(rng.integers(1, 12), size=rng.integers(20, 200))
    classes, (first, second) = labels.max() + 1, (len(labels) // 3, len(labels) // 2)
    found = shares(stratified(labels, (first, second), classes, rng), labels, classes)
    exact = np.outer((first, second), np.bincount(labels)) / len(labels)
    assert (abs(found - exact) < [[1], [2]]).all()


def test_the_draw_follows_the_generator():
    labels = np.repeat(np.arange(5), 20)
    one, same, other = (stratified(labels, (50,), 5, np.random.default_rng(seed))[0].tolist() for seed in (3, 3, 4))
    assert one == same != other


def test_every_row_of_a_class_is_equally_likely():
    labels, rng = np.repeat(np.arange(2), (10, 20)), np.random.default_rng(0)
    times = np.bincount(np.concatenate([stratified(labels, (15,), 2, rng)[0] for _ in range(2000)]), minlength=30)
    assert abs(times - 1000).max() < 5 * np.sqrt(2000 / 4)                        # five standard deviations


def test_rows_without_a_class_are_never_drawn():
    labels = np.array([0, -1, 1, 2, 0, 1])                                       # 2 of 3 classes asked for
    assert stratified(labels, (4,), 2, np.random.default_rng(0))[0].tolist() == [0, 2, 4, 5]


def test_too_many_rows_are_a_value_error():
    for labels, sizes in (([0, 1, 0], (2, 2)), ([0, 1, -1], (3,)), ([], (1,))):
        with pytest.raises(ValueError, match="rows asked of"):
            stratified(labels, sizes, 2, np.random.default_rng(0))
