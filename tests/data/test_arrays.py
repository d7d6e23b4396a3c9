"""core/data/arrays.py and array_images.py: images in .npz and .npy files."""
import io
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from core.data import array_images, arrays, pth
from core.data.array_images import holds_arrays, read_arrays
from core.data.arrays import role
from core.data.how import UNSAID, How
from core.data.own import load
from core.errors import InputError
from tests.lib.own_data import kinds, write_folder

N = 12
COLOUR = np.random.default_rng(0).integers(0, 256, (N, 16, 16, 3), np.uint8)
GREY = COLOUR[..., 0].copy()
LABELS = np.arange(N) % 3


def npz(path, *alone, **members):
    np.savez(path, *alone, **members)
    return path


def images_of(path, **options):
    """(training images, labels) of a file of arrays that are called images and labels."""
    data = load(path, size=16, **options).data
    return data.train.images, data.train.labels


def complaint(path, how=UNSAID, **options):
    with pytest.raises(InputError) as error:
        load(path, size=8, how=how, **options)
    assert "\n" not in str(error.value) and len(str(error.value)) < 1000
    return str(error.value)


# ---- what an image is ----------------------------------------------------------------------------------------------

FORMS = {
    "colour": COLOUR, "columns first": np.asfortranarray(COLOUR), "channels first": COLOUR.transpose(0, 3, 1, 2).copy(),
    "opaque": np.concatenate([COLOUR, np.full((N, 16, 16, 1), 255, np.uint8)], axis=3),
    "int64": COLOUR.astype(np.int64), "float 255": COLOUR.astype(np.float32), "float 1": COLOUR / 255,
    "float 1 of half": (COLOUR / 255).astype(np.float16), "float -1 to 1": COLOUR / 127.5 - 1,
         "big endian": COLOUR.astype(">u2"),
    "wide range": COLOUR * 200.0 - 5000}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("save", ["npz", "packed", "npy"])
def test_colour_in_every_form_is_the_same_image(tmp_path, form, save):
    images = FORMS[form]
    if save == "npy":
        np.save(tmp_path / "images.npy", images)
        np.save(tmp_path / "labels.npy", LABELS)
    else:
        (np.savez if save == "npz" else np.savez_compressed)(tmp_path / "x.npz", images=images, labels=LABELS)
    found, labels = images_of(tmp_path / ("images.npy" if save == "npy" else "x.npz"))
    wrong = abs(found.astype(int) - COLOUR).max()
    assert wrong <= ("half" in form or "wide" in form) and labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("grey", [GREY, GREY[..., None], GREY[:, None], GREY.reshape(N, -1), GREY.astype(np.uint16)])
def test_grey_in_every_form(tmp_path, grey):
    found, _ = images_of(npz(tmp_path / "x.npz", images=grey, labels=LABELS))
    assert (found == GREY[..., None]).all()


@pytest.mark.parametrize("first", [True, False])
def test_the_whole_set_is_stretched_however_few_images_are_read_at_once(tmp_path, monkeypatch, first):
    images = np.full((N, 16, 16), 300, np.int32)
    images[0 if first else -1, 0, :2] = 100, 1100
    monkeypatch.setattr(array_images, "BLOCK", images[0].nbytes)
    found, _ = images_of(npz(tmp_path / "x.npz", images=images, labels=LABELS))
    assert found[5, 5, 5, 0] == round(255 * 300 / 1100) and found.max() == 255


def test_bits_and_twelve_bits_are_stretched_over_the_whole_set(tmp_path):
    found, _ = images_of(npz(tmp_path / "x.npz", images=GREY > 99, labels=LABELS))
    assert (found[..., 0] == 255 * (GREY > 99)).all()
    twelve = GREY.astype(np.uint16) * 16
    twelve[0, 0, 0] = 4095
    reading = load(npz(tmp_path / "y.npz", images=twelve, labels=LABELS), size=16)
    assert abs(reading.data.train.images[1:, ..., 0].astype(int) - GREY[1:]).max() <= 1
    assert "the values of 'images' from 0 to 4095 are shown as 0 to 255" in reading.notes[-1]


