"""core/data/pth.py and opcodes.py: PyTorch's files are read without PyTorch; of other files nothing runs."""
import io
import pickle
import tarfile
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from core.data import pth
from core.data.opcodes import LIMIT, execute
from core.errors import InputError
from tests.lib.torch_files import Code, call, described, line_file, named, opcodes, pickled, storage, tensor, zip_file

RNG = np.random.default_rng(0)
ARRAYS = {"conv.weight": RNG.standard_normal((4, 3, 2)).astype(np.float32), "bn.bias": np.arange(4, dtype=np.float32),
          "scalar": np.float32([7]).reshape(())}
FORMATS = {"zip": lambda arrays: zip_file(*described(arrays)),
           "in line": lambda arrays: line_file(*described(arrays, None))}
FLOATS = np.arange(12, dtype=np.float32)
RAW = FLOATS.tobytes()


@pytest.fixture
def read(tmp_path):
    """pth.read of bytes."""
    def of(raw):
        (tmp_path / "w.pth").write_bytes(raw)
        return pth.read(tmp_path / "w.pth")
    return of


def refused(read, raw, words):
    """The bytes are answered with one sentence, within seconds and a few megabytes."""
    start = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=words) as caught:
            read(raw)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "w.pth" in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert peak < 8 * len(raw) + (8 << 20) and time.process_time() - start < 5


def of_one(shape, strides, offset=0, n=12, raw=RAW, kind="FloatStorage"):
    """A zip file of one tensor."""
    return zip_file({"w": tensor(storage("0", kind, n), offset, shape, strides)}, {"0": raw})


# ---- what is read --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("form", FORMATS)
def test_reads_both_formats(read, form):
    found = read(FORMATS[form](ARRAYS))
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape and (found[name] == array).all()
        assert not found[name].flags.writeable


def test_storages_stand_in_the_order_of_their_keys_in_the_file(read):
    pair = [(key, np.full(12, k, np.float32)) for k, key in enumerate(["b", "10", "9", "a"])]
    value = {key: tensor(storage(key, "FloatStorage", 12, None), 0, (12,), (1,)) for key, _ in reversed(pair)}
    found = read(line_file(value, {key: array.tobytes() for key, array in pair}))
    assert all((found[key] == array).all() for key, array in pair)


@pytest.mark.parametrize("shape, strides, offset", [
    ((3, 4), (4, 1), 0), ((4, 3), (1, 4), 0), ((2, 2), (4, 2), 3), ((3,), (0,), 5), ((), (), 11),
    ((1, 1, 2), (77, 99, 6), 4), ((0, 3), (1, 1), 0)])
def test_a_tensor_is_its_storage_through_offset_shape_and_strides(read, shape, strides, offset):
    found = read(of_one(shape, strides, offset))["w"]
    assert found.shape == shape
    for index in np.ndindex(shape):
        assert found[index] == FLOATS[offset + sum(i * stride for i, stride in zip(index, strides))]


@pytest.mark.parametrize("kind, dtype", [("FloatStorage", "<f4"), ("HalfStorage", "<f2"), ("LongStorage", "<i8"),
                                         ("DoubleStorage", "<f8"), ("IntStorage", "<i4"), ("ByteStorage", "u1"),
                                         ("ShortStorage", "<i2"), ("CharStorage", "i1"), ("BoolStorage", "?")])
def test_types_are_kept(read, kind, dtype):
    numbers = np.array([0, 1, 5, 200 if dtype == "u1" else -100], dtype)
    found = read(of_one((4,), (1,), n=4, raw=numbers.tobytes(), kind=kind))["w"]
    assert found.dtype == numbers.dtype and (found == numbers).all()


def test_bfloat16_becomes_float32(read):
    values = np.array([1.5, -0.0, 2.0 ** -130, 3.0e38, np.inf], np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    expected = (halves.astype(np.uint32) << 16).view(np.float32)
    found = read(of_one((5,), (1,), n=5, raw=halves.tobytes(), kind="BFloat16Storage"))["w"]
    assert found.dtype == np.float32 and found.tobytes() == expected.tobytes() and found[0] == 1.5
    assert not found.flags.writeable


@pytest.mark.parametrize("key", pth.NESTED)
def test_the_state_dict_may_be_one_thing_among_others(read, key):
    tensors, storages = described(ARRAYS)
    found = read(zip_file({"epoch": 3, key: tensors, "lr": [0, 1], "arch": "resnet18"}, storages))
    assert list(found) == list(ARRAYS) and (found["bn.bias"] == ARRAYS["bn.bias"]).all()


def test_parameters_metadata_and_tied_weights(read):
    one = storage("0", "FloatStorage", 12)
    empty = call(named("collections", "OrderedDict"))
    parameter = call(named("torch._utils", "_rebuild_parameter"), tensor(one, 0, (12,), (1,)), True, empty)
    ordered = Code(empty + b"(" + opcodes("a") + parameter + opcodes("b") + tensor(one, 4, (2,), (1,)) + b"u"
                   + opcodes({"_metadata": {}}) + b"b")
    found = read(zip_file(ordered, {"0": FLOATS.tobytes()}, folder="resnet", version="3\n", byteorder="little"))
    assert (found["a"] == FLOATS).all() and (found["b"] == FLOATS[4:6]).all()
    assert np.shares_memory(found["a"], found["b"])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_of_every_protocol_is_what_python_reads(protocol):
    value = {"a": [1, -1, 1 << 40, 0.5, True, None, ("x", "é" * 300), {}], 3: (1, 2), "again": ["a", "a"]}
    raw = pickle.dumps(value, protocol)
    assert execute(raw + b"rest", "file", {}, None) == (value, len(raw))


# ---- what is not ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("module, name", [("os", "system"), ("builtins", "eval"), ("torch.nn.modules.linear", "Linear"),
                                          ("torch", "load"), ("collections", "defaultdict"), ("numpy", "ndarray"),
                                          ("torch", "OrderedDict")])
