"""core/data/own.py: folders and tables of images -> data sets."""
import os
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest

from core.data import own
from core.data.how import How, how_of
from core.data.images import decode_one
from core.data.own import load
from core.data.source import cifar_layout, open_source
from core.errors import InputError
from tests.lib.own_data import kinds, picture, write_folder, write_image, write_table


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path / "pets", ("dog", "cat", "émeu"), images=4)


def complaint(path, **options):
    with pytest.raises(InputError) as error:
        load(path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_becomes_a_data_set(root):
    start = time.perf_counter()
    data, findings, notes, shapes, seconds, _ = load(root, size=12)
    assert data.name == "pets" and data.classes == ("cat", "dog", "émeu") and findings == notes == []
    assert data.pad == 1 and data.flip and data.rows == 12 and 0 < seconds < time.perf_counter() - start
    assert data.train.labels.tolist() == np.repeat([0, 1, 2], 4).tolist() and data.train.labels.dtype == np.int64
    assert data.train.index.tolist() == list(range(12)) and data.train.truth is None
    assert data.train.paths[:5].tolist() == ["cat/0.png", "cat/1.png", "cat/2.png", "cat/3.png", "dog/0.png"]
    assert all((image == decode_one(root / path, 12)[0]).all()
               for image, path in zip(data.train.images, data.train.paths))
    assert data.validation.images.shape == data.test.images.shape == (0, 12, 12, 3) and (shapes == (12, 10)).all()


def test_a_table_says_the_same_in_its_own_order(root):
    found = load(write_table(root / "t.csv", ["émeu/1.png,b,x", "cat/1.png,a,y", "dog/1.png,b,"],
                             "path,label,note")).data
    assert found.classes == ("a", "b") and found.train.labels.tolist() == [1, 0, 1] and found.name == "t"
    assert found.train.paths.tolist() == ["émeu/1.png", "cat/1.png", "dog/1.png"]


def test_an_image_that_cannot_be_read_leaves_the_rows_of_the_others_alone(root):
    for k, path in enumerate(sorted(root.rglob("*.png"))):
        write_image(path, picture(k, 12 + k, 10))
    whole, *_, sizes, _, _ = load(root)
    whole = whole.train
    (root / "cat" / "1.png").write_bytes(b"")
    (root / "émeu" / "0.png").write_bytes((root / "émeu" / "0.png").read_bytes()[:200])
    data, findings, _, shapes, *_ = load(root)
    assert data.train.index.tolist() == [0, 2, 3, 4, 5, 6, 7, 9, 10, 11] and data.rows == 12
    assert sizes.tolist() == [[12 + k, 10] for k in range(12)] and (shapes == sizes[data.train.index]).all()
    assert (data.train.images == whole.images[data.train.index]).all()
    assert (data.train.paths == whole.paths[data.train.index]).all()
    assert (data.train.labels == whole.labels[data.train.index]).all()
    assert kinds(findings) == {"unreadable": ["cat/1.png", "émeu/0.png"]} and all(finding.detail
                                                                                  for finding in findings)


def test_agreement_stays_with_its_image(root):
    """Also where an image before it cannot be read, and in the part that is held out."""
    (root / "cat" / "1.png").write_bytes(b"")
    votes = {f"cat/{k}.png": "a" * (k + 1) + "b" for k in range(4)}
    votes |= {f"dog/{k}.png": "b" * (k + 1) + "a" for k in range(4)}
    table = write_table(root / "t.csv", [f"{path},{label}" for path, labels in votes.items() for label in labels])
    data = load(table, size=8, held_out=0.3).data
    assert len(data.train.paths) == 5 and len(data.validation.paths) == 2
    for part in (data.train, data.validation):
        assert part.agreement.tolist() == [(k + 1) / (k + 2) for k in (int(path[4]) for path in part.paths)]
    assert load(root, size=8).data.train.agreement is None


def test_a_part_is_held_out_of_every_class(root):
    data = load(root, held_out=0.5, seed=3).data
    assert np.bincount(data.train.labels).tolist() == np.bincount(data.validation.labels).tolist() == [2, 2, 2]
    assert sorted([*data.train.index, *data.validation.index]) == list(range(12))
    again, other = load(root, held_out=0.5, seed=3).data, load(root, held_out=0.5, seed=4).data
    assert (again.validation.index == data.validation.index).all()
    assert (other.validation.index != data.validation.index).any()


def test_no_class_is_held_out_whole(tmp_path):
    root = write_folder(tmp_path / "data", ("a", "b"), images=9)
    write_folder(root, ("c", "d", "e"), images=1)
    for seed in range(10):
        data, findings, *_ = load(root, held_out=0.9, seed=seed)
        assert set(data.train.labels) == set(range(5)) and len(data.validation.labels) == 16
    assert kinds(findings)["single"] == ["c", "d", "e"]


def test_another_folder_is_the_test_set(root, tmp_path):
    write_folder(tmp_path / "test", ("cat", "émeu"), images=1)
    write_image(tmp_path / "test" / "émeu" / "new.png", picture(77))
    data, findings, *_ = load(root, test=tmp_path / "test")
    assert data.test.labels.tolist() == [0, 2,
                                         2] and data.test.paths.tolist() == ["cat/0.png", "émeu/0.png", "émeu/new.png"]
    assert findings == [("leaked", "dog/0.png", "is cat/0.png of the test set"),
                        ("leaked", "cat/0.png", "is émeu/0.png of the test set")]


def test_what_is_found_in_the_test_images_is_told_too(root, tmp_path):
    """Unreadable, even and missing ones, and notes; their sizes are not those of the training images."""
    test = write_table(tmp_path / "test.csv", ["1.png,b", "none.png,a", "2.png,a", "3.png,b"], "file,class")
    (tmp_path / "1.png").write_bytes(b"")
    write_image(tmp_path / "2.png", np.full((20, 9, 3), 7, np.uint8))
    write_image(tmp_path / "3.png", picture(5, 20, 9))
    train = write_table(tmp_path / "t.csv", ["pets/cat/0.png,a", "pets/dog/0.png,b", "pets/dog/1.png,b"])
    data, findings, notes, shapes, _, listings = load(train, size=8, test=test)
    assert kinds(findings) == {"single": ["a"], "missing": ["none.png"], "unreadable": ["1.png"], "blank": ["2.png"]}
    assert "'file', the labels in 'class'" in notes[-1] and (shapes == (12, 10)).all() and len(shapes) == data.rows == 3
    assert [listing and listing.root / listing.paths[0] for listing in listings] == [
        root / "cat" / "0.png", root / "cat" / "0.png", tmp_path / "1.png"]
    assert data.test.index.tolist() == [2, 3] and data.test.images.shape == (2, 8, 8, 3)
    assert (data.test.images[1] == decode_one(tmp_path / "3.png", 8)[0]).all()


def test_the_same_image_is_found_whatever_its_file(tmp_path):
    root = write_folder(tmp_path / "data", images=2)
    write_image(root / "cat" / "copy.bmp", picture(0))
    write_image(root / "dog" / "copy.tif", picture(1001))
    write_image(root / "dog" / "wrong.webp", picture(1), lossless=True)
    for i in range(4):
        write_image(root / "dog" / f"many{i}.png", picture(1000))
    assert load(root).findings == [
        ("repeated", "cat/0.png", "and cat/copy.bmp"), ("contradiction", "cat/1.png (cat)", "and dog/wrong.webp (dog)"),
        ("repeated", "dog/0.png", "and dog/many0.png, dog/many1.png, dog/many2.png, 1 more"),
        ("repeated", "dog/1.png", "and dog/copy.tif")]


def test_a_class_of_which_nothing_can_be_read_is_no_class(root):
    for file in (root / "dog").iterdir():
        file.write_bytes(b"")
    data, findings, *_ = load(root)
    assert data.classes == ("cat", "émeu") and kinds(findings)["empty"] == ["dog"]


def test_as_many_classes_as_images(tmp_path):
    root = write_folder(tmp_path / "data", [f"class {i:03d}" for i in range(300)], images=1)
    data, findings, *_ = load(root, size=8)
    assert len(data.classes) == 300 and (data.train.labels == np.arange(300)).all()
    assert len(kinds(findings)["single"]) == 300


@pytest.mark.parametrize("options, fault", [
    ({"size": 7}, "--size 7: choose 8 to 512 pixels"), ({"size": 513}, "--size 513: choose 8 to 512 pixels"),
    ({"held_out": 1.0}, "--held-out 1.0: give the part of the images that is held out, from 0 to less than 1"),
    ({"held_out": -0.1}, "--held-out -0.1: give"), ({"held_out": float("nan")}, "--held-out nan: give"),
    ({"held_out": 0.01}, "--held-out 0.01 of 12 images of 3 classes leaves none to hold out: give more, or 0")])
def test_options_that_cannot_be_meant(root, options, fault):
    assert complaint(root, **options).startswith(fault)


def test_data_that_cannot_be_used(root, tmp_path):
    assert complaint(tmp_path / "none") == f"{tmp_path / 'none'} does not exist: check the path"
    (tmp_path / "photos").mkdir()
    for name in ("photo", "Photos", "phtoos"):
        assert complaint(tmp_path / name) == (f"{tmp_path / name} does not exist (did you mean photos?): check the "
                                              "path")
    assert complaint(tmp_path / "no" / "photos") == f"{tmp_path / 'no' / 'photos'} does not exist: check the path"
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    assert complaint(tmp_path / "a.xlsx").endswith(
        "a.xlsx is neither a folder of images, a table (.csv, .tsv, .jsonl), an archive (.zip, .tar.gz) nor an array "
        "(.npz, .npy): convert it to one of these")
    (tmp_path / "empty").mkdir()
    words = " has no images: give a folder with a folder of images for each class, or a .csv"
    assert words in complaint(tmp_path / "empty")
    assert " has no images: " in complaint(write_table(tmp_path / "t.csv", []))
    write_folder(tmp_path / "one", ("cat",))
    assert complaint(tmp_path / "one").endswith("one has images of one class only, 'cat': give at least two")
    for name in ("1.png", "2.png"):
        (tmp_path / "bad" / name[0]).mkdir(parents=True)
        (tmp_path / "bad" / name[0] / name).write_bytes(b"")
    assert complaint(tmp_path / "bad").endswith("bad: none of its 2 images can be read, for example 1/1.png: "
                                                "an empty file")


@pytest.mark.parametrize("option", ["path_column", "label_column", "images", "labels"])
def test_options_of_other_data_are_not_ignored(root, tmp_path, option):
    words = " has no use for --" + option.replace("_", "-") + ": --images is for tables, --labels for arrays"
    for path in (root, shutil.make_archive(str(tmp_path / "z"), "zip", root)):
        assert words in complaint(path, how=How(**{option: "x"}))
    table = write_table(tmp_path / "t.csv", ["pets/cat/0.png,a", "pets/dog/0.png,b"])
    np.savez(tmp_path / "x.npz", images=np.zeros((4, 8, 8), np.uint8), labels=np.arange(4) % 2)
    assert (words in complaint(table, how=How(**{option: "x"}))) == (option == "labels")
    assert (words in complaint(tmp_path / "x.npz", how=How(**{option: "x"}))) == (option == "images")


def test_what_the_user_says_is_taken_by_its_name():
    said = SimpleNamespace(**{name: f"the {name}" for name in ("labels", "images", "label_column", "path_column",
                                                               "follow_links", "data")})
    assert how_of(said) == How("the path_column", "the label_column", "the images", "the labels", "the follow_links")


def test_the_images_of_a_test_table_may_be_elsewhere(root, tmp_path):
    table = write_table(tmp_path / "t.csv", ["cat/0.png,a", "dog/0.png,b"], "image_id,target")
    write_folder(tmp_path / "other", ("x", "y"))
    test = write_table(tmp_path / "other" / "t.csv", ["x/0.png,a", "y/0.png,b"])
    data = load(table, size=8, test=test, how=How("image_id", "target", str(root))).data
    assert data.test.paths.tolist() == ["x/0.png", "y/0.png"] and data.train.paths.tolist() == [
        "pets/cat/0.png", "pets/dog/0.png"]


def test_test_images_are_read_as_the_user_says_too(root):
    lines = ["cat/0.png,a,b,1.png", "dog/0.png,b,a,2.png"]
    tables = [write_table(root / f"{name}.csv", lines, "mine,yours,label,path") for name in ("train", "test")]
    data = load(tables[0], size=8, test=tables[1], how=How("mine", "yours")).data
    for part in (data.train, data.test):
        assert part.paths.tolist() == ["cat/0.png", "dog/0.png"] and part.labels.tolist() == [0, 1]


def test_the_table_of_a_test_folder_may_have_other_columns(root, tmp_path):
    table = write_table(root / "t.csv", ["cat/0.png,a", "dog/0.png,b"], "mine,yours")
    write_folder(tmp_path / "test")
    write_table(tmp_path / "test" / "metadata.csv", ["cat/1.png,b"], "file_name,label")
    assert load(table, size=8, test=tmp_path / "test", how=How("mine", "yours")).data.test.labels.tolist() == [1]


def test_a_test_set_with_other_classes(root, tmp_path):
    write_folder(tmp_path / "test", ("cat", "Dog", "emu"))
    assert complaint(root, test=tmp_path / "test").endswith(
        "test has classes that the training images do not have, 'Dog', 'emu': name them alike, or leave them out")


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000])
def test_a_path_that_no_file_can_have(path):
    assert "check the path" in complaint(path)


