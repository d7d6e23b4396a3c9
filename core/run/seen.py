"""What a pretrained network brings: features in the place of images, or the mean that it was trained with."""
import numpy as np

from core.data import feature_files
from core.data.listing import places_of
from core.data.source import decoded
from core.errors import need
from core.parallel.processors import available_processors
from nets.resnet import MEAN

BLOCK = 2048                           # images of an archive or an array in memory: 300 MB of 224 x 224 pixels
SMALL, LARGE = 128, 224                # pixels to the side for the pretrained network: core/data/backbone.py


def with_features(config, reading, xp=np):
    """The Reading with features in every split, if the Config asks for them, computed on the device of xp.

    Raises InputError.
    """
    if config.features is not None:
        return from_file(config, reading)
    if config.finetune:
        return to_finetune(config, reading)
    return computed(config, reading, xp) if config.backbone is not None else reading


# ---- from a file ---------------------------------------------------------------------------------------------------

def from_file(config, reading):
    """The Reading with the features of config.features. Raises InputError."""
    data, found = reading.data, feature_files.read_features(config.features)
    rows, root = data.rows or len(data.train.labels), reading.listings[0] and reading.listings[0].root
    train, validation = (split._replace(features=feature_files.features_of(found, split, rows, root))
                         for split in (data.train, data.validation))
    test = data.test
    if len(test.labels) and (found.test is not None or config.test is not None):
        test = test._replace(features=feature_files.features_of_tests(found, test))
    else:
        test = test.take(slice(0))._replace(features=train.features[:0])
    notes = [f"{found.constant} of {found.features.shape[1]} features are the same in all rows: they tell nothing"]
    data = data._replace(train=train, validation=validation, test=test, pad=0, flip=False)
    return reading._replace(data=data, notes=[*reading.notes, *notes[:found.constant]])


# ---- from a pretrained network -------------------------------------------------------------------------------------

def computed(config, reading, xp):
    """The Reading with the features that config.backbone makes of all images. Raises InputError."""
    from core.data import backbone  # imported where needed: demo.py starts sooner

    data, notes, views, size = reading.data, list(reading.notes), views_of(config), size_of(config, reading)
    path = backbone.file_of(config.backbone)
    net = backbone.network(path, size)

    def seen(split, listing, views, part):
        if len(split.labels) == 0:
            return split._replace(features=np.zeros((0, views, net.D), np.float32))
        found = features_of(config, split, listing, size, views, path, xp, data.levels, part)
        notes.extend(found.notes)
        return split._replace(features=found.views.swapaxes(0, 1))

    train, validation, test = map(seen, (data.train, data.validation, data.test), reading.listings, (views, 1, 1),
                                  ("", "validation", "test"))
    about = {"name": net.name, "sha256": backbone.digest_of(path), "size": size, "file": str(path.resolve())}
    data = data._replace(train=train, validation=validation, test=test, pad=0, flip=views == 2, backbone=about)
    return reading._replace(data=data, notes=notes)


def to_finetune(config, reading):
    """The Reading with the mean of the pretrained network's images, in the place of the mean image of these."""
    from core.data import backbone

    path, (H, W) = backbone.file_of(config.backbone), reading.data.train.images.shape[1:3]
    mean = np.broadcast_to(MEAN.astype(np.float32), (H, W, 3))
    about = {"name": "resnet", "sha256": backbone.digest_of(path), "size": H, "file": str(path.resolve())}
    return reading._replace(data=reading.data._replace(mean=mean, backbone=about))


def features_of(config, split, listing, size, views, path, xp, levels, part):
    """backbone.Features of a Split, from the files of its images if it has them; part: its name in the store.

    Raises InputError.
    """
    from core.data import backbone

    jobs = config.ranks or available_processors()
    if listing is None:
        return backbone.features(split.images, size, views, jobs, config.cache, path, xp)
    if listing.packed:
        blocks = packed_blocks(listing, places_of(listing, split.index), size, jobs, levels)
        found = [backbone.features(block, size, views, jobs, config.cache, path, xp) for block in blocks]
        return found[0]._replace(views=np.concatenate([part.views for part in found], axis=1))
    found = backbone.file_features(listing.root, split.paths.tolist(), size, views, jobs, config.cache, path, xp,
                                   levels, part)
    row = min(found.reasons, default=None)
    need(row is None, f"{row is not None and split.paths[row]} could be read a moment ago and cannot be now, "
         f"{found.reasons.get(row)}: start again")
    return found


def packed_blocks(listing, rows, size, jobs, levels):
    """The pixels (n, S, S, 3) of rows of a Listing whose images are in an archive or an array, BLOCK at a time."""
    for k in range(0, len(rows), BLOCK):
        part = np.array(rows[k:k + BLOCK])
        pixels, place = np.empty((len(part), size, size, 3), np.uint8), {row: k for k, row in enumerate(part.tolist())}
        for found, piece, *_ in decoded(listing, part, size, jobs, levels, "BICUBIC"):
            pixels[[place[row] for row in np.asarray(found).tolist()]] = piece
        yield pixels


def views_of(config):
    """How many views of an image a head learns from: 2 with mirrored ones."""
    return 2 if config.augment in ("flip", "both") else 1


def size_of(config, reading):
    """Pixels to the side of what the pretrained network sees: as asked, or by the sizes of the images as stored."""
    if config.size is not None:
        return config.size
    sides = reading.data.train.images.shape[1:3] if reading.shapes is None else reading.shapes
    return SMALL if np.median(np.min(sides, axis=-1)) <= SMALL else LARGE
