"""core/run/dry_run.py: the numbers behind the estimates of time and memory, by hand, with a clock that is told."""
import os
from pathlib import Path

import numpy as np
import pytest

from core import train
from core.data import DataSet, Split
from core.data.own import Reading
from core.recipes import Recipe
from core.run import Config, dry_run
from core.run.dry_run import Trial, duration, size
from nets import families

N, V, T, C, S = 30, 8, 12, 3, 6
RECIPE = Recipe(lr=0.1, alpha=1, beta=1, epochs=60, begin=20, K=5, epochs2=20, drops2=(9,), batch=10)


def split(n, features=None):
    pixels = np.random.default_rng(n).integers(256, size=(n, S, S, 3), dtype=np.uint8)
    return Split(pixels, np.arange(n) % C, np.arange(n), features=features)


DATA = DataSet("photos", ("a", "b", "c"), split(N), split(V), split(T), pad=1, flip=True)
READING = Reading(DATA, shapes=np.full((N, 2), 40), seconds=7)
GIVEN = np.arange(N) % C


def config(**changes):
    recipe = RECIPE._replace(**{name: value for name, value in changes.items() if name in RECIPE._fields})
    others = {name: value for name, value in changes.items() if name not in RECIPE._fields}
    return Config(recipe, noise="none", rate=None, net="small", ranks=1)._replace(**others)


TIMES = [                              # settings, Trial: what an epoch takes, what all take
    ({}, Trial(2, 0.5, 0, 1), N * 2 + (V + T) * 0.5, 80 * (N * 2 + (V + T) * 0.5)),
    ({"compare": True}, Trial(2, 0.5, 0, 1), 70, 160 * 70),
    ({"folds": 4}, Trial(2, 0.5, 0, 1), 70, 80 * 70 + 3 * 80 * N * 2),
    ({"folds": 4, "net": "head"}, Trial(2, 0.5, 0, 1), 70, 80 * 70 + 3 * 60 * N * 2),
    ({"folds": 4, "compare": True}, Trial(2, 0.5, 0, 1), 70, 160 * 70 + 3 * 80 * N * 2),
    ({"net": "linear", "backbone": "e"}, Trial(2, 0.5, 0, 1, seeing=4), 70, 80 * 70 + 4 * (N + V + T))]


@pytest.mark.parametrize("changes, tried, epoch, total", TIMES, ids=range(len(TIMES)))
def test_time_is_that_of_all_images_in_all_trainings(changes, tried, epoch, total):
    asked = config(**changes)
    line, = dry_run.time_lines(asked, DATA, tried)
    epochs = 160 if asked.compare else 80
    expected = f"time     about {duration(epoch)} an epoch on 1 process, {duration(total)} for all {epochs} epochs"
    expected += " and those of 4 folds" * bool(asked.folds)
    expected += f", {duration(200)} of it for the features of e" * bool(asked.backbone)
    assert line == expected
    for changed, place in ((tried._replace(ranks=3), "3 processes"), (tried, "GPU 1")):
        found, = dry_run.time_lines(asked._replace(gpu=1 if place == "GPU 1" else None), DATA, changed)
        assert found == expected.replace("1 process", place)


def test_a_first_list_is_told_with_its_time_where_files_are_learnt_from():
    tried = Trial(2, 0.5, 0, 1)
    for folds, compare in ((None, False), (4, True)):
        found = dry_run.quick_lines(config(folds=folds, compare=compare), DATA, tried, READING)
        assert found == [f"quick    --epochs 10 gives a first list: {duration(13 * 70)} for all 13 epochs"]
    assert dry_run.quick_lines(config(net="head"), DATA, tried, READING) == []
    assert dry_run.quick_lines(config(), DATA, tried, Reading(DATA)) == []
    assert dry_run.quick_lines(config(), DATA, tried, None) == []