def test_a_folder_above_that_has_a_bad_name_is_told(tmp_path, monkeypatch):
    write_folder(tmp_path / "a\tb" / "pets")
    monkeypatch.chdir(tmp_path / "a\tb")
    assert complaint("pets").endswith("whose name has a control character or line break: rename it")


def test_what_is_cifar(root, tmp_path):
    for folder in ("cifar-10-batches-py", "a/cifar-100-python", "b", "c", "d"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("b/data_batch_3", "c/test_batch.bin", "d/train", "d/test", "d/meta"):
        (tmp_path / file).write_bytes(b"")
    assert cifar_layout(root) is cifar_layout(tmp_path / "none") is cifar_layout(tmp_path / "none.tar.gz") is None
    found = [open_source(path) for path in ("digits", *(str(tmp_path / name) for name in ("cifar-10-batches-py",
                                                                                          *"abcd")))]
    assert [(source.kind, source.layout) for source in found] == [
        ("digits", None), ("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python"),
        ("cifar10", "cifar-10-batches-py"), ("cifar10", "cifar-10-batches-bin"), ("cifar100", "cifar-100-python")]


def test_own_images_are_listed_when_the_source_is_opened_and_not_again(root, monkeypatch):
    source = open_source(root)
    assert source.kind == "own" and len(source.listing.paths) == 12
    monkeypatch.setattr("core.data.source.listed", None)
    assert (load(root, size=8, listing=source.listing).data.train.labels >= 0).all()


def test_the_users_files_are_left_alone(root, tmp_path):
    before = {path: os.stat(path).st_mtime_ns for path in [root, *root.rglob("*")]}
    own.load(root, held_out=0.2, store=tmp_path / "store")
    assert {path: os.stat(path).st_mtime_ns for path in [root, *root.rglob("*")]} == before