def test_all_parts_are_stretched_by_the_levels_of_the_training_images(tmp_path):
    """So are test images of another file, stored or not; what is brighter is white, and that is told."""
    deep = GREY.astype(np.uint16) * 16
    deep[0, 0, 0] = 4095
    parts = {"x_train": deep, "y_train": LABELS, "y_val": LABELS, "y_test": LABELS}
    path = npz(tmp_path / "x.npz", **parts, x_val=deep // 2, x_test=deep * 2)
    other = npz(tmp_path / "y.npz", x=deep // 2, y=LABELS)
    for store in (None, tmp_path / "store", tmp_path / "store"):
        reading = load(path, size=16, store=store)
        train, validation, test = (part.images.astype(int) for part in reading.data[2:5])
        half = load(path, size=16, test=other, store=store).data.test.images
        assert abs(validation - train / 2).max() <= 1 and (half == validation).all()
        assert abs(test - np.minimum(train * 2, 255)).max() <= 1 and reading.data.levels == {1: (0, 4095)}
    assert [note.split("values of ")[1] for note in reading.notes[1:]] == [
        "'x_train' from 0 to 4095 are shown as 0 to 255", "'x_val' from 0 to 4095 are shown as 0 to 255",
        f"'x_test' from 0 to 4095 are shown as 0 to 255, those from {2 * deep.min()} to 8190 cut off there"]


@pytest.mark.parametrize("low, high, kind, expected", [
    (3, 200, "i", (0, 255)), (3, 200, "f", (0, 255)), (0.25, 0.75, "f", (0, 1)), (0, 1, "i", (0, 255)),
    (-0.5, 0.5, "f", (-1, 1)), (-0.5, 3, "f", (-0.5, 3)), (100, 4000, "u", (0, 4000)), (100, 4000, "f", (100, 4000)),
    (-1000, 3000, "i", (-1000, 3000)), (-1, 1, "i", (-1, 1)), (7e3, 7e3, "f", (0, 1)), (np.inf, -np.inf, "f", (0, 1))])
def test_what_is_black_and_what_is_white(low, high, kind, expected):
    assert array_images.level(low, high, kind) == expected


def test_transparent_is_white_and_other_sizes_are_resized_as_files_are(tmp_path):
    clear = np.concatenate([COLOUR, np.zeros((N, 16, 16, 1), np.uint8)], axis=3)
    assert (images_of(npz(tmp_path / "x.npz", images=clear, labels=LABELS))[0] == 255).all()
    big = np.random.default_rng(1).integers(0, 256, (4, 40, 30, 3), np.uint8)
    from PIL import Image
    for k, image in enumerate(big):
        (tmp_path / "files" / f"{k % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "files" / f"{k % 2}" / f"{k}.png")
    reading = load(npz(tmp_path / "y.npz", images=big, labels=np.arange(4) % 2), size=16)
    files = load(tmp_path / "files", size=16).data.train
    order = [int(path.split("/")[1][0]) for path in files.paths]
    assert (reading.data.train.images[order] == files.images).all() and (reading.shapes == (40, 30)).all()


def test_values_that_are_not_finite_leave_their_image_out(tmp_path):
    images = COLOUR / 255
    images[3, 0, 0, 0], images[5, 1, 1, 1] = np.nan, np.inf
    reading = load(npz(tmp_path / "x.npz", images=images, labels=LABELS), size=16)
    assert reading.data.train.index.tolist() == [k for k in range(N) if k not in (3, 5)] and reading.data.rows == N
    assert kinds(reading.findings)["unreadable"] == ["images[3]", "images[5]"]
    assert (reading.data.train.images == COLOUR[reading.data.train.index]).all()


def test_blocks_do_not_mix_up_images(tmp_path, monkeypatch):
    monkeypatch.setattr(array_images, "BLOCK", 5 * 16 * 16 * 3)
    found, _ = images_of(npz(tmp_path / "x.npz", images=COLOUR, labels=LABELS))
    assert (found == COLOUR).all()


# ---- names ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("names", [("images", "labels"), ("x", "y"), ("X", "Y"), ("data", "targets"), ("imgs", "label"),
                                   ("x_train", "y_train"), ("train_images", "train_labels"), ("trainX", "trainY"),
                                   ("X_train", "y_train"), ("images_train", "labels_train"), ("arr_0", "arr_1"),
                                   ("pictures of mine", "what")])
def test_names_of_arrays(tmp_path, names):
    reading = load(npz(tmp_path / "x.npz", **dict(zip(names, (COLOUR, LABELS)))), size=16)
    assert (reading.data.train.images == COLOUR).all() and reading.data.train.paths is None
    assert reading.notes[0] == f"{tmp_path / 'x.npz'}: the images are {names[0]!r}, their labels {names[1]!r}"
    np.save(tmp_path / f"{names[0]}.npy", COLOUR)
    np.save(tmp_path / f"{names[1]}.npy", LABELS)
    (tmp_path / "x.npz").unlink()
    if role(names[0]):
        assert (images_of(tmp_path)[0] == COLOUR).all() and (images_of(tmp_path / f"{names[0]}.npy")[0] == COLOUR).all()


WORDS = {"images": "images image imgs img x data pixels photos pictures inputs arr_0",
         "labels": "labels label y targets target lbls arr_1"}
SPLITS = {"train": "train training tr", "val": "val valid validation dev", "test": "test testing te", "": ""}


def test_every_word_is_known_before_and_after_the_part_of_the_set():
    for kind, words in WORDS.items():
        for word in words.split():
            for split, names in SPLITS.items():
                assert role(word) == ("", kind)
                for name in names.split():
                    for text in (f"{name}_{word}", f"{word}_{name}", f"{word}-{name}".upper(), f"{name}{word.title()}"):
                        assert role(text) == (split, kind), text
    assert [role(name) for name in ("train_x_test", "trial_x", "xy", "train", "", "my_images")] == [None] * 6


def test_of_several_names_of_one_kind_the_usual_one_is_taken(tmp_path):
    arrays = {"pixels": COLOUR[::-1], "x": COLOUR[::-1], "images": COLOUR, "y": LABELS[::-1], "label": LABELS[::-1],
              "labels": LABELS}
    found, labels = images_of(npz(tmp_path / "x.npz", **arrays))
    assert (found == COLOUR).all() and (labels == LABELS).all()
    del arrays["images"], arrays["labels"]
    assert images_of(npz(tmp_path / "x.npz", **arrays | {"x": COLOUR, "label": LABELS}))[1].tolist() == LABELS.tolist()
    how = How(path_column="pixels", label_column="y")
    found, labels = images_of(tmp_path / "x.npz", how=how)
    assert (found == COLOUR[::-1]).all() and (labels == LABELS[::-1]).all()


@pytest.mark.parametrize("form", ["{}_images {}_labels", "x_{} y_{}", "{}_x {}_y"])
def test_parts_for_training_validation_and_test(tmp_path, form):
    members = {}
    for part, (a, b) in {"train": (0, 6), "val": (6, 9), "test": (9, 12)}.items():
        images, labels = form.format(part, part).split()
        members |= {images: COLOUR[a:b], labels: LABELS[a:b, None]}
    data = load(npz(tmp_path / "x.npz", **members, extra=np.zeros(3)), size=16).data
    for part, (a, b) in ((data.train, (0, 6)), (data.validation, (6, 9)), (data.test, (9, 12))):
        assert (part.images == COLOUR[a:b]).all() and part.labels.tolist() == LABELS[a:b].tolist()
    assert [len(listing.paths) for listing in load(tmp_path / "x.npz", size=8).listings] == [6, 3, 3]
    reading = load(tmp_path / "x.npz", size=16, held_out=0.5, test=tmp_path / "x.npz")
    held_out = reading.data.validation
    assert len(held_out.labels) == 3 and (held_out.images == COLOUR[held_out.index]).all()
    assert (reading.data.test.images == COLOUR[9:]).all() and "not used: 'extra'" in " ".join(reading.notes)
    assert f"{tmp_path / 'x.npz'}: its images for validation are not used, because of --held-out" in reading.notes
    listing = read_arrays(tmp_path / "x.npz", test=True)
    assert listing.rows == 3 and listing.packed.others == {}


def test_test_images_that_are_given_take_the_place_of_those_in_the_file(tmp_path):
    path = npz(tmp_path / "x.npz", x_train=COLOUR[:6], y_train=LABELS[:6], x_test=COLOUR[6:9], y_test=LABELS[6:9])
    other = npz(tmp_path / "y.npz", images=COLOUR[8:], labels=LABELS[8:])
    reading = load(path, size=16, test=other)
    assert (reading.data.test.images == COLOUR[8:]).all() and str(reading.listings[2].root) == str(other)
    assert load(path, size=16).listings[2].paths == ["x_test[0]", "x_test[1]", "x_test[2]"]


def test_what_is_found_in_validation_and_test_images_is_told(tmp_path):
    few = {"x_train": COLOUR[:6], "y_train": LABELS[:6], "x_test": COLOUR[4:8], "y_test": np.array([1, 2, 0, -1])}
    even = COLOUR[8:] * np.array([1, 1, 0, 1], np.uint8)[:, None, None, None]
    even[3] = COLOUR[0]                                      # a training image; only those for test are looked at
    found = load(npz(tmp_path / "x.npz", **few, x_val=even, y_val=np.array([-1, 0, 1, 2])), size=16).findings
    assert kinds(found) == {"unlabelled": ["x_val[0]", "x_test[3]"], "blank": ["x_val[2]"],
                            "leaked": ["x_train[4]", "x_train[5]"]}


def test_a_class_without_a_readable_image_is_none(tmp_path):
    """The others keep their order, that of the numbers."""
    images = COLOUR / 255
    images[[0, 3, 6, 9]] = np.nan
    data = load(npz(tmp_path / "x.npz", images=images, labels=np.array([7, 10, 9] * 4)), size=16).data
    assert data.classes == ("9", "10") and data.train.labels.tolist() == [1, 0] * 4


def test_numbers_keep_their_order_and_may_have_names(tmp_path):
    labels = np.array([10, 2, 1] * 4)
    assert load(npz(tmp_path / "x.npz", images=COLOUR, labels=labels), size=8).data.classes == ("1", "2", "10")
    names = np.array(["zebra", "ant", "cow"])
    data = load(npz(tmp_path / "y.npz", images=COLOUR, labels=LABELS, label_names=names), size=8).data
    assert data.classes == ("zebra", "ant", "cow") and data.train.labels.tolist() == LABELS.tolist()
    for few in (names[:2], names[[0, 1, 1]]):                # names that do not fit are not used
        path = npz(tmp_path / "z.npz", images=COLOUR, labels=LABELS, Class_Names=few)
        assert load(path, size=8).data.classes == ("0", "1", "2")
    path = npz(tmp_path / "z.npz", images=COLOUR, labels=LABELS, Class_Names=names)
    assert load(path, size=8).data.classes == ("zebra", "ant", "cow")


@pytest.mark.parametrize("labels", [LABELS.astype(np.uint8), LABELS[:, None], LABELS.astype(float), np.eye(3)[LABELS],
                                    np.array(["a", "b", "c"])[LABELS], np.array([b"a", b"b", b"c"])[LABELS],
                                    np.eye(3, dtype=bool)[LABELS]])
def test_forms_of_labels(tmp_path, labels):
    _, found = images_of(npz(tmp_path / "x.npz", images=COLOUR, labels=labels))
    assert found.tolist() == LABELS.tolist()


def test_unknown_labels_are_left_out(tmp_path):
    for labels in (np.where(LABELS == 2, -1, LABELS), np.where(LABELS == 2, np.nan, LABELS),
                   np.array(["a", "b", "nan"])[LABELS], np.array(["a", "b", "-1"])[LABELS]):
        reading = load(npz(tmp_path / "x.npz", images=COLOUR, labels=labels), size=16)
        assert reading.data.train.index.tolist() == [k for k in range(N) if k % 3 < 2] and reading.data.rows == N
        assert len(kinds(reading.findings)["unlabelled"]) == 4
        assert (reading.data.train.images == COLOUR[reading.data.train.index]).all()
    (tmp_path / "l.csv").write_text("a\nb\n-1\n" * 4)
    assert load(tmp_path / "x.npz", size=8, how=How(labels=str(tmp_path / "l.csv"))).data.classes == ("a", "b")


# ---- labels in a file of their own ---------------------------------------------------------------------------------

@pytest.mark.parametrize("name, text", [("l.csv", "label\n" + "\n".join("abc"[c] for c in LABELS)),
                                        ("l.txt", "\n".join(map(str, LABELS))),
                                        ("l.csv",
                                         "index,label\n" + "\n".join(f"{k},{LABELS[k]}" for k in range(N)[::-1]))])
def test_labels_as_text(tmp_path, name, text):
    np.save(tmp_path / "pixels of mine.npy", COLOUR)
    (tmp_path / name).write_text(text)
    found, labels = images_of(tmp_path / "pixels of mine.npy", how=How(labels=str(tmp_path / name)))
    assert labels.tolist() == LABELS.tolist() and (found == COLOUR).all()


def test_labels_of_a_file_of_their_own_have_the_names_of_the_images_file(tmp_path):
    path = npz(tmp_path / "x.npz", images=COLOUR, label_names=np.array(["zebra", "ant", "cow"]))
    np.save(tmp_path / "given.npy", LABELS)
    for file in (tmp_path / "given.npy", npz(tmp_path / "given.npz", a=LABELS, b=LABELS * 0)):
        how = How(labels=f"{file}:a" if file.suffix == ".npz" else str(file))
        data = load(path, size=8, how=how).data
        assert data.classes == ("zebra", "ant", "cow") and data.train.labels.tolist() == LABELS.tolist()


def test_labels_in_a_file_of_their_own_are_not_those_of_the_test_images(tmp_path):
    np.save(tmp_path / "given.npy", LABELS[::-1])
    path, test = (npz(tmp_path / name, images=COLOUR, labels=LABELS) for name in ("a.npz", "b.npz"))
    data = load(path, size=8, test=test, how=How(labels=str(tmp_path / "given.npy"))).data
    assert data.train.labels.tolist() == LABELS[::-1].tolist() and data.test.labels.tolist() == LABELS.tolist()


def test_one_of_images_and_labels_may_be_chosen_and_the_other_is_known_by_its_name(tmp_path):
    path = npz(tmp_path / "x.npz", x_train=COLOUR, other=COLOUR[::-1], noisy=LABELS, clean=LABELS[::-1].copy())
    for name, expected in (("noisy", LABELS), ("clean", LABELS[::-1])):
        found, labels = images_of(path, how=How(label_column=name))
        assert (found == COLOUR).all() and (labels == expected).all()


def test_labels_as_an_array_or_one_of_several(tmp_path):
    np.save(tmp_path / "a.npy", COLOUR)
    np.save(tmp_path / "b.npy", LABELS)
    npz(tmp_path / "c.npz", clean_label=LABELS)
    np.savez(tmp_path / "e.npz", LABELS)
    for labels in ("b.npy", "c.npz:clean_label", "c.npz", "e.npz"):
        assert images_of(tmp_path / "a.npy", how=How(labels=str(tmp_path / labels)))[1].tolist() == LABELS.tolist()
    npz(tmp_path / "d.npz", train_images=COLOUR, train_labels=LABELS * 0, test_images=COLOUR[:3],
        test_labels=LABELS[:3])
    data = load(tmp_path / "d.npz", size=8, how=How(labels=str(tmp_path / "b.npy"))).data
    assert data.train.labels.tolist() == LABELS.tolist() and len(data.test.labels) == 3


def test_labels_of_some_images_leave_out_the_others(tmp_path):
    """As `apply` writes them where a person has removed images."""
    npz(tmp_path / "x.npz", images=COLOUR, labels=LABELS)
    (tmp_path / "cleaned_labels.csv").write_text("index,label\n0,10\n2,2\n11,10\n")
    data = load(tmp_path / "x.npz", size=16, how=How(labels=str(tmp_path / "cleaned_labels.csv"))).data
    assert data.train.index.tolist() == [0, 2, 11] and data.classes == ("2", "10") and data.rows == N
    assert (data.train.images == COLOUR[[0, 2, 11]]).all()


# ---- what cannot be used -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("members, fault", [
    ({"images": COLOUR, "labels": LABELS[:5]}, " has 5 labels for 12 images, 'images': save one for each"),
    ({"images": COLOUR, "labels": np.arange(15) % 3}, " has 15 labels for 12 images"),
    ({"images": COLOUR.astype(complex), "labels": LABELS}, " has images of shape (12, 16, 16, 3) and type complex128, "
                                                           "'images': save them as uint8"),
    ({"images": np.zeros((12, 5, 5, 5)), "labels": LABELS}, " has images of shape (12, 5, 5, 5) and type float64, "
                                                            "'images': save "
                                                            "them as (n, H, W), (n, H, W, 3) or (n, 3, H, W)"),
    ({"images": np.zeros((12, 3072)), "labels": LABELS}, " has images of shape (12, 3072)"),
    ({"images": np.zeros((0, 4, 4)), "labels": LABELS[:0]}, " has images of shape (0, 4, 4)"),
    ({"images": np.zeros(()), "labels": LABELS}, " has images of shape ()"),
    ({"images": COLOUR, "labels": LABELS / 2}, " has labels with fractions, 'labels': save whole numbers"),
    ({"images": COLOUR, "labels": LABELS - 5}, " has the label -5, in 'labels': use 0, 1, 2, ..., or -1 for unknown"),
    ({"images": COLOUR, "labels": np.where(LABELS == 2, -2, LABELS)}, " has the label -2, in 'labels'"),
    ({"images": COLOUR, "labels": np.ones((12, 3))}, " has labels of shape (12, 3), 'labels': save one for each "
                                                     "image, or rows with a single 1 in each"),
    ({"images": COLOUR, "labels": np.zeros((12, 3, 2))}, " has labels of shape (12, 3, 2), 'labels': save one for "
                                                         "each"),
    ({"images": COLOUR, "labels": np.array(["a\nb"] * 12)}, " has a class called"),
    ({"images": COLOUR, "labels": LABELS * 1j}, " has labels of type complex128, 'labels': save whole numbers or "
                                                "texts"),
    ({"pixels": COLOUR, "noisy": LABELS, "clean": LABELS}, " has the arrays 'pixels', 'noisy', 'clean', and none are "
                                                           "known to be "
     "images and their labels: call them images and labels, choose them with --path-column and --label-column, or give "
     "the labels with --labels FILE"),
    ({"images": COLOUR}, " has the arrays 'images', and none are known"), ({}, " has the arrays of no name")])
