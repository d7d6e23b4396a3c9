"""A checkpoint gives every step back what its training left, tells what has changed, and refuses what none leaves."""
import json
from types import SimpleNamespace

import numpy as np
import pytest

from core.data import DataSet, Split
from core.errors import InputError
from core.files import load_sealed, previous, recover
from core.labels import SoftLabels, one_hot
from core.measure import Epoch
from core.model import fresh_model
from core.run import folder as run_folder
from core.run import state
from nets import preact_resnet
from nets.preact_resnet import Architecture
from tests.lib.tiny_run import tiny

C, N, K = 3, 12, 2
ORIGIN = {"settings": "a", "data": "b", "ranks": 1}
FIRST = SimpleNamespace(rank=0, size=2, barrier=lambda: None)
SECOND = FIRST.__class__(**{**vars(FIRST), "rank": 1})


def began():
    """(model, labels) as a step begins."""
    model = fresh_model(preact_resnet, Architecture(C, (4, 4), (1, 1)), np.random.default_rng(0), np)
    return model, SoftLabels(one_hot(np.arange(N) % C, C), K)


def trained(seed, epochs):
    """(model, labels) with a value of its own in every place."""
    (model, labels), rng = began(), np.random.default_rng(seed)
    for buffer in model.buffers():
        buffer[...] = rng.normal(size=buffer.shape)
    labels.Y, labels.s, *ring = rng.dirichlet(np.ones(C), size=(2 + K, N)).astype(np.float32)
    labels.ring[...], labels.epochs = ring, epochs
    return model, labels


def copies(model, labels):
    arrays = {"theta": model.theta.buffer, "running": model.running.buffer, "velocity": model.velocity,
              "Y": labels.Y, "s": labels.s, "ring": labels.ring, "epochs": labels.epochs}
    return {name: np.array(array) for name, array in arrays.items()}


def record(step="joint", epoch=1, fold=None, **changes):
    return Epoch(step, fold, epoch, 0.1, 1.5, 1.0, 0.25, 0.125, 0.5, 0.75, 0.625, 0.875, 3, 2.0)._replace(**changes)


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


STEPS = [("joint", None, 1, False), ("joint", None, 2, True), ("joint", 1, 1, True), ("joint", 2, 1, False),
         ("retrain", None, 1, False), ("retrain", None, 2, False)]


def test_every_step_gets_back_what_its_training_left_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "SHARE", np.inf)
    path, records, left = tmp_path / state.FILE, [], {}
    progress = state.Progress(path, ORIGIN)
    for seed, (step, fold, epoch, last) in enumerate(STEPS):
        key, now = state.training_name(step, fold), trained(seed, epoch)
        records.append(record(step, epoch, fold, loss=float(seed)))
        progress.completed(key, *now, records[-1], last)
        left[key] = {name: array for name, array in copies(*now).items()
                     if not (last and name in ("velocity", "ring"))}
        again = state.Progress(path, ORIGIN)
        again.load()
        assert again.records == records
        for key, expected in left.items():
            model, labels = began()
            fresh = copies(model, labels)
            again.restore(key, model, labels)
            assert same(copies(model, labels), {**fresh, **expected}), key
            assert np.array_equal(labels.Y0, fresh["Y"]) and type(labels.epochs) is int
            assert np.array_equal(np.concatenate([view.ravel() for view in model.theta.views.values()]),
                                  model.theta.buffer)
        model, labels = began()
        again.restore("cross-entropy", model, labels)
        assert same(copies(model, labels), copies(*began()))
        state.Progress(tmp_path / "none.npz", ORIGIN).load()


