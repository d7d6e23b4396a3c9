"""core/data/named_labels.py: one of several arrays of labels, as people's labels of CIFAR-10 are published."""
import io
import pickle
import time
import zipfile

import numpy as np
import pytest

from core.data import named_labels
from core.data.label_files import read_labels
from core.data.named_labels import divided, labels_in, several
from core.errors import InputError
from tests.lib.torch_files import Code, call, described, named, zip_file

CLASSES = ("cat", "dog", "emu")
CLEAN, WORSE = np.array([0, 1, 2, 0, 1]), np.array([2, 1, 2, 0, 0])
LABELS = {"clean_label": CLEAN, "worse_label": WORSE}


def of_numpy(path, labels):
    np.save(path, np.array(labels, object), allow_pickle=True)


def of_numpy_as_one(path, labels):
    np.save(path, np.array([labels], object), allow_pickle=True)


def archive(path, labels, protocol):
    """As torch.save writes a dict of arrays of NumPy."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(labels, protocol))
        file.writestr("archive/version", "3\n")


def of_tensors(path, labels):
    path.write_bytes(zip_file(*described({name: np.asarray(array, "<i8") for name, array in labels.items()})))


WRITERS = {"dict.npy": of_numpy, "one.npy": of_numpy_as_one, "arrays.npz": lambda path, labels: np.savez(path,
                                                                                                         **labels),
           "packed.npz": lambda path, labels: np.savez_compressed(path, **labels), "tensors.pt": of_tensors,
           **{f"numpy{protocol}.pt": lambda path, labels, protocol=protocol: archive(path, labels, protocol)
              for protocol in (2, 3, 4, 5)}}


def complaint(path, *arguments):
    with pytest.raises(InputError) as error:
        read_labels(path, CLASSES, 5, *arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", WRITERS)
def test_the_array_of_the_name_is_read(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path, LABELS)
    assert several(path)
    for key, labels in LABELS.items():
        found = read_labels(f"{path}:{key}", CLASSES, 5)
        assert found.dtype == np.int64 and found.tolist() == labels.tolist()
    WRITERS[name](path, {"alone": WORSE})
    assert read_labels(path, CLASSES, 5).tolist() == read_labels(f"{path}:alone", CLASSES, 5).tolist() == WORSE.tolist()


@pytest.mark.parametrize("name", WRITERS)
def test_a_missing_name_is_answered_by_all_of_them_and_the_example_works(tmp_path, name):
    WRITERS[name](tmp_path / name, LABELS)
    for path in (tmp_path / name, f"{tmp_path / name}:worst"):
        said = complaint(path)
        assert said == (f"{tmp_path / name} holds the labels 'clean_label', 'worse_label': choose one of them, as "
                        f"{tmp_path / name}:worse_label")
        assert read_labels(said.rpartition(" as ")[2], CLASSES, 5).tolist() == WORSE.tolist()


def test_labels_in_a_column_and_in_floats(tmp_path):
    np.savez(tmp_path / "t.npz", a=WORSE[:, None], b=WORSE.astype(np.float32), c=WORSE + 0.5, d=np.eye(3))
    for name in "ab":
        assert read_labels(f"{tmp_path / 't.npz'}:{name}", CLASSES, 5).tolist() == WORSE.tolist()
    assert "holds the labels 'a', 'b': choose" in complaint(f"{tmp_path / 't.npz'}:c")
    for name, array in (("a", WORSE[:, None]), ("b", WORSE.astype(float))):
        np.save(tmp_path / f"{name}.npy", array)
        assert read_labels(tmp_path / f"{name}.npy", CLASSES, 5).tolist() == WORSE.tolist()
    assert labels_in(np.array([1, 2.0**53 - 1])).tolist() == [1, 2**53 - 1]
    assert labels_in(np.array([1, 2.0**53])) is labels_in(np.array([1, -2.0**53])) is None     # or one more
    np.save(tmp_path / "c.npy", WORSE + 0.5)
    assert "c.npy has shape (5,) and type float64: save whole numbers of shape (5,)" in complaint(tmp_path / "c.npy")


def test_labels_in_another_order_are_found_by_the_true_ones_beside_them(tmp_path):
    of_numpy(tmp_path / "t.npy", LABELS)
    path, used = f"{tmp_path / 't.npy'}:worse_label", np.array([4, 0, 2])
    assert read_labels(path, CLASSES, 5, used, CLEAN[used]).tolist() == WORSE.tolist()
    assert complaint(path, used, CLEAN[::-1][used]) == (
        f"{tmp_path / 't.npy'} is in another order than the images, for its clean_label is not theirs: take the file "
        "in the order of the official download (.pt)")


@pytest.mark.parametrize("labels, fault", [
    ({"a": np.zeros(4, int)}, " has 4 labels for 5 images: give those of these images"),
    ({"a": np.array([0, 1, 2, 3, 0])}, ", row 3: 3 is no label: use 0 to 2"),
    ({"a": np.array([0, 1, -1, 3, 0])}, ", row 2: -1 is no label"),
    ({"b": "text"}, " holds no arrays of labels with names: save the labels alone with numpy.save"),
    ({3: CLEAN}, " holds no arrays of labels with names"), ({}, " holds no arrays of labels with names"),
    ({"a": np.array(["x"] * 5)}, " holds no arrays"), ([1, 2], " holds no arrays"), (None, " holds no arrays")])
def test_files_that_cannot_be_used(tmp_path, labels, fault):
    of_numpy(tmp_path / "t.npy", labels)
    archive(tmp_path / "t.pt", labels, 2)
    for path in (tmp_path / "t.npy", tmp_path / "t.pt"):
        assert complaint(f"{path}:a").startswith(f"{path}{fault}")


def test_a_payload_is_named_and_not_run(tmp_path):
    value = {"a": call(named("os", "system"), f"touch {tmp_path}/ran")}
    (tmp_path / "t.pt").write_bytes(zip_file(value, {}))
    assert "t.pt asks to run 'os.system'" in complaint(tmp_path / "t.pt")

    class Payload:
        def __reduce__(self):
            import os
            return os.system, (f"touch {tmp_path}/ran",)
    of_numpy(tmp_path / "t.npy", {"a": Payload()})
    assert "system', which no array needs (it was not run)" in complaint(tmp_path / "t.npy")
    assert not (tmp_path / "ran").exists()


def test_no_file_takes_long(tmp_path):
    """A tuple that holds another one twice, as a key, sixty deep."""
    start = time.process_time()
    bomb = Code(b"})" + b"q\x00h\x00\x86" * 60 + b"Ns")
    (tmp_path / "t.pt").write_bytes(zip_file(bomb, {}))
    assert "t.pt is damaged: download it again" in complaint(tmp_path / "t.pt")
    file = io.BytesIO()
    np.save(file, np.array(None, object), allow_pickle=True)
    raw = file.getvalue()
    (tmp_path / "t.npy").write_bytes(raw[:raw.index(b"\n") + 1] + b"\x80\x02" + bomb + b".")
    assert "t.npy is truncated or damaged" in complaint(tmp_path / "t.npy")
    assert time.process_time() - start < 5


def test_what_is_too_large_is_not_read(tmp_path, monkeypatch):
    WRITERS["packed.npz"](tmp_path / "t.npz", {"a": np.zeros(100_000, int)})
    monkeypatch.setattr(named_labels, "LARGEST", 50_000)
    assert "t.npz has more than 67,108,864 bytes: give" in complaint(f"{tmp_path / 't.npz'}:a")
    WRITERS["arrays.npz"](tmp_path / "t.npz", {"a": np.zeros(100_000, int)})
    assert "t.npz has more than 67,108,864 bytes: give" in complaint(f"{tmp_path / 't.npz'}:a")
    for name, size, told in (("dict.npy", None, "3 is no label"), ("tensors.pt", None, "3 is no label"),
                             ("packed.npz", 2 * (128 + 1000 * 8), "has 1000 labels for 5 images")):
        labels = np.full(1000 if size else 5, 3)
        WRITERS[name](tmp_path / name, {"a": labels, "b": labels})
        size = size or (tmp_path / name).stat().st_size
        monkeypatch.setattr(named_labels, "LARGEST", size)
        assert told in complaint(f"{tmp_path / name}:a")
        monkeypatch.setattr(named_labels, "LARGEST", size - 1)
        assert f"{name} has more than 67,108,864 bytes: give" in complaint(f"{tmp_path / name}:a")


def test_a_colon_divides_only_behind_a_file_of_several(tmp_path):
    assert divided("a/b.pt:worse") == (named_labels.Path("a/b.pt"), "worse")
    assert [divided(text)[1] for text in ("a.npy", "C:\\x\\a.pt", "a.csv:b", "C:a", "")] == [None] * 5
    of_tensors(tmp_path / "x.pt:y.pt", LABELS)
    assert divided(str(tmp_path / "x.pt:y.pt"))[1] is None
    assert "does not exist" in complaint("none.npy")
    assert "none.pt cannot be read, No such file" in complaint("none.pt:a")


def test_changed_bytes_give_labels_or_an_input_error(tmp_path):
    rng, outcomes = np.random.default_rng(0), set()
    for name in WRITERS:
        WRITERS[name](tmp_path / name, LABELS)
        raw = np.fromfile(tmp_path / name, np.uint8)
        for _ in range(60):
            changed = raw.copy()
            changed[rng.integers(len(raw), size=rng.integers(3))] = rng.integers(256)
            changed[:rng.integers(len(raw) // 2, 2 * len(raw))].tofile(tmp_path / name)
            try:
                outcomes.add(read_labels(f"{tmp_path / name}:worse_label", CLASSES, 5).shape)
            except InputError as error:
                outcomes.add("error")
                assert "\n" not in str(error)
    assert outcomes == {(5,), "error"}


def test_what_torch_itself_writes(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({**LABELS, "tensor": torch.tensor(WORSE), "column": torch.tensor(WORSE)[:, None].float(), "text": "x"},
               tmp_path / "t.pt")
    for name in ("worse_label", "tensor", "column"):
        assert read_labels(f"{tmp_path / 't.pt'}:{name}", CLASSES, 5).tolist() == WORSE.tolist()
    assert "'clean_label', 'column', 'tensor', 'worse_label': " in complaint(tmp_path / "t.pt")
    torch.save(LABELS, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert "is no file of PyTorch 1.6 or later: load it" in complaint(tmp_path / "old.pt:worse_label")