def test_arrays_that_are_no_images_or_labels(tmp_path, members, fault):
    path = npz(tmp_path / "x.npz", **members)
    assert complaint(path).startswith(f"{path}{fault}")


def test_the_remedies_work(tmp_path):
    path = npz(tmp_path / "x.npz", pixels=COLOUR, noisy=LABELS, clean=LABELS * 0)
    assert images_of(path, how=How(label_column="noisy"))[1].tolist() == LABELS.tolist()
    path = npz(tmp_path / "y.npz", a=COLOUR, b=GREY, noisy=LABELS, clean=LABELS * 0)
    assert (images_of(path, how=How("a", "noisy"))[0] == COLOUR).all()
    assert "has no array 'z', but 'a', 'b', 'noisy', 'clean': choose one of these" in complaint(path,
                                                                                                How(label_column="z"))
    assert "choose the images with --path-column and the labels with --label-column" in complaint(path, How("a"))
    path = npz(tmp_path / "z.npz", images=COLOUR, labels=LABELS, noisy_labels=LABELS[::-1].copy())
    assert images_of(path, how=How(label_column="noisy_labels"))[1].tolist() == LABELS[::-1].tolist()


def test_a_lone_array_and_the_remedy(tmp_path):
    np.save(tmp_path / "x_train.npy", COLOUR)
    np.save(tmp_path / "y_test.npy", LABELS)
    assert "x_train.npy has no labels beside it" in complaint(tmp_path / "x_train.npy")
    np.save(tmp_path / "images.npy", COLOUR)
    assert complaint(tmp_path / "images.npy") == (f"{tmp_path / 'images.npy'} has no labels beside it, such as "
                                                  "labels.npy: give them with --labels FILE")
    np.save(tmp_path / "other.npy", LABELS)
    assert images_of(tmp_path / "images.npy",
                     how=How(labels=str(tmp_path / "other.npy")))[1].tolist() == LABELS.tolist()
    (tmp_path / "l.csv").write_text("0\n1\n")
    assert "l.csv has 2 labels for the 12 images of" in complaint(tmp_path / "images.npy",
                                                                  How(labels=str(tmp_path / "l.csv")))


