"""core/data/places.py: where the files of a table are, on a machine on which it was not written."""
import os
import time
from urllib.parse import quote

import pytest

from core.data.how import How
from core.data.own import load
from core.data.places import find, near, parts
from core.data.table import read_table
from core.errors import InputError
from tests.lib.own_data import write_image, write_table

NAMES = ["00a", "00b", "10c", "10d"]


def images(folder, names=NAMES, suffix=".png"):
    for name in names:
        write_image(folder / f"{name}{suffix}")
    return folder


def table(folder, texts, name="t.csv"):
    folder.mkdir(exist_ok=True)
    return write_table(folder / name, [f"{text},{'ab'[k % 2]}" for k, text in enumerate(texts)])


def test_ids_without_an_ending(tmp_path):
    images(tmp_path, NAMES[:2])
    images(tmp_path, NAMES[2:], ".JPG")
    found = read_table(table(tmp_path, NAMES))
    assert found.paths == ["00a.png", "00b.png", "10c.JPG", "10d.JPG"] and found.findings == []
    assert found.notes == [f"{tmp_path / 't.csv'}: the files were found in {tmp_path}, for example 00a as 00a.png"]


@pytest.mark.parametrize("place", ["train_images", "deep/er", "../images", "../all-photos"])
@pytest.mark.parametrize("suffix", ["", ".png", ".PNG"])
def test_images_in_a_folder_near_the_table(tmp_path, monkeypatch, place, suffix):
    here = tmp_path / "here"
    images(here / place)
    (tmp_path / "unrelated").mkdir()
    found = read_table(table(here, [f"{name}{suffix}" for name in NAMES]))
    assert found.paths == [f"{place}/{name}.png" for name in NAMES] and len(found.notes) == 1
    assert len(load(here / "t.csv", size=8).data.train.labels) == 4
    monkeypatch.chdir(here)
    assert read_table("t.csv").paths == found.paths


def test_images_that_were_saved_in_another_format(tmp_path):
    images(tmp_path / "img")
    found = read_table(table(tmp_path, [f"img/{name}.bmp" for name in NAMES]))
    assert found.paths == [f"img/{name}.png" for name in NAMES]


def test_images_in_two_folders_are_left_to_the_user(tmp_path):
    for name in ("one", "two"):
        images(tmp_path / name)
    path = table(tmp_path, NAMES)
    with pytest.raises(InputError) as error:
        read_table(path)
    assert str(error.value) == (f"{path}: files of these names are in {tmp_path / 'one'} and in {tmp_path / 'two'}: "
                                "choose one folder with --images")
    found = read_table(path, How(images=str(tmp_path / "two")))
    assert found.paths == [f"two/{name}.png" for name in NAMES]


def test_a_table_sorted_by_class_is_compared_as_a_whole(tmp_path):
    texts = [f"{name}{k}" for name in "ab" for k in range(60)]
    for text in texts:
        (tmp_path / text[0]).mkdir(exist_ok=True)
        (tmp_path / text[0] / f"{text}.png").touch()
    with pytest.raises(InputError, match="choose one folder with --images"):
        find(tmp_path / "t.csv", texts)


def test_a_folder_that_has_only_some_of_them_is_not_taken(tmp_path):
    images(tmp_path / "all")
    images(tmp_path / "some", NAMES[:3])
    assert read_table(table(tmp_path, NAMES)).paths[0] == "all/00a.png"


def test_nothing_is_searched_for_where_any_file_is_as_written(tmp_path):
    images(tmp_path, NAMES[:1])
    images(tmp_path / "test_images", NAMES[1:])
    found = read_table(table(tmp_path, [f"{name}.png" for name in NAMES]))
    assert found.paths == ["00a.png"] and [f.kind for f in found.findings] == ["missing"] * 3 and found.notes == []


@pytest.mark.parametrize("prefix", ["C:\\Users\\someone\\plants\\img\\", "/home/someone/img/",
                                    "\\\\server\\share\\img\\",
                                    "../../else/img/", "https://example.org/v1/img/", "/data/upload/3/img/",
                                    "/data/local-files/?d=a/img/", "s3://bucket/img/", "file:///home/someone/img/"])
