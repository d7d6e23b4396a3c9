"""core/data/clothing1m.py on a miniature of its layout: the parts, their labels, and files that are missing or odd."""
import numpy as np
import pytest

from core.data import clothing1m
from core.data.clothing1m import CLASSES, KEYS, LABELS, scan
from core.data.how import How
from core.data.own import load
from core.data.source import open_source
from core.errors import InputError
from tests.lib.own_data import kinds, picture, write_image

PARTS = {"noisy_train": range(28), "clean_train": range(20, 34), "clean_val": range(34, 48),
         "clean_test": range(48, 62)}


def key(n):
    """Names have commas, as those of the data set."""
    return f"images/{n % 10}/{n:02}/{1000 + n},{n}.jpg"


def noisy(n):
    return (n + (n % 3 == 0)) % 14


def miniature(root, annotations="", keep_images=True):
    """62 photographs; the label of image n is n mod 14, and every third noisy label is the next one."""
    for n in range(62):
        path = key(n) if keep_images else key(n).removeprefix("images/")
        write_image(root / path, picture(n, 14, 12))
    folder = root / annotations
    folder.mkdir(exist_ok=True)
    for part, numbers in PARTS.items():
        (folder / f"{part}{KEYS}").write_text("".join(f"{key(n)}\n" for n in numbers))
    (folder / f"noisy{LABELS}").write_text("".join(f"{key(n)} {noisy(n)}\n" for n in range(40)))
    (folder / f"clean{LABELS}").write_text("".join(f"{key(n)} {n % 14}\n" for n in range(20, 62)))
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return miniature(tmp_path_factory.mktemp("clothing1m"))


@pytest.fixture
def own(tmp_path):
    """One that may be changed."""
    return miniature(tmp_path)


def test_the_folder_is_its_noisy_training_part(root):
    found = open_source(str(root))
    assert found.kind == "own" and found.listing == scan(root) == scan(root / "noisy_train_key_list.txt")
    listing = found.listing
    assert listing.paths == [key(n) for n in range(28)] and listing.labels == [CLASSES[noisy(n)] for n in range(28)]
    assert listing.index == list(range(28)) and listing.rows == 28 and listing.findings == []
    assert listing.root == root and len(CLASSES) == 14


@pytest.mark.parametrize("part", ["clean_train", "clean_val", "clean_test"])
def test_a_key_list_is_its_part_with_clean_labels(root, part):
    listing = open_source(str(root / f"{part}{KEYS}")).listing
    assert listing.paths == [key(n) for n in PARTS[part]]
    assert listing.labels == [CLASSES[n % 14] for n in PARTS[part]]


def test_a_whole_reading_has_noisy_labels_truth_and_clean_test(root):
    reading = load(root, size=8, test=root / "clean_test_key_list.txt", truth=root / "clean_label_kv.txt")
    data = reading.data
    assert data.classes == tuple(sorted(CLASSES)) and data.train.images.shape == (28, 8, 8, 3)
    names = np.array(data.classes)
    assert names[data.train.labels].tolist() == [CLASSES[noisy(n)] for n in range(28)]
    assert (data.train.truth[:20] == -1).all()             # of these nobody has checked the label
    assert names[data.train.truth[20:]].tolist() == [CLASSES[n % 14] for n in range(20, 28)]
    assert names[data.test.labels].tolist() == [CLASSES[n % 14] for n in range(48, 62)]
    assert data.test.paths.tolist() == [key(n) for n in range(48, 62)]
    assert kinds(reading.findings).keys() == {"single"}    # classes with one image, in so small a set


def test_the_parts_are_stored_apart(root, tmp_path):
    for _ in range(2):
        reading = load(root, size=8, test=root / "clean_test_key_list.txt", store=tmp_path)
        assert len(reading.data.train.labels) == 28 and len(reading.data.test.labels) == 14
    assert len(list(tmp_path.iterdir())) == 2 and reading.notes == []


def test_annotations_may_be_a_folder_and_images_may_be_left_out(tmp_path):
    root = miniature(tmp_path, "annotations", keep_images=False)
    listing = open_source(str(root)).listing
    assert listing.paths == [key(n).removeprefix("images/") for n in range(28)]
    test = open_source(str(root / "annotations/clean_test_key_list.txt")).listing
    assert test.root == root and test.labels == [CLASSES[n % 14] for n in range(48, 62)]
    for place in (root, root / "annotations", root / "annotations/clean_test_key_list.txt"):
        assert clothing1m.root_of(place) == root
    truth = clothing1m.truth(root / "annotations/clean_label_kv.txt", listing, CLASSES)
    assert truth.tolist() == [-1] * 20 + [n % 14 for n in range(20, 28)]
    (tmp_path / "clean_label_kv.txt").write_text(f"{key(7)} 0\n")              # a single one, of the first class
    truth = clothing1m.truth(tmp_path / "clean_label_kv.txt", listing, CLASSES)
    assert truth.tolist() == [-1] * 7 + [0] + [-1] * 20