def test_a_folder_or_a_file_without_labels(tmp_path):
    np.save(tmp_path / "images.npy", COLOUR)
    np.save(tmp_path / "labels_fine.npy", LABELS)
    np.save(tmp_path / "labels_coarse.npy", LABELS)
    assert "has the arrays 'images', 'labels_coarse', 'labels_fine', and none are known" in complaint(tmp_path)
    assert images_of(tmp_path, how=How(label_column="labels_fine"))[1].tolist() == LABELS.tolist()
    path = npz(tmp_path / "x.npz", COLOUR)
    assert "or give the labels with --labels FILE" in complaint(path)
    assert images_of(path, how=How(labels=str(tmp_path / "labels_fine.npy")))[1].tolist() == LABELS.tolist()
    path = npz(tmp_path / "y.npz", x_train=COLOUR, y_train=LABELS, x_test=COLOUR[:0], y_test=LABELS[:0])
    assert len(load(path, size=8).data.test.labels) == 0


def test_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "x.npy", {"images": COLOUR, "labels": LABELS}, allow_pickle=True)
    assert "x.npy holds objects of Python, not images: save the array alone" in complaint(tmp_path / "x.npy")
    path = npz(tmp_path / "x.npz", images=COLOUR, labels=np.array([[1], None] * 6, object))
    assert "x.npz has labels of type object, 'labels': save whole numbers or texts" in complaint(path)
    path = npz(tmp_path / "y.npz", images=np.array([None] * 12), labels=LABELS)
    assert "y.npz has images of shape (12,) and type object" in complaint(path)


