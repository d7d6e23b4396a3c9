"""core/data/truth.py: true labels of some or all images, by path or by row."""
import numpy as np
import pytest

from core.data.folder import scan
from core.data.own import load
from core.data.table import read_table
from core.data.truth import read_truth
from core.errors import InputError
from tests.lib.own_data import write_folder, write_image, write_table

CLASSES = ("cat", "dog")


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path / "data", images=2)                # rows: cat/0, cat/1, dog/0, dog/1


def write(path, content):
    np.save(path, content) if isinstance(content, np.ndarray) else path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize("name, content, expected", [
    ("t.npy", np.array([1, 0, 1, 1]), [1, 0, 1, 1]), ("t.npy", np.array([-1, 0, -1, 1], np.int8), [-1, 0, -1, 1]),
    ("t.npy", np.array([1, 0, 1, 1], np.uint8), [1, 0, 1, 1]), ("t.npy", np.array([[1.], [0], [1], [-1]]), [1, 0, 1,
                                                                                                            -1]),
    ("t.csv", "path,label\ncat/1.png,dog\n", [-1, 1, -1, -1]),
    ("t.csv", "label;path;by\ndog;cat/1.png;me\n;dog/0.png;\n", [-1, 1, -1, -1]),
    ("t.csv", "path,label\ncat\\1.png,1\ndog/0.png,0\ndog/1.png,-1\n", [-1, 1, 0, -1]),
    ("t.csv", "path,label\ncat/1.png,dog\n./cat/1.png,dog\n", [-1, 1, -1, -1]),
    ("t.csv", "path,class\ncat/0.png,cat\n", [0, -1, -1, -1]), ("t.tsv", "0\t1\n3\t0\n", [1, -1, -1, 0]),
    ("t.csv", "path,label\ncat/0.png,nan\ncat/1.png,1.0\n", [-1, 1, -1, -1]),
    ("t.csv", "index;label\n3;cat\n0;dog\n", [1, -1, -1, 0]),
    ("t.jsonl", '{"file_name": "cat/1.png", "label": "dog"}\n', [-1, 1, -1, -1]),
    ("t.csv", "index,label\n3,cat\n0,dog\n", [1, -1, -1, 0]), ("t.csv", "3,0\n0,\n1,-1\n", [-1, -1, -1, 0]),
    ("t.txt", "dog\ncat\n-1\ncat\n", [1, 0, -1, 0]), ("t.csv", "label\n1\n0\n1\n0\n", [1, 0, 1, 0])])
def test_reads_what_is_known(root, tmp_path, name, content, expected):
    found = read_truth(write(tmp_path / name, content), scan(root), CLASSES)
    assert found.dtype == np.int64 and found.tolist() == expected


def test_images_are_known_by_their_names_where_these_are_unique(root, tmp_path):
    write_image(root / "cat" / "tom.png")
    path = write(tmp_path / "t.csv", "image_id,label\ntom,dog\n")
    assert read_truth(path, scan(root), CLASSES).tolist() == [-1, -1, 1, -1, -1]
    path = write(tmp_path / "t.csv", "path,label\nC:\\x\\tom.png,dog\n/a/0.png,cat\n")
    with pytest.raises(InputError, match="line 3: '/a/0.png' is not among the images"):
        read_truth(path, scan(root), CLASSES)


def test_images_are_known_by_their_names_also_behind_lines_that_are_left_out(root):
    """A row is a line of the table; what is missing keeps its name from another image."""
    table = read_table(write_table(root / "t.csv", ["gone/0.png,cat", "cat/1.png,cat", ",dog", "dog/0.png,dog"]))
    path = write(root / "truth.csv", "image_id,label\n0,cat\n1,dog\n")
    assert read_truth(path, table, CLASSES).tolist() == [-1, 1, -1, 0]
    path = write(root / "truth.csv", "path,label\ngone/0.png,cat\ncat/1.png,dog\n")
    assert read_truth(path, table, CLASSES).tolist() == [-1, 1, -1, -1]


