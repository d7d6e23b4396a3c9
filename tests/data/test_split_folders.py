"""core/data/splits.py: folders of a split set are never taken for classes, and what is said instead can be followed."""
import re

import pytest

from core.data.folder import scan
from core.data.own import load
from core.data.splits import about_levels, find_parts, part_of, parts_among
from core.errors import InputError
from tests.lib.own_data import kinds, picture, write_image

COUNT = {"train": 4, "test": 3}


def write(root, folders):
    """Two images with pixels of their own in each of the folders."""
    for number, folder in enumerate(folders):
        for i in range(2):
            write_image(root / folder / f"{i}.png", picture(10 * number + i))
    return root


def refused(root):
    with pytest.raises(InputError) as error:
        scan(root)
    assert "\n" not in str(error.value)
    return str(error.value)


def followed(sentence):
    """The data set of a command that the sentence gives."""
    data, test = re.search(r": give (.+?) with --data(?: and (.+?) with --test)?(?: if those are the classes)?$",
                           sentence).groups()
    return load(data, size=8, test=test).data


SPELLINGS = [("train", "test"), ("Train", "Test"), ("TRAIN", "VAL"), ("training", "testing"),
             ("training", "validation"), ("Training set", "Test set"),
             ("train", "valid"), ("train", "dev"), ("train_set", "test_set"),
             ("trainset", "testset"), ("TrainSet", "ValSet"), ("seg_train", "seg_test"), ("train2017", "val2017"),
             ("images_train", "images_test"), ("train-images", "test-images"), ("01_train", "02_test"), ("trn", "tst"),
             ("train_data", "test_data"), ("TrainingData", "TestData"), ("x-train.v2", "x-test.v2"),
             ("trainval", "test"), ("train", "eval"), ("train", "holdout"),
             ("birds_train", "birds_validation"), ("Train ", "Test ")]


@pytest.mark.parametrize("first, second", SPELLINGS)
@pytest.mark.parametrize("beside", [[], ["unlabeled"], ["papers/a"], ["bird", "car"]])
def test_parts_of_a_set_in_any_spelling_beside_anything(tmp_path, first, second, beside):
    root = write(tmp_path / "set", [f"{part}/{name}" for part in (first, second) for name in ("bird", "car")] + beside)
    sentence = refused(root)
    assert f" has the folders {first}, {second} of a split set instead of one for each class: give " in sentence
    data = followed(sentence)
    assert data.classes == ("bird", "car") and len(data.train.labels) == len(data.test.labels) == 4


@pytest.mark.parametrize("wrap", ["{0}/{0}", "data/{0}", "a/b/{0}", "{0}/images", "{0}/{0}/{0}"])
def test_parts_at_any_level(tmp_path, wrap):
    parts = [wrap.format(part) for part in ("train", "test")]
    root = write(tmp_path / "set", [f"{part}/{name}" for part in parts for name in ("bird", "car")])
    data = followed(refused(root))
    assert data.classes == ("bird", "car") and len(data.train.labels) == len(data.test.labels) == 4


def test_parts_beside_a_copy_of_the_whole(tmp_path):
    parts = [f"{part}/{name}" for part in ("train", "val", "test") for name in ("NORMAL", "PNEUMONIA")]
    root = write(tmp_path / "xray", [f"{copy}{part}" for copy in ("", "xray/", "__MACOSX/") for part in parts])
    sentence = refused(root)
    assert "has the folders train, test, val of a split set" in sentence and sentence.endswith(
        f"give {root}/train with --data and {root}/test with --test")
    assert followed(sentence).classes == ("NORMAL", "PNEUMONIA")


def test_two_copies_of_a_split_set(tmp_path):
    root = write(tmp_path / "set", [f"v{k}/{part}/{name}" for k in (1, 2) for part in ("train", "test")
                                    for name in ("bird", "car")])
    assert followed(refused(root)).classes == ("bird", "car")


@pytest.mark.parametrize("other", ["unlabeled", "Unlabelled images", "extra", "pred", "UNSUPERVISED"])
def test_one_part_beside_images_without_labels(tmp_path, other):
    root = write(tmp_path / "stl", ["train/bird", "train/car", other])
    assert followed(refused(root)).classes == ("bird", "car")


def test_one_part_alone(tmp_path):
    root = write(tmp_path / "repo", ["train/bengal", "train/birman", "train/persian"])
    sentence = refused(root)
    assert "has images of one class only, 'train', with bengal, birman, persian in it" in sentence
    assert followed(sentence).classes == ("bengal", "birman", "persian")


@pytest.mark.parametrize("wrap", ["images", "photos/all", "dataset/train"])
def test_classes_a_level_too_deep(tmp_path, wrap):
    root = write(tmp_path / "repo", [f"{wrap}/cat", f"{wrap}/dog"])
    (root / "labels").mkdir()
    (root / "labels" / "0.txt").write_text("0 0 0 1 1")
    assert followed(refused(root)).classes == ("cat", "dog")


def test_parts_of_one_kind(tmp_path):
    root = write(tmp_path / "set", [f"train{k}/{name}" for k in (1, 2, 3) for name in ("bird", "car")])
    assert followed(refused(root)).classes == ("bird", "car")


def test_two_parts_of_one_kind_beside_test_images(tmp_path):
    root = write(tmp_path / "set", [f"{part}/{name}" for part in ("train1", "train2", "test") for name in "ab"])
    assert refused(root).endswith(f"give {root}/train1 with --data and {root}/test with --test")


