"""core/run/dry_run.py and core/report/findings.py: what check says before a run.

How true it is: tests/run/test_dry_run_measured.py.
"""
import numpy as np
import pytest

import demo
from core.data import Split, digits
from core.data.listing import KINDS, Finding
from core.data.own import Reading, load
from core.recipes import RECIPES, shortened
from core.report.findings import MANY, class_table, lines_about, stored_sizes
from core.run import Config, dry_run
from tests.lib.own_data import picture, write_folder, write_image

RECIPE = shortened(RECIPES["digits"], 10)._replace(batch=8)


@pytest.fixture
def reading(tmp_path):
    root = write_folder(tmp_path / "pets", ("cat", "dog"), images=20)
    (root / "cat" / "broken.png").write_bytes(b"")
    write_image(root / "dog" / "twin.png", picture(0))
    return load(root, size=8, held_out=0.2)


def report(reading, **options):
    config = Config(RECIPE, data="pets", noise="none", rate=None, ranks=1)._replace(**options)
    return dry_run.report(config, reading, reading.data.train.labels)


def test_everything_is_told(reading):
    lines, possible = report(reading)
    text = "\n".join(lines)
    assert possible and lines[0] == "pets: 33 training, 8 validation, 0 test images, 2 classes"
    assert "class  number  training  validation" in text
    assert "all are 10 x 12 pixels; shown to the network as 8 x 8" in text
    assert "     1  images that cannot be read, left out\n          cat/broken.png: an empty file" in text
    assert "at least one of them is wrong\n          cat/0.png (cat): and dog/twin.png (dog)" in text
    assert "an epoch on 1 process, " in text and "for all 14 epochs" in text
    assert f"predictions of {RECIPE.K} epochs" in text


def test_notes_are_told(reading):
    assert "one note" in report(reading._replace(notes=["one note"]))[0]


def test_data_that_were_not_read_from_files_are_rehearsed_too():
    data = digits.load(0, 40, 10, 10)
    lines, possible = dry_run.report(Config(RECIPE, ranks=1), Reading(data), data.train.labels)
    assert possible and lines[0] == "digits: 40 training, 10 validation, 10 test images, 10 classes"


def test_the_time_of_comparison_and_folds_is_counted(reading):
    def line(**options):
        return dry_run.time_lines(Config(RECIPE._replace(epochs=4, epochs2=2), **options), reading.data, tried)[0]

    tried = dry_run.Trial(1, 1, 0, 1)                        # 33 images to learn from and 8 to look at: 41 s an epoch
    assert "about 41 s an epoch" in line() and line().endswith(f"{dry_run.duration(6 * 41)} for all 6 epochs")
    assert line(compare=True).endswith(f"{dry_run.duration(12 * 41)} for all 12 epochs")
    folds = sum(6 * (33 - n) for n in (11, 11, 11))            # each without a third of the images
    assert line(folds=3).endswith(f"{dry_run.duration(6 * 41 + folds)} for all 6 epochs and those of 3 folds")


def test_the_ring_is_counted_to_the_byte(reading):
    found = dry_run.memory_lines(Config(RECIPE._replace(K=5), ranks=1), reading.data, dry_run.Trial(1, 1, 0, 1))[0][0]
    assert f"predictions of 5 epochs {dry_run.size(5 * 33 * 2 * 4)}," in found


def test_too_little_memory_is_impossible(reading, monkeypatch):
    monkeypatch.setattr(dry_run, "free", lambda: 0)
    data, tried = reading.data, dry_run.Trial(1, 1, 10**8, 2)
    lines, possible = dry_run.memory_lines(Config(RECIPE._replace(K=10**9, epochs=10**9)), data, tried)
    assert not possible and lines[1] == ("This machine has 100 MB for it, which is not enough: "
                                         "choose a smaller --size, --K or --batch, or fewer --ranks")
    assert dry_run.memory_lines(Config(RECIPE._replace(K=10**9), gpu=0), data, tried)[1]
    assert dry_run.memory_lines(Config(RECIPE), data, tried._replace(peak=0))[1]      # where the system does not say


@pytest.mark.parametrize("possible, status", [(True, 0), (False, 2)])
def test_a_check_of_what_is_impossible_fails(reading, monkeypatch, capsys, possible, status):
    monkeypatch.setattr(demo, "read_data", lambda *args: reading)
    monkeypatch.setattr(demo, "given_labels", lambda *args: None)
    monkeypatch.setattr(dry_run, "report", lambda *args: (["the report"], possible))
    assert demo.main(["check"]) == status and capsys.readouterr() == ("the report\n", "")


