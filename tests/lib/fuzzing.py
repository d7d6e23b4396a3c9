"""Damaged files by the thousand: every reader gives data or one sentence, never another exception,
in bounded time and memory.

    python -m tests.lib.fuzzing [CASES] [SEED] [KINDS ...]    10,000 cases of all kinds by default; prints what came out

Files of every kind are made by the libraries that own them; then bytes are changed, cut out, doubled, replaced by
numbers that headers like (0, 1, -1, 2^31), and parts of other files are put in.
"""
import io
import pickle
import re
import resource
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import safetensors.numpy
from PIL import Image, features

from core.data import cache, cifar10, weights
from core.data.images import decode_piece
from core.data.label_files import read_labels, read_matrix
from core.data.own import load
from core.data.pickles import field, unpickle
from core.errors import InputError
from tests.lib.deep_images import chunk, png, tiff
from tests.lib.official_cifar10 import contents, python2, python3
from tests.lib.own_data import picture, write_image
from tests.lib.torch_files import described, line_file, zip_file

NUMBERS = [n.to_bytes(size, order, signed=True) for size in (1, 2, 4, 8) for order in ("little", "big")
           for n in (0, 1, -1, (1 << 8 * size - 1) - 1, -(1 << 8 * size - 1))]
SLOW, LARGE = 5, 2 << 30               # seconds of a case, bytes of the process: what is not allowed


# ---- whole files ---------------------------------------------------------------------------------------------------

def image_files():
    """{name: bytes} of images of all kinds and modes."""
    colour, found = Image.fromarray(picture(0, 24, 20)), {}
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    kinds = [("jpg", {}), ("jpg", {"progressive": True, "exif": exif}), ("png", {"exif": exif}), ("bmp", {}),
             ("gif", {}),
             ("ppm", {}), ("tif", {}), ("tif", {"compression": "tiff_lzw"}), ("tif", {"compression": "jpeg"}),
             ("tif", {"compression": "tiff_deflate"}), ("webp", {}), ("webp", {"lossless": True}),
             ("gif", {"save_all": True, "append_images": [colour.rotate(90)]})]
    modes = [("png", "P"), ("png", "RGBA"), ("png", "LA"), ("png", "1"), ("png", "I;16"), ("tif", "F"), ("tif", "CMYK"),
             ("jpg", "CMYK"), ("jpg", "L"), ("tif", "I"), ("tif", "1"), ("webp", "RGBA"), ("tif", "P")]
    for number, (suffix, image, options) in enumerate([(suffix, colour, options) for suffix, options in kinds] + [
            (suffix, colour.convert("L").convert("I").convert(mode) if mode == "I;16" else colour.convert(mode), {})
            for suffix, mode in modes]):
        file = io.BytesIO()
        image.save(file, {"jpg": "JPEG", "tif": "TIFF", "ppm": "PPM"}.get(suffix, suffix.upper()), **options)
        found[f"{number}.{suffix}"] = file.getvalue()
    deep = picture(1, 24, 20).astype(np.uint16) * 16                                 # 12 bits of 16
    found |= {"48.png": png(deep), "48.tif": tiff(deep), "zip.tif": tiff(deep, ">", True),
              "mm.tif": tiff(deep[..., 0], ">"),
              "int16.tif": tiff(deep[..., 0].astype(np.int16) - 2000)}
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2_000_000)))
    found["text.png"] = found["2.png"][:33] + text + found["2.png"][33:]
    if features.check("avif"):
        file = io.BytesIO()
        colour.save(file, "AVIF", speed=10)
        found["a.avif"] = file.getvalue()
    return found


def array_files():
    """{name: bytes} of .npy files."""
    found = {}
    for number, array in enumerate([np.arange(4), np.eye(2), np.array([0, 1, -1, 1], ">i4"),
                                    np.zeros((2, 2), np.float16)]):
        file = io.BytesIO()
        np.save(file, array)
        found[f"{number}.npy"] = file.getvalue()
    return found


