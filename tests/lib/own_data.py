"""Small sets of image files for tests."""
import numpy as np
from PIL import Image


def picture(seed=0, height=12, width=10):
    """Random pixels (H, W, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def write_image(path, pixels=None, **options):
    """The pixels as a file; random ones that follow from the path by default."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = picture(sum(str(path).encode("utf-8", "surrogateescape"))) if pixels is None else pixels
    Image.fromarray(pixels).save(path, **options)
    return path


def write_folder(root, classes=("cat", "dog"), images=3):
    """root/CLASS/0.png, ... with different pixels in every file."""
    for c, name in enumerate(classes):
        for i in range(images):
            write_image(root / name / f"{i}.png", picture(1000 * c + i))
    return root


def write_table(path, lines, header="path,label"):
    """A table with a header."""
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return path


def kinds(findings):
    """{kind: [paths]}"""
    found = {}
    for finding in findings:
        found.setdefault(finding.kind, []).append(finding.path)
    return found
