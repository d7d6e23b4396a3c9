"""core/data/pickles.py: reads what Python 2 and 3 write about arrays, runs nothing,
and answers any bytes with InputError."""
import os
import pickle
import time

import numpy as np
import pytest

from core.data import backbone, cache, feature_files
from core.data import opcodes as machine
from core.data.opcodes import Recorded
from core.data.own import load
from core.data.pickles import field, uint8_rows, unpickle, whole_numbers
from core.errors import InputError
from core.files import load_sealed, save_sealed
from core.use.apply import whole_numbers as whole_array
from core.use.predict import array
from tests.lib.official_cifar10 import call, opcodes, python2, python3

PIXELS = np.arange(18, dtype=np.uint8).reshape(3, 6) * 15                      # above 127 too


class Payload:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_the_python_2_writer_of_these_tests_is_understood_by_numpy():
    assert (pickle.loads(python2({"data": PIXELS}), encoding="bytes")[b"data"] == PIXELS).all()


@pytest.mark.parametrize("dump", [python2, python3, lambda value: pickle.dumps(value, protocol=4)])
def test_reads_arrays_and_plain_data(dump):
    value = {"data": PIXELS, "labels": [0, 7, 9], "names": ["a", "b"]}
    content = unpickle(dump(value), "file")
    np.testing.assert_array_equal(uint8_rows(field(content, "data"), 6), PIXELS)
    assert uint8_rows(field(content, "data"), 5) is uint8_rows(field(content, "data"), 7) is None
    assert field(content, "labels") == [0, 7, 9] and field(content, "absent") is None
    again = unpickle(dump({key.encode(): value for key, value in value.items()}), "file")     # read as bytes, and saved
    assert field(again, "labels") == [0, 7, 9] and (uint8_rows(field(again, "data"), 6) == PIXELS).all()


def test_reads_arrays_in_column_order():
    value = unpickle(python3(np.asfortranarray(PIXELS)), "file")
    np.testing.assert_array_equal(uint8_rows(value, 6), PIXELS)


@pytest.mark.parametrize("value", [PIXELS[0], PIXELS[:, :5].copy(), PIXELS.astype(np.int8), PIXELS.astype(np.uint16),
                                   PIXELS.astype(object), PIXELS > 9, PIXELS[None], [1, 2], None, "text", {}])
def test_other_values_are_no_rows(value):
    assert uint8_rows(unpickle(python3(value), "file"), 6) is None


@pytest.mark.parametrize("shape, raw", [((3, 6), bytes(17)), ((0, 6), b""), ((-3, 6), b""), ((3, -6), b""),
                                        ((3, 6), None), ((3, 6), [0] * 18), ((2, 6), bytes(18)),
                                        (3, bytes(18)), (("3", 6), bytes(18))])
def test_bytes_that_do_not_fill_the_shape_are_no_rows(shape, raw):
    value = Recorded()
    value.state = 1, shape, Recorded("u1"), False, raw
    assert uint8_rows(value, 6) is None


def test_letters_that_are_no_bytes_are_not_replaced():
    value = Recorded()
    value.state = 1, (1, 6), Recorded("u1"), False, Recorded("abc\u20acde", "latin1")
    assert uint8_rows(value, 6) is None


@pytest.mark.parametrize("protocol", range(5))
def test_a_payload_is_named_and_not_run(tmp_path, protocol):
    proof = tmp_path / "ran"
    with pytest.raises(InputError, match=r"^batch 1 asks to run '(posix|nt)\.system'.*was not run.*download$"):
        unpickle(pickle.dumps({"data": Payload(f"echo > {proof}")}, protocol), "batch 1")
    assert not proof.exists()


READERS = {                            # of arrays: what of a file's arrays each of them looks at
    "cache": lambda path: cache.load(path, "key", (2, 8, 8, 3)), "features": feature_files.read_features,
    "backbone": lambda path: backbone.load(path, "key", (1, 2)), "checkpoint": load_sealed,
    "data": lambda path: load(path, size=8), "labels": lambda path: whole_array(path.with_suffix(".npy")),
    "predict": lambda path: array(path.with_suffix(".npy"), (8, 8))}


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_of_arrays_runs_what_is_in_them(tmp_path, reader):
    proof = tmp_path / "ran"
    objects = np.array([Payload(f"echo > {proof}"), None], object)
    names = ("key", "images", "labels", "shapes", "depths", "features", "test", "paths")
    save_sealed(tmp_path / "x.npz", dict.fromkeys(names, objects))
    np.save(tmp_path / "x.npy", objects, allow_pickle=True)
    with pytest.raises(InputError):
        READERS[reader](tmp_path / "x.npz")
    assert not proof.exists()
    with np.load(tmp_path / "x.npz", allow_pickle=True) as found:
        assert found["key"].shape == (2,) and proof.exists(), "the files of this test would run it"


@pytest.mark.parametrize("raw", [
    b"\x80\x02" + call("builtins", "eval", opcodes("1/0")) + b".",
    b"\x80\x02" + call("__builtin__", "eval", opcodes("1/0")) + b".",
    b"\x80\x02" + call("numpy", "load", opcodes("x")) + b".",
    b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",                         # a path of attributes
    b"(S'echo'\nios\nsystem\n.",                                                 # INST
    b"(cos\nsystem\nS'echo'\no.",                                                # OBJ
], ids=["eval", "eval of Python 2", "numpy.load", "attribute", "INST", "OBJ"])
def test_globals_that_no_array_needs_are_refused(raw):
    with pytest.raises(InputError, match="asks to run"):
        unpickle(raw, "file")


