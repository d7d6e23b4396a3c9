"""core/data/folder.py: links are followed where it was asked for, nothing is read twice, and no loop is walked."""
import os

import numpy as np
import pytest

from core.data.folder import scan
from core.data.how import How
from core.data.own import load
from core.errors import InputError
from tests.lib.own_data import kinds, write_folder, write_image, write_table

FOLLOW = How(follow_links=True)


@pytest.fixture
def disk(tmp_path):
    """Another disk with classes."""
    return write_folder(tmp_path / "disk", ("bird", "cat", "dog"))


@pytest.fixture
def root(tmp_path):
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def test_linked_class_folders_are_named_and_followed_if_asked(root, disk):
    for name in ("cat", "dog"):
        os.symlink(disk / name, root / name)
    with pytest.raises(InputError, match="has no images, but links that lead elsewhere .2., for example cat: follow "
                                         "them with --follow-links$"):
        scan(root)
    data = load(root, size=8, how=FOLLOW).data
    assert data.classes == ("cat", "dog") and data.train.paths.tolist()[:2] == ["cat/0.png", "cat/1.png"]
    assert len(data.train.labels) == 6


def test_one_linked_class_beside_others(root, disk):
    write_folder(root, ("cow", "elk"))
    os.symlink(disk / "bird", root / "bird")
    found = scan(root)
    assert set(found.labels) == {"cow", "elk"} and found.findings == [
        ("link", "bird", "leads to a folder: follow it with --follow-links, or name the files in a table path,label")]
    found = scan(root, follow=True)
    assert set(found.labels) == {"cow", "elk", "bird"} and found.findings == []
    for how, classes in ((How(), ("cow", "elk")), (FOLLOW, ("bird", "cow", "elk"))):
        assert load(root, size=8, how=how).data.classes == classes
    write_table(root / "metadata.csv", ["cow/0.png,a cow"], "file_name,text,size")          # about something else
    assert load(root, size=8, how=FOLLOW).data.classes == ("bird", "cow", "elk")


def test_linked_files(root, disk):
    for name in ("cat", "dog"):
        (root / name).mkdir()
        for i in range(3):
            os.symlink(disk / name / f"{i}.png", root / name / f"{i}.png")
    with pytest.raises(InputError, match="links that lead elsewhere .6., for example cat/0.png: follow them"):
        scan(root)
    assert load(root, size=8, how=FOLLOW).data.classes == ("cat", "dog")


def test_test_images_may_be_links_too(root, disk):
    for name in ("cat", "dog"):
        os.symlink(disk / name, root / name)
    assert len(load(disk.rename(disk.parent / "a"), size=8, how=FOLLOW).data.train.labels) == 9
    (disk.parent / "a").rename(disk)
    assert len(load(disk, size=8, test=root, how=FOLLOW).data.test.labels) == 6


def test_links_whose_files_are_missing(root):
    """As after `git clone` of a set whose files lie elsewhere: following leads nowhere."""
    write_folder(root, ("cat", "dog"))
    for path in root.rglob("*.png"):
        path.unlink()
        os.symlink("../.git/annex/objects/x", path)
    for follow in (False, True):
        with pytest.raises(InputError, match="has no images, but links whose files are missing .6., for example "
                                             "cat/0.png: fetch the files, or make the links anew"):
            scan(root, follow)


def test_nothing_is_read_twice(root, disk):
    """Links into the data, two links to one folder, a link to a folder inside a folder that is read."""
    write_folder(root, ("cow",))
    os.symlink("cow", root / "bull")
    os.symlink(disk / "cat", root / "cat")
    os.symlink(disk / "cat", root / "tom")
    os.symlink(disk, root / "zoo")
    os.symlink(disk / "dog", root / "zoo dog")
    found = scan(root, follow=True)
    real = [os.path.realpath(root / path) for path in found.paths]
    assert len(set(real)) == len(real) == 12 and set(found.labels) == {"cow", "cat", "zoo"}
    assert kinds(found.findings)["link"] == ["bull", "tom", "zoo/cat", "zoo dog"]


@pytest.mark.parametrize("target", [".", "..", "../..", "/", "../disk/loop", "cat/up", "link"])
def test_no_loop_is_walked(root, disk, target):
    write_folder(root, ("cat", "dog"))
    os.symlink(root, disk / "loop")
    os.symlink("..", root / "cat" / "up")
    os.symlink(target, root / "link")
    found = scan(root, follow=True)
    assert set(found.labels) == {"cat", "dog"} and len(found.paths) == 6


def test_folders_that_link_to_one_another(root, tmp_path):
    write_folder(root, ("cat", "dog"))
    for a, b in (("p", "q"), ("q", "p")):
        write_image(tmp_path / a / f"{a}.png")
        os.symlink(tmp_path / b, tmp_path / a / "next")
    os.symlink(tmp_path / "p", root / "other")
    found = scan(root, follow=True)
    assert [path for path in found.paths if path.startswith("other")] == ["other/next/q.png", "other/p.png"]


def test_rows_are_those_of_the_sorted_paths(root, disk):
    write_folder(root, ("elk",))
    os.symlink(disk / "cat", root / "cat")
    found = scan(root, follow=True)
    assert found.paths == sorted(found.paths) and found.index == np.arange(6).tolist()
