"""What people bring, from end to end: run, decisions, cleaned labels as data again, other images, an interruption."""
import base64
import csv
import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import demo
from core.files import newest
from nets import families
from tests.lib.official_cifar10 import contents, python2, write_folder
from tests.lib.own_data import write_image, write_table
from tests.lib.undrawn import undrawn

CLASSES = ("ant", "bee", "cat")
SMALL = ["--net", "small", "--epochs", "2", "--ranks", "1"]
N = 24
COLOURS = np.random.default_rng(0).integers(0, 60, (N, 12, 12, 3), np.uint8)
for k in range(N):
    COLOURS[k, ..., k % 3] += 150
LABELS = np.arange(N) % 3


@pytest.fixture(scope="module", autouse=True)
def tiny_network():
    """A net of one block, no pictures, and no waiting for the disk, which only matters when the power fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(families.NETS, "small", {"widths": (4,), "blocks": (1,)})
        patch.setattr(os, "fsync", lambda file: None)
        undrawn(patch)
        yield


def photos(root):
    for k, image in enumerate(COLOURS):
        write_image(root / CLASSES[k % 3] / f"{k:02d}.png", image)
    return root


def archive(tmp_path):
    photos(tmp_path / "made" / "photos")
    return [shutil.make_archive(str(tmp_path / "photos"), "gztar", tmp_path / "made")]


def arrays(tmp_path):
    np.savez(tmp_path / "x.npz", x_train=COLOURS, y_train=LABELS, x_test=COLOURS[:3], y_test=LABELS[:3])
    return [tmp_path / "x.npz"]


def pair(tmp_path):
    np.save(tmp_path / "pixels.npy", COLOURS)
    (tmp_path / "l.txt").write_text("\n".join(CLASSES[c] for c in LABELS))
    return [tmp_path / "pixels.npy", "--labels", tmp_path / "l.txt"]


def table(tmp_path):
    photos(tmp_path / "images")
    lines = [f"C:\\x\\{CLASSES[c]}\\{k:02d},{CLASSES[c]},{CLASSES[0]}" for k, c in enumerate(LABELS) for _ in range(3)]
    return [write_table(tmp_path / "t.csv", lines, "image_id,class one,class two"), "--label-column", "class one",
            "--images", tmp_path / "images"]


BROUGHT = {"archive": archive, "arrays": arrays, "pair": pair, "table": table}


@pytest.fixture(params=BROUGHT)
def brought(request, tmp_path):
    """(kind, the words behind --data)"""
    return request.param, list(map(str, BROUGHT[request.param](tmp_path)))


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_and_the_cleaned_labels_as_data_again(brought, tmp_path, capsys):
    kind, data = brought
    out = tmp_path / "run"
    assert demo.main(["--data", *data, "--out", str(out), *SMALL]) == 0
    issues = rows_of(out / "label_issues.csv")
    assert len(issues) == N and len(set(row["index"] for row in issues)) == N
    assert (out / "report.html").read_text().count("data:image/jpeg;base64,") >= 1
    assert ("agreement" in issues[0]) == (kind == "table")

    first, second = issues[0], issues[1]
    (tmp_path / "d.csv").write_text(f"index,path,decision,label\n{first['index']},,remove,\n{second['index']},,change,"
                                    f"{issues[2]['given_label']}\n")
    assert demo.main(["apply", str(tmp_path / "d.csv"), "--from", str(out)]) == 0
    cleaned = str(out / "cleaned_labels.csv")
    again = [data[0], "--labels", cleaned] if kind in ("arrays", "pair") else [cleaned]
    assert demo.main(["--data", *again, "--out", str(tmp_path / "again"), *SMALL]) == 0
    told = {row["index"]: row["given_label"] for row in issues} | {second["index"]: issues[2]["given_label"]}
    del told[first["index"]]
    found = rows_of(tmp_path / "again" / "label_issues.csv")
    assert sorted(row["given_label"] for row in found) == sorted(told.values())
    if kind in ("arrays", "pair"):
        assert {row["index"]: row["given_label"] for row in found} == told
    assert (np.load(out / "given_labels.npy") == [CLASSES.index(name) if name in CLASSES else int(name) for name in (
        row["given_label"] for row in sorted(issues, key=lambda row: int(row["index"])))]).all()


@pytest.mark.parametrize("kind", ["folder", "zip", "gztar", "npz"])
def test_the_page_shows_the_photographs_wherever_they_come_from(tmp_path, kind):
    """Large and whole: the network saw 32 x 32 pixels of their middle."""
    images = np.stack([np.asarray(Image.fromarray(image[:3, :4]).resize((240, 180), 3)) for image in COLOURS])
    data = tmp_path / "made"
    if kind == "npz":
        data = tmp_path / "x.npz"
        np.savez(data, images=images, labels=LABELS)
    else:
        for k, image in enumerate(images):
            write_image(data / CLASSES[k % 3] / f"{k:02d}.png", image)
        data = data if kind == "folder" else shutil.make_archive(str(tmp_path / "photos"), kind, data)
    assert demo.main(["--data", str(data), "--out", str(tmp_path / "run"), "--backbone", "none", *SMALL]) == 0
    found = re.findall("data:image/jpeg;base64,([^\"]+)", (tmp_path / "run" / "report.html").read_text())
    sizes = {Image.open(io.BytesIO(base64.b64decode(uri))).size for uri in found}
    assert len(found) == N and sizes <= {(192, 144), (128, 96)} and (192, 144) in sizes


def test_an_interrupted_run_goes_on(brought, tmp_path, monkeypatch, capsys):
    _, data = brought

    def stop(*arguments):
        raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr("core.run.experiment.results.finish", stop)
        assert demo.main(["--data", *data, "--out", str(tmp_path / "run"), *SMALL]) == 130
    assert newest(tmp_path / "run" / "checkpoint.npz")
    assert demo.main(["resume", str(tmp_path / "run")]) == 0
    assert demo.main(["--data", *data, "--out", str(tmp_path / "whole"), *SMALL]) == 0
    one, other = ((tmp_path / name / "label_issues.csv").read_bytes() for name in ("run", "whole"))
    assert one == other


def test_a_run_does_not_go_on_with_other_images(tmp_path, monkeypatch, capsys):
    data, = archive(tmp_path)

    def stop(*arguments):
        raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr("core.run.experiment.results.finish", stop)
        assert demo.main(["--data", data, "--out", str(tmp_path / "run"), *SMALL]) == 130
    Image.new("RGB", (12, 12)).save(tmp_path / "made" / "photos" / "ant" / "00.png")
    shutil.make_archive(str(tmp_path / "photos"), "gztar", tmp_path / "made")
    assert demo.main(["resume", str(tmp_path / "run")]) == 2
    assert "the data or the given labels are not the same as when it began" in capsys.readouterr().err


def test_archives_are_classified(tmp_path, capsys):
    data, = archive(tmp_path)
    assert demo.main(["--data", data, "--out", str(tmp_path / "run"), *SMALL]) == 0
    for source, name in ((data, "a.csv"), (tmp_path / "made" / "photos", "b.csv"), (f"{data}/photos/ant", "c.csv")):
        assert demo.main(["predict", str(source), "--from", str(tmp_path / "run"), "--out", str(tmp_path / name)]) == 0
    a, b, c = (rows_of(tmp_path / name) for name in ("a.csv", "b.csv", "c.csv"))
    assert [row["path"] for row in a] == [f"{data}/photos/{CLASSES[k // 8]}/{k // 8 + 3 * (k % 8):02d}.png"
                                          for k in range(N)]
    assert [list(row.values())[1:] for row in a] == [list(row.values())[1:] for row in b]
    assert [row["label"] for row in c] == [row["label"] for row in a[:8]]
    assert demo.main(["predict", f"{data}/none", "--from", str(tmp_path / "run")]) == 2
    assert "has no images: " in capsys.readouterr().err


def test_batches_whose_labels_are_noisy(tmp_path, capsys):
    files = contents(rows=20)
    clean = np.concatenate([files[f"data_batch_{k}"]["labels"] for k in range(1, 6)])
    noisy = clean.copy()
    noisy[::5] = (clean[::5] + 1) % 10
    for k in range(5):
        files[f"data_batch_{k + 1}"]["labels"] = noisy[20 * k:20 * (k + 1)].tolist()
    folder = write_folder(tmp_path / "cifar-10-batches-py", files, python2)
    np.save(tmp_path / "true.npy", clean)
    words = ["--data", str(folder), *SMALL, "--truth", str(tmp_path / "true.npy")]
    assert demo.main([*words, "--out", str(tmp_path / "run")]) == 0
    index = np.load(tmp_path / "run" / "index.npy")
    assert (np.load(tmp_path / "run" / "given_labels.npy") == noisy[index]).all()
    assert (np.load(tmp_path / "run" / "true_labels.npy") == clean[index]).all()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["initial"] == pytest.approx((noisy == clean)[index].mean())

    assert demo.main(["--data", str(folder), *SMALL, "--noise", "none", "--out", str(tmp_path / "unknown")]) == 0
    assert not (tmp_path / "unknown" / "true_labels.npy").exists()
    assert demo.main([*words[:-1], str(tmp_path / "none.npy")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_published_labels_of_people(tmp_path, capsys):
    files = contents(rows=20)
    clean = np.concatenate([files[f"data_batch_{k}"]["labels"] for k in range(1, 6)])
    worse = np.where(np.arange(100) % 4 == 0, (clean + 3) % 10, clean)
    folder = write_folder(tmp_path / "cifar-10-batches-py", files, python2)
    np.save(tmp_path / "human.npy", np.array({"clean_label": clean, "worse_label": worse}, object), allow_pickle=True)
    words = ["--data", str(folder), *SMALL, "--noise", "labels", "--noise-file"]
    assert demo.main([*words, str(tmp_path / "human.npy")]) == 2
    remedy = capsys.readouterr().err.rpartition(" as ")[2].strip()
    assert demo.main([*words, remedy, "--out", str(tmp_path / "run")]) == 0
    index = np.load(tmp_path / "run" / "index.npy")
    assert (np.load(tmp_path / "run" / "given_labels.npy") == worse[index]).all()
    assert (np.load(tmp_path / "run" / "true_labels.npy") == clean[index]).all()
    assert Path(remedy.rpartition(":")[0]) == tmp_path / "human.npy"
