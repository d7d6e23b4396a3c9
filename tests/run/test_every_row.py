"""Every image, path, label and truth by the row it came from, from the table to the last file that is written.

The pixels of an image say which row it is. The table is shuffled, unreadable, missing and repeated files lie in
between, several processes decode, a part is held out, folds are dealt, and the second time the images come from the
cache.
"""
import csv
import json
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

import demo
from core.data import own, source
from core.data.csv_cells import csv_text, plain
from core.data.images import FEW
from core.run import experiment, folds
from core.run.commands import parse
from core.run.inputs import given_labels, read_data
from core.run.options import configuration
from nets import families, preact_resnet, safetensors_file
from tests.lib.undrawn import undrawn

CLASSES = ("zebra", "=cat", "b;ee", "ant, red")             # in the order of the disk, not of the classes
NAMES = sorted(CLASSES)                                     # and in that of the numbers
N, SIDE = FEW + 60, 8
SETTINGS = ["--size", "8", "--net", "small", "--epochs", "1", "--batch", "64", "--ranks", "2", "--augment", "none",
            "--sure", "0.4", "--no-posterior"]


def picture(row):
    """(S, S, 3) uint8: the number of the row in its first pixel, a texture of its own in the others."""
    pixels = np.random.default_rng(row).integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8)
    pixels[0, 0] = row % 256, row // 256, 77
    return pixels


def rows_in(images):
    """The rows that images show."""
    return (images[:, 0, 0, :2].astype(int) @ [1, 256]).tolist()


def probabilities(rows):
    """(n, C): other ones for every row."""
    P = np.random.default_rng(99).dirichlet(np.full(len(NAMES), 0.5), size=10_000).astype(np.float32)
    return P[rows]


class Row:
    """One line of the table: what it names, and whether it can be read."""

    def __init__(self, number):
        rng = np.random.default_rng([7, number])
        self.number, self.path = number, f"shots/{rng.integers(10**9)}-{number}.png"
        self.given, self.truth = (CLASSES[c] for c in rng.integers(len(CLASSES), size=2))
        self.known = number % 5 > 0                          # whether somebody knows the truth
        self.fault = {3: "cut", 11: "missing", 19: "repeated"}.get(number % 40)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The Rows, with their files and tables in one folder: rows[0].folder."""
    folder, rows = tmp_path_factory.mktemp("data"), [Row(number) for number in range(N)]
    (folder / "shots").mkdir()
    for row in rows:
        row.folder = folder
        if row.fault == "repeated":
            row.path = rows[row.number - 1].path
        elif row.fault != "missing":
            Image.fromarray(picture(row.number)).save(folder / row.path)
        if row.fault == "cut":
            (folder / row.path).write_bytes((folder / row.path).read_bytes()[:90])
    write(folder / "table.csv", [["other", "label", "path"], *(["x", row.given, row.path] for row in rows)])
    known = [row for row in rows if row.known and not row.fault]
    shuffled = [known[k] for k in np.random.default_rng(3).permutation(len(known))]
    write(folder / "truth.csv", [["path", "label"], *([row.path, row.truth] for row in shuffled)])
    for c, name in enumerate(CLASSES):                       # test images: rows from 1,000 on
        (folder / "test" / name).mkdir(parents=True)
        for k in range(3):
            Image.fromarray(picture(1000 + 10 * c + k)).save(folder / "test" / name / f"{9 - k}.png")
    return rows


def write(path, lines):
    path.write_text(csv_text(lines), encoding="utf-8", newline="")


def table(path):
    """The lines of a table as dictionaries, in their order."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{key: plain(cell) for key, cell in line.items()} for line in csv.DictReader(file)]


@pytest.fixture(scope="module")
def runs(rows):
    """[(run folder, Reading, files that were decoded)] of one run that fills the cache, and one that uses it."""
    folder, made = rows[0].folder, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(families.NETS, "small", {"widths": (4,), "blocks": (1,)})
        undrawn(patch)
        patch.setattr(folds, "predictions", lambda model, images: probabilities(rows_in(images.pixels)))
        patch.chdir(folder.parent)
        for out in ("first", "second"):
            readings, decoded = [], []
            patch.setattr(experiment, "read_data", lambda *args: readings.append(read_data(*args)) or readings[-1])
            patch.setattr(source, "decode", counting(decoded))
            data = [f"{folder.name}/{name}" for name in ("table.csv", "truth.csv", "test")]
            arguments = ["--data", data[0], "--truth", data[1], "--test", data[2], "--held-out", "0.1", "--folds", "2",
                         "--cache", "store", "--out", str(folder / out), *SETTINGS]
            assert demo.main(arguments) == 0
            made.append((folder / out, readings[0], decoded))
    return made


def counting(decoded, decode=source.decode):
    def counted(files, *args):
        decoded.extend(files)
        return decode(files, *args)
    return counted