def claim(shape, descr="|u1", raw=b"x" * 100):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + raw


@pytest.mark.parametrize("shape", [(1 << 40, 32, 32, 3), (1 << 62, 32, 32, 3), (12, 1 << 20, 1 << 20), (-1, 4, 4), (12,
                                                                                                                    -4,
                                                                                                                    -4),
                                   (1 << 70, 2, 2)])
def test_what_a_header_claims_takes_neither_time_nor_memory(tmp_path, shape):
    (tmp_path / "images.npy").write_bytes(claim(shape))
    np.save(tmp_path / "labels.npy", LABELS)
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("images.npy", claim(shape))
        file.writestr("labels.npy", (tmp_path / "labels.npy").read_bytes())
    start = time.process_time()
    for path in (tmp_path / "images.npy", tmp_path / "x.npz"):
        tracemalloc.start()
        assert complaint(path) == f"{path} {arrays.DAMAGED}"
        assert tracemalloc.get_traced_memory()[1] < 1 << 23 and time.process_time() - start < 5
        tracemalloc.stop()


def test_what_a_directory_claims_is_compared_with_what_is_packed(tmp_path):
    """An entry of a few bytes that says that it unpacks to three gigabytes."""
    shape = (1 << 20, 32, 32, 3)
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("images.npy", claim(shape))
        file.writestr("labels.npy", claim((12,)))
    raw = bytearray((tmp_path / "x.npz").read_bytes())
    at = raw.index(b"PK\1\2") + 24                          # of the uncompressed size
    raw[at:at + 4] = (np.prod(shape) + 128).astype("<u4").tobytes()
    (tmp_path / "x.npz").write_bytes(raw)
    assert complaint(tmp_path / "x.npz") == f"{tmp_path / 'x.npz'} {arrays.DAMAGED}"


