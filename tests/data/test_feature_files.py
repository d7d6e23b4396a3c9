"""core/data/feature_files.py: features of any other program, each row with its own image, or one sentence."""
import numpy as np
import pytest
from safetensors.numpy import save_file

from core.data import Split
from core.data.feature_files import features_of, features_of_tests, read_features
from core.errors import InputError
from tests.lib.fuzzing import damaged

N, D = 6, 3
X = np.arange(N * D).reshape(N, D) / 7 + 0.1


def npy(path, x=X):
    np.save(path / "f.npy", x)
    return path / "f.npy"


def npz(path, **arrays):
    np.savez(path / "f.npz", **arrays)
    return path / "f.npz"


def split(index, paths=None):
    index = np.array(index)
    images = np.zeros((len(index), 2, 2, 3), np.uint8)
    return Split(images, index * 0, index, None, None if paths is None else np.array(paths))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", "i4", "u1"])
def test_a_file_of_every_format_is_read_as_float32(tmp_path, dtype):
    x = (10 * X).astype(dtype)
    save_file({"features": np.ascontiguousarray(x.astype(x.dtype.newbyteorder("="))), "test": X[:2].astype("f4")},
              tmp_path / "f.safetensors")
    for path in (npy(tmp_path, x), npz(tmp_path, features=x, test=X[:2]), tmp_path / "f.safetensors"):
        found = read_features(path)
        assert found.features.dtype == np.float32 and found.constant == 0 and found.places is None
        np.testing.assert_array_equal(found.features, x.astype(np.float32))
        assert (found.test is None) == (path.suffix == ".npy")
        assert found.test is None or (found.test == X[:2].astype(np.float32)).all()


def test_rows_are_those_of_the_source_and_not_of_the_split(tmp_path):
    found = read_features(npy(tmp_path))
    np.testing.assert_array_equal(features_of(found, split([4, 0, 5]), N, tmp_path)[:, 0], X[[4, 0, 5]].astype("f4"))


def test_rows_of_another_order_are_found_by_their_paths(tmp_path):
    names = ["a/0.png", "a\\1.png", "./b//2.png", str(tmp_path / "b/3.png"), "b/4.png", "c/5.png"]
    found = read_features(npz(tmp_path, features=X, paths=np.array(names)))
    wanted = split([0, 1, 2, 3], ["b/3.png", "b/2.png", "a/1.png", "a/0.png"])
    np.testing.assert_array_equal(features_of(found, wanted, 99, tmp_path)[:, 0], X[[3, 2, 1, 0]].astype("f4"))


def test_constant_features_are_counted(tmp_path):
    x = X.copy()
    x[:, 1] = 5
    assert read_features(npy(tmp_path, x)).constant == 1


REFUSED = {
    "another number of rows": (dict(features=X[:5]), "f.npz has 5 rows and the data 6 images"),
    "more rows": (dict(features=np.concatenate([X, X])), "f.npz has 12 rows and the data 6 images"),
    "no array of that name": (dict(embeddings=X), "has no array `features`"),
    "no rows": (dict(features=X[:0]), "has features of no image"),
    "one dimension": (dict(features=X[:, 0]), "`features` is an array (6,) of float64"),
    "text": (dict(features=X.astype(str)), "of <U"),
    "complex": (dict(features=X + 1j), "of complex128"),
    "no columns": (dict(features=X[:, :0]), "array (6, 0)"),
    "not finite": (dict(features=np.where(np.arange(N)[:, None] == 4, np.nan, X)), "row 4 of `features`"),
    "too large for float32": (dict(features=X * 1e300), "row 0 of `features` has numbers that are not finite"),
    "all rows the same": (dict(features=0 * X), "all rows are the same"),
    "another network's test images": (dict(features=X, test=X[:, :2]), "3 features of training images"),
    "fewer paths": (dict(features=X, paths=np.array(["a", "b"])), "`paths` is an array (2,)"),
    "paths that are numbers": (dict(features=X, paths=np.arange(N)), "`paths` is an array (6,) of int64"),
    "a path twice": (dict(features=X, paths=np.array([*"abcde", "./a"])), "rows 0 and 5 are both of a"),
    "an image without a row": (dict(features=X, paths=np.array([*"abcdef"])), "has no row for 1 of 2 images, for "
                                                                               "example z"),
    "objects": (dict(features=X, paths=np.array([*"abcdef"], object)), "not an intact file of arrays"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_does_not_fit_is_refused_with_a_reason(tmp_path, case):
    arrays, reason = REFUSED[case]
    with pytest.raises(InputError) as refusal:
        found = read_features(npz(tmp_path, **arrays))
        features_of(found, split([0, 1], ["a", "z"]), N, tmp_path)
    assert reason in str(refusal.value)


@pytest.mark.parametrize("test", [None, X[:2], X[:5]])
def test_test_images_need_a_row_each(tmp_path, test):
    found = read_features(npz(tmp_path, features=X, **({} if test is None else {"test": test})))
    with pytest.raises(InputError, match="has (no|2|5) rows of test images, and there are 3"):
        features_of_tests(found, split([0, 1, 2]))


def test_test_images_have_their_own_rows_in_their_order(tmp_path):
    found = read_features(npz(tmp_path, features=X, test=X[[3, 1, 2]] + 7))
    np.testing.assert_array_equal(features_of_tests(found, split([0, 1, 2]))[:, 0], (X[[3, 1, 2]] + 7).astype("f4"))


def test_paths_do_not_fit_images_that_are_no_files(tmp_path):
    found = read_features(npz(tmp_path, features=X, paths=np.array([*"abcdef"])))
    with pytest.raises(InputError, match="these data are no single files"):
        features_of(found, split([0, 1]), N, tmp_path)


@pytest.mark.parametrize("name", ["f.txt", "f", "f.pt"])
def test_other_files_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="is no file of features"):
        read_features(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        read_features(tmp_path / "missing.npy")


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_damaged_files_give_features_or_one_sentence(tmp_path, kind):
    path = npy(tmp_path) if kind == "npy" else npz(tmp_path, features=X, test=X, paths=np.array([*"abcdef"]))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        path.write_bytes(damaged(whole, [whole], rng))
        try:
            found = read_features(path)
        except InputError:
            continue
        assert found.features.dtype == np.float32 and np.isfinite(found.features).all()