TEXTS = {"table.csv": "path,label\ncat/0.png,cat\ndog/0.png,dog\ncat/1.png,cat\ndog/1.png,dog\n",
         "quoted.csv": '\ufeff"path";"label";"note"\r\n"cat/0.png";"a;b";"x ""y"""\r\n"dog\\0.png";"é";\r\n',
         "columns.tsv": "Image ID\tcat\tdog\nC:\\x\\cat\\0\t1\t0\nC:\\x\\dog\\1\t0\t1\n",
         "votes.csv": "sep=;\nfile_name;target;by\ncat/0.png;cat;a\ncat/0.png;dog;b\ncat/0.png;dog;c\n"
                      "dog/1.png;1.0;a\n",
         "lines.jsonl": '{"file_name": "cat/0.png", "label": 1}\n{"label": [2], "file_name": "dog/0.png"}\n',
         "labels.csv": "index,label\n0,cat\n1,dog\n3,cat\n2,dog\n", "labels.txt": "0\n1\n1\n0\n",
         "matrix.csv": "0.5,0.5\n0,1\n"}


def other_tables():
    """{name: bytes} of tables as people have them."""
    return {"utf16.tsv": TEXTS["columns.tsv"].encode("utf-16"),
            **{name: TEXTS[name].encode() for name in ("columns.tsv", "votes.csv", "lines.jsonl")}}


def pickle_files():
    """{name: bytes} of batches and class names as CIFAR-10 has them."""
    files = contents(rows=3)
    return {f"{name}.{protocol.__name__}": protocol(files[name])
            for name in ("data_batch_1", "batches.meta") for protocol in (python2, python3)}


def weight_files():
    """{name: bytes} of the formats of weights."""
    arrays = {"conv.weight": np.ones((4, 3), np.float32), "half": np.ones(5, np.float16), "batches": np.array(7)}
    floats = {"conv.weight": arrays["conv.weight"], "bias": np.ones(4, np.float32)}
    return {"zip.pth": zip_file(*described(arrays)), "line.pth": line_file(*described(floats, None)),
            "nested.pt": zip_file({"model": described(arrays)[0], "epoch": 3}, described(arrays)[1]),
            "w.safetensors": safetensors.numpy.save(arrays)}


def binary_files():
    """{name: bytes} of batches of the binary versions of CIFAR-10 and CIFAR-100."""
    rng = np.random.default_rng(0)
    return {"ten.bin": rng.integers(0, 10, 3 * 3073, np.uint8).tobytes(),
            "hundred.bin": rng.integers(0, 20, 3 * 3074, np.uint8).tobytes()}