@pytest.mark.parametrize("features, ranks, folds", [(0, 1, None), (0, 3, None), (500, 2, None), (0, 1, 4), (500, 2, 4)])
def test_memory_is_that_of_everything_that_is_held_at_once(monkeypatch, features, ranks, folds):
    images = (N + V + T) * (S * S * 3 + features)
    ring, labels = 4 * N * C * 5, 4 * N * C * 5 + 4 * (4 * N * C)
    fold = round(N * (S * S * 3 + 8 + 8 + features) + 3 / 4 * labels) if folds else 0      # with labels and index
    kept, program = 3 * 2 * 4 * N * C if folds else 0, 10**6
    peak, needed = images + program, images + kept + ranks * (labels + fold + program)
    for there in (needed, needed - 1):
        monkeypatch.setattr(dry_run, "free", lambda there=there: there - peak)
        lines, possible = dry_run.memory_lines(config(folds=folds), DATA, Trial(1, 1, peak, ranks, features=features))
        assert possible == (there == needed) == (len(lines) == 1)
    what = "images and features" if features else "images"
    assert lines[0] == (f"memory   about {size(needed)}: {what} {size(images)}, predictions of 5 epochs {size(ring)}, "
                        + f"a fold {size(fold)}, " * bool(folds) + f"program and network {size(program)}"
                        + f", all but the images in each of {ranks} processes" * (ranks > 1))
    assert lines[1].startswith(f"This machine has {size(needed - 1)} for it, which is not enough: choose a smaller")


def test_the_ring_is_no_longer_than_the_run():
    line, = dry_run.memory_lines(config(K=5, epochs=3), DATA, Trial(1, 1, 0, 1))[0]
    assert f" epochs {size(4 * N * C * 3)}, " in line


# ---- what is measured ------------------------------------------------------------------------------------------------

