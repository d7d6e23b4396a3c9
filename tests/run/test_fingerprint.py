"""What a run is known again by when it is resumed: everything that decides its outcome, and nothing else."""
import numpy as np
import pytest

from core.data import DataSet, Split
from core.report.config import PLACES
from core.run import Config
from core.run.state import WHERE, fingerprint, fingerprint_of_data, identity
from tests.lib.tiny_run import tiny

N, S = 5000, 4                         # more rows than are hashed at a time


def split(seed, N):
    rng = np.random.default_rng(seed)
    return Split(rng.integers(256, size=(N, S, S, 3), dtype=np.uint8), rng.integers(3, size=N), np.arange(N) * 2,
                 rng.integers(3, size=N), np.array([f"{seed}/{i}.png" for i in range(N)]),
                 features=rng.standard_normal((N, 1, 2)).astype(np.float32))


DATA = DataSet("photos", ("ant", "bee", "cat"), split(0, N), split(1, 9), split(2, 9), pad=1, flip=True, rows=2 * N)
GIVEN = DATA.train.labels


def of(data=DATA, given=GIVEN):
    return fingerprint_of_data(data, given)


def with_row(array, row, value=None):
    """The array with one value changed."""
    array = array.copy()
    flat = array[row:row + 1].reshape(-1)
    flat[-1] = flat[-1] + 1 if value is None else value
    array[row] = flat.reshape(array[row].shape)
    return array


ROWS = (0, 4095, 4096, N - 1)
PARTS = [("train", name) for name in ("images", "labels", "index", "truth", "features")] + [
    (part, name) for part in ("validation", "test") for name in ("images", "labels", "truth", "features")]


@pytest.mark.parametrize("part, name", PARTS)
def test_every_row_of_every_array_counts(part, name):
    whole = getattr(DATA, part)
    rows = ROWS if part == "train" else (0, len(whole.labels) - 1)
    found = {of(DATA._replace(**{part: whole._replace(**{name: with_row(getattr(whole, name), row)})})) for row in rows}
    assert len(found) == len(rows) and of() not in found


def test_given_labels_names_and_classes_count():
    train = DATA.train
    found = [of(), *(of(given=with_row(GIVEN, row)) for row in ROWS),
             *(of(DATA._replace(train=train._replace(paths=with_row(train.paths, row, "x")))) for row in ROWS),
             of(DATA._replace(classes=("ant", "bee", "dog"))), of(DATA._replace(classes=("bee", "ant", "cat"))),
             of(DATA._replace(classes=("ant", "bee", "cat", "dog"))),
             of(DATA._replace(train=train._replace(truth=None))),
             of(DATA._replace(train=train._replace(paths=None)))]
    assert len(set(found)) == len(found)


def test_of_a_pretrained_network_its_weights_count_and_not_where_they_lie():
    network = {"name": "n", "size": 224, "sha256": "a", "file": "here"}
    found = [of(), *(of(DATA._replace(backbone={**network, **changed})) for changed in (
        {}, {"name": "m"}, {"size": 128}, {"sha256": "b"}))]
    assert len(set(found)) == len(found) and of(DATA._replace(backbone={**network, "file": "there"})) == found[1]


def test_order_shape_type_and_place_count():
    train, test, validation = DATA.train, DATA.test, DATA.validation
    turned = train.images.reshape(N, S * 2, S // 2, 3)
    found = [of(), of(DATA._replace(train=train.take(np.arange(N)[::-1]))),
             of(DATA._replace(train=train._replace(images=turned))),
             of(DATA._replace(train=train._replace(images=train.images.transpose(0, 2, 1, 3)))),
             of(DATA._replace(train=train._replace(labels=train.labels.astype(np.int32)))),
             of(DATA._replace(test=validation, validation=test)), of(DATA._replace(test=test.take(slice(8)))),
             of(DATA._replace(test=test.take(slice(0)))), of(given=GIVEN[::-1])]
    assert len(set(found)) == len(found)


def test_what_decides_nothing_does_not_count():
    other = DATA._replace(name="moved", rows=7, test=DATA.test._replace(paths=None, index=DATA.test.index + 1),
                          validation=DATA.validation._replace(paths=None, index=DATA.validation.index + 1))
    assert of(other) == of()
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint({"b": {"d": 3, "c": 2}, "a": 1})
    assert of(DATA._replace(train=DATA.train._replace(images=np.asfortranarray(DATA.train.images)))) == of()


# ---- settings --------------------------------------------------------------------------------------------------------

OTHER = {"data": "elsewhere", "truth": "t.csv", "test": "more", "noise_file": "l.npy", "cache": "c", "out": "o",
         "noise": "pair", "net": "paper", "augment": "none", "precision": "float32", "kernels": "half",
         "class_map": {1: 2}, "digits": (1, 2, 3), "recipe": None}


def other(name, value):
    """Another value of the same kind."""
    return OTHER.get(name) or (not value if isinstance(value, bool) else (value or 0) + 1)


@pytest.mark.parametrize("name", sorted({*Config._fields} - {"recipe"}))
def test_every_setting_counts_but_where_to_compute_and_where_things_are(name):
    config = tiny("run")
    changed = config._replace(**{name: other(name, getattr(config, name))})
    assert changed != config and {*PLACES, "ranks", "out", "force", "gpu", "kernels", "cache"} == set(WHERE)
    assert (fingerprint(identity(changed)) == fingerprint(identity(config))) == (name in WHERE)


@pytest.mark.parametrize("name", tiny("run").recipe._fields)
def test_every_number_of_the_recipe_counts(name):
    config = tiny("run")
    value = getattr(config.recipe, name)
    value = value + "x" if isinstance(value, str) else (*value, 1) if isinstance(value, tuple) else value * 1.0000001
    changed = config._replace(recipe=config.recipe._replace(**{name: value}))
    assert fingerprint(identity(changed)) != fingerprint(identity(config))