def loaded(run, name):
    return np.load(run / f"{name}.npy").tolist()


# ---- what is read ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("which", [0, 1], ids=["decoded", "from the cache"])
def test_every_image_is_read_as_the_row_that_it_is(rows, runs, which):
    _, reading, decoded = runs[which]
    data = reading.data
    good = [row.number for row in rows if not row.fault]
    assert data.classes == tuple(NAMES) and data.rows == N
    assert sorted([*data.train.index, *data.validation.index]) == good and 0 < len(data.validation.index) < 40
    for part in (data.train, data.validation):
        assert rows_in(part.images) == part.index.tolist() == sorted(part.index)
        assert [str(path) for path in part.paths] == [rows[i].path for i in part.index]
        assert [NAMES[c] for c in part.labels] == [rows[i].given for i in part.index]
        assert part.truth.tolist() == [NAMES.index(rows[i].truth) if rows[i].known else -1 for i in part.index]
        assert all((image == picture(row)).all() for image, row in zip(part.images, part.index))
    tests = [(1000 + 10 * CLASSES.index(name) + k, NAMES.index(name)) for name in NAMES for k in (2, 1, 0)]
    assert list(zip(rows_in(data.test.images), data.test.labels.tolist())) == tests
    cut = [Path(row.path).name for row in rows if row.fault == "cut"]
    assert len(decoded) == len(good) + len(cut) + len(tests) if which == 0 else [
        Path(file).name for file in decoded] == cut


def test_findings_name_the_rows_that_they_are_about(rows, runs):
    found = {(finding.kind, finding.path) for finding in runs[0][1].findings}
    expected = {"cut": "unreadable", "missing": "missing"}
    for row in rows:
        if row.fault in expected:
            assert (expected[row.fault], row.path) in found
    repeated = [row for row in rows if row.fault == "repeated"]
    kinds = {row.path: "repeated" if rows[row.number - 1].given == row.given else "contradiction" for row in repeated}
    assert {(kind, path) for path, kind in kinds.items()} <= found and len(repeated) > 5


# ---- what is written -------------------------------------------------------------------------------------------------

def test_both_runs_write_the_same(runs):
    (first, *_), (second, *_) = runs
    for name in ("given_labels", "soft_labels", "pred_probs", "corrected_labels", "index"):
        assert (first / f"{name}.npy").read_bytes() == (second / f"{name}.npy").read_bytes()
    assert (first / "label_issues.csv").read_bytes() == (second / "label_issues.csv").read_bytes()


def test_every_array_is_about_its_row(rows, runs):
    run, reading, _ = runs[0]
    index = loaded(run, "index")
    assert index == reading.data.train.index.tolist() and (run / "classes.txt").read_text().splitlines() == NAMES
    given, truth = ([NAMES.index(getattr(rows[i], name)) for i in index] for name in ("given", "truth"))
    known = [rows[i].known for i in index]
    assert loaded(run, "given_labels") == given
    assert loaded(run, "true_labels") == [c if k else -1 for c, k in zip(truth, known)]
    assert loaded(run, "given_is_wrong") == [k and c != g for c, k, g in zip(truth, known, given)]
    assert (np.load(run / "pred_probs.npy") == probabilities(index)).all()
    assert loaded(run, "suggested_labels") == np.load(run / "soft_labels.npy").argmax(axis=1).tolist()
    moved = [(c, g, s) for c, g, s in zip(loaded(run, "corrected_labels"), given, loaded(run, "suggested_labels"))]
    assert all(c in (g, s) for c, g, s in moved)
    outcome = json.loads((run / "summary.json").read_text())
    assert outcome["changed"] == sum(c != g for c, g, _ in moved)
    assert outcome["initial"] == pytest.approx(np.mean([c == g for c, g, k in zip(truth, given, known) if k]))


def test_every_line_of_every_table_is_about_its_row(rows, runs):
    run, index = runs[0][0], loaded(runs[0][0], "index")
    place, P = {i: k for k, i in enumerate(index)}, probabilities(index)
    suggested, corrected = (loaded(run, f"{name}_labels") for name in ("suggested", "corrected"))
    lines = table(run / "label_issues.csv")
    assert sorted(int(line["index"]) for line in lines) == index
    for line in lines:
        row, k = rows[int(line["index"])], place[int(line["index"])]
        g, s = NAMES.index(row.given), suggested[k]
        others = [P[k, c] for c in range(len(NAMES)) if c != g]
        assert (line["path"], line["given_label"], line["suggested_label"], line["true_label"]) == (
            row.path, row.given, NAMES[s], row.truth if row.known else "")
        assert (line["is_label_issue"], line["label_score"]) == (str(g != s), line["p_given"])
        numbers = [float(line[name]) for name in ("p_given", "p_suggested", "margin")]
        assert numbers == pytest.approx([P[k, g], P[k, s], P[k, g] - max(others)], rel=1e-5, abs=1e-6)
    files = [(rows[0].folder / rows[i].path).as_posix() for i in index]
    assert [(line["path"], line["label"]) for line in table(run / "corrected_labels.csv")] == [
        (file, NAMES[c]) for file, c in zip(files, corrected)]
    for task in json.loads((run / "label_studio.json").read_text()):
        k = place[task["data"]["index"]]
        assert unquote(task["data"]["image"]).endswith(rows[index[k]].path)
        assert task["data"]["given_label"] == rows[index[k]].given
        assert task["predictions"][0]["result"][0]["value"]["choices"] == [NAMES[suggested[k]]]