def test_what_a_file_asks_to_run_is_named_and_not_run(read, tmp_path, form, module, name):
    value = {"w": call(named(module, name), f"touch {tmp_path}/ran")}
    raw = zip_file(value, {}) if form == "zip" else line_file(value, {})
    refused(read, raw, rf"asks to run '{module}\.{name}'.*not run")
    assert not (tmp_path / "ran").exists()


def deep(n):
    """A tuple that holds another one twice, n times: 2^n parts for a hash, a comparison or a text."""
    return Code(b")" + b"q\x00h\x00\x86" * n)


BOMBS = {
    "hash of a key": Code(b"}" + deep(60) + b"Ns"),
    "hash of a global": Code(opcodes("os") + deep(60) + b"\x93"),
    "storage that is compared": Code(opcodes((deep(60), deep(60), deep(60), deep(60), deep(60))) + b"Q"),
    "shape": tensor(storage("0", "FloatStorage", 12), 0, deep(60), deep(60)),
    "nested": Code(b")" + b"\x85" * 10_000),
    "nested lists": Code(b"](" * 10_000 + b"e" * 10_000),
    "memo of 2^32": Code(b"Nr\xff\xff\xff\xff"),
    "text of 2 GB": Code(b"X\xff\xff\xff\x7fshort"),
    "text of 2^56 bytes": Code(b"\x8d" + b"\xff" * 7 + b"\x00short"),
    "bytes of 2^56": Code(b"\x96" + b"\xff" * 7 + b"\x00short"),
    "list in itself": Code(b"]q\x00h\x00a"),
    "call with many arguments": Code(
        b"(" + storage("0", "FloatStorage", 12) + opcodes(0) + opcodes((1,)) * 2 + b"N" * 200_000 + b"tq\x00"
        + named("torch._utils", "_rebuild_tensor_v2") + b"q\x01" + b"h\x01h\x00R" * 50_000),
    "set": Code(b"\x8f(K\x01\x90"), "INST": Code(b"(S'echo'\nios\nsystem\n"),
    "OBJ": Code(b"(cos\nsystem\nS'echo'\no"),
    "NEWOBJ": Code(b"ccollections\nOrderedDict\n)\x81"), "BUILD": Code(b"ccollections\nOrderedDict\n}b"),
    "extension": Code(b"\x82\x01"), "buffer": Code(b"\x97"), "DUP": Code(b"N22"), "POP": Code(b"NN0"),
    "call of a type": call(named("torch", "FloatStorage"), 1 << 40), "no mark": Code(b"Nt"),
    "empty stack": Code(b"\x85"), "items of no dict": Code(b"NNNs"), "half a pair": Code(b"}(Nu"),
    "unknown memo": Code(b"h\x05"), "float key": Code(b"}G" + b"@" * 8 + b"Ns"),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", BOMBS)
def test_pickles_that_would_take_time_or_memory_or_run_something(read, form, name):
    value = BOMBS[name]
    raw = zip_file(value, {"0": FLOATS.tobytes()}) if form == "zip" else line_file(value, {})
    refused(read, raw, "damaged|no state dict|asks to run")


@pytest.mark.parametrize("raw", [
    of_one((13,), (1,)), of_one((2, 7), (6, 1)), of_one((12,), (2,)), of_one((2,), (1,), 11), of_one((1 << 40,), (0,)),
    of_one((1 << 20, 1 << 20, 1 << 20), (0, 0, 0)), of_one((1,), (1,), 1 << 60), of_one((1,), (1,), -1),
    of_one((-1,), (1,)), of_one((2,), (-1,), 5), of_one((2,), (1, 1)), of_one((1,) * 9, (1,) * 9),
    of_one((True,), (1,)), of_one(("1",), (1,)), of_one([1], [1]), of_one((12,), (1,), n=13),
    of_one((12,), (1,), n=1 << 62), of_one((12,), (1,), n=-12), of_one((12,), (1,), kind="HalfStorage"),
    of_one((12,), (1,), kind="DoubleStorage"), of_one((0, 1 << 40, 1 << 40), (1, 1, 1)),
], ids=[f"tensor {i}" for i in range(21)])
def test_tensors_longer_than_their_storage_or_odd(read, raw):
    refused(read, raw, "is damaged")


FOUND, STORAGES = described(ARRAYS)
LINE, IN_LINE = described(ARRAYS, None)
TWO_TYPES = {"a": tensor(storage("0", "FloatStorage", 12), 0, (12,), (1,)),
             "b": tensor(storage("0", "IntStorage", 12), 0, (1,), (1,))}


def overlapping():
    """An archive in which many entries share the bytes of one."""
    raw = zip_file({"w": tensor(storage("0", "FloatStorage", 1 << 20), 0, (1,), (1,))}, {"0": bytes(4 << 20)})
    start = raw.index(b"PK\1\2")
    end = raw.rindex(b"PK\5\6")
    last = raw[raw.rindex(b"PK\1\2", 0, end):end]
    entries = raw[start:end] + b"".join(last.replace(b"data/0", b"data/%c" % letter) for letter in b"abcdefgh")
    counts = (10).to_bytes(2, "little") * 2 + len(entries).to_bytes(4, "little")
    return raw[:start] + entries + raw[end:end + 8] + counts + raw[end + 16:]


def tar_file():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("sys_info"))
    return file.getvalue()


