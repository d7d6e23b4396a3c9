"""Where a run reads and where it writes: a folder called digits, an output inside the data, links, one level of the
brightness from the training to predict."""
import csv
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import demo
from core.data.own import load
from core.run.commands import parse
from core.run.options import configuration
from nets import families
from tests.lib.own_data import picture, write_folder, write_image, write_table

SMALL = ["--net", "small", "--size", "16", "--epochs", "1", "--ranks", "1"]


@pytest.fixture(autouse=True)
def tiny_network(no_pictures, monkeypatch):
    monkeypatch.setitem(families.NETS, "small", {"widths": (4,), "blocks": (1,)})
    monkeypatch.setattr(os, "fsync", lambda file: None)


def answered(capsys, *words):
    """(status, standard output, the error sentence) of the program."""
    capsys.readouterr()
    status = demo.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return status, out, err.removeprefix("error: ").strip()


# ---- a folder called digits ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("words", [["--data", "digits"], ["--data=digits"], ["--dat", "digits"]])
@pytest.mark.parametrize("make", [lambda: write_folder(Path("digits"), ("A", "B")), lambda: Path("digits").touch()],
                         ids=["folder", "file"])
def test_a_word_that_names_two_things_is_refused_and_both_can_be_had(tmp_path, monkeypatch, capsys, words, make):
    monkeypatch.chdir(tmp_path)
    assert configuration(parse(words)).data == "digits"
    make()
    status, out, sentence = answered(capsys, "check", *words)
    assert (status, out) == (2, "") and sentence == (
        "--data digits could be the digits here or the digits that are built in: write --data ./digits for yours, or "
        "leave out --data")
    assert configuration(parse([])).data == "digits"
    if Path("digits").is_dir():
        yours, = re.findall("--data (\\S+/digits) for yours", sentence)
        assert load(configuration(parse(["--data", yours])).data, size=8).data.classes == ("A", "B")


@pytest.mark.parametrize("name", ["digits/", "./digits", "DIGITS"])
def test_other_spellings_are_folders(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    write_folder(Path(name), ("A", "B"))
    status, out, _ = answered(capsys, "check", "--data", name, *SMALL)
    assert status == 0 and re.search("^A +0 +3$", out, re.MULTILINE)


# ---- output inside the data ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("where, data, more", [
    ("photos", ".", []), ("photos/cat", "..", []), (".", "photos", ["--out", "photos/result"]),
    (".", "photos", ["--out", "photos"]), (".", "photos", ["--out", "photos/../photos/cat"]),
    (".", "photos", ["--out", "alias/result"]), (".", "alias", ["--out", "photos/result"]),
    (".", "photos", ["--test", "other", "--out", "other/x"])])
@pytest.mark.parametrize("command", ["check", pytest.param("run", marks=pytest.mark.thorough)])
def test_nothing_is_written_into_the_data_and_the_remedy_works(tmp_path, monkeypatch, capsys, where, data, more,
                                                               command):
    write_folder(tmp_path / "photos")
    write_folder(tmp_path / "other")
    os.symlink("photos", tmp_path / "alias")
    monkeypatch.chdir(tmp_path / where)
    before = sorted(tmp_path.rglob("*"))
    words = ["--data", data, *SMALL, *more]
    status, _, sentence = answered(capsys, command, *words)
    assert status == 2 and sorted(tmp_path.rglob("*")) == before
    found = re.fullmatch("(.+) is inside the data, (.+), into which nothing is written: choose another folder with "
                         "--out, for example (.+)", sentence)
    status, out, _ = answered(capsys, command, *words, "--out", found[3])
    assert status == 0 and (command == "check" or (tmp_path / "runs" / Path(found[3]).name / "report.html").is_file())


def test_a_table_may_lie_where_the_runs_are(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path)
    write_table(tmp_path / "t.csv", [f"{name}/{i}.png,{name}" for name in ("cat", "dog") for i in range(3)])
    assert answered(capsys, "--data", "t.csv", *SMALL)[0] == 0
    assert answered(capsys, "--data", "runs/t-seed0/corrected_labels.csv", *SMALL)[0] == 0


