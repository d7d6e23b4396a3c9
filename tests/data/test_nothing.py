"""core/data/nothing.py: who has no images is told what there is instead, and the remedy works when it is followed."""
import json
import re
import shutil

import pytest
from PIL import Image

from core.data.folder import scan
from core.data.own import load
from core.data.source import open_source
from core.errors import InputError
from tests.lib.own_data import kinds, picture, write_folder, write_image, write_table


def refused(path):
    with pytest.raises(InputError) as error:
        load(path, size=8)
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- folders -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["0001", "a.0001", "photo 1.2", "x.jpg?w=100", "y.jpg:large", "Dr. Smith", "n01.98_7"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_images_without_an_ending_are_known_by_their_content(tmp_path, name, kind):
    for number, folder in enumerate(("cat", "dog")):
        (tmp_path / folder).mkdir()
        Image.fromarray(picture(number)).save(tmp_path / folder / name, format=kind)
        (tmp_path / folder / "README").write_text("no image")
    data = load(tmp_path, size=8)
    assert data.data.train.paths.tolist() == [f"cat/{name}", f"dog/{name}"]
    assert kinds(data.findings)["other"] == ["cat/README", "dog/README"]


@pytest.mark.parametrize("ending", [".img", ".jpg_large", ".picture", ".dat", ".bak", ".jpg_original", ".jpg~", ".THM"])
def test_images_with_another_ending_are_named(tmp_path, ending):
    root = write_folder(tmp_path / "a")
    for path in sorted(root.rglob("*.png")):
        path.rename(path.with_suffix(ending))
    words = f"files with the content of images but another ending (6), for example cat/0{ending} (PNG): rename them"
    assert refused(root).endswith(f"a has no images, but {words}")
    for path in sorted(root.rglob("*.*")):
        path.rename(path.with_suffix(".png"))
    assert load(root, size=8).data.classes == ("cat", "dog")


@pytest.mark.parametrize("name, raw, words", [
    ("a.jxl", b"\xff\n", "JPEG XL: convert it to JPEG or PNG"), ("a.cr2", b"II*\0", "a camera's raw file: convert it"),
    ("a.dng", b"", "a camera's raw file: convert it"), ("a.svg", b"<svg/>", "SVG: convert it to JPEG or PNG"),
    ("a.MP4", b"", "a video: save single pictures of it as JPEG"), ("a.pdf", b"%PDF", "PDF: convert it"),
    ("a", b"\0\0\0\x18ftypmp42", "a video: save"), ("a.unknown", b"%PDF-1.4", "PDF: convert it"),
    ("b.psd", b"8BPS", "a Photoshop document: convert it"), ("a.dcm", bytes(128) + b"DICM", "DICOM: convert it"),
    ("IM-0001", bytes(128) + b"DICM", "DICOM: convert it"), ("a.jp2", b"", "JPEG 2000: convert it")])
def test_pictures_of_other_kinds_are_called_by_their_names(tmp_path, name, raw, words):
    for folder in ("cat", "dog"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(raw)
    start = f"has no images, but files of kinds that are not read (2), for example cat/{name} ("
    assert start + words in refused(tmp_path)
    write_folder(tmp_path)
    assert [finding[:2] for finding in load(tmp_path, size=8).findings] == [("foreign", f"cat/{name}"),
                                                                            ("foreign", f"dog/{name}")]


def test_several_reasons_the_commonest_first(tmp_path):
    for i in range(3):
        write_image(tmp_path / "cat" / f"{i}.png").rename(tmp_path / "cat" / f"{i}.img")
    (tmp_path / "cat" / "a.mp4").write_bytes(b"")
    words = "has no images, but files with the content .*; files of kinds that are not read .1., for"
    assert re.search(words, refused(tmp_path))


def test_a_folder_with_nothing_in_it(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("x")
    assert refused(tmp_path).endswith("has no images: give a folder with a folder of images for each class, or a .csv "
                                      "table with the columns path and label")


# ---- the output of this program ------------------------------------------------------------------------------------

def output(folder):
    """A run folder as far as it matters."""
    write_image(folder / "curves.png")
    for name in ("config.json", "manifest.json"):
        (folder / name).write_text(json.dumps({"settings": {}, "environment": {}}))
    return folder


@pytest.mark.parametrize("place", ["runs/photos-seed0", "result", "cat/result", "runs/a/b"])
@pytest.mark.parametrize("lost", [[], ["config.json"], ["manifest.json"]])
def test_the_output_of_this_program_is_no_class(tmp_path, place, lost):
    root = write_folder(tmp_path / "photos")
    output(root / place)
    for name in lost:
        (root / place / name).unlink()
    found = scan(root)
    assert set(found.labels) == {"cat", "dog"} and found.findings == [("run", place, "")]


def test_files_of_that_name_by_others_are_no_output(tmp_path):
    root = write_folder(tmp_path)
    for text in ('{"model_type": "vit"}', "[]", "no json", "[" * 100_000, '{"settings": 1}'):
        (root / "cat" / "config.json").write_text(text)
        assert len(scan(root).paths) == 6


def test_a_run_is_no_folder_of_images(tmp_path):
    sentence = refused(output(tmp_path / "run"))
    assert sentence == (f"{tmp_path}/run is the output of a run: give a table of labels in it, such as "
                        "corrected_labels.csv, or the folder of your images")


# ---- tables --------------------------------------------------------------------------------------------------------

def test_a_table_without_lines(tmp_path):
    assert "t.csv has no images: give a folder" in refused(write_table(tmp_path / "t.csv", []))


# ---- other things --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["a\nb", "caf\udce9", "a\tb"])
def test_a_folder_whose_name_no_file_could_hold_later(tmp_path, name):
    root = write_folder(tmp_path / name)
    sentence = refused(root)
    assert sentence.isprintable() and sentence.endswith(": rename it")
    shutil.move(root, tmp_path / "fine")
    assert load(tmp_path / "fine", size=8).data.classes == ("cat", "dog")
    with pytest.raises(InputError, match="rename it$"):
        open_source(write_folder(tmp_path / name / "inside"))


def test_blank_images_are_called_blank_and_no_duplicates(tmp_path):
    for number, name in enumerate(("circle", "square")):
        for i in range(3):
            image = Image.new("RGBA", (20, 20), (255, 255, 255, 0))
            image.paste((255, 255, 255, 255), (i + number, 3, 12, 12))
            (tmp_path / name).mkdir(exist_ok=True)
            image.save(tmp_path / name / f"{i}.png")
    found = load(tmp_path, size=16).findings
    assert [finding.kind for finding in found] == ["blank"] * 6
    assert found[0].detail == "red 255, green 255, blue 255 of 255"


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 30, 90), (7, 8, 9, 0), (7, 8, 9, 128)])
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_images_of_any_one_colour(tmp_path, colour, suffix):
    root = write_folder(tmp_path)
    mode = "RGBA" if len(colour) == 4 else "RGB"
    Image.new(mode, (30, 20), colour).save(root / "cat" / f"even.{suffix}")
    found = load(root, size=16, test=root).findings
    pale = [finding[:2] for finding in found if finding.kind in ("blank", "dim")]
    assert pale == [("blank", f"cat/even.{suffix}")] * 2
    assert [finding for finding in found if finding.kind == "leaked" and "even" in finding.path] == []


def test_images_with_little_contrast_are_told(tmp_path):
    root = write_folder(tmp_path)
    for most, kind in ((2, "blank"), (3, "dim"), (31, "dim"), (32, None)):
        write_image(root / "cat" / "pale.png", (picture(1, 16, 16) > 127).astype("uint8") * most + 100)
        found = [finding.kind for finding in load(root, size=16).findings if finding.path == "cat/pale.png"]
        assert found == [kind] * (kind is not None)