def without_its_numbers(n):
    """A file that says twice that it has n numbers."""
    raw = line_file({"w": tensor(storage("0", "FloatStorage", n, None), 0, (1,), (1,))}, {"0": b""})
    return raw[:-8] + n.to_bytes(8, "little") + bytes(100)


@pytest.mark.parametrize("raw, words", [
    (b"", "damaged"), (b"PK", "damaged"), (b"text", "damaged"), (b"\x80\x02", "damaged"),
    (zip_file({}, {}), "no state dict"),
    (zip_file([1], {}), "no state dict"), (zip_file({"w": 3}, {}), "no state dict"), (tar_file(), "before 0.1.10"),
    (zip_file(FOUND, STORAGES, compression=zipfile.ZIP_DEFLATED), "damaged"),
    (zip_file(FOUND, STORAGES, byteorder="big"), "damaged"),
    (zip_file(FOUND, {}), "damaged"),
    (zip_file(FOUND, STORAGES, **{"sub/data.pkl": b""}), None), (overlapping(), "damaged"),
    (zip_file({1: FOUND["scalar"]}, STORAGES), "no state dict"),
    (zip_file(TWO_TYPES, {"0": FLOATS.tobytes()}), "damaged"),
    (zip_file(b"\x80\x02" + b"N0" * LIMIT + b".", {}), "damaged"), (line_file(LINE, IN_LINE, magic=5), "damaged"),
    (line_file(LINE, IN_LINE, little=False), "damaged"), (line_file(LINE, IN_LINE, item=1), "damaged"),
    (line_file(LINE, IN_LINE, keys=["0", "1"]), "damaged"),
    (line_file(LINE, IN_LINE, keys=[deep(60), deep(60)]), "damaged"),
    (line_file(LINE, IN_LINE)[:-1], "damaged"), (without_its_numbers(1 << 31), "damaged"),
], ids=[f"file {i}" for i in range(23)])
def test_other_files(read, raw, words):
    if words is None:
        assert list(read(raw)) == list(ARRAYS)
    else:
        refused(read, raw, words)


@pytest.mark.parametrize("form", FORMATS)
def test_a_changed_byte_of_a_zip_is_noticed_and_every_truncation_refused(read, form):
    raw = FORMATS[form](ARRAYS)
    for length in range(0, len(raw), 7):
        with pytest.raises(InputError):
            read(raw[:length])
    if form == "zip":
        at = raw.index(ARRAYS["conv.weight"].tobytes()) + 5
        refused(read, raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:], "is damaged")


def test_a_directory_longer_than_thousands_of_tensors_is_not_read(read, monkeypatch):
    read(zip_file(FOUND, STORAGES))
    monkeypatch.setattr(pth, "LIMIT", 200)
    with pytest.raises(InputError):
        read(zip_file(FOUND, STORAGES))


def test_files_that_cannot_be_opened(tmp_path):
    for path in (tmp_path / "absent.pth", tmp_path):
        with pytest.raises(InputError, match="cannot be read, (No such file|Is a directory)"):
            pth.read(path)


@pytest.mark.parametrize("raw", [b"\x85.", b"N\x86.", b"}(Nu.", b"}(NNNu.", b"t.", b"NN.", b".", b"N", b"}Ns."])
def test_opcodes_that_lack_what_they_need(raw):
    with pytest.raises((pickle.UnpicklingError, ValueError, IndexError)):
        execute(raw, "file", {}, None)


def test_the_pickles_of_these_tests_are_what_python_reads():
    value = {"a": [1, -1, 1 << 40, True, None, ("x", "é")]}
    assert pickle.loads(pickled(value)) == value