def test_on_a_gpu_one_process_computes_there(reading, monkeypatch):
    monkeypatch.setattr(dry_run.backend, "use_gpu", lambda *asked: asked)
    monkeypatch.setattr(dry_run, "launch", lambda main, ranks, portable: (main.keywords["xp"], ranks, portable))
    config = Config(RECIPE, data="pets", noise="none", rate=None, gpu=3, precision="tf32", ranks=2)
    xp, ranks, portable = dry_run.trial(config, reading, reading.data.train.labels)
    assert (xp, ranks) == ((3, "tf32"), 1) and "xp" not in portable.keywords         # a module that nobody can send
    assert dry_run.trial(config._replace(gpu=None), reading, reading.data.train.labels)[:2] == (np, 2)


def test_findings_are_told_by_kind_with_a_few_examples():
    findings = [*(Finding("hidden", f"f{i}") for i in range(7)), Finding("contradiction", "a\nb", "c"),
                *[Finding("other", "x")] * 5]
    assert lines_about(findings) == [
        f"     1  {KINDS['contradiction']}", "          a\\u000ab: c",
        f"     5  {KINDS['other']}", *["          x"] * 5,
        f"     7  {KINDS['hidden']}", *[f"          f{i}" for i in range(5)], "          and 2 more"]
    assert lines_about([]) == []


def data_of(labels, C):
    labels = np.array(labels)
    part = Split(np.zeros((len(labels), 8, 8, 3), np.uint8), labels, np.arange(len(labels)))
    return digits.DataSet("d", tuple(f"c{c}" for c in range(C)), part, part.take(slice(0)), part, 1, True)


def test_many_classes_are_shortened_and_uneven_ones_said():
    table = class_table(data_of(np.arange(500), 500))
    assert len(table) == MANY + 3 and table[2].split() == ["c0", "0", "1", "1"]
    assert table[-1].split() == ["c499", "499", "1", "1"]
    assert table[2 + MANY // 2].split() == ["..."]
    assert class_table(data_of([0] * 30 + [1] * 3 + [2] * 3,
                               3))[-1].startswith("the classes are uneven (3 to 30 images)")
    assert class_table(data_of([0] * 30 + [1] * 30 + [2] * 3,
                               3))[-1].startswith("the classes are uneven (3 to 30 images)")
    assert "uneven" not in class_table(data_of([0] * 29 + [1] * 3 + [2] * 3, 3))[-1]


@pytest.mark.parametrize("prior, advice", [("uniform", ": if they really are, say so with --prior given"),
                                           ("given", "if they are not, say so with --prior uniform"),
                                           ((1, 2), "images)")])
def test_the_advice_on_uneven_classes_is_not_what_is_done_already(prior, advice):
    assert class_table(data_of([0] * 30 + [1] * 3 + [2] * 3, 3), prior)[-1].endswith(advice)


def test_sizes_time_and_bytes_in_words():
    assert stored_sizes(np.array([[30, 40], [30, 40]])) == "all are 40 x 30 pixels"
    assert stored_sizes(np.array([[30, 40], [50, 20],
                                  [90, 80]])) == "3 sizes, the short side 20 to 80 pixels, in the median 30"
    assert [dry_run.duration(s) for s in (0.0123, 3.46, 59, 61, 3500, 7500)] == [
        "0.012 s", "3.5 s", "59 s", "1 min", "58 min", "2 h 5 min"]
    assert [dry_run.size(n) for n in (0, 1234, 123_456, 5_600_000, 1.23e9, 2.5e11)] == [
        "0 kB", "1.2 kB", "123 kB", "5.6 MB", "1.2 GB", "250 GB"]


def test_what_the_network_sees_is_said_and_not_what_the_page_shows(reading):
    assert dry_run.shown(Config(RECIPE, backbone="efficientnet-lite0"), reading) == "shown to the network as 128 x 128"
    assert dry_run.shown(Config(RECIPE, backbone="r.pth", size=224), reading) == "shown to the network as 224 x 224"
    assert dry_run.shown(Config(RECIPE, backbone="r.pth", finetune=True), reading) == "shown to the network as 8 x 8"
    assert dry_run.shown(Config(RECIPE, features="f.npz"), reading) == "the network sees the features in f.npz"
