"""core/data/label_files.py: labels and matrices from .npy and text, and what is said of files that cannot be used."""
import errno
import io
import os

import numpy as np
import pytest

from core.data import label_files
from core.data.csv_cells import csv_text
from core.data.label_files import read_labels, read_matrix
from core.errors import InputError

CLASSES = ("cat", "dog", "Émeu")
T = np.array([[0.7, 0.2, 0.1], [0, 1, 0], [0.25, 0.25, 0.5]])


def complaint(read, path, *arguments):
    with pytest.raises(InputError) as error:
        read(path, *arguments)
    text = str(error.value)
    assert text.startswith(str(path)) and "\n" not in text and ": " in text
    return text.removeprefix(str(path))


def write(path, content):
    if isinstance(content, np.ndarray):
        np.save(path, content)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name, content", [
    ("a.csv", "2\n0\n1\n0\n"), ("a.txt", "2\r\n0\r\n1\r\n0"), ("a.CSV", "label\n2\n0\n1\n0\n"),
    ("a.csv", "\n2\n 0 \n\n1\n0\n\n"),
    ("a.txt", "Émeu\ncat\ndog\ncat\n"), ("a.csv", '"Émeu"\n"cat"\n"dog"\n"cat"\n'),
    ("a.csv", b"\xef\xbb\xbf2\n0\n1\n0\n"),
    ("a.csv", "0,2\n1,0\n2,1\n3,0\n"), ("a.csv", "index,label\n3,0\n1,0\n0,2\n2,1\n"),
    ("a.csv", 'index, label\n2, "dog"\n3, "cat"\n1, "cat"\n0, "Émeu"\n'),
    ("a.csv", "Index, Label\n2, dog\n3, cat\n1, cat\n0, Émeu"),
    ("a.csv", "index;label\n3;0\n1;0\n0;2\n2;1\n"), ("a.tsv", "3\t0\n1\t0\n0\t2\n2\t1\n"),
    ("a.tab", "label\nÉmeu\ncat\ndog\ncat\n"),
    ("a.npy", np.array([2, 0, 1, 0], np.uint8)), ("a.npy", np.array([2, 0, 1, 0], ">i4")), ("a.NPY", b"")])
def test_reads_labels(tmp_path, name, content):
    if name == "a.NPY":
        np.save(buffer := io.BytesIO(), np.array([2, 0, 1, 0]))
        content = buffer.getvalue()
    found = read_labels(write(tmp_path / name, content), CLASSES, 4)
    assert found.dtype == np.int64 and found.tolist() == [2, 0, 1, 0]
    assert type(found) is np.ndarray and found.flags.writeable


def test_images_that_take_no_part_need_no_label(tmp_path):
    path = write(tmp_path / "a.csv", "index,label\n4,dog\n1,cat\n")
    assert read_labels(path, CLASSES, 6, np.array([1, 4])).tolist() == [-1, 0, -1, -1, 1, -1]
    assert complaint(read_labels, path, CLASSES, 6, np.array([1, 2, 4])).startswith(" has no label for image 2: ")
    assert complaint(read_labels, path, CLASSES, 4,
                     np.array([1])).startswith(", line 2: index '4' is used twice or not in 0 to 3")
    assert complaint(read_labels, path, CLASSES, 6).startswith(" has 2 labels for 6 images")
    path = write(tmp_path / "b.csv", "dog\ncat\n")
    assert complaint(read_labels, path, CLASSES, 6, np.array([1])).startswith(" has 2 labels for 6 images")
    path = write(tmp_path / "c.csv", "path,label\na.png,dog\n")
    assert complaint(read_labels, path, CLASSES, 1).startswith(" names the labels by path: give it to --data")


def test_names_that_look_like_numbers_are_names_where_all_lines_fit(tmp_path):
    classes = ("3", "1", "2")
    assert read_labels(write(tmp_path / "a.txt", "1\n3\n2\n1\n"), classes, 4).tolist() == [1, 0, 2, 1]
    assert read_labels(write(tmp_path / "a.txt", "1\n0\n2\n1\n"), classes, 4).tolist() == [1, 0, 2, 1]
    assert read_labels(write(tmp_path / "a.npy", np.array([1, 2, 2, 1])), classes, 4).tolist() == [1, 2, 2, 1]
    assert read_labels(write(tmp_path / "a.txt", "1\n0\n2\n1\n"), ("2", "1", "0"), 4).tolist() == [1, 2, 0, 1]