def archive_files():
    """{name: bytes} of archives of two images in each of two folders."""
    raw = {f"{name}/{k}.png": None for name in ("cat", "dog") for k in range(2)}
    for number, name in enumerate(raw):
        Image.fromarray(picture(number)).save(file := io.BytesIO(), "PNG")
        raw[name] = file.getvalue()
    found = {}
    for kind, method in (("stored.zip", zipfile.ZIP_STORED), ("deflated.zip", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(file := io.BytesIO(), "w", method) as archive:
            for name, content in raw.items():
                archive.writestr(name, content)
        found[kind] = file.getvalue()
    for kind, mode in (("a.tar", "w"), ("b.tgz", "w:gz"), ("c.tar.xz", "w:xz"), ("d.tar.bz2", "w:bz2")):
        with tarfile.open(fileobj=(file := io.BytesIO()), mode=mode, format=tarfile.PAX_FORMAT) as archive:
            for name, content in raw.items():
                member = tarfile.TarInfo(f"pets\u00e9/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        found[kind] = file.getvalue()
    return found


def image_array_files():
    """{name: bytes} of arrays of images and labels in one file, and of images alone."""
    images, labels, found = np.stack([picture(k, 8, 8) for k in range(4)]), np.arange(4) % 2, {}
    for name, save in (("stored.npz", np.savez), ("deflated.npz", np.savez_compressed)):
        save(file := io.BytesIO(), train_images=images, train_labels=labels[:, None], test_images=images / 255,
             test_labels=np.array(["0", "1"])[labels])
        found[name] = file.getvalue()
    for name, array in (("images.npy", images), ("x.npy", images[..., 0].astype(np.float32)),
                        ("data.npy", images.transpose(0, 3, 1, 2).astype(">u2"))):
        np.save(file := io.BytesIO(), array)
        found[name] = file.getvalue()
    return found


def named_label_files():
    """{name: bytes} of files with several arrays of labels, as people's labels of CIFAR-10 are published."""
    labels, found = {"clean_label": np.array([0, 1, 0, 1]), "worse_label": np.array([1, 1, 0, 0])}, {}
    np.save(file := io.BytesIO(), np.array(labels, object), allow_pickle=True)
    found["dict.npy"] = file.getvalue()
    np.savez(file := io.BytesIO(), **labels)
    found["arrays.npz"] = file.getvalue()
    found["tensors.pt"] = zip_file(*described(labels))
    for protocol in (2, 5):
        found[f"numpy{protocol}.pt"] = zip_file(pickle.dumps(labels, protocol), {})
    return found


# ---- damage --------------------------------------------------------------------------------------------------------

def damaged(raw, others, rng):
    """The bytes after a few random changes."""
    raw = bytearray(raw)
    for _ in range(rng.geometric(0.6)):
        at, n = int(rng.integers(len(raw) + 1)), int(min(rng.geometric(0.1), 64))
        other = others[rng.integers(len(others))]
        start = int(rng.integers(len(other) + 1))
        change = [lambda: raw.__setitem__(slice(at, at + 1), bytes([rng.integers(256)])),
                  lambda: raw.__setitem__(slice(at, at + n), b""),
                  lambda: raw.__setitem__(slice(at, at), raw[at:at + n]),
                  lambda: raw.__setitem__(slice(at, len(raw)), b""),
                  lambda: raw.__setitem__(slice(at, at + n), bytes(n)),
                  lambda: raw.__setitem__(slice(at, at + n), other[start:start + n]),
                  lambda: raw.__setitem__(slice(0, 0), other[:n])]
        change += [lambda: overwrite(raw, rng, NUMBERS[rng.integers(len(NUMBERS))])] * 4       # what readers trust most
        change[rng.integers(len(change))]()
    return bytes(raw)


def overwrite(raw, rng, number):
    """One of the numbers in a place near the beginning, where headers are."""
    at = int(min(rng.geometric(0.02), max(len(raw) - 1, 0)))
    raw[at:at + len(number)] = number


# ---- the readers ---------------------------------------------------------------------------------------------------

class Readers:
    """One function for each reader: given a folder for its files, a name and damaged bytes,
    it does what a run would do."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.images = {name: write_image(self.folder / "data" / name, picture(k)).read_bytes()
                       for k, name in enumerate(("cat/0.png", "dog/0.png", "cat/1.png", "dog/1.png"))}
        self.kinds = {"folder": (image_files(), self.as_folder), "image": (image_files(), self.as_image),
                      "table": ({name: TEXTS[name].encode() for name in ("table.csv", "quoted.csv")}, self.as_table),
                      "labels": ({name: text.encode() for name, text in TEXTS.items()} | array_files(), self.as_labels),
                      "pickle": (pickle_files(), self.as_pickle), "store": (self.store(), self.as_store),
                      "weights": (weight_files(), self.as_weights),
                      "other tables": (other_tables(), self.as_own),
                      "archive": (archive_files(), self.as_own), "arrays": (image_array_files(), self.as_arrays),
                      "named": (named_label_files(), self.as_named), "binary": (binary_files(), self.as_binary)}
        self.others = [raw for files, _ in self.kinds.values() for raw in files.values()]

    def store(self):
        load(self.folder / "data", size=8, store=self.folder / "store")
        file, = (self.folder / "store").iterdir()
        return {file.name: file.read_bytes()}

    def place(self, name, raw):
        path = self.folder / "data" / name
        path.write_bytes(raw)
        return path

    def as_folder(self, name, raw):
        path = self.place(f"cat/x{name}", raw)
        try:
            return load(self.folder / "data", size=8)
        finally:
            path.unlink()

    def as_image(self, name, raw):
        path = self.place(name, raw)
        (why,) = decode_piece([path], 16)[2]
        path.unlink()
        if why:
            raise InputError(why)

    def as_table(self, name, raw):
        return load(self.place(name, raw).rename(self.folder / "data" / "t.csv"), size=8)

    def as_own(self, name, raw):
        path = self.place(name, raw)
        try:
            return load(path, size=8)
        finally:
            path.unlink()

    def as_arrays(self, name, raw):
        (self.folder / "arrays").mkdir(exist_ok=True)
        np.save(self.folder / "arrays" / "labels.npy", np.arange(4) % 2)
        path = self.folder / "arrays" / name
        path.write_bytes(raw)
        return load(path, size=8)

    def as_named(self, name, raw):
        return read_labels(f"{self.place(name, raw)}:worse_label", ("cat", "dog"), 4)

    def as_binary(self, name, raw):
        return cifar10.binary(raw, name, 100 if "hundred" in name else 10, 2 * ("hundred" in name))

    def as_labels(self, name, raw):
        path, sentences = self.place(name, raw), []
        for read in (lambda: load(self.folder / "data", size=8, truth=path), lambda: read_matrix(path, 2),
                     lambda: read_labels(path, ("cat", "dog"), 4)):
            try:
                read()
            except InputError as error:
                sentences.append(error)
        if len(sentences) == 3:
            raise sentences[0]

    def as_pickle(self, name, raw):
        content = unpickle(raw, name)
        return cifar10.class_names(field(content, "label_names"), name) if name.startswith("batches.meta") else (
            cifar10.batch(content, name))

    def as_weights(self, name, raw):
        return weights.read(self.place(name, raw))

    def as_store(self, name, raw):
        (self.folder / "store" / name).write_bytes(raw)
        file = self.folder / "store" / name
        return cache.load(file, cache.fingerprint(self.folder / "data", sorted(self.images), 8), (4, 8, 8, 3))


def fuzz(cases, seed, folder, kinds=()):
    """{(reader, outcome): number of cases}; kinds: of readers, by default all. Raises AssertionError, which names the
    case, for everything that is not allowed."""
    readers, outcomes = Readers(folder), Counter()
    names = list(kinds or readers.kinds)
    for case in range(cases):
        rng = np.random.default_rng([seed, case])
        kind = names[case % len(names)]
        files, read = readers.kinds[kind]
        name = list(files)[rng.integers(len(files))]
        raw, start = damaged(files[name], readers.others, rng), time.perf_counter()
        try:
            read(name, raw)
            outcome = "read"
        except InputError as error:
            outcome = "one sentence"
            assert "\n" not in str(error) and len(str(error)) < 1000, f"case {case} of seed {seed}, {name}: {error}"
        except Exception as error:
            raise AssertionError(f"case {case} of seed {seed}, {name}: {type(error).__name__}: {error}") from error
        seconds = time.perf_counter() - start
        assert seconds < SLOW, f"case {case} of seed {seed}, {name}: {seconds:.1f} s"
        outcomes[kind, outcome] += 1
    held = peak_memory()
    assert held < LARGE, f"{held:,} bytes of memory"
    return outcomes, held


def peak_memory():
    """Bytes that this process has held at most. Linux counts in ru_maxrss what its parent held when it was started,
    too."""
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return 1024 * (int(peak[1]) if peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main():
    cases, seed = (int(word) for word in (sys.argv[1:3] + ["10000", "0"][len(sys.argv) - 1:]))
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        outcomes, held = fuzz(cases, seed, folder, sys.argv[3:])
    for (kind, outcome), n in sorted(outcomes.items()):
        print(f"{kind:12} {outcome:13} {n:7}")
    print(f"{cases} cases of seed {seed} in {time.perf_counter() - start:.0f} s, at most {held / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
