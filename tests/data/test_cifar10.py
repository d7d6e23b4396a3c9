"""core/data/cifar10.py: pixels, labels and split against the definition, from each encoding and place;
what it refuses."""
import numpy as np
import pytest

from core.data import cifar10
from tests.lib.official_cifar10 import FOLDER, NAMES, complaint, contents, python2, python3, write_archive, write_folder

TRAINING = [f"data_batch_{b}" for b in range(1, 6)]


@pytest.fixture(params=["folder", "parent", "archive"])
def place(request, tmp_path):
    """A function that writes files in one of three ways and gives the path to load."""
    def write(files, dump):
        folder = write_folder(tmp_path / FOLDER, files, dump)
        return {"folder": folder, "parent": tmp_path}.get(request.param) or write_archive(tmp_path / "c.tar.gz", folder)
    return write


@pytest.mark.parametrize("dump", [python2, python3])
def test_every_pixel_and_label_is_where_the_definition_has_it(place, dump):
    files = contents()
    data = cifar10.load(place(files, dump))
    planes = np.concatenate([files[name]["data"] for name in TRAINING]), files["test_batch"]["data"]
    given = sum([files[name]["labels"] for name in TRAINING], []), files["test_batch"]["labels"]
    for split, k in (data.train, 0), (data.validation, 0), (data.test, 1):
        rows, labels = planes[k], given[k]
        assert split.images.dtype == np.uint8 and split.images.flags.c_contiguous
        assert split.images.shape == (len(split.labels), 32, 32, 3)
        assert split.labels.tolist() == split.truth.tolist() == [labels[i] for i in split.index]
        for i, y, x, c in np.random.default_rng(0).integers((len(split.images), 32, 32, 3), size=(2000, 4)):
            assert split.images[i, y, x, c] == rows[split.index[i], 1024 * c + 32 * y + x]


def test_channels_are_red_green_blue(tmp_path):
    files = contents()
    for content in files.values():
        if "data" in content:
            content["data"] = np.tile(np.repeat(np.array([10, 20, 30], np.uint8), 1024), (len(content["data"]), 1))
    images = cifar10.load(write_folder(tmp_path / "any name", files, python2)).train.images
    assert (images == [10, 20, 30]).all()


def test_names_and_augmentation(tmp_path):
    data = cifar10.load(write_folder(tmp_path / FOLDER, contents(), python2))
    assert (data.name, data.classes, data.pad, data.flip) == ("cifar10", tuple(NAMES), 4, True)


@pytest.mark.parametrize("subset", [None, 20])
def test_rows_are_those_of_all_training_files(tmp_path, subset):
    assert cifar10.load(write_folder(tmp_path / FOLDER, contents(rows=40), python2), subset=subset).rows == 200


def test_split_is_a_tenth_of_every_class_disjoint_and_drawn_by_the_seed(tmp_path):
    folder = write_folder(tmp_path / FOLDER, contents(rows=40), python2)
    one, same, other = (cifar10.load(folder, seed=seed) for seed in (1, 1, 2))
    assert np.bincount(one.train.labels).tolist() == [18] * 10
    assert np.bincount(one.validation.labels).tolist() == [2] * 10
    assert sorted([*one.train.index, *one.validation.index]) == list(range(200))
    assert one.test.index.tolist() == list(range(7))
    assert (one.train.index == same.train.index).all() and (one.validation.images == same.validation.images).all()
    assert set(one.validation.index) != set(other.validation.index)


@pytest.mark.parametrize("subset, validation", [(10, 10), (11, 10), (90, 10), (100, 11), (180, 20)])
def test_a_subset_has_its_size_a_ninth_for_validation_and_the_whole_test_batch(tmp_path, subset, validation):
    data = cifar10.load(write_folder(tmp_path / FOLDER, contents(rows=40), python3), subset=subset)
    sizes = [len(part.labels) for part in (data.train, data.validation, data.test)]
    assert sizes == [subset, validation, 7] and not set(data.train.index) & set(data.validation.index)
    assert np.ptp(np.bincount(data.train.labels)) <= 1 and np.bincount(data.validation.labels).min() >= 1