def test_a_directory_that_is_too_long_is_not_read(tmp_path, monkeypatch):
    path = npz(tmp_path / "x.npz", images=COLOUR, labels=LABELS)
    monkeypatch.setattr(pth, "LIMIT", 20)
    assert complaint(path) == f"{path} {arrays.DAMAGED}"


def test_damage_is_told(tmp_path):
    raw = npz(tmp_path / "x.npz", images=COLOUR, labels=LABELS).read_bytes()
    for length in (0, 10, len(raw) // 2, len(raw) - 30):
        (tmp_path / "x.npz").write_bytes(raw[:length])
        assert complaint(tmp_path / "x.npz") == f"{tmp_path / 'x.npz'} {arrays.DAMAGED}"
    for array in (COLOUR, LABELS):                           # a changed bit is known by the checksum of the archive
        changed = bytearray(raw)
        changed[raw.index(array.tobytes()) + 5] ^= 1
        (tmp_path / "x.npz").write_bytes(changed)
        assert complaint(tmp_path / "x.npz") == f"{tmp_path / 'x.npz'} {arrays.DAMAGED}"
    np.save(tmp_path / "images.npy", COLOUR)
    raw = (tmp_path / "images.npy").read_bytes()
    np.save(tmp_path / "labels.npy", LABELS)
    (tmp_path / "images.npy").write_bytes(raw[:-1])
    assert complaint(tmp_path / "images.npy") == f"{tmp_path / 'images.npy'} {arrays.DAMAGED}"


def test_columns_that_stand_one_after_another_are_read_whole_and_so_have_a_limit(tmp_path, monkeypatch):
    path = npz(tmp_path / "x.npz", images=np.asfortranarray(COLOUR), labels=LABELS)
    monkeypatch.setattr(arrays, "WHOLE", COLOUR.nbytes)
    assert (images_of(path)[0] == COLOUR).all()
    monkeypatch.setattr(arrays, "WHOLE", COLOUR.nbytes - 1)
    assert f"x.npz has {COLOUR.nbytes:,} bytes in the order of columns: save it by rows" in complaint(path)


def test_changed_bytes_give_data_or_an_input_error(tmp_path):
    rng, outcomes = np.random.default_rng(0), set()
    for name in ("x.npz", "images.npy"):
        npz(tmp_path / "x.npz", images=COLOUR[:, :4, :4].copy(), labels=LABELS)
        np.save(tmp_path / "images.npy", COLOUR[:, :4, :4].copy())
        np.save(tmp_path / "labels.npy", LABELS)
        raw = np.fromfile(tmp_path / name, np.uint8)
        for _ in range(60):
            changed = raw.copy()
            changed[rng.integers(min(len(raw), 400), size=rng.integers(3))] = rng.integers(256)
            changed.tofile(tmp_path / name)
            try:
                outcomes.add(len(load(tmp_path / name, size=8).data.train.labels) > 0)
            except InputError as error:
                assert "\n" not in str(error)
                outcomes.add("error")
    assert outcomes == {True, "error"}


def test_a_folder_of_arrays_is_one_only_without_folders(tmp_path):
    write_folder(tmp_path / "pets", images=1)
    np.save(tmp_path / "pets" / "images.npy", COLOUR)
    np.save(tmp_path / "pets" / "labels.npy", LABELS)
    assert not holds_arrays(tmp_path / "pets") and load(tmp_path / "pets", size=8).data.classes == ("cat", "dog")
    assert [role(name) for name in ("x_train", "trainLabels", "images", "val-images", "train_x_test", "xy", "max")] == [
        ("train", "images"), ("train", "labels"), ("", "images"), ("val", "images"), None, None, None]


@pytest.mark.parametrize("relative", [False, True])
def test_decoded_arrays_are_stored_and_known_again(tmp_path, monkeypatch, relative):
    monkeypatch.chdir(tmp_path)
    path = npz("x.npz" if relative else tmp_path / "x.npz", images=COLOUR, labels=LABELS)
    first = load(path, size=8, store=tmp_path / "store").data.train.images
    assert len(list((tmp_path / "store").iterdir())) == 1
    assert (load(path, size=8, store=tmp_path / "store").data.train.images == first).all()
    npz(path, images=COLOUR[::-1].copy(), labels=LABELS)
    assert (load(path, size=8, store=tmp_path / "store").data.train.images == first[::-1]).all()


def test_images_of_other_rows_are_not_taken_from_the_store(tmp_path):
    np.save(tmp_path / "x.npy", COLOUR)
    for rows in ([0, 1, 2], [3, 4, 5]):
        (tmp_path / "l.csv").write_text("index,label\n" + "".join(f"{row},{row % 3}\n" for row in rows))
        how = How(labels=str(tmp_path / "l.csv"))
        assert (images_of(tmp_path / "x.npy", store=tmp_path / "store", how=how)[0] == COLOUR[rows]).all()


def test_an_array_is_read_in_blocks(tmp_path):
    """Memory is that of the small images and of some blocks, not of the array."""
    np.savez_compressed(tmp_path / "x.npz", images=np.zeros((600, 256, 256, 3), np.uint8), labels=np.arange(600) % 2)
    tracemalloc.start()
    load(tmp_path / "x.npz", size=8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6                                      # of 118 MB, a block has 8
