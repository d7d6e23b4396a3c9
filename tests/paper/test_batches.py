"""The order of the batches, the hash behind crops and flips, and the pixels that the network sees."""
from zlib import crc32

import numpy as np
import pytest

from core.backend import to_host
from core.batches import Images, augmented, batches, draws, mean_image, unaugmented

SIZES = [(1, 1), (10, 1), (10, 3), (10, 5), (10, 10), (45, 8), (257, 128), (1, 4), (3, 8), (5, 7), (10, 23)]   # n, size


# ---- the order -----------------------------------------------------------------------------------------------------

def passes(n, size, seed, epochs):
    """The epochs' batches as lists of rows, joined, and cut into passes of n."""
    stream = np.concatenate([i for epoch in range(epochs) for i, _ in batches(n, size, seed, epoch)])
    return [stream[start:start + n] for start in range(0, len(stream), n)]


@pytest.mark.parametrize("n, size", SIZES)
def test_batches_joined_are_whole_passes_each_a_permutation_without_a_gap(n, size):
    found = passes(n, size, 1, 12)
    assert all(sorted(p) == list(range(n)) for p in found[:12])
    assert n < 10 or len({tuple(p) for p in found[:12]}) == 12          # each in an order of its own
    assert len(set(found[-1].tolist())) == len(found[-1])               # what the last batch took of the next pass
    for e, p in enumerate(found[:12]):                               # a pass does not depend on the size of the batches
        assert np.array_equal(p, np.concatenate([i for i, _ in batches(n, n, 1, e)]))