def test_names_that_look_like_formulas_are_written_and_read(tmp_path):
    names = ("=1+1", "@x", "-1", "'+", "'s")
    path = write(tmp_path / "a.csv", csv_text([["index", "label"], *zip(range(5), names)]))
    assert read_labels(path, names[::-1], 5).tolist() == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("name, content, fault", [
    ("a.csv", "2\n0\n3\n0\n", ", line 3: '3' is no label: use 0 to 2"),
    ("a.csv", "2\n0\n-1\n0\n", ", line 3: '-1' is no label"),
    ("a.csv", "label\n2\n0\n1.0\n0\n", ", line 4: '1.0' is no label"),
    ("a.txt", "cat\n0\ndog\ncat\n", ", line 2: '0' is no label"),
    ("a.txt", "cat\nCat\ndog\ncat\n", ", line 2: 'Cat' is no label (did you mean cat?): use 0 to 2"),
    ("a.csv", "name\n0\n1\n1\n", ", line 1: 'name' is no label"),
    ("a.csv", "2\n0\n1\n", " has 3 labels for 4 images"), ("a.csv", "", " has 0 labels for 4 images"),
    ("a.csv", "2\n0\n1\n0\n1\n", " has 5 labels for 4 images"),
    ("a.csv", "0,2\n1,0\n1,1\n3,0\n", ", line 3: index '1' is used twice"),
    ("a.csv", "1,2\n2,0\n3,1\n4,0\n", ", line 4: index '4' is used twice or"),
    ("a.csv", "0,2\n1,0\n01,1\n3,0\n", ", line 3: index '01'"),
    ("a.csv", "0,2\n1,0\n2\n3,0\n", ", line 3 has 1 columns"),
    ("a.csv", "0,2,5\n1,0,5\n2,1,5\n3,0,5\n", ", line 1 has 3 columns"),
    ("a.csv", '2\n"0\n1\n0\n', ", line 4: unexpected end"),
    ("a.csv", b"2\n\xff\n1\n0\n", " is not text in UTF-8"), ("a.csv", "0" * 200_000, ", line 1: field larger than"),
    ("a.npy", np.array([2, 0, 1]), " has shape (3,) and type int64: save whole numbers of shape (4,)"),
    ("a.npy", np.zeros((4, 2), int), " has shape (4, 2)"), ("a.npy", np.full(4, 0.5), " has shape (4,) and type "
                                                                                      "float64"),
    ("a.npy", np.zeros(4, bool), " has shape (4,) and type bool"),
    ("a.npy", np.array(["cat"] * 4), " has shape (4,) and type <U3"),
    ("a.npy", np.array([2, 0, 3, 0]), ", row 2: 3 is no label: use 0 to 2"),
    ("a.npy", np.array([2, -1, 0, 0]), ", row 1: -1 is no label"),
    ("a.npy", np.array([2, 2**64 - 1, 0, 0], np.uint64), ", row 1: 18446744073709551615 is no label"),
    ("a.npy", np.array([2, 0, 1, None]), " holds no arrays of labels with names: save"),
    ("a.npy", b"", " is not an intact"),
    ("a.json", "[]", " has none of the endings .npy, .csv and .txt"), ("a", "1", " has none of the endings")])
def test_labels_that_cannot_be_used(tmp_path, name, content, fault):
    assert complaint(read_labels, write(tmp_path / name, content), CLASSES, 4).startswith(fault)


@pytest.mark.parametrize("name, content", [
    ("t.csv", "0.7,0.2,0.1\n0,1,0\n.25,.25,5e-1\n"), ("t.txt", "0.7, 0.2, 0.1\r\n\r\n0, 1, 0\r\n0.25, 0.25, 0.5"),
    ("t.npy", T)])
def test_reads_a_matrix(tmp_path, name, content):
    found = read_matrix(write(tmp_path / name, content), 3)
    assert found.dtype == np.float64 and found.tolist() == T.tolist()


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-7), (int, 1), (">f8", 0)])
def test_a_matrix_may_have_another_type(tmp_path, dtype, tolerance):
    matrix = T.astype(dtype) if dtype is not int else np.eye(3, dtype=int)
    found = read_matrix(write(tmp_path / "t.npy", matrix), 3)
    assert found.dtype == np.float64 and found.tolist() == matrix.tolist()


def test_rows_may_miss_one_by_a_millionth(tmp_path):
    assert read_matrix(write(tmp_path / "t.csv", "0.5,0.5000009\n1,0\n"), 2)[0, 1] == 0.5000009
    assert ", line 1: the sum is 1.000002: " in complaint(read_matrix, write(tmp_path / "t.csv", "0.5,0.500002\n1,0\n"),
                                                          2)


