"""Features belong to their images: to the row, the view and the split, wherever they come from."""
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.data import DataSet, Split, backbone
from core.data.own import Reading
from core.errors import InputError
from core.recipes import RECIPES
from core.run import Config, seen
from nets.resnet import MEAN

ROWS, S = 40, 4                                              # of the source
ORDER = np.random.default_rng(0).permutation(ROWS)
PARTS = {"train": ORDER[:20], "validation": ORDER[20:27], "test": np.arange(5)}


def split(name, first=0):
    """The Split of these rows; every pixel of an image is its row."""
    rows = PARTS[name]
    pixels = np.broadcast_to((rows + first)[:, None, None, None], (len(rows), S, S, 3)).astype(np.uint8)
    return Split(pixels, np.zeros(len(rows), int), rows, paths=np.array([f"{name}/{row}.png" for row in rows]))


DATA = DataSet("photos", ("a", "b"), split("train"), split("validation"), split("test", 100), 1, True, ROWS)
NAMES = ("train", "validation", "test")


def config(**changes):
    return Config(RECIPES["head"], **{"backbone": "b", "ranks": 3, "cache": "c", "augment": "none", **changes})


def listing(name=None, packed=None, index=()):
    return SimpleNamespace(root=Path("root", name or ""), packed=packed, index=list(index))


