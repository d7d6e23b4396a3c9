"""How long it takes to read a folder of images, and how much memory: decoded, from the store, and by the plain loop.

    python -m benchmarks.reading                 makes 100,000 images of 64 x 64 in 100 classes, reads 10,000 and all of
                                                 them; writes benchmarks/results/reading.md
    python -m benchmarks.reading --images 2000 --side 1000 --photos --size 32 --out FILE       JPEGs of 1000 x 750

Every reading is a process of its own, so that its memory can be told. The images are made once, in --folder, and kept.
"Decoded" means that nothing is stored by the program; the system may still hold the files in memory.
"""
import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from PIL import Image
from PIL import __version__ as pillow_version

from core.data.own import load
from core.parallel.processors import available_processors

HERE = Path(__file__).parent
CLASSES = 100


# ---- the images ----------------------------------------------------------------------------------------------------

def make(folder, images, width, height, suffix):
    """folder/CLASS/NUMBER.suffix: smooth colours and a little noise,
    so that they are as large as photographs on the disk."""
    todo = [range(k, min(k + 500, images)) for k in range(0, images, 500)]
    if not (folder / "complete").exists():
        Parallel(available_processors())(delayed(make_some)(folder, numbers, width, height, suffix) for numbers in todo)
        (folder / "complete").touch()


def make_some(folder, numbers, width, height, suffix):
    """The images of these numbers; each follows from its number alone."""
    for number in numbers:
        rng = np.random.default_rng(number)
        small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((width, height),
                                                                                  Image.Resampling.BICUBIC)
        pixels = np.clip(np.asarray(small) + rng.normal(0, 6, (height, width, 1)), 0, 255).astype(np.uint8)
        path = folder / f"class {number % CLASSES:02d}" / f"{number:06d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def part_of(folder, images):
    """A table of the first `images` files, so that a part can be read as well."""
    path = folder / f"{images}.csv"
    rows = sorted(folder.glob("class */*"), key=lambda file: file.name)[:images]
    path.write_text("path,label\n" + "".join(f"{file.relative_to(folder)},{file.parent.name}\n" for file in rows))
    return path


# ---- the readings ----------------------------------------------------------------------------------------------------

def plain(path, size):
    """What one writes first: open, convert, resize, one after the other."""
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    images = np.stack([np.asarray(Image.open(path.parent / file).convert("RGB").resize((size, size)))
                       for file, _ in rows])
    return len(images)


def reading(kind, path, size, store):
    """Seconds, images and peak megabytes of one reading, in this process."""
    start = time.perf_counter()
    if kind == "plain loop":
        n = plain(path, size)
    else:
        jobs = 1 if kind == "decoded, 1 process" else available_processors()
        found = load(path, size=size, jobs=jobs, store=store
                     if kind in ("decoded and stored", "from the store") else None)
        n = len(found.data.train.labels)
    return time.perf_counter() - start, n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_a_process(kind, path, size, store):
    """The same in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.reading", "--once", kind, str(path), str(size), str(store)]
    out = subprocess.run(words, check=True, capture_output=True, text=True, cwd=HERE.parent).stdout.split()
    return float(out[0]), int(out[1]), float(out[2])


def table(folder, counts, size):
    """Markdown lines for the folder, read in every way."""
    lines = [f"### {folder.name}, shown as {size}x{size}", "",
             "| images | | seconds | images/s | peak MB | of which images |", "|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as store:
        for n in counts:
            path = part_of(folder, n)
            for kind in ("plain loop", "decoded, 1 process", "decoded, all processors", "decoded and stored",
                         "from the store"):
                seconds, read, megabytes = in_a_process(kind, path, size, store)
                assert read == n
                lines.append(f"| {n:,} | {kind} | {seconds:.2f} | {n / seconds:,.0f} | {megabytes:.0f} "
                             f"| {n * size * size * 3 / 2**20:.0f} |")
                print(lines[-1], flush=True)
    return [*lines, ""]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=64, help="width of the files")
    parser.add_argument("--photos", action="store_true", help="JPEGs in the shape 4:3 instead of square PNGs")
    parser.add_argument("--size", type=int, default=64, help="what they are shown as")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "images"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "reading.md")
    parser.add_argument("--once", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.once:
        kind, path, size, store = chosen.once
        print(*reading(kind, Path(path), int(size), store))
        return
    height, suffix = (chosen.side * 3 // 4, "jpg") if chosen.photos else (chosen.side, "png")
    folder = chosen.folder / f"{chosen.images} {suffix} of {chosen.side}x{height}"
    make(folder, chosen.images, chosen.side, height, suffix)
    lines = ["# Reading images", "",
             f"{date.today()}, {available_processors()} processors, Python {platform.python_version()}, "
             f"numpy {np.__version__}, Pillow {pillow_version}.", "",
             f"    python -m benchmarks.reading {' '.join(sys.argv[1:])}", ""]
    lines += table(folder, sorted({min(chosen.images, max(1, chosen.images // 10)), chosen.images}), chosen.size)
    chosen.out.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
