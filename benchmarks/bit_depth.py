"""Are wrong labels found as well in images of 10 or 12 bits as in those of 8?

    python -m benchmarks.bit_depth

Drawn scenes like radiographs, half of them with a faint bright spot, a fifth of the labels wrong: the same images
stored with 8 bits, and with 10, 12 and 16 bits in files of 16. For comparison the upper byte of 10 and
12 bits, as if all 16 bits were used.
"""
import argparse
import platform
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.source import open_source
from core.files import save_text
from core.report.numbers import decimals, percent
from core.run.commands import parse
from core.run.experiment import run
from core.run.options import configuration

CLASSES, N, SIDE = ("normal", "opacity"), 150, 48
STORED = {"8 bits": (8, False), "10 bits of 16": (10, False), "12 bits of 16": (12, False), "16 bits": (16, False),
          "10 bits of 16, the upper byte alone": (10, True), "12 bits of 16, the upper byte alone": (12, True)}


def scene(c, number):
    """Brightness (SIDE, SIDE) from 0 to 1, as a grey cloud with noise; class 1 has a faint bright spot."""
    rng = np.random.default_rng([c, number])
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    a, b = rng.random(2)
    cloud = 0.35 + 0.15 * np.sin(3 * x + a) * np.cos(2 * y + b) + rng.normal(0, 0.02, (SIDE, SIDE))
    if c:
        at = rng.uniform(0.3, 0.7, 2)
        cloud += 0.1 * np.exp(-100 * ((y - at[0])**2 + (x - at[1])**2))
    return cloud.clip(0, 1)


def write(root, bits, upper):
    """The images in the folders of their given labels, and truth.csv; the table's path."""
    lines = ["path,label"]
    for c, name in enumerate(CLASSES):
        for number in range(N):
            given = CLASSES[c if number % 5 else 1 - c]
            path = root / "images" / given / f"{name[0]}{number:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            values = (scene(c, number) * (2**bits - 1)).astype(np.uint16)
            Image.fromarray((values >> 8 if upper else values).astype(np.uint8 if upper or bits == 8 else np.uint16)
                            ).save(path)
            lines.append(f"{path.relative_to(root / 'images').as_posix()},{name}")
    (root / "truth.csv").write_text("\n".join([*lines, ""]))
    return root / "truth.csv"


def measured(bits, upper, epochs):
    """The cells of one row."""
    with tempfile.TemporaryDirectory() as folder:
        truth = write(Path(folder), bits, upper)
        words = ["--data", str(truth.parent / "images"), "--truth", str(truth), "--net", "small", "--ranks", "1",
                 "--epochs", str(epochs)]
        args = parse(words)
        source = open_source(args.data)
        outcome = run(configuration(args, source)._replace(out=None), source=source).summary
    found = outcome["detection"]
    return [percent(outcome["recovery"]), percent(found["precision"]), percent(found["recall"]),
            decimals(found["average_precision"])]


def main():
    """Measure, print the table, and write it."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--epochs", type=int, default=60)
    arguments.add_argument("--out", default="benchmarks/results/bit-depth.md")
    args = arguments.parse_args()
    rows = [["stored as", "correct labels after", "precision", "recall", "average precision"], ["---"] * 5]
    for name, (bits, upper) in STORED.items():
        rows.append([name, *measured(bits, upper, args.epochs)])
        print(*rows[-1], sep="  ", flush=True)
    text = (f"# Images of more than 8 bits\n\n{2 * N} drawn images of {SIDE}x{SIDE} pixels in 2 classes, 20.0 % of the "
            f"labels wrong; network `small`, 32 pixels, {args.epochs} epochs of step 1.\n{platform.machine()}, NumPy "
            f"{np.__version__}, {date.today()}; `python -m benchmarks.bit_depth`\n\n")
    save_text(Path(args.out), text + "".join(f"| {' | '.join(row)} |\n" for row in rows))


if __name__ == "__main__":
    main()
