"""The stand-in for CuPy computes what NumPy computes, and refuses what CuPy refuses."""
import numpy as np
import pytest

from core import backend
from tests.lib.arrays import using
from tests.lib.strict import Array, counted, strict

A = np.arange(6.0).reshape(2, 3)


def test_it_computes_what_numpy_computes():
    a, i = strict.asarray(A), strict.asarray(np.array([1, 0]))
    for found, expected in [(1 - a @ a.T / 2, 1 - A @ A.T / 2), (strict.exp(-a), np.exp(-A)), (a[i, 1:], A[[1, 0], 1:]),
                            (strict.concatenate([a, a], axis=1), np.concatenate([A, A], axis=1)),
                            (a.max(axis=0), A.max(axis=0)), (a.mean(axis=(0, 1)), A.mean()),
                            (strict.where(a > 2, a, 0), np.where(A > 2, A, 0)), (np.float64(2) * a, 2 * A), (-a, -A),
                            (strict.lib.stride_tricks.sliding_window_view(a, 2, axis=1),
                             np.lib.stride_tricks.sliding_window_view(A, 2, axis=1))]:
        assert isinstance(found, Array) and found.dtype == expected.dtype
        np.testing.assert_array_equal(strict.asnumpy(found), expected)


def test_arrays_without_axes_stay_on_the_device_and_convert_by_name():
    total = strict.asarray(A).sum()
    assert isinstance(total, Array) and total.shape == ()
    assert float(total) == total.item() == 15 and int(total) == 15 and bool(total == 15)


def test_writing_through_a_view_and_in_place_reaches_the_array():
    a = strict.asarray(A)
    a[0] = 7.0
    row = a[1]
    row *= 2
    np.testing.assert_array_equal(strict.asnumpy(a), [[7, 7, 7], [6, 8, 10]])
    np.testing.assert_array_equal(A, np.arange(6.0).reshape(2, 3))         # crossing the border copies


@pytest.mark.parametrize("mixture", [
    lambda a: a + A, lambda a: A + a, lambda a: A @ a.T, lambda a: a > A, lambda a: A == a, lambda a: np.float64(1) + a
    + A[0], lambda a: np.exp(a), lambda a: np.add(a, a), lambda a: np.sum(a), lambda a: np.concatenate([a, a]),
    lambda a: np.where(a > 0, a, 0), lambda a: np.asarray(a), lambda a: np.array([a, a]),
    lambda a: strict.exp(A), lambda a: strict.concatenate([a, A]), lambda a: strict.where(A > 0, a, 0),
    lambda a: a[np.array([0])], lambda a: a[A > 0], lambda a: A[strict.asarray(np.array([0]))],
    lambda a: a.sum(out=np.zeros(())),
    lambda a: a.__setitem__(0, A[0]), lambda a: A.copy().__setitem__(0, a[0]), lambda a: a.__iadd__(A),
    lambda a: A.copy().__iadd__(a), lambda a: np.testing.assert_allclose(a, A)])
def test_a_silent_mixture_is_refused(mixture):
    with pytest.raises(TypeError):
        mixture(strict.asarray(A))


def test_the_program_takes_it_for_cupy_and_only_inside_the_block():
    assert backend.xp_of(strict.asarray(A)) is np
    with using(strict):
        assert backend.xp_of(strict.asarray(A)) is strict and backend.xp_of(A) is np
        assert backend.to_host(backend.to_device(A, strict)).tolist() == A.tolist()
    assert backend.cupy is None


# ---- what it counts ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("use", [
    lambda a: float(a.sum()), lambda a: int(a.sum()), lambda a: bool(a.sum() > 0), lambda a: a.tolist(),
    lambda a: a[0, 0].item(),
    lambda a: strict.asnumpy(a), lambda a: a[a > 2], lambda a: a[0][a[0] > 1], lambda a: [1, 2, 3][a.argmax() - 4]])
def test_every_wait_for_the_device_is_counted(use):
    a = strict.asarray(A)
    with counted() as traffic:
        use(a)
    assert traffic["to host"] == 1 and traffic["to device"] == 0


@pytest.mark.parametrize("use", [lambda a: strict.asarray(A), lambda a: strict.array([1.0, 2.0]),
                                 lambda a: strict.asarray(7),
                                 lambda a: strict.concatenate([a] * 9), lambda a: strict.stack([a] * 9)])
def test_every_upload_is_counted(use):
    a = strict.asarray(A)
    with counted() as traffic:
        use(a)
    assert traffic["to device"] == 1 and traffic["to host"] == 0


@pytest.mark.parametrize("use, launches", [
    (lambda a: a + 1, 1), (lambda a: strict.exp(a * 2), 2), (lambda a: a.sum(axis=0), 1),
    (lambda a: a.reshape(3, 2), 0),
    (lambda a: a.T.reshape(-1), 1), (lambda a: a[:, ::2], 0), (lambda a: a[strict.arange(2)], 2), (lambda a: len(a), 0),
    (lambda a: strict.empty((2, 3)), 0), (lambda a: strict.zeros((2, 3)), 1), (lambda a: a.__iadd__(1), 1),
    (lambda a: a.__setitem__(0, 1), 1),
    (lambda a: strict.concatenate([a, a]), 2), (lambda a: strict.fuse(lambda x: x * 2 + 1)(a), 1),
    (lambda a: [row for row in a], 0)])
def test_results_are_launches_and_views_are_none(use, launches):
    a = strict.asarray(A)
    with counted() as traffic:
        use(a)
    assert traffic["launches"] == launches and traffic["to host"] == traffic["to device"] == 0


def test_a_fused_function_has_to_be_elementwise():
    with pytest.raises(TypeError, match="not elementwise"):
        strict.fuse(lambda x: x.sum(axis=0))(strict.asarray(A))
    assert np.array_equal(strict.fuse(lambda x: x * 2)(A), 2 * A)              # NumPy arrays alone: the function itself