@pytest.mark.parametrize("n, size", SIZES)
def test_every_batch_is_full_and_says_how_much_of_it_is_of_this_pass(n, size):
    shown = 0                                                           # batches before this epoch
    for epoch in range(12):
        found = list(batches(n, size, 2, epoch))
        assert len(found) in (n // size, -(-n // size))
        for i, of_this_pass in found:
            assert i.shape == (size,)
            assert of_this_pass == sum(place // n == epoch for place in range(shown * size, (shown + 1) * size)) > 0
            shown += 1
    assert shown == -(-12 * n // size)


def test_numbers_of_the_paper():
    counts = [sum(1 for _ in batches(45000, 128, 0, epoch)) for epoch in (0, 1, 199)]
    assert set(counts) <= {351, 352} and counts[0] == 352               # 351.5625 on average


def test_order_differs_by_epoch_and_seed_and_is_the_same_on_every_device(xp):
    first, again, later, other = ([to_host(i).tolist() for i, _ in batches(50, 8, seed, epoch, library)]
                                  for seed, epoch, library in ((3, 4, np), (3, 4, xp), (3, 5, xp), (4, 4, xp)))
    assert first == again and first != later and first != other
    assert isinstance(next(batches(50, 8, 3, 4, xp))[0], xp.ndarray)


# ---- the hash ------------------------------------------------------------------------------------------------------

def by_hand(i, seed, epoch, pad):
    """The draws of one sample, in Python's unbounded integers."""
    def mixed(h):
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
            h = (h ^ h >> shift) * factor % 2 ** 32
        return h

    bits = mixed(mixed(mixed(seed % 2 ** 32) ^ epoch) ^ i)
    return [bits % 4096 * (2 * pad + 1) // 4096 - pad, bits // 4096 % 4096 * (2 * pad + 1) // 4096 - pad,
            bits // 2 ** 31]


@pytest.mark.parametrize("seed, epoch, pad", [(0, 0, 4), (1, 7, 4), (2 ** 32 - 1, 199, 1), (2 ** 40 + 5, 3, 0),
                                              (77, 65535, 12)])
def test_draws_are_the_hash_in_python_integers(xp, seed, epoch, pad):
    i = np.r_[0:200, 44999, 10 ** 6, 2 ** 31 - 1]
    found = np.stack([to_host(part).astype(int) for part in draws(xp.asarray(i), seed, epoch, pad)], axis=1)
    assert found.tolist() == [by_hand(int(k), seed, epoch, pad) for k in i]


def test_draws_have_the_stored_values(xp):
    """Every implementation of the hash must give these."""
    down, right, mirrored = (to_host(part) for part in draws(xp.asarray(np.arange(50000)), 20180330, 70, 4))
    assert down[:12].tolist() == [4, -4, 0, -2, -4, -3, 0, 1, 4, -2, 3, -4]
    assert right[:12].tolist() == [4, -1, 1, -4, 1, -4, -4, 1, -4, -1, 3, -1]
    assert mirrored[:12].tolist() == [True, True, True, False, True, False, True, True, False, True, False, False]
    assert down.dtype == right.dtype == np.int64 and mirrored.dtype == bool
    assert crc32(np.stack([down, right, mirrored]).astype("<i8").tobytes()) == 3468597731


def test_a_sample_s_draws_do_not_depend_on_its_batch(xp):
    i = np.random.default_rng(0).permutation(1000)
    whole = np.stack([to_host(part) for part in draws(xp.asarray(i), 5, 6, 4)])
    for rows in (slice(0, 1), slice(7, 300), slice(None, None, -1)):
        assert np.array_equal(np.stack([to_host(part) for part in draws(xp.asarray(i[rows]), 5, 6, 4)]), whole[:, rows])


def chi_square(counts):
    """In units of its standard deviation, about zero."""
    expected = counts.sum() / counts.size
    degrees = counts.size - 1
    return (((counts - expected) ** 2 / expected).sum() - degrees) / np.sqrt(2 * degrees)


@pytest.mark.parametrize("vary", ["sample", "epoch", "seed"])
def test_shifts_and_flips_are_uniform_and_independent(vary):
    """All 9 x 9 x 2 outcomes equally often, along the samples, the epochs and the seeds;
    and all pairs of two shifts in a row."""
    if vary == "sample":
        found = np.stack(draws(np.arange(50000), 1, 2, 4))
    elif vary == "epoch":
        found = np.stack([np.stack(draws(np.array([17]), 1, epoch, 4))[:, 0] for epoch in range(8000)], axis=1)
    else:
        found = np.stack([np.stack(draws(np.array([17]), seed, 3, 4))[:, 0] for seed in range(8000)], axis=1)
    down, right, mirrored = found
    joint = np.zeros((9, 9, 2))
    np.add.at(joint, (down + 4, right + 4, mirrored), 1)
    following = np.zeros((9, 9))
    np.add.at(following, (down[:-1] + 4, down[1:] + 4), 1)
    assert abs(chi_square(joint)) < 4 and abs(chi_square(following)) < 4 and joint.sum() == down.size


# ---- the pixels ----------------------------------------------------------------------------------------------------

def made(H=6, W=5, pad=2, flip=True, N=9):
    rng = np.random.default_rng(1)
    pixels = rng.integers(256, size=(N, H, W, 3), dtype=np.uint8)
    return Images(pixels, mean_image(pixels), pad, flip)


def slowly(images, k, seed, epoch):
    """Subtract the mean, put the image on a canvas of zeros, cut out a window, mirror it: pixel by pixel."""
    _, H, W, C = images.pixels.shape
    down, right, mirrored = by_hand(k, seed, epoch, images.pad)
    out = np.zeros((H, W, C), np.float32)
    for y, x, c in np.ndindex(H, W, C):
        from_y, from_x = y + down, (W - 1 - x if mirrored and images.flip else x) + right
        if 0 <= from_y < H and 0 <= from_x < W:
            out[y, x, c] = np.float32(images.pixels[k, from_y, from_x,
                                                    c]) / np.float32(255) - images.mean[from_y, from_x, c]
    return out


@pytest.mark.parametrize("pad, flip, H, W", [(2, True, 6, 5), (2, False, 6, 5), (0, True, 4, 7), (4, True, 3, 3)])
def test_augmentation_is_its_slow_definition(xp, pad, flip, H, W):
    images = made(H, W, pad, flip)
    i = np.array([8, 0, 3, 3, 5])
    for epoch in range(6):
        x = augmented(images.on(xp), xp.asarray(i), 4, epoch)
        assert x.dtype == np.float32
        assert np.array_equal(to_host(x), np.stack([slowly(images, int(k), 4, epoch) for k in i]))


def test_padding_has_the_colour_of_the_mean_image():
    images = made()._replace(pixels=np.full((300, 4, 4, 3), 200, np.uint8), mean=np.full((4, 4, 3), 0.25, np.float32),
                             pad=4)
    x = augmented(images, np.arange(300), 0, 0)
    assert set(np.unique(x)) == {0, np.float32(200) / np.float32(255) - np.float32(0.25)}
    assert 0.1 < (x == 0).mean() < 0.9


def test_plain_images_are_the_pixels_less_the_mean(xp):
    images = made()
    expected = images.pixels.astype(np.float32) / 255 - images.mean
    for rows in (slice(2, 5), np.array([4, 4, 0])):
        x = unaugmented(images.on(xp), rows if isinstance(rows, slice) else xp.asarray(rows))
        assert np.array_equal(to_host(x), expected[rows]) and x.dtype == np.float32


def test_without_pad_and_flip_augmented_is_plain(xp):
    images, i = made(pad=0, flip=False).on(xp), xp.asarray(np.arange(9))
    assert np.array_equal(to_host(augmented(images, i, 1, 2)), to_host(unaugmented(images, slice(None))))


def test_mean_image_is_the_mean_of_every_place_and_channel():
    pixels = np.zeros((4, 2, 1, 3), np.uint8)
    pixels[:, 1, 0, 2] = [255, 0, 255, 51]
    mean = mean_image(pixels)
    assert mean.dtype == np.float32 and np.allclose(mean, np.array([[[0, 0, 0]], [[0, 0, 0.55]]]), rtol=0, atol=1e-7)
    assert mean_image(np.full((70000, 1, 1, 3), 255, np.uint8)).tolist() == [[[1, 1, 1]]]    # no drift over many images


def test_images_are_not_changed():
    images = made()
    pixels, mean = images.pixels.copy(), images.mean.copy()
    augmented(images, np.arange(9), 0, 0), unaugmented(images, slice(None))
    assert np.array_equal(images.pixels, pixels) and np.array_equal(images.mean, mean)