def test_the_truth_may_be_one_of_several(root, tmp_path):
    np.savez(tmp_path / "t.npz", clean_label=np.array([1, 0, -1, 1]), other=np.zeros(4, int), short=np.zeros(3, int),
             long=np.zeros(5, int))
    assert read_truth(f"{tmp_path / 't.npz'}:clean_label", scan(root), CLASSES).tolist() == [1, 0, -1, 1]
    for name, n in (("short", 3), ("long", 5)):
        with pytest.raises(InputError, match=f"t.npz has {n} labels for 4 images: give those of these images"):
            read_truth(f"{tmp_path / 't.npz'}:{name}", scan(root), CLASSES)
    with pytest.raises(InputError, match="t.npz holds the labels 'clean_label', 'long', 'other', 'short': choose one"):
        read_truth(tmp_path / "t.npz", scan(root), CLASSES)


def test_the_truth_follows_its_image(root, tmp_path):
    path = write(tmp_path / "t.csv", "path,label\ndog/1.png,cat\ncat/0.png,cat\n")
    (root / "cat" / "1.png").write_bytes(b"")
    assert load(root, truth=path).data.train.truth.tolist() == [0, -1, 0]
    data = load(root, truth=path, held_out=0.34).data
    for part in (data.train, data.validation):
        assert part.truth.tolist() == [{"dog/1.png": 0, "cat/0.png": 0}.get(name, -1) for name in part.paths]


def test_the_truth_of_images_that_were_left_out_is_no_fault(root, tmp_path):
    (root / "cat" / "1.png").write_bytes(b"")
    path = write(tmp_path / "t.csv", "path,label\ncat/1.png,dog\ndog/0.png,dog\n")
    assert load(root, truth=path).data.train.truth.tolist() == [-1, 1, -1]
    table = write_table(root / "table.csv", ["cat/0.png,cat", "gone.png,cat", "dog/0.png,dog"])
    path = write(tmp_path / "t.csv", "path,label\ngone.png,dog\ndog/0.png,cat\n")
    assert load(table, truth=path).data.train.truth.tolist() == [-1, 0]
    assert load(table, truth=write(tmp_path / "t.npy", np.array([1, 0, 1]))).data.train.truth.tolist() == [1, 1]


@pytest.mark.parametrize("name, content, fault", [
    ("t.npy", np.array([0, 1, 2, 0]), ", row 2: 2 is no label: use 0 to 1, or -1 for unknown"),
    ("t.npy", np.array([0, -2, 2, 0]), ", row 1: -2 is no label"),
    ("t.npy", np.array([0, 1]), " has shape (2,) and type int64: save"),
    ("t.npy", np.full(4, -1), " knows no true label: check that it is the right file"),
    ("t.csv", "path,label\ncat/9.png,cat\n",
     ", line 2: 'cat/9.png' is not among the images: write paths as the data's"),
    ("t.csv", "path,label\ncat/0.png,cow\n", ", line 2: 'cow' is no label: use 0 to 1 in all lines, "
                                             "or class names in all lines"),
    ("t.csv", "path,label\ncat/0.png,cat\ncat\\0.png,dog\n",
     ", line 3 gives a second true label to one image: keep one of them"),
    ("t.csv", "path,by\ncat/0.png,a,b\n", ", line 2 has 3 columns and the header 2: correct it"),
    ("t.csv", "0,1\n1,0,5\n", ", line 2 has 3 columns: write `label` or `index,label` in every line"),
    ("t.csv", "1,2,3\n", ", line 1 has 3"), ("t.csv", "4,1\n", ", line 1: index '4' is not in 0 to 3: correct it"),
    ("t.csv", "0\n1\n", " has 2 labels for 4 images: write one for"),
    ("t.csv", "index,label\n", " has 0 labels for 4 images"),
    ("t.csv", "0,\n", " knows no true label: check that it is the right file"),
    ("t.json", "[]", " has none of the endings .npy, .csv and .txt: save it as one of these")])
def test_files_that_cannot_be_used(root, tmp_path, name, content, fault):
    path = write(tmp_path / name, content)
    with pytest.raises(InputError) as error:
        read_truth(path, scan(root), CLASSES)
    assert str(error.value).startswith(f"{path}{fault}") and "\n" not in str(error.value)