@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a second whenever it is read."""
    monkeypatch.setitem(families.NETS, "small", {"widths": (4,), "blocks": (1,)})
    now = iter(range(1000))
    monkeypatch.setattr(dry_run.time, "perf_counter", lambda: next(now))


@pytest.mark.parametrize("batch, rows", [(10, 20), (20, 30)])
def test_the_first_images_are_trained_on_with_their_labels_and_looked_at(monkeypatch, clock, batch, rows):
    met = []

    def steps(model, task, labels, recipe, theta_epoch):
        met.append((task.train.pixels, labels.Y.argmax(axis=1), len(labels.ring), recipe.epochs, recipe.begin))
        assert len(task.validation[1]) == len(task.test[1]) == 0
        yield from (record._replace(seconds=7 * record.epoch) for record in records(model, task, labels, recipe,
                                                                                    theta_epoch=theta_epoch))
    records = train.joint_optimization
    monkeypatch.setattr(train, "joint_optimization", steps)
    monkeypatch.setattr(dry_run, "peak_memory", lambda: 77)
    tried = dry_run.trial(config(batch=batch), READING, GIVEN[::-1])
    (pixels, labels, K, epochs, begin), = met
    assert (pixels == DATA.train.images[:rows]).all() and (labels == GIVEN[::-1][:rows]).all()
    assert (K, epochs, begin) == (1, 2, 2)
    assert tried == Trial(14 / rows, 1 / rows, 77, 1, [], 0, 0)


@pytest.mark.parametrize("jobs", [1, 3])
def test_few_images_are_seen_by_the_pretrained_network_and_nothing_is_kept(monkeypatch, clock, jobs):
    asked = []

    def seen(config, reading, xp):
        asked.append((config, reading.data))
        train = reading.data.train
        return reading._replace(data=reading.data._replace(train=train._replace(
            features=np.zeros((len(train.labels), 2, 5), np.float32))))

    monkeypatch.setattr(dry_run, "with_features", seen)
    monkeypatch.setattr(dry_run, "FEW_SEEN", 4)
    run = config(net="linear", backbone="efficientnet-lite0", augment="flip", cache="c", test="t", ranks=jobs)
    data, seconds = dry_run.few_seen(run, READING, np)
    (config_, few), = asked
    assert (config_.cache, config_.test, config_.ranks) == (None, None, 1)
    assert (few.train.images == DATA.train.images[:4]).all() and len(few.validation.labels) == len(few.test.labels) == 0
    assert seconds == 1 / 4 / jobs and dry_run.few_seen(run, READING, object())[1] == 1 / 4
    tried = dry_run.trial(run._replace(ranks=1), READING, GIVEN)
    assert (tried.seeing, tried.features) == (1 / 4, 2 * 5 * 4)


def test_what_is_told_is_told_of_these_data(monkeypatch):
    told = {}
    monkeypatch.setattr(dry_run, "trial", lambda *args: Trial(1, 1, 0, 1, ("a remark",)))
    monkeypatch.setattr(dry_run, "with_features", lambda config, reading: told.update(asked=config) or reading)
    lines, possible = dry_run.report(config(), READING._replace(notes=["a note"]), GIVEN)
    assert possible and "asked" not in told
    assert lines[0] == "photos: 30 training, 8 validation, 12 test images, 3 classes"
    assert "read in 7 s; all are 40 x 40 pixels; shown to the network as 6 x 6" in lines
    assert [line.split()[0] for line in lines[lines.index("a note"):] if line] == ["a", "a", "time", "quick", "memory"]
    assert not any(line.startswith(("read in", "quick")) for line in dry_run.report(config(), Reading(DATA), GIVEN)[0])
    dry_run.report(config(features="f.npy"), READING, GIVEN)
    assert told["asked"].features == "f.npy"


def test_the_advice_is_for_these_settings_and_data(monkeypatch):
    monkeypatch.setattr(dry_run, "trial", lambda *args: Trial(1, 1, 0, 1))
    monkeypatch.setattr("core.run.description.installed", lambda: False)
    train = DATA.train._replace(labels=np.minimum(DATA.train.labels, DATA.train.index % 30 == 0),
                                paths=np.array(["a.png"] * len(GIVEN)))
    uneven = Reading(DATA._replace(train=train))
    for prior, advised in (("uniform", "--prior given"), ("given", "--prior uniform")):
        asked = config()
        lines, _ = dry_run.report(asked._replace(recipe=asked.recipe._replace(prior=prior)), uneven, GIVEN)
        assert advised in "\n".join(lines) and "never seen a photograph" in lines[-1]


def test_times_and_sizes_are_rounded_as_people_say_them():
    assert [duration(s) for s in (9.94, 10, 59.4, 60, 90, 3569, 3600, 3661, 86_400)] == [
        "9.9 s", "10 s", "59 s", "1 min", "2 min", "59 min", "1 h 0 min", "1 h 1 min", "24 h 0 min"]
    assert [size(n) for n in (999, 10**6, 10**9, 99 * 10**6, 99.9 * 10**6, 100 * 10**6, 5 * 10**12)] == [
        "1 kB", "1 MB", "1 GB", "99 MB", "100 MB", "100 MB", "5000 GB"]


def test_memory_is_what_the_system_and_the_container_leave(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  4000 kB\nMemAvailable:  3000 kB\nHugePages_Total:  0\n")
    assert dry_run.free(meminfo, tmp_path) == 3_072_000 and dry_run.free(tmp_path / "no", tmp_path) == float("inf")
    (tmp_path / "memory.current").write_text("500000\n")
    for limit, expected in (("max", 3_072_000), ("2500000", 2_000_000), ("99999999", 3_072_000)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert dry_run.free(meminfo, tmp_path) == expected
    (tmp_path / "memory.max").write_text("2500000\n")
    (tmp_path / "memory.stat").write_text("anon 300000\nactive_file 100000\ninactive_file 150000\n")
    assert dry_run.free(meminfo, tmp_path) == 2_150_000, "what remembers files is given back"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="other systems tell it in another way")
def test_peak_memory_is_told_in_bytes():
    now = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert now / 2 < dry_run.peak_memory() < 1000 * now