def test_images_that_are_missing_repeated_or_without_a_label_are_findings(own):
    (own / key(3)).unlink()
    keys = own / "noisy_train_key_list.txt"
    keys.write_text(keys.read_text() + f"\n{key(5)}\n{key(45)}\n../outside.jpg\n")
    (own.parent / "outside.jpg").write_bytes(b"")
    label_file = own / "noisy_label_kv.txt"
    absolute, spaced = f"{own.parent}/outside.jpg", "images/0/a b.jpg"
    (own / spaced).parent.mkdir(parents=True, exist_ok=True)
    (own / spaced).touch()
    keys.write_text(keys.read_text() + f"{absolute}\n {spaced} \n  \n")
    label_file.write_text(label_file.read_text() + f"../outside.jpg 1\n{absolute} 1\n{spaced} 11\n \n")
    listing = scan(own)
    assert (listing.paths[-1], listing.labels[-1]) == (spaced, "Dress")
    assert kinds(listing.findings) == {"missing": [key(3), "../outside.jpg", absolute], "repeated": [key(5)],
                                       "unlabelled": [key(45)]}
    assert listing.index == [*(n for n in range(28) if n != 3), 32] and listing.rows == 33


def test_the_truth_stays_with_its_image_where_another_is_missing(own):
    (own / key(3)).unlink()
    data = load(own, size=8, truth=own / "clean_label_kv.txt").data
    found = [data.classes[c] if c >= 0 else None for c in data.train.truth]
    assert found == [CLASSES[n % 14] if n >= 20 else None for n in range(28) if n != 3]


def test_the_names_of_the_classes_are_those_of_the_authors():
    assert CLASSES == tuple("T-Shirt Shirt Knitwear Chiffon Sweater Hoodie Windbreaker Jacket Downcoat Suit Shawl "
                            "Dress Vest Underwear".split())


@pytest.mark.parametrize("line", ["images/a.jpg", "images/a.jpg 14", "images/a.jpg -1", "images/a.jpg x", " 3",
                                  "images/a.jpg 3.0", "images/a.jpg " + "9" * 5000, "images/a.jpg ³"])
def test_a_broken_line_of_labels_is_one_sentence(own, line):
    (own / "noisy_label_kv.txt").write_text(f"{key(0)} 0\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"noisy_label_kv.txt, line 2 is no key and label from 0 to 13: copy"):
        scan(own)


@pytest.mark.parametrize("name", ["noisy_label_kv.txt", "clean_label_kv.txt"])
def test_a_missing_file_is_named(own, name):
    (own / name).unlink()
    part = own if name.startswith("noisy") else own / "clean_val_key_list.txt"
    with pytest.raises(InputError, match=f"{own.name} has no {name}: copy it there"):
        open_source(str(part))


@pytest.mark.parametrize("option", ["path_column", "label_column", "images", "labels"])
def test_options_of_other_data_are_not_ignored(root, option):
    with pytest.raises(InputError, match=f"has no use for --{option.replace('_', '-')}: --images is for tables"):
        open_source(str(root), How(**{option: "x"}))


def test_labels_that_know_none_of_the_images(own):
    (own / "clean_label_kv.txt").write_text("images/other.jpg 3\n")
    with pytest.raises(InputError, match="clean_label_kv.txt has no label for any of the images"):
        load(own, size=8, truth=own / "clean_label_kv.txt")


def test_a_list_that_is_no_text(own, monkeypatch):
    (own / "noisy_label_kv.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="noisy_label_kv.txt is not text in UTF-8"):
        scan(own)
    monkeypatch.setattr(clothing1m, "LARGEST", 2)
    with pytest.raises(InputError, match="more than 2 bytes"):
        scan(own)


def test_other_folders_and_files_are_not_taken_for_it(tmp_path):
    (tmp_path / "key_list.txt").write_text("")
    (tmp_path / "my_key_list.txt").write_text("")
    assert not any(map(clothing1m.is_clothing1m, (tmp_path, tmp_path / "key_list.txt", tmp_path / "my_key_list.txt",
                                                  tmp_path / "noisy_train_key_list.txt")))
    assert not clothing1m.is_labels(tmp_path / "labels.txt") and clothing1m.is_labels("x/clean_label_kv.txt")
