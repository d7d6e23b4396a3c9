"""PNG and TIFF files of 16 and 32 bits, written by hand: Pillow writes few of them."""
import struct
import zlib


def png(values):
    """uint16 (H, W, 3) or (H, W, 4) as the bytes of a PNG."""
    rows = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2"))
    height, width, colours = values.shape
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[colours], 0, 0, 0)),
              (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, *zip(*chunks)))


def chunk(name, body):
    """A part of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def tiff(values, order="<", compressed=False):
    """An array (H, W) or (H, W, 3) of any type as the bytes of a TIFF; order: of the bytes, < or >."""
    raw = values.astype(values.dtype.newbyteorder(order)).tobytes()
    raw = zlib.compress(raw) if compressed else raw
    colours = values.shape[2] if values.ndim == 3 else 1
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    fields = [(256, "I", [values.shape[1]]), (257, "I", [values.shape[0]]),
              (258, "H", [8 * values.dtype.itemsize] * colours), (259, "H", [8 if compressed else 1]),
              (262, "H", [2 if colours == 3 else 1]), (273, "I", [0]), (277, "H", [colours]),
              (278, "I", [values.shape[0]]), (279, "I", [len(raw)]), (339, "H", [kind] * colours)]
    end = 8 + 2 + 12 * len(fields) + 4
    long = {tag: struct.pack(order + letter * len(numbers), *numbers) for tag, letter, numbers in fields
            if struct.calcsize(order + letter * len(numbers)) > 4}
    places = {tag: end + sum(len(text) for before, text in long.items() if before < tag) for tag in long}
    start, body = end + sum(map(len, long.values())), b""
    for tag, letter, numbers in fields:
        numbers = [start] if tag == 273 else numbers
        body += struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[letter], len(numbers))
        body += (struct.pack(order + "I", places[tag]) if tag in places
                 else struct.pack(order + letter * len(numbers), *numbers).ljust(4, b"\0"))
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IH", 8, len(fields))
    return head + body + struct.pack(order + "I", 0) + b"".join(long.values()) + raw