@pytest.mark.parametrize("subset", [-1, 0, 9, 181, 10**9])
def test_an_impossible_subset_is_refused(tmp_path, subset):
    folder = write_folder(tmp_path / FOLDER, contents(rows=40), python2)
    assert complaint(folder, subset=subset).endswith(f"no subset of {subset} training images: ask for 10 to 180")


def test_batches_may_differ_in_length(tmp_path):
    files = contents()
    files["data_batch_2"] = contents(rows=13)["data_batch_2"]
    data = cifar10.load(write_folder(tmp_path / FOLDER, files, python2))
    assert (len(data.train.index), len(data.validation.index)) == (84, 9)
    third = [i for i, row in enumerate(data.train.index) if row >= 33][0]          # data_batch_3 begins at row 20 + 13
    assert data.train.images[third, 0, 0, 0] == files["data_batch_3"]["data"][data.train.index[third] - 33, 0]


SPOILED = {
    "no images": lambda batch: batch.pop("data"),
    "no labels": lambda batch: batch.pop("labels"),
    "grey": lambda batch: batch.update(data=batch["data"][:, :1024].copy()),
    "16 bit": lambda batch: batch.update(data=batch["data"].astype(np.uint16)),
    "signed": lambda batch: batch.update(data=batch["data"].view(np.int8)),
    "no rows": lambda batch: batch.update(data=batch["data"][:0], labels=[]),
    "a list of images": lambda batch: batch.update(data=batch["data"][:2].tolist()),
    "a label too few": lambda batch: batch["labels"].pop(),
    "a label too many": lambda batch: batch["labels"].append(0),
    "an array of one too many": lambda batch: batch.update(labels=np.append(batch["labels"], 0)),
    "label 10": lambda batch: batch["labels"].__setitem__(5, 10),
    "label -1": lambda batch: batch["labels"].__setitem__(5, -1),
    "a text label": lambda batch: batch["labels"].__setitem__(5, "cat"),
    "a true label": lambda batch: batch["labels"].__setitem__(5, True),
    "a tuple": lambda batch: batch.update(labels=tuple(batch["labels"])),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_batch_of_another_form_is_refused(tmp_path, spoil):
    files = contents()
    spoil(files["data_batch_3"])
    folder = write_folder(tmp_path / FOLDER, files, python2)
    assert complaint(folder).startswith(f"data_batch_3 in {folder} has no ")


@pytest.mark.parametrize("content", [[], 5, {"labels": None}, {"data": {}}])
def test_a_pickle_of_something_else_is_refused(tmp_path, content):
    folder = write_folder(tmp_path / FOLDER, contents() | {"test_batch": content}, python2)
    assert complaint(folder).startswith(f"test_batch in {folder} has no ")


@pytest.mark.parametrize("names", [NAMES[:9], NAMES + ["car"], NAMES[:9] + ["cat"], NAMES[:9] + [""],
                                   NAMES[:9] + ["a\x1b[2J"],
                                   NAMES[:9] + ["x" * 100], NAMES[:9] + [3], NAMES[:9] + [[]], "airplanes!", None])
def test_class_names_are_ten_different_printable_texts(tmp_path, names):
    folder = write_folder(tmp_path / FOLDER, contents() | {"batches.meta": {"label_names": names}}, python2)
    assert complaint(folder).startswith(f"batches.meta in {folder} does not name ten classes")


def test_an_empty_class_is_refused(tmp_path):
    files = contents()
    for name in TRAINING:
        files[name]["labels"] = [label % 9 for label in files[name]["labels"]]
    assert "no training image of class 9, 'truck'" in complaint(write_folder(tmp_path / FOLDER, files, python2))


def test_a_class_that_a_subset_loses_is_refused(tmp_path):
    files = contents(rows=40)
    for name in TRAINING:
        files[name]["labels"] = list(range(10)) + [0] * 30 if name == "data_batch_1" else [0] * 40
    assert "larger subset" in complaint(write_folder(tmp_path / FOLDER, files, python2), subset=10)