def test_paths_of_another_machine(tmp_path, prefix):
    images(tmp_path / "img")
    path = table(tmp_path, [f"{prefix}{name}.png" for name in NAMES])
    found = read_table(path)
    assert found.paths == [f"img/{name}.png" for name in NAMES] and len(found.notes) == 1
    assert f"for example {prefix}00a.png as img/00a.png" in found.notes[0]


def test_parts_of_paths_keep_classes_apart(tmp_path):
    for name in ("cat", "dog"):
        images(tmp_path / "img" / name, ["0", "1"])
    path = table(tmp_path, [f"C:\\x\\{name}\\{k}.png" for name in ("cat", "dog") for k in "01"])
    assert read_table(path).paths == ["img/cat/0.png", "img/cat/1.png", "img/dog/0.png", "img/dog/1.png"]


def test_the_rule_by_which_more_of_the_path_agrees_is_taken(tmp_path):
    """cat/0.png and cat/1.png are there, too."""
    for name in ("cat", "dog"):
        images(tmp_path / name, ["0", "1"])
    assert read_table(table(tmp_path, ["C:\\x\\cat\\0.png", "C:\\x\\dog\\1.png"])).paths == ["cat/0.png", "dog/1.png"]


def test_two_paths_are_never_one_file(tmp_path):
    images(tmp_path / "img", ["0", "1"])
    path = table(tmp_path, [f"C:\\x\\{name}\\{k}.png" for name in ("cat", "dog") for k in "01"])
    with pytest.raises(InputError, match="none of the 4 files that it names is there"):
        read_table(path)


def test_an_id_of_two_files_is_missing(tmp_path):
    images(tmp_path)
    images(tmp_path, ["00a"], ".jpg")
    found = read_table(table(tmp_path, NAMES))
    assert found.paths == ["00b.png", "10c.png", "10d.png"] and [f.path for f in found.findings] == ["00a"]


def test_files_that_are_nowhere_and_the_remedy(tmp_path):
    images(tmp_path / "far" / "away" / "x" / "y" / "z")
    path = table(tmp_path / "here", [f"train/{name}.png" for name in NAMES])
    with pytest.raises(InputError) as error:
        read_table(path)
    assert str(error.value) == (f"{path}: none of the 4 files that it names is there, for example train/00a.png in "
                                "line 2; "
                                f"they were looked for in {tmp_path / 'here'}: give the folder that holds them with "
                                "--images")
    far = tmp_path / "far" / "away" / "x" / "y" / "z"
    assert len(load(path, size=8, how=How(images=str(far))).data.train.labels) == 4
    with pytest.raises(InputError, match=f"they were looked for in {tmp_path / 'far'}: give"):
        read_table(path, How(images=str(tmp_path / "far")))
    with pytest.raises(InputError, match="--images .*/none is not a folder: give the folder that holds the images"):
        read_table(path, How(images=str(tmp_path / "none")))


def test_addresses_of_label_studio_are_those_that_this_program_writes(tmp_path):
    """Percent signs stand for the spaces of names."""
    images(tmp_path / "my photos", [f"{name} é" for name in NAMES])
    written = [quote(f"{tmp_path}/my photos/{name} é.png".lstrip("/")) for name in NAMES]
    found = read_table(table(tmp_path, [f"/data/local-files/?d={text}" for text in written]))
    assert found.paths == [f"my photos/{name} é.png" for name in NAMES]


def test_addresses_and_the_remedy(tmp_path):
    path = table(tmp_path / "here", [f"https://img.example/a/{name}.png?size=3" for name in NAMES])
    with pytest.raises(InputError) as error:
        read_table(path)
    assert str(error.value) == (f"{path} names addresses, for example https://img.example/a/00a.png?size=3 in line 2, "
                                "and nothing is downloaded: download the images, and give their folder with --images")
    found = read_table(path, How(images=str(images(tmp_path / "far"))))
    assert found.paths == [f"../far/{name}.png" for name in NAMES]


def test_metadata_in_a_folder_is_read(tmp_path):
    images(tmp_path / "repo")
    write_table(tmp_path / "repo" / "metadata.csv", [f"{name}.png,{name[0]}" for name in NAMES], "file_name,label")
    reading = load(tmp_path / "repo", size=8)
    assert reading.data.classes == ("0", "1") and reading.notes[0] == (f"{tmp_path / 'repo'}: the labels are those of "
                                                                       "metadata.csv in it")


