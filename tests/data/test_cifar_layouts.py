"""core/data/cifar10.py and cifar10_files.py: CIFAR-100, the binary versions, and which of them a path holds."""
import pickle
import tarfile

import numpy as np
import pytest

from core.data import cifar10, cifar10_files
from core.data.source import cifar_layout, open_source
from core.errors import InputError
from tests.lib.official_cifar10 import NAMES, contents, python2, python3, write_folder

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (400, 3072), np.uint8)
FINE, COARSE = np.arange(400) % 100, np.arange(400) % 20


def hundred(dump):
    """The files of CIFAR-100 in the version for Python: 400 images, and 100 for the test."""
    files = {"train": {"data": PIXELS, "fine_labels": FINE.tolist(), "coarse_labels": COARSE.tolist()},
             "test": {"data": PIXELS[:100], "fine_labels": FINE[:100].tolist(), "coarse_labels": COARSE[:100].tolist()},
             "meta": {"fine_label_names": [f"fine {c}" for c in range(100)],
                      "coarse_label_names": [f"coarse {c}" for c in range(20)]}}
    return {name: dump(content) for name, content in files.items()}


def hundred_binary():
    """The same in the binary version."""
    rows = np.concatenate([COARSE[:, None], FINE[:, None], PIXELS], axis=1).astype(np.uint8)
    names = {"fine_label_names.txt": "fine", "coarse_label_names.txt": "coarse"}
    return {"train.bin": rows.tobytes(), "test.bin": rows[:100].tobytes(),
            **{file: "".join(f"{kind} {c}\n" for c in range(100 if kind == "fine" else 20)).encode()
               for file, kind in names.items()}}


def ten_binary(files):
    """Files of CIFAR-10, as tests.lib.official_cifar10 makes them, in the binary version."""
    found = {"batches.meta.txt": ("\n".join(NAMES) + "\n\n").encode()}
    for name, content in files.items():
        if "data" in content:
            labels = np.array(content["labels"], np.uint8)[:, None]
            found[f"{name}.bin"] = np.concatenate([labels, content["data"]], axis=1).tobytes()
    return found


FORMS = {"cifar-100-python": hundred(python2), "cifar-100-python of Python 3": hundred(python3),
         "cifar-100-binary": hundred_binary(), "cifar-10-batches-bin": ten_binary(contents())}


def written(path, name, files, form):
    """A folder, the folder around it, or an archive, with the layout `name`."""
    folder = path / name
    folder.mkdir()
    for file, raw in files.items():
        (folder / file).write_bytes(raw)
    if form == "archive":
        with tarfile.open(path / "c.tar.gz", "w:gz") as tar:
            tar.add(folder, name)
    return {"folder": folder, "parent": path, "archive": path / "c.tar.gz"}[form]


def complaint(path, **options):
    with pytest.raises(InputError) as error:
        cifar10.load(path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("form", ["folder", "parent", "archive"])
@pytest.mark.parametrize("which", FORMS)
def test_every_layout_is_known_and_read(tmp_path, form, which):
    layout = which.split(" ")[0]
    path = written(tmp_path, layout, FORMS[which], form)
    source = open_source(str(path))
    assert (source.kind, source.layout) == ("cifar100" if "100" in layout else "cifar10", layout)
    data = cifar10.load(path, layout=source.layout)
    if "100" in layout:
        pixels, labels = PIXELS, FINE
        assert data.classes == tuple(f"fine {c}" for c in range(100)) and data.name == "cifar100" and data.rows == 400
        coarse = cifar10.load(path, layout=source.layout, labels="coarse_labels")
        assert coarse.classes == tuple(f"coarse {c}" for c in range(20))
        assert coarse.train.labels.tolist() == COARSE[coarse.train.index].tolist()
    else:
        files = contents()
        pixels = np.concatenate([files[f"data_batch_{k}"]["data"] for k in range(1, 6)])
        labels = np.concatenate([files[f"data_batch_{k}"]["labels"] for k in range(1, 6)])
        assert data.classes == tuple(NAMES) and data.name == "cifar10" and data.rows == 100
    for part in (data.train, data.validation):
        assert part.labels.tolist() == labels[part.index].tolist()
        assert (part.images == pixels[part.index].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)).all()