def test_parts_are_looked_for_a_few_levels_deep():
    def tree(depth):
        split = {part: {"bird": {}, "car": {}} for part in ("train", "test")}
        return split if depth == 0 else {"a": tree(depth - 1), "b": {}}

    for depth in range(9):
        found = find_parts(tree(depth))
        assert found is None if depth > 5 else found[:2] == (("a",) * depth, ["train", "test"])


def test_parts_without_class_folders(tmp_path):
    assert refused(write(tmp_path, ["train", "test", "seg_pred"])).endswith(
        "has the folders train, test of a split set instead of one for each class: put the images of each class into a "
        "folder with its name, or give a table path,label as .csv")


def test_letters_after_the_word(tmp_path):
    """As the sets for image translation are called: A and B are the classes, in two parts."""
    root = write(tmp_path, ["trainA", "trainB", "testA", "testB"])
    assert "has the folders trainA, testA of a split set" in refused(root)


@pytest.mark.parametrize("classes", [("train", "bus", "car"), ("test tube", "train", "flask"),
                                     ("covid test", "train ticket"),
                                     ("dev board", "val d'oise"), ("contest", "restrain"), ("Testarossa", "Trainer"),
                                     ("device1", "device2"), ("test1", "test2"), ("0", "1"), ("evaluator", "latest")])
def test_classes_that_only_sound_like_parts_are_classes(tmp_path, classes):
    assert set(scan(write(tmp_path, classes)).labels) == set(classes)


@pytest.mark.parametrize("name, expected", [
    ("train", ("training", ())), ("Test_2017", ("test", ())), ("seg_val", ("validation", ("seg",))), ("restrain", None),
    ("trainB", ("training", ("b",))), ("Validation-Images", ("validation", ())), ("", None), ("日本語", None)])
def test_the_part_that_a_name_says(name, expected):
    assert part_of(name) == expected


WORDS = {"training": "train training trains trn trainval",
         "test": "test testing tests tst eval evaluation heldout holdout",
         "validation": "val valid validate validation vali dev devel development"}


def test_every_word_for_a_part_is_known_in_every_spelling():
    for part, words in WORDS.items():
        for word in words.split():
            for name in (word, word.upper(), word.title(), f"{word}_set", f"{word}set", f"{word}data", f"{word}images",
                         f"{word}imgs", f"{word}split", f"My{word.title()}Split", f"{word}2017", f"0-{word}-part"):
                found = part_of(name)
                assert found == (part, ("my",) if name.startswith("My") else ()), name
    for word in ("set sets data dataset images image imgs img split splits folder files photos pictures part "
                 "subset").split():
        assert part_of(f"test_{word}") == ("test", ()) and part_of(word) is None


def test_every_word_for_images_without_labels_is_known(tmp_path):
    for word in ("unlabeled unlabelled unsupervised unsup extra pred predict prediction predictions query "
                 "gallery").split():
        tree = {"train": {"cat": {}, "dog": {}}, word: {}}
        assert parts_among(tree) == ["train", word] and about_levels({"cat": {}, f"My {word}2": {}, "dog": {}}) == [
            ("part", f"My {word}2", "")]
        assert parts_among({**tree, "cow": {}}) == []


# ---- findings ------------------------------------------------------------------------------------------------------

def test_folders_of_the_same_names_inside_several_classes_are_told(tmp_path):
    root = write(tmp_path, [f"site{k}/{name}" for k in (1, 2, 3) for name in ("healthy", "ill")])
    assert scan(root).findings == [("levels", "site1/healthy", "and site2, site3"),
                                   ("levels", "site1/ill", "and site2, site3")]


def test_one_common_folder_means_nothing(tmp_path):
    assert scan(write(tmp_path, ["n01/images", "n02/images", "n03/images"])).findings == []
    assert about_levels({"cat": {"train": {}}, "dog": {"train": {}}, "cow": {}}) == []
    assert about_levels({name: {"train": {}, "images": {}} for name in ("cat", "dog")}) == [
        ("parts", "cat/train", "and dog")]


def test_classes_that_consist_of_folders_are_told(tmp_path):
    root = write(tmp_path, ["Amanita/muscaria", "Amanita/phalloides", "Boletus/edulis", "Boletus/reticulatus"])
    assert scan(root).findings == [("deeper", "Amanita", "muscaria, phalloides"),
                                   ("deeper", "Boletus", "edulis, reticulatus")]


def test_a_copy_beside_the_classes_is_told(tmp_path):
    root = write(tmp_path, ["cat", "dog", "pets/cat", "pets/dog"])
    assert scan(root).findings == [("levels", "pets", "has folders called like the classes beside it, cat, dog")]


def test_a_part_beside_the_classes_is_told(tmp_path):
    assert scan(write(tmp_path, ["cat", "dog", "test"])).findings == [("part", "test", "")]
    found = scan(write(tmp_path, ["cat", "dog", "test/cat", "test/dog"])).findings
    assert found == [("levels", "test", "a part of a set by its name, with cat, dog in it")]


def test_parts_inside_classes_are_told(tmp_path):
    root = write(tmp_path, [f"{name}/{part}" for name in ("cat", "dog") for part in ("train", "test")])
    found = scan(root)
    assert set(found.labels) == {"cat", "dog"} and kinds(found.findings) == {"parts": ["cat/test", "cat/train"]}