def test_metadata_without_labels_beside_class_folders_is_not(tmp_path):
    for name in ("cat", "dog"):
        images(tmp_path / "repo" / name, ["0"])
    write_table(tmp_path / "repo" / "metadata.csv", ["cat/0.png,a cat", "dog/0.png,a dog"], "file_name,text,size")
    with pytest.raises(InputError):                                   # three columns in the header
        read_table(tmp_path / "repo" / "metadata.csv")
    assert load(tmp_path / "repo", size=8).data.classes == ("cat", "dog")
    for how in (How(label_column="none"), How(path_column="none"), How(images=str(tmp_path))):      # it is meant
        with pytest.raises(InputError, match="metadata.csv"):
            load(tmp_path / "repo", size=8, how=how)
    (tmp_path / "flat").mkdir()
    (tmp_path / "repo" / "metadata.csv").rename(tmp_path / "flat" / "metadata.csv")
    with pytest.raises(InputError, match="metadata.csv, line 2 has 2 columns"):                  # nothing is beside it
        load(tmp_path / "flat", size=8)


@pytest.mark.parametrize("text, expected", [
    ("a/b.png", ["a", "b.png"]), ("C:\\a\\b.png", ["C:", "a", "b.png"]), ("./a//b", ["a", "b"]), ("../../a/../b",
                                                                                                  ["b"]),
    ("https://x.y/a%20b.jpg?c=/d", ["x.y", "a b.jpg"]), ("/data/local-files/?d=a/b", ["a", "b"]), ("", []), ("..", [])])
def test_parts(text, expected):
    assert parts(text) == expected


def test_only_the_last_parts_are_compared():
    assert parts("/".join(map(str, range(100)))) == [str(k) for k in range(76, 100)]


def test_case_and_endings_may_differ_as_long_as_one_file_is_meant(tmp_path):
    for name in ("00a.png", "10C.PNG", "b.png", "b.jpg", "e\u0301meu.png"):
        write_image(tmp_path / "img" / name)
    for text, name in {"00A": "00a.png", "00A.PNG": "00a.png", "x/00a.jpg": "00a.png", "10c.jpeg": "10C.PNG",
                       "10C": "10C.PNG", "B.PNG": "b.png", "b.JPG": "b.jpg", "B": None, "b.bmp": None, "00a.txt": None,
                       "\u00c9MEU": "e\u0301meu.png", "\u00e9meu.png": "e\u0301meu.png", "c": None}.items():
        expected = name and f"img/{name}"
        assert find(tmp_path / "t.csv", ["", text], str(tmp_path / "img"))[0] == [None, expected], text


def test_slashes_and_accents_of_other_systems_are_read_beside_ones_own(tmp_path):
    for name in ("a.png", "e\u0301.png", "x/\u00e9.png", "x/b\\c.png"):
        write_image(tmp_path / name)
    texts = ["./a.png", "\u00e9.png", "x\\e\u0301.png", "x/b\\c.png", "x/../a.png", "none.png", ""]
    assert find(tmp_path / "t.csv", texts) == (["a.png", "e\u0301.png", "x/\u00e9.png", "x/b\\c.png", "a.png", None,
                                                None], [])


def test_files_are_looked_for_in_folders_that_a_person_would_look_into(tmp_path):
    here = tmp_path / "here"
    for name in ("one/two/three", "one/.git", ".hidden", "one/__MACOSX", "b", "../images", "../Photos 2", "../.images",
                 "../other", "../my-pics"):
        (here / name).mkdir(parents=True)
    os.symlink(tmp_path / "other", here / "link")
    os.symlink(tmp_path / "other", tmp_path / "pics")
    own, beside = near(here)
    assert own == [str(here / name) for name in ("", "b", "one", "one/two")]
    assert beside == [str(tmp_path / name) for name in ("Photos 2", "images", "my-pics")]


def test_a_table_without_paths(tmp_path):
    assert find(tmp_path / "t.csv", ["", ""]) == ([None, None], []) and find(tmp_path / "t.csv", []) == ([], [])


def test_a_path_of_a_million_parts_takes_no_long_time(tmp_path):
    images(tmp_path)
    start = time.process_time()
    found = read_table(table(tmp_path, ["a/" * 60_000 + "b.png", "x/" * 1500 + "00b.png"]))
    assert found.paths == ["00b.png"] and time.process_time() - start < 5
    assert [(f.kind, len(f.path)) for f in found.findings] == [("name", 4096)]
