"""Files as torch.save writes them, made by hand: the opcodes of a pickle, and the two formats around it."""
import io
import struct
import zipfile

import numpy as np

TYPES = {"<f4": "FloatStorage", "<f2": "HalfStorage", "<i8": "LongStorage", "<f8": "DoubleStorage",
         "<i4": "IntStorage", "<i2": "ShortStorage", "|i1": "CharStorage", "|u1": "ByteStorage", "|b1": "BoolStorage"}
MAGIC = 0x1950A86A20F9469CFC6C


class Code(bytes):
    """Opcodes that leave one object on the stack."""


def opcodes(value):
    """The opcodes of plain data and of Code in it."""
    match value:
        case Code():
            return value
        case None | True | False:
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        case int():
            raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(raw)]) + raw
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + b"".join(map(opcodes, value)) + b"t"
        case list():
            return b"](" + b"".join(map(opcodes, value)) + b"e"
        case dict():
            return b"}(" + b"".join(opcodes(item) for pair in value.items() for item in pair) + b"u"


def pickled(value):
    return b"\x80\x02" + opcodes(value) + b"."


def named(module, name):
    return Code(f"c{module}\n{name}\n".encode())


def call(function, *arguments):
    return Code(opcodes(function) + opcodes(arguments) + b"R")


def storage(key, kind, n, *view):
    return Code(opcodes(("storage", named("torch", kind), key, "cpu", n, *view)) + b"Q")


def tensor(storage, offset, shape, strides):
    return call(named("torch._utils", "_rebuild_tensor_v2"), storage, offset, shape, strides, False,
                call(named("collections", "OrderedDict")))


def described(arrays, *view):
    """(state dict as Code, {key: bytes}) of contiguous arrays."""
    found, storages = {}, {}
    for number, (name, array) in enumerate(arrays.items()):
        key, kind = str(number), TYPES[array.dtype.str]
        strides = tuple(n // array.itemsize for n in np.empty(array.shape, array.dtype).strides)
        found[name] = tensor(storage(key, kind, array.size, *view), 0, array.shape, strides)
        storages[key] = array.tobytes()
    return found, storages


def zip_file(value, storages, folder="archive", compression=zipfile.ZIP_STORED, **others):
    """The bytes of a file of the format since PyTorch 1.6."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(f"{folder}/data.pkl", value if type(value) is bytes else pickled(value))
        for name, content in others.items():
            archive.writestr(f"{folder}/{name}", content)
        for key, raw in storages.items():
            archive.writestr(f"{folder}/data/{key}", raw)
    return file.getvalue()


def line_file(value, storages, item=4, magic=MAGIC, little=True, keys=None):
    """The bytes of a file of the format before; item: bytes of a number."""
    parts = [pickled(magic), pickled(1001), pickled({"little_endian": little}), pickled(value),
             pickled(list(storages) if keys is None else keys)]
    return b"".join([*parts, *(struct.pack("<q", len(raw) // item) + raw for raw in storages.values())])
