"""core/data/weights.py: the format is seen from the bytes, and the arrays are those that were saved."""
import json

import numpy as np
import pytest
import safetensors.numpy

from core.data import weights
from core.errors import InputError
from tests.lib.torch_files import described, line_file, zip_file

ARRAYS = {"conv.weight": np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(np.float32),
          "half": np.ones(3, np.float16), "batches": np.array(7)}
FORMATS = {"safetensors": safetensors.numpy.save, "zip": lambda arrays: zip_file(*described(arrays))}


def safe(header, data):
    """A safetensors file of a header that says anything."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize("form", FORMATS)
def test_the_format_is_seen_from_the_bytes_whatever_the_name(tmp_path, form):
    path = tmp_path / "weights.bin"
    path.write_bytes(FORMATS[form](ARRAYS))
    found = weights.read(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape and (found[name] == array).all()


TYPES = {"f8": [-1.5, 1e300], "f4": [-1.5, 1e30], "f2": [-1.5, 2 ** -20], "i8": [-1, 1 << 62], "i4": [-1, 1 << 30],
         "i2": [-1, 1 << 14], "i1": [-1, 100], "u1": [1, 255], "?": [True, False]}
OLD = {"in line": lambda arrays: line_file(*described(arrays, None), item=arrays["w"].itemsize)}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("form", [*FORMATS, *OLD])
def test_every_type_is_kept(tmp_path, form, kind):
    array = np.array(TYPES[kind], kind)
    (tmp_path / "w").write_bytes({**FORMATS, **OLD}[form]({"w": array}))
    found = weights.read(tmp_path / "w")["w"]
    assert found.dtype == array.dtype and found.tolist() == array.tolist()


def test_bfloat16_of_safetensors_becomes_float32(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(safe({"w": {"dtype": "BF16", "shape": [2, 1], "data_offsets": [0, 4]}}, b"\xc0\x3f\x00\xc0"))
    assert weights.read(path)["w"].tolist() == [[1.5], [-2.0]]


@pytest.mark.parametrize("raw", [
    safe({}, b""), safe({"w": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}}, bytes(4)),
    safe({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 1 << 40]}}, bytes(4)),
    safe({"w": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)),
    (1 << 60).to_bytes(8, "little") + b"{", safetensors.numpy.save(ARRAYS)[:-1], b"short", b"",
], ids=["empty", "shape", "offsets", "type", "header", "cut off", "short", "nothing"])
def test_damaged_files_are_one_sentence(tmp_path, raw):
    path = tmp_path / "w.safetensors"
    path.write_bytes(raw)
    with pytest.raises(InputError, match="w.safetensors (is damaged|has no tensors)"):
        weights.read(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="absent.pth cannot be read, No such file"):
        weights.read(tmp_path / "absent.pth")


def test_old_files_of_pytorch_too(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}
    (tmp_path / "w.pth").write_bytes(line_file(*described(arrays, None)))
    assert (weights.read(tmp_path / "w.pth")["a"] == arrays["a"]).all()
