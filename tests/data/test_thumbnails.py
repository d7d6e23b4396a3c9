"""core/data/thumbnails.py: the images as they are, small, and not more of them than there is room for."""
import base64
import io

import numpy as np
from PIL import Image

from core.data.thumbnails import SIDE, data_uri, data_uris


def test_thumbnails_are_the_images_and_large_ones_become_small():
    image = np.full((8, 12, 3), (200, 30, 90), np.uint8)
    there = Image.open(io.BytesIO(base64.b64decode(data_uri(image).split(",")[1])))
    assert there.size == (12, 8) and abs(np.asarray(there).astype(int) - image).max() <= 6
    there = Image.open(io.BytesIO(base64.b64decode(data_uri(np.zeros((300, 150, 3), np.uint8)).split(",")[1])))
    assert there.size == (SIDE // 2, SIDE)
    images = np.zeros((5, 8, 8, 3), np.uint8)
    assert list(data_uris(images, [3, 1, 4], 2.5 * len(data_uri(images[0])))) == [3, 1]