def test_an_older_output_inside_the_data_is_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos")
    assert answered(capsys, "--data", "photos", *SMALL, "--out", "run")[0] == 0
    (tmp_path / "photos" / "runs").mkdir()
    (tmp_path / "run").rename(tmp_path / "photos" / "runs" / "photos-seed0")
    status, out, _ = answered(capsys, "check", "--data", "photos", *SMALL)
    assert status == 0 and "photos: 6 training" in out and "2 classes" in out
    assert "     1  output of this program, left out\n          runs/photos-seed0\n" in out


# ---- links ---------------------------------------------------------------------------------------------------------

def test_links_are_followed_with_the_option(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "disk", ("cat", "dog"))
    (tmp_path / "photos").mkdir()
    for name in ("cat", "dog"):
        os.symlink(tmp_path / "disk" / name, tmp_path / "photos" / name)
    status, _, sentence = answered(capsys, "check", "--data", "photos", *SMALL)
    assert status == 2 and sentence.endswith("follow them with --follow-links")
    status, out, _ = answered(capsys, "--data", "photos", *SMALL, "--follow-links", "--test", "photos")
    assert status == 0 and "6 training, 0 validation, 6 test images" in out
    assert answered(capsys, "--follow-links")[2] == "--follow-links is for your own images (--data PATH)"


# ---- one level of brightness -----------------------------------------------------------------------------------------

def test_the_classifier_sees_other_images_as_those_of_the_training(tmp_path, monkeypatch, capsys):
    """A dark image of 12 bits alone is not made bright: the network has learnt what brightness means."""
    monkeypatch.chdir(tmp_path)
    for i in range(8):
        values = (picture(i, 16, 16)[..., 0].astype(np.uint16) * 16 // (1 if i < 4 else 8)).astype(np.uint16)
        path = Path("photos", "bright" if i < 4 else "dark", f"{i}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
    assert answered(capsys, "--data", "photos", *SMALL, "--out", "run")[0] == 0
    dark = load("photos", size=16).data.train.images[[4]]
    np.save("dark.npy", dark)
    probs = []
    for source in ("photos/dark/4.png", "dark.npy"):
        assert answered(capsys, "predict", source, "--from", "run", "--out", "p.csv")[0] == 0
        with open("p.csv", newline="", encoding="utf-8") as file:
            probs.append(list(csv.reader(file))[1][2:])
        Path("p.csv").unlink()
    assert probs[0] == probs[1]


def test_predict_names_what_it_cannot_read_and_follows_links(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos")
    assert answered(capsys, "--data", "photos", *SMALL, "--out", "run")[0] == 0
    write_folder(tmp_path / "disk", ("x",), images=2)
    (tmp_path / "new").mkdir()
    os.symlink(tmp_path / "disk" / "x", tmp_path / "new" / "x")
    (tmp_path / "new" / "a.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    (tmp_path / "new" / "b.mp4").write_bytes(b"")
    os.symlink("nowhere.png", tmp_path / "new" / "d.png")
    write_image(tmp_path / "new" / "c.png").rename(tmp_path / "new" / "c.dat")
    status, out, _ = answered(capsys, "predict", "new", "--from", "run")
    assert status == 0 and "new/x/0.png" in out and "new/x/1.png" in out
    assert "left out: new/b.mp4: a video: save single pictures of it as JPEG" in out
    assert "left out: new/d.png: leads nowhere" in out
    assert "left out: new/c.dat: PNG" in out and "left out: new/a.HEIC: " in out


# ---- what a run says of its data -------------------------------------------------------------------------------------

def test_a_run_says_its_classes_and_how_to_have_a_list_sooner(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos", [f"c{i:02d}" for i in range(14)], images=2)
    _, out, _ = answered(capsys, "--data", "photos", *SMALL)
    names = ", ".join(f"c{i:02d} 2" for i in range(12))
    assert f"classes  {names} and 2 more, 2 to 2 images each\n" in out and "quick    " not in out
    _, out, _ = answered(capsys, "check", "--data", "photos", *SMALL[:-4], "--ranks", "1")
    quick, = re.findall("^quick    (--epochs \\d+) gives a first list: (.+) for all (\\d+) epochs$", out, re.MULTILINE)
    assert quick[0] == "--epochs 20" and quick[2] == "32"
    assert answered(capsys, "check", "--data", "photos", *SMALL, *quick[0].split())[0] == 0