def test_a_folder_is_known_by_its_name_by_a_folder_in_it_or_by_its_files(tmp_path):
    def holding(name, *files):
        for file in files:
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).touch()
        return cifar10_files.layout_in(tmp_path / name)

    for number, (layout, files) in enumerate(cifar10_files.LAYOUTS.items()):
        assert holding(layout) == holding(f"in{number}", f"{layout}/x") == holding(f"all{number}", *files) == layout
    assert [holding(f"one{k}", file) for k, file in enumerate(("test_batch", "data_batch_3.bin"))] == [
        "cifar-10-batches-py", "cifar-10-batches-bin"]
    assert holding("a", "test") is holding("b", "train", "test") is holding("c", "meta", "x") is None    # anybody's
    assert holding("d", "train.bin", "test.bin", "coarse_label_names.txt") is holding("e", "x") is None


def test_what_is_official_is_known_by_the_file(tmp_path, monkeypatch):
    path = written(tmp_path, "cifar-100-python", FORMS["cifar-100-python"], "folder")
    assert cifar10.is_official(path, "cifar-100-python") is False
    for name in ("train", "test"):
        assert cifar10.is_official(path, "cifar-100-python") is False, "not all of them"
        monkeypatch.setitem(cifar10_files.OFFICIAL, name, cifar10_files.md5((path / name).read_bytes()))
    assert cifar10.is_official(path, "cifar-100-python") is True
    binary = written(tmp_path, "cifar-10-batches-bin", FORMS["cifar-10-batches-bin"], "folder")
    assert cifar10.is_official(binary, "cifar-10-batches-bin") is None


def test_an_archive_of_anything_else_is_no_cifar(tmp_path):
    path = written(tmp_path, "cifar-10-something", {"data_batch_1": b"x"}, "archive")
    assert cifar_layout(path) is None
    (tmp_path / "broken.tar.gz").write_bytes(path.read_bytes()[:30])
    assert cifar_layout(tmp_path / "broken.tar.gz") is None
    (tmp_path / "text.tgz").write_bytes(b"hello")
    assert cifar_layout(tmp_path / "text.tgz") is None


@pytest.mark.parametrize("labels", [np.array, lambda values: [np.int64(value) for value in values], list])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_batches_saved_again_with_labels_of_numpy(tmp_path, labels, protocol):
    files = contents()
    for content in files.values():
        if "labels" in content:
            content["labels"] = labels(content["labels"])
    folder = write_folder(tmp_path / "cifar-10-batches-py", files, lambda value: pickle.dumps(value, protocol))
    expected = np.concatenate([files[f"data_batch_{k}"]["labels"] for k in range(1, 6)])
    train = cifar10.load(folder).train
    assert train.labels.tolist() == expected[train.index].tolist()


def test_files_of_another_form_are_told(tmp_path):
    files = FORMS["cifar-10-batches-bin"]
    path = written(tmp_path, "cifar-10-batches-bin", files, "folder")
    (path / "data_batch_3.bin").write_bytes(files["data_batch_3.bin"][:-1])
    assert complaint(path) == (f"data_batch_3.bin in {path} has 61,459 bytes, which are no images of 3,073: use the "
                               "official download")
    (path / "data_batch_3.bin").write_bytes(b"\x0a" + files["data_batch_3.bin"][1:])
    assert complaint(path) == f"data_batch_3.bin in {path} has the label 10: use the official download"
    (path / "data_batch_3.bin").write_bytes(b"")
    assert "has 0 bytes" in complaint(path)
    (path / "data_batch_3.bin").unlink()
    said = complaint(path)
    assert said.startswith(f"{path}/data_batch_3.bin is missing or not a file: give the folder cifar-10-batches-bin")


def test_the_binary_version_may_lack_names(tmp_path):
    path = written(tmp_path, "cifar-10-batches-bin", FORMS["cifar-10-batches-bin"] | {"batches.meta.txt": b"a\nb\n"},
                   "folder")
    assert cifar10.load(path).classes == tuple("0123456789")


def test_labels_that_are_not_there(tmp_path):
    path = written(tmp_path, "cifar-100-python", FORMS["cifar-100-python"], "folder")
    assert complaint(path, labels="labels") == ("--label-column labels: CIFAR-100 has fine_labels and coarse_labels, "
                                                "and CIFAR-10 its labels alone")
    ten = write_folder(tmp_path / "cifar-10-batches-py", contents(), python2)
    assert "--label-column coarse: CIFAR-100 has" in complaint(ten, labels="coarse")