def test_a_checkpoint_is_saved_at_the_end_of_a_step_and_else_as_its_share_of_the_time_allows(tmp_path, monkeypatch):
    clock, saved = [1000.0], []

    def save(path, arrays):
        saved.append(state.about(arrays)["records"][-1].epoch)
        clock[0] += 2                                        # seconds

    monkeypatch.setattr(state, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(state, "save_sealed", save)
    progress, now = state.Progress(tmp_path / state.FILE, ORIGIN), trained(0, 1)
    for epoch, seconds in ((1, 0), (2, 199), (3, 0.75), (4, 0.25), (5, 150), (6, 0)):     # since the one before
        clock[0] += seconds
        progress.completed("joint", *now, record(epoch=epoch), last=epoch == 5)
    assert saved == [1, 4, 5] and [found.epoch for found in progress.records] == [1, 2, 3, 4, 5, 6]
    nowhere = state.Progress(None, ORIGIN)
    nowhere.completed("joint", *now, record(), last=True)
    assert len(saved) == 3 and nowhere.records == [record()]


@pytest.mark.parametrize("change, words", [({"settings": "c"}, "its config.json is not the same as when"),
                                           ({"data": "c"}, "the data or the given labels are not the same as")])
def test_a_checkpoint_of_other_settings_or_data_is_refused(tmp_path, monkeypatch, change, words):
    state.Progress(tmp_path / state.FILE, ORIGIN).completed("joint", *trained(0, 1), record(), last=True)
    with pytest.raises(InputError, match=f"{tmp_path} cannot be resumed: {words}"):
        state.Progress(tmp_path / state.FILE, {**ORIGIN, **change}).load()
    state.Progress(tmp_path / state.FILE, {**ORIGIN, "ranks": 5}).load()                    # may change
    with monkeypatch.context() as patch, pytest.raises(InputError, match="was written by another version"):
        patch.setattr(state, "FORMAT", [state.FORMAT[0] + 1, *state.FORMAT[1:]])
        state.Progress(tmp_path / state.FILE, ORIGIN).load()


# ---- opened by a run -------------------------------------------------------------------------------------------------

SPLIT = Split(np.zeros((N, 4, 4, 3), np.uint8), np.arange(N) % C, np.arange(N))
DATA = DataSet("d", ("a", "b", "c"), SPLIT, SPLIT, SPLIT, pad=1, flip=True)


@pytest.fixture
def here(monkeypatch):
    """{name: version}: the environment, to be changed."""
    found = {"date": "today", "numpy": "2", "cupy": "13"}
    for module in (run_folder, state):
        monkeypatch.setattr(module, "environment", lambda: dict(found))
    return found


def open_run(folder, comm=FIRST, resume=False, **changes):
    return state.opened(folder, tiny(folder)._replace(**changes), DATA, SPLIT.labels, comm, resume)


def test_a_rank_reads_the_checkpoint_after_rank_0_has_put_it_in_order(tmp_path, here):
    progress, _ = open_run(tmp_path)
    for epoch in (1, 2):
        progress.completed("joint", *trained(0, epoch), record(epoch=epoch), last=True)
    (tmp_path / state.FILE).write_bytes(b"damaged")
    comm = SECOND.__class__(**{**vars(SECOND), "barrier": lambda: recover(tmp_path / state.FILE)})
    assert open_run(tmp_path, comm, True)[0].records == [record()]


def test_a_run_begins_goes_on_and_tells_what_has_changed(tmp_path, here):
    progress, notes = open_run(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (notes, progress.records, config["settings"]["ranks"], config["environment"]) == ([], [], 2, here)
    assert open_run(tmp_path, SECOND)[1] == [] and open_run(None)[0].path is None
    with pytest.raises(InputError, match="is not empty"):
        open_run(tmp_path)

    assert open_run(tmp_path, resume=True)[1] == ["resumed  at its beginning"]
    for epoch in (1, 2):
        progress.completed("joint", *trained(0, epoch), record(epoch=epoch), last=True)
    for number in (1, 2, 3):
        run_folder.log(tmp_path, record(epoch=number))       # the last one belongs to no checkpoint
    (tmp_path / f".{state.FILE}.12.part").touch()
    log = (tmp_path / "log.jsonl").read_text()
    other, notes = open_run(tmp_path, SECOND, True, kernels="half")
    assert notes == ["resumed  after epoch 2 of step 1"] and other.records == [record(), record(epoch=2)]
    assert (tmp_path / "log.jsonl").read_text() == log and (tmp_path / f".{state.FILE}.12.part").exists()

    here.update(date="tomorrow", numpy="3", new="1")
    again, notes = open_run(tmp_path, resume=True, kernels="half")
    assert notes == ["resumed  after epoch 2 of step 1",
                     "note     not as when the run began: numpy, new, --kernels; the last bits may differ"]
    assert again.records == other.records and list(again.steps) == ["joint"]
    assert (tmp_path / "log.jsonl").read_text().splitlines() == log.splitlines()[:2]
    assert not (tmp_path / f".{state.FILE}.12.part").exists()
    with pytest.raises(InputError, match="its config.json is not the same"):
        open_run(tmp_path, resume=True, seed=1)

    (tmp_path / state.FILE).write_bytes(b"damaged")
    here.update(numpy="2")
    del here["new"]
    again, notes = open_run(tmp_path, resume=True)
    assert notes == ["note     the newest checkpoint was damaged: the one before it is used",
                     "resumed  after epoch 1 of step 1"] and again.records == [record()]
    progress.completed("joint", *trained(0, 1), record(), last=True)
    assert previous(tmp_path / state.FILE).exists()
    state.remove(tmp_path)
    state.remove(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "log.jsonl"]


def test_how_far_a_run_is_in_words():
    told = {"joint": "step 1", "retrain": "step 2", "cross-entropy": "the comparison"}
    assert state.how_far([]) == "at its beginning"
    for step, words in told.items():
        assert state.how_far([record(), record(step, 7)]) == f"after epoch 7 of {words}"
        assert state.how_far([record(step, 7, fold=2)]) == f"after epoch 7 of {words} in fold 2"


# ---- what no training leaves -----------------------------------------------------------------------------------------

def test_records_have_the_types_and_ranges_of_a_training(tmp_path):
    state.Progress(tmp_path / state.FILE, ORIGIN).completed("joint", *trained(0, 1), record(), last=True)
    arrays = load_sealed(tmp_path / state.FILE)
    whole = json.loads(arrays["about"].tobytes())

    def taken(values):
        text = json.dumps({**whole, "records": [list(record()), list(values)]})
        try:
            return len(state.about({"about": np.frombuffer(text.encode(), np.uint8)})["records"]) == 2
        except InputError:
            return False

    good = [record(step) for step in ("joint", "retrain", "cross-entropy")]
    good += [record(fold=1), record(changed=0), record(epoch=10**9 - 1), record(recovery=float("nan")), record(loss=2)]
    assert all(map(taken, good))
    bad = [record("dance"), record(epoch=0), record(epoch=10**9), record(epoch=1.0), record(epoch=True),
           record(changed=-1), record(changed=1.5), record(fold=-1), record(fold="1"), record()[:-1], [*record(), 1]]
    bad += [record(**{name: value}) for name in Epoch._fields if name not in ("step", "fold")
            for value in ("1", None, [1])]
    assert not any(map(taken, bad))
    for name in ("format", "settings", "data", "records"):
        lacking = {key: value for key, value in whole.items() if key != name}
        with pytest.raises(InputError, match="^f holds what no run writes"):
            state.about({"about": np.frombuffer(json.dumps(lacking).encode(), np.uint8)}, "f")


@pytest.mark.parametrize("name", ["Y", "s", "ring", "theta", "running", "velocity"])
def test_an_array_that_no_training_leaves_is_refused(name):
    good = copies(*trained(0, 1))
    assert all(state.possible(key, array, 1) for key, array in good.items()) and not state.possible("epochs", 2, 1)
    for value in (np.nan, np.inf, -np.inf, *([-1e-3, 1.01] if name in ("Y", "s", "ring") else [])):
        array = good[name].copy()
        array.reshape(-1)[-1] = value
        assert not state.possible(name, array, 1)
    edges = np.tile(np.float32([0, 1, 0]), (N, 1))
    assert state.possible(name, edges, 1) and state.possible(name, edges * np.float32(1 + 1e-6), 1)
    assert state.possible(name, edges * np.float32(0.99), 1) == (name != "Y")


def test_arrays_of_another_network_and_of_no_network_are_refused(tmp_path):
    progress = state.Progress(tmp_path / state.FILE, ORIGIN)
    progress.completed("joint", *trained(0, 1), record(), last=False)
    whole = progress.steps["joint"]

    def refused(change, missing=()):
        progress.steps["joint"] = {name: array for name, array in {**whole, **change}.items() if name not in missing}
        with pytest.raises(InputError) as error:
            progress.restore("joint", *began())
        return str(error.value)

    for name in {*whole} - {"epochs"}:
        assert refused({name: whole[name][:-1]}) == f"{progress.path} is of another network: start a new run"
        assert "is of another network" in refused({name: whole[name].astype(np.float64)})
    for name in state.REQUIRED:
        assert "holds what no run writes" in refused({}, [name])
    assert "holds what no run writes" in refused({"colour": whole["Y"]})
    assert "holds what no run writes" in refused({"epochs": np.array(2)})