def test_a_negative_entry_is_refused_though_its_row_sums_to_one(tmp_path):
    path = write(tmp_path / "t.csv", "1,0,0\n-.5,.75,.75\n0,0,1\n")
    assert ", line 2: not every number is a probability" in complaint(read_matrix, path, 3)


@pytest.mark.parametrize("name, content, fault", [
    ("t.csv", "1,0\n0.6,0.5\n", ", line 2: the sum is 1.1: make it 1"),
    ("t.csv", "1,0\n0.6,0.3\n", ", line 2: the sum is 0.9"),
    ("t.csv", "1,0\n\n1.5,-0.5\n", ", line 3: not every number is a probability"),
    ("t.csv", "nan,1\n0,1\n", ", line 1: not every number"),
    ("t.csv", "inf,-inf\n0,1\n", ", line 1: not every number"),
    ("t.csv", "1e999,0\n0,1\n", ", line 1: not every number"),
    ("t.csv", "1,0\n0,x\n", ", line 2: 'x' is not a number"), ("t.csv", "1,0\n0,\n", ", line 2: '' is not a number"),
    ("t.csv", "1,0\n1\n", ", line 2 has 1 columns for 2 classes"), ("t.csv", "1,0\n", " has 1 rows for 2 classes"),
    ("t.csv", "1,0\n0,1\n0,1\n", " has 3 rows for 2 classes"), ("t.csv", "", " has 0 rows for 2 classes"),
    ("t.npy", np.array([[1, 0], [0.5, 0.4]]), ", row 1: the sum is 0.9"),
    ("t.npy", np.array([[1, 0], [np.nan, 1]]), ", row 1: not every number"),
    ("t.npy", np.array([[1, 0], [2, -1]]), ", row 1: not every number"),
    ("t.npy", np.eye(3), " has shape (3, 3) and type float64"),
    ("t.npy", np.eye(2, dtype=complex), " has shape (2, 2) and type complex128: save numbers of shape (2, 2)"),
    ("t.npy", np.eye(2, dtype=object), " holds objects of Python, not numbers: save the array alone"),
    ("t.npz", b"PK", " has none of the endings")])
def test_matrices_that_cannot_be_used(tmp_path, name, content, fault):
    assert complaint(read_matrix, write(tmp_path / name, content), 2).startswith(fault)


@pytest.mark.parametrize("name", ["a.npy", "a.csv"])
def test_files_that_are_not_there_or_cannot_be_read(tmp_path, name, monkeypatch):
    path = tmp_path / name
    assert complaint(read_labels, path, CLASSES, 4) == " does not exist or is not a file: check the path"
    path.mkdir()
    assert complaint(read_matrix, path, 3) == " does not exist or is not a file: check the path"
    path.rmdir()

    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    monkeypatch.setattr(label_files, "open", refuse, raising=False)
    monkeypatch.setattr(np.lib.format, "open_memmap", refuse)
    text = complaint(read_labels, write(path, "0\n"), CLASSES, 1)
    assert text == f" cannot be read, {os.strerror(errno.EACCES)}: check its permissions"


def test_a_text_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(label_files, "LARGEST", 7)
    assert complaint(read_labels, write(tmp_path / "a.csv", "2\n0\n1\n0\n"), CLASSES,
                     4).startswith(" has more than 7 bytes")
    monkeypatch.setattr(label_files, "LARGEST", 8)
    assert read_labels(tmp_path / "a.csv", CLASSES, 4).tolist() == [2, 0, 1, 0]


def test_a_header_that_claims_terabytes_takes_no_memory(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (1 << 40,)})
    path = write(tmp_path / "a.npy", header.getvalue() + bytes(64))
    assert "is not an intact .npy" in complaint(read_labels, path, CLASSES, 1 << 40)


def test_changed_bytes_give_labels_or_an_input_error(tmp_path):
    path, rng, outcomes = write(tmp_path / "a.npy", np.array([2, 0, 1, 0])), np.random.default_rng(0), set()
    raw = np.fromfile(path, np.uint8)
    for _ in range(300):
        changed = raw.copy()
        changed[rng.integers(len(raw), size=rng.integers(3))] = rng.integers(256)
        changed[:rng.integers(len(raw) // 2, 2 * len(raw))].tofile(path)
        try:
            outcomes.add(read_labels(path, CLASSES, 4).shape)
        except InputError:
            outcomes.add("error")
    assert outcomes == {(4,), "error"}