@pytest.mark.parametrize("raw", [
    b"", b".", b"text", b"\x80\x02U\x01xQ.", b"\x80\x02Px\n.", b"\x80\x02}(U\x01au.", b"\x80\x02N",
    b"\x80\x02T\xff\xff\xff\x7fshort.",                                         # a string of 2 GB
    b"\x80\x02\x8d" + b"\xff" * 7 + b"\x00short.",                              # and of 2^56 bytes
    b"\x80\x02N" + b"0" * 9 + b".", b"\x80\x02N2.", b"\x80\x02\x8f(K\x01\x90.", b"I" + b"9" * 9999 + b"\n.",
], ids=lambda raw: repr(raw[:20]))
def test_damage_is_an_input_error(raw):
    with pytest.raises(InputError, match="^batch 2 is truncated or damaged: download it again$"):
        unpickle(raw, "batch 2")


@pytest.mark.parametrize("raw", [
    b"\x80\x02Nr\xff\xff\xff\xff.",                                              # memo entry 2^32 - 1
    b"\x80\x02Np4294967295\n.",
    b"\x80\x02cnumpy\nndarray\n}b.",                                             # sets the state of a class
    b"\x80\x02" + call("numpy", "ndarray") + b")b" + b"(" * 100 + b".",
], ids=repr)
def test_what_costs_nothing_is_read_and_is_no_batch(raw):
    value = unpickle(raw, "file")
    assert field(value, "data") is None and uint8_rows(value, 6) is None and whole_numbers(value) is None


def deep(n):
    """Opcodes of a tuple that holds another one twice, n times: 2^n parts for a hash or a comparison."""
    return b")" + b"q\x00h\x00\x86" * n


@pytest.mark.parametrize("raw", [
    b"}" + deep(60) + b"Ns", b"}(" + deep(60) + b"Nu", b"(" + deep(60) + b"Nd", deep(60) + deep(60) + b"\x93",
    call("numpy", "dtype", deep(60)), call("_codecs", "encode", deep(60), deep(60)),
    call("numpy", "ndarray") + deep(60) + b"b", b")" + b"\x85" * 200_000, b"](" * 100_000 + b"e" * 100_000,
], ids=lambda raw: repr(raw[:12]))
def test_no_pickle_takes_long(raw):
    """The first hung for ever: Python's own unpickler hashes what is a key."""
    start = time.process_time()
    try:
        value = unpickle(b"\x80\x02" + raw + b".", "file")
        assert uint8_rows(value, 6) is None and whole_numbers(value) is None and field(value, "data") is None
    except InputError as error:
        assert str(error) == "file is truncated or damaged: download it again"
    assert time.process_time() - start < 5


def test_the_number_of_opcodes_is_limited(monkeypatch):
    monkeypatch.setattr(machine, "MOST", 100)
    assert unpickle(pickle.dumps([None] * 50, 2), "file") == [None] * 50
    with pytest.raises(InputError, match="damaged"):
        unpickle(pickle.dumps([None] * 200, 2), "file")


LABELS = {"list": [3, 0, 9], "of numpy": [np.int64(3), np.int64(0), np.int64(9)], "array": np.array([3, 0, 9]),
          "bytes": np.array([3, 0, 9], np.uint8), "big endian": np.array([3, 0, 9], ">i4")}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_whole_numbers_in_whatever_form(kind, protocol):
    found = whole_numbers(unpickle(pickle.dumps(LABELS[kind], protocol), "file"))
    assert found.dtype == np.int64 and found.tolist() == [3, 0, 9]


@pytest.mark.parametrize("value", [[], [1, 2.0], [True], ["1"], [None], np.array([1.0]), np.array([[1]]), np.array([]),
                                   np.array([1], object), [1 << 70], {}, 3, "12", [np.float64(1)], [np.array([1])]])
def test_other_values_are_no_labels(value):
    assert whole_numbers(unpickle(pickle.dumps(value, 4), "file")) is None


@pytest.mark.parametrize("dump", [python2, python3])
def test_every_truncation_is_an_input_error(dump):
    raw = dump({"data": PIXELS, "labels": [0, 7, 9]})
    for length in range(len(raw)):
        with pytest.raises(InputError, match="truncated or damaged|asks to run"):
            unpickle(raw[:length], "file")


@pytest.mark.parametrize("dump", [python2, python3])
def test_any_change_of_bytes_gives_a_value_or_an_input_error(dump):
    raw, rng = dump({"data": PIXELS, "labels": [0, 7, 9]}), np.random.default_rng(0)
    outcomes = set()
    for _ in range(1000):
        changed = np.frombuffer(raw, np.uint8).copy()
        changed[rng.integers(len(raw), size=rng.integers(1, 4))] = rng.integers(256)
        try:
            rows = uint8_rows(field(unpickle(changed.tobytes(), "file"), "data"), 6)
            outcomes.add("refused" if rows is None else rows.shape)
        except InputError:
            outcomes.add("error")
    assert {"error", "refused", (3, 6)} <= outcomes <= {"error", "refused", (3, 6), (1, 6), (2, 6)}