# ---- what follows from it --------------------------------------------------------------------------------------------

def test_decisions_change_the_rows_that_they_are_about(rows, runs, tmp_path):
    run = runs[0][0]
    lines = table(run / "label_issues.csv")
    order = np.random.default_rng(4).permutation(len(lines))
    kinds = ["accept", "reject", "change", "remove", None]
    decided, expected = [["index", "path", "decision", "label"]], {}
    for k in order:
        line, kind = lines[k], kinds[k % 5]
        label = {"accept": line["suggested_label"], "change": NAMES[k % 4]}.get(kind, line["given_label"])
        if kind:
            decided.append([int(line["index"]), line["path"], kind, label if kind == "change" else ""])
        if kind != "remove":
            expected[(rows[0].folder / line["path"]).as_posix()] = label
    write(tmp_path / "decisions.csv", decided)
    command = ["apply", str(tmp_path / "decisions.csv"), "--from", str(run), "--out", str(tmp_path / "c.csv")]
    assert demo.main(command) == 0
    cleaned = table(tmp_path / "c.csv")
    assert {line["path"]: line["label"] for line in cleaned} == expected and len(cleaned) == len(expected)

    again = own.load(tmp_path / "c.csv", size=SIDE).data           # a second run on them
    paths = {(row.folder / row.path).as_posix(): row.number for row in rows if not row.fault}
    assert rows_in(again.train.images) == [paths[str(path)] for path in again.train.paths]
    assert {str(p): again.classes[c] for p, c in zip(again.train.paths, again.train.labels)} == expected


def test_a_second_run_reads_the_corrected_labels_of_the_same_rows(rows, runs):
    run = runs[0][0]
    data = own.load(run / "corrected_labels.csv", size=SIDE).data
    assert rows_in(data.train.images) == loaded(run, "index")
    assert data.train.index.tolist() == [*range(len(data.train.index))]
    assert [data.classes[c] for c in data.train.labels] == [NAMES[c] for c in loaded(run, "corrected_labels")]


def test_predictions_are_those_of_the_images_that_they_name(rows, runs, tmp_path):
    """Of a folder, with files that cannot be read in between, by several processes."""
    run, folder = runs[0][0], rows[0].folder / "shots"
    command = ["predict", str(folder), "--from", str(run), "--out", str(tmp_path / "p.csv"), "--ranks", "2"]
    assert demo.main(command) == 0
    lines, net = table(tmp_path / "p.csv"), safetensors_file.load(run / "model.safetensors")
    numbers = {str(rows[0].folder / row.path): row.number for row in rows if not row.fault}
    assert [line["path"] for line in lines] == sorted(numbers) and len(lines) > FEW
    pixels = np.array([picture(numbers[line["path"]]) for line in lines])
    x = pixels.astype(np.float32) / 255 - net.mean
    z = preact_resnet.predict(net.theta, net.running, x, net.arch)
    s = np.exp(z - z.max(axis=1, keepdims=True))
    s /= s.sum(axis=1, keepdims=True)
    found = np.array([[float(line[f"p({name})"]) for name in NAMES] for line in lines])
    assert found == pytest.approx(s, abs=1e-5)
    assert [line["label"] for line in lines] == [NAMES[c] for c in found.argmax(axis=1)]
    assert len({tuple(line) for line in found.round(4).tolist()}) > 200, "the images are told apart"
    assert net.mean == pytest.approx(runs[0][1].data.train.images.mean(axis=0) / 255, abs=1e-6)


def test_noisy_labels_from_a_file_reach_the_rows_that_they_name(rows, tmp_path):
    """By the row of the table, in any order, and for the rows alone that take part."""
    labels = {row.number: NAMES[row.number * 7 % 4] for row in rows if not row.fault}
    order = np.random.default_rng(5).permutation(list(labels))
    write(tmp_path / "noisy.csv", [["index", "label"], *([int(i), labels[int(i)]] for i in order)])
    words = ["--data", str(rows[0].folder / "table.csv"), "--held-out", "0.2", "--noise", "labels",
             "--noise-file", str(tmp_path / "noisy.csv"), *SETTINGS]
    config = configuration(parse(words))._replace(ranks=1)
    data = read_data(config).data
    assert [NAMES[c] for c in given_labels(config, data)] == [labels[i] for i in data.train.index]
