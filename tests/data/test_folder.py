"""core/data/folder.py: which files of a folder are images, of which class, and what is said of all others."""
import inspect
import os
import sys
import unicodedata

import pytest

from core.data.folder import scan
from core.errors import InputError
from tests.lib.own_data import kinds, write_folder, write_image


def test_classes_are_folders_and_paths_are_sorted_by_their_parts(tmp_path):
    for name in ("b/2.png", "b/10.png", "a b/x/y/1.JPG", "a/z.png", "a/1/2.jpeg", "10/1.bmp", "9/1.webp"):
        write_image(tmp_path / name)
    found = scan(tmp_path)
    assert found.paths == ["10/1.bmp", "9/1.webp", "a/1/2.jpeg", "a/z.png", "a b/x/y/1.JPG", "b/10.png", "b/2.png"]
    assert found.labels == ["10", "9", "a", "a", "a b", "b", "b"]
    assert found.index == list(range(7)) and found.rows == 7 and found.findings == []


def test_what_systems_and_tools_leave_behind_is_no_image_and_no_class(tmp_path):
    write_folder(tmp_path)
    left = [".ipynb_checkpoints/0.png", "cat/.hidden.png", "__MACOSX/cat/._0.png", "@eaDir/x/thumb.jpg",
            "cat/Thumbs.db"]
    for name in left[:4]:
        write_image(tmp_path / name)
    (tmp_path / left[4]).write_bytes(b"")
    found = scan(tmp_path)
    assert len(found.paths) == 6 and set(found.labels) == {"cat", "dog"}
    assert kinds(found.findings) == {"hidden": [".ipynb_checkpoints", "@eaDir", "__MACOSX", "cat/.hidden.png",
                                                "cat/Thumbs.db"]}


def test_other_files_are_counted_and_images_beside_the_classes_reported(tmp_path):
    write_folder(tmp_path)
    write_image(tmp_path / "stray.png")
    for name in ("readme.txt", "cat/label.json", "dog/none", "dog/Makefile", "dog/a.weights"):
        (tmp_path / name).write_text("")
    found = kinds(scan(tmp_path).findings)
    assert found["beside"] == ["stray.png"]
    assert sorted(found["other"]) == ["cat/label.json", "dog/Makefile", "dog/a.weights", "dog/none", "readme.txt"]


def test_a_class_folder_without_images_is_named(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    assert kinds(scan(tmp_path).findings) == {"empty": ["empty"]}
    (tmp_path / "none").mkdir()
    (tmp_path / "cat" / "a.txt").write_text("")                       # found before
    assert kinds(scan(tmp_path).findings) == {"empty": ["empty", "none"], "other": ["cat/a.txt"]}


def test_links_are_followed_to_files_inside_and_nowhere_else(tmp_path):
    root = write_folder(tmp_path / "root")
    outside = write_image(tmp_path / "outside.png")
    os.symlink("../dog/0.png", root / "cat" / "inside.png")
    os.symlink(outside, root / "cat" / "out.png")
    os.symlink("nothing.png", root / "cat" / "broken.png")
    os.symlink("loop.png", root / "cat" / "loop.png")
    os.symlink("..", root / "cat" / "up")
    os.symlink("dog", root / "hound")
    found = scan(root)
    assert [path for path in found.paths if path.startswith("cat")] == ["cat/0.png", "cat/1.png", "cat/2.png",
                                                                        "cat/inside.png"]
    assert sorted(kinds(found.findings)["link"]) == ["cat/broken.png", "cat/loop.png", "cat/out.png", "cat/up", "hound"]


def test_the_root_may_be_a_link_itself(tmp_path):
    write_folder(tmp_path / "root")
    os.symlink("root", tmp_path / "alias")
    assert len(scan(tmp_path / "alias").paths) == 6


def test_accents_and_spaces_do_not_make_a_second_class_but_case_does(tmp_path):
    names = unicodedata.normalize("NFC", "Émeu"), unicodedata.normalize("NFD", "Émeu"), "cat", "Cat", "dog ", "dog"
    write_folder(tmp_path, names, images=1)
    found = scan(tmp_path)
    assert sorted(set(found.labels)) == ["Cat", "cat", "dog", names[0]] and len(found.paths) == 6
    assert kinds(found.findings) == {"merged": [names[1], "dog"], "alike": ["Cat"]}


@pytest.mark.parametrize("name", ["a,b", "a;b", '"', "'", "=1+1", "<script>", "ａ", "日本語", "🦉", "a\u00a0b", "%s",
                                  "{}", "-1", "con"])
def test_odd_names_are_classes_like_others(tmp_path, name):
    found = scan(write_folder(tmp_path, (name, "dog"), images=1))
    assert sorted(found.labels) == sorted([name, "dog"]) and found.findings == []


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "\x1b[31m", "a\u2028b", os.fsdecode(b"caf\xe9")])
def test_names_that_would_break_the_files_written_later_are_left_out(tmp_path, name):
    write_folder(tmp_path)
    write_image(tmp_path / name / "0.png")
    os.rename(write_image(tmp_path / "cat" / "x.png"), tmp_path / "cat" / f"{name}.png")
    found = scan(tmp_path)
    assert len(found.paths) == 6 and [finding.kind for finding in found.findings] == ["name", "name"]
    assert all(finding.path.isprintable() for finding in found.findings)


def test_folders_deeper_than_python_calls_functions(tmp_path):
    write_image(write_folder(tmp_path) / "cat" / "/".join(["d"] * 200) / "0.png")
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(len(inspect.stack()) + 100)
        paths = scan(tmp_path).paths
    finally:
        sys.setrecursionlimit(limit)
    assert max(path.count("/") for path in paths) == 201


def test_a_folder_that_cannot_be_opened_is_reported(tmp_path, monkeypatch):
    write_folder(tmp_path)
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)
    monkeypatch.setattr(os, "scandir", refuse)
    found = scan(tmp_path)
    assert set(found.labels) == {"cat"}
    assert ("closed", "dog", "Permission denied") in found.findings


def test_a_root_that_cannot_be_opened_is_an_error(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="cannot be read, Permission denied: check its permissions"):
        scan(tmp_path)


def test_images_without_class_folders_are_an_error(tmp_path):
    write_image(tmp_path / "1.png")
    with pytest.raises(InputError, match="has images but no class folders: put the images of each class into a folder"):
        scan(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_opened(tmp_path):
    write_folder(tmp_path)
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    assert kinds(scan(tmp_path).findings) == {"other": ["cat/pipe.png"]}