def reading(*listings, **data):
    return Reading(DATA._replace(**data), notes=["before"], listings=listings or (None,) * 3)


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A pretrained network whose features of an image are its first pixel, pixels to the side, and the view;
    the list of (function, size, views, jobs, store, file, xp, levels, part) of its calls."""
    calls = []

    def made(first, size, views):
        rows = np.array(first)
        found = np.array([np.stack([rows, 0 * rows + size, 0 * rows + view], axis=1) for view in range(views)])
        return found.astype(np.float32)

    def features(images, size, views, jobs, store, file, xp):
        calls.append(("array", size, views, jobs, store, file, xp))
        return backbone.Features(made(images[:, 0, 0, 0], size, views), {}, [f"note {len(calls)}"])

    def file_features(root, paths, size, views, jobs, store, file, xp, levels, part):
        calls.append((root, size, views, jobs, store, file, xp, levels, part))
        return backbone.Features(made([int(Path(path).stem) for path in paths], size, views), dict(reasons), [])

    reasons = {}
    for name, function in (("features", features), ("file_features", file_features),
                           ("network", lambda path, size: SimpleNamespace(name="net", D=3)),
                           ("file_of", Path), ("digest_of", lambda path: f"sha {path.name}")):
        monkeypatch.setattr(backbone, name, function)
    monkeypatch.chdir(tmp_path)
    return SimpleNamespace(calls=calls, reasons=reasons)


def told(features):
    """The rows (N,) that the features are of, after the other two have been looked at."""
    N, views, _ = features.shape
    assert (features[..., 2] == np.arange(views)).all() and len(set(features[..., 1].ravel())) <= 1
    assert (features[..., 0] == features[:, :1, 0]).all()
    return features[:, 0, 0].astype(int).tolist()


@pytest.mark.parametrize("augment, views", [("none", 1), ("flip", 2), ("both", 2)])
def test_features_of_a_pretrained_network_belong_to_their_rows_and_views(network, tmp_path, augment, views):
    for listings in ((None,) * 3, tuple(map(listing, NAMES))):
        network.calls.clear()
        asked = config(augment=augment, size=64)
        found = seen.with_features(asked, reading(*listings, levels={1: (0, 9)}), "xp")
        of_files = listings[0] is not None
        for name, shown, first in zip(NAMES, (views, 1, 1), (0, 0, 0 if of_files else 100)):
            part = getattr(found.data, name)
            assert part.features.shape == (len(PARTS[name]), shown, 3)
            assert told(part.features) == (PARTS[name] + first).tolist() and (part.index == PARTS[name]).all()
        about = 64, 3, "c", Path("b"), "xp"
        assert network.calls == [
            (Path("root", name) if of_files else "array", about[0], shown, *about[1:],
             *[{1: (0, 9)}, part] * of_files) for name, shown, part in zip(NAMES, (views, 1, 1),
                                                                           ("", "validation", "test"))]
        assert found.notes == ["before", *([] if of_files else ["note 1", "note 2", "note 3"])]
        assert found.data.backbone == {"name": "net", "sha256": "sha b", "size": 64, "file": str(tmp_path / "b")}
        assert (found.data.pad, found.data.flip) == (0, views == 2)


def test_splits_without_images_have_features_of_none_and_a_file_that_is_gone_is_named(network):
    nothing = DATA.test.take(slice(0))
    found = seen.with_features(config(size=64, augment="flip"), reading(validation=nothing, test=nothing)).data
    assert found.validation.features.shape == (0, 1, 3) == found.test.features.shape and len(network.calls) == 1
    network.reasons.update({7: "worse", 3: "gone"})
    with pytest.raises(InputError, match=f"^train/{ORDER[3]}.png could be read a moment ago and cannot be now, gone"):
        seen.with_features(config(size=64), reading(*map(listing, NAMES)))


def test_packed_images_are_taken_by_their_rows_a_block_at_a_time(network, monkeypatch):
    """A row of the source is another place in the archive, and the pieces come in any order."""
    places, asked = np.random.default_rng(1).permutation(ROWS), []
    monkeypatch.setattr(seen, "BLOCK", 6)

    def decoded(listing, part, size, jobs, levels, resample):
        asked.append((listing.packed, size, jobs, levels, resample, len(part)))
        for piece in np.array_split(np.random.default_rng(2).permutation(part), 2):
            rows = [listing.index[place] for place in piece]
            yield piece, np.broadcast_to(np.array(rows)[:, None, None, None], (len(rows), size, size, 3)), None, None

    monkeypatch.setattr(seen, "decoded", decoded)
    packed = listing(packed="zip", index=places)
    found = seen.with_features(config(size=32, augment="flip"), reading(packed, packed, packed, levels="l")).data
    for name in NAMES:
        assert told(getattr(found, name).features) == PARTS[name].tolist()
    assert asked == [("zip", 32, 3, "l", "BICUBIC", n) for n in (6, 6, 6, 2, 6, 1, 5)]
    assert [call[2] for call in network.calls] == [2] * 4 + [1] * 3


def test_the_size_is_as_asked_or_by_the_images_as_they_are_stored(network):
    def size(shapes=None, **changes):
        found = seen.with_features(config(**changes), reading()._replace(shapes=shapes))
        return found.data.backbone["size"]

    assert size(size=96) == 96 and size() == 128                         # the images themselves are small
    for sides, expected in (([(128, 500)] * 3, 128), ([(129, 500)] * 3, 224), ([(500, 129)] * 3, 224),
                            ([(90, 90), (90, 90), (900, 900)], 128), ([(90, 90), (900, 900), (900, 900)], 224)):
        assert size(np.array(sides)) == expected
    jobs = [call[3] for call in network.calls]
    assert set(jobs) == {3}


def test_all_processors_decode_where_nobody_says_how_many(network, monkeypatch):
    monkeypatch.setattr(seen, "available_processors", lambda: 11)
    seen.with_features(config(ranks=None, size=32), reading())
    assert {call[3] for call in network.calls} == {11}


def test_a_network_that_is_trained_on_sees_images_less_the_mean_of_its_own_training(network, tmp_path):
    before = reading()
    found = seen.with_features(config(finetune=True), before)
    assert found.data.train is before.data.train and network.calls == []
    assert found.data.mean.shape == (S, S, 3) and (found.data.mean == MEAN.astype(np.float32)).all()
    assert found.data.backbone == {"name": "resnet", "sha256": "sha b", "size": S, "file": str(tmp_path / "b")}
    assert (found.data.pad, found.data.flip, found.notes) == (1, True, ["before"])
    assert seen.with_features(config(backbone=None), before) is before


# ---- from a file -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("by_paths", [False, True])
@pytest.mark.parametrize("with_test", [False, True])
def test_features_of_a_file_belong_to_their_rows_or_paths(tmp_path, by_paths, with_test):
    x, y = (np.random.default_rng(k).random((n, 3)).astype(np.float32) for k, n in ((1, ROWS), (2, 5)))
    x[:, 1] = y[:, 1] = 7
    arrays = {"features": x, **({"test": y} if with_test else {})}
    if by_paths:
        of = {row: f"{name}/{row}.png" for name in ("train", "validation") for row in PARTS[name].tolist()}
        arrays["paths"] = np.array([of.get(row, f"other/{row}.png") for row in range(ROWS)])
    np.savez(tmp_path / "f.npz", **arrays)
    asked = config(backbone=None, features=str(tmp_path / "f.npz"))
    found = seen.with_features(asked, reading(listing(), None, None))
    for name in ("train", "validation"):
        part = getattr(found.data, name)
        assert np.array_equal(part.features, x[PARTS[name]][:, None]) and (part.index == PARTS[name]).all()
    assert np.array_equal(found.data.test.features, y[:, None][:5 * with_test])
    assert len(found.data.test.labels) == 5 * with_test
    assert found.notes == ["before", "1 of 3 features are the same in all rows: they tell nothing"]
    assert (found.data.pad, found.data.flip, found.data.backbone) == (0, False, None)
    if not with_test:
        with pytest.raises(InputError, match="has no rows of test images, and there are 5"):
            seen.with_features(asked._replace(test="more"), reading(listing(), None, None))


def test_a_file_of_features_without_constant_ones_is_not_remarked_on(tmp_path):
    """Nor has the data set to say how many rows its source has."""
    x = np.random.default_rng(1).random((20, 3))
    np.save(tmp_path / "f.npy", x)
    train = DATA.train._replace(index=np.arange(20)[::-1])
    nothing = DATA.test.take(slice(0))
    found = seen.with_features(config(backbone=None, features=str(tmp_path / "f.npy")),
                               reading(rows=0, train=train, validation=nothing, test=nothing))
    assert found.notes == ["before"] and np.array_equal(found.data.train.features[:, 0], x[::-1].astype(np.float32))
    assert found.data.validation.features.shape == found.data.test.features.shape == (0, 1, 3)
