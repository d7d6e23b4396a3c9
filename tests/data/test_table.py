"""core/data/table.py: images named by a table, as spreadsheets of all countries and systems write it."""
import os
import unicodedata

import numpy as np
import pytest

from core.data.csv_cells import csv_text
from core.data.how import How
from core.data.table import read_table
from core.errors import InputError
from tests.lib.own_data import kinds, write_image, write_table


@pytest.fixture
def folder(tmp_path):
    for name in ("1.png", "sub/2.png", "a,b;c.png"):
        write_image(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("text", [
    "path,label\n1.png,cat\nsub/2.png,dog\n", "label,path\ncat,1.png\ndog,sub/2.png",
    "\ufeffPath;Label\r\n1.png;cat\r\nsub/2.png;dog\r\n",
    "path\tlabel\n1.png\tcat\nsub/2.png\tdog\n", "\n\n path , label , note \n1.png,cat,\n\nsub/2.png,dog,x\n",
    '"path","label"\n"1.png","cat"\n"./sub//2.png"," dog "\n', "path,label\n1.png,cat\nsub\\2.png,dog\n",
    "id,label,path\n7,cat,1.png\n8,dog,sub/2.png"])
def test_reads_a_table(folder, text):
    (folder / "t.csv").write_text(text, encoding="utf-8", newline="")
    found = read_table(folder / "t.csv")
    assert found.paths == ["1.png", "sub/2.png"] and found.labels == ["cat", "dog"]
    assert found.index == [0, 1] and found.rows == 2 and found.findings == [] and found.root == folder


def test_the_order_of_the_lines_is_kept_and_cells_may_hold_any_delimiter(folder):
    found = read_table(write_table(folder / "t.csv", ['sub/2.png,"x;y"', '"a,b;c.png","u,v"', "1.png,x"]))
    assert found.paths == ["sub/2.png", "a,b;c.png", "1.png"] and found.labels == ["x;y", "u,v", "x"]


def test_paths_may_be_absolute_or_lead_out_since_somebody_wrote_them_down(folder, tmp_path):
    (folder / "lists").mkdir()
    found = read_table(write_table(folder / "lists" / "t.csv", [f"{folder}/1.png,a", "../sub/2.png,b"]))
    assert found.paths == [f"{folder}/1.png", "../sub/2.png"]


def test_accents_may_be_spelt_in_both_ways(folder):
    for form, other in (("NFC", "NFD"), ("NFD", "NFC")):
        name = unicodedata.normalize(form, f"é{form}.png")
        write_image(folder / name)
        found = read_table(write_table(folder / "t.csv", [unicodedata.normalize(other, f"{name},é")]))
        assert found.paths == [name] and found.labels == ["é"]


def test_lines_that_cannot_be_used_are_left_out_and_the_others_keep_their_numbers(folder):
    (folder / "sub" / "d.png").mkdir()
    lines = ["none.png,cat", "1.png,", ",dog", "sub/d.png,dog", '1.png,"a\tb"', "sub/2.png,dog", "1.png,cat"]
    found = read_table(write_table(folder / "t.csv", lines))
    assert found.paths == ["sub/2.png", "1.png"] and found.index == [5, 6] and found.rows == 7
    assert kinds(found.findings) == {"missing": ["none.png", "sub/d.png"], "unlabelled": ["1.png", ""],
                                     "name": ["1.png: a\\u0009b"]}


def test_a_file_named_twice_counts_once(folder):
    lines = ["1.png,cat", "./1.png,cat", "sub/2.png,cat", "sub/../sub/2.png,dog"]
    found = read_table(write_table(folder / "t.csv", lines))
    assert found.paths == ["1.png", "sub/2.png"] and found.labels == ["cat", "cat"]
    assert found.findings == [("repeated", "1.png", "lines 2 and 3"),
                              ("contradiction", "sub/2.png", "cat in line 4, which counts; dog in line 5")]


def test_the_agreement_on_one_image_of_a_table_of_single_lines_is_kept(folder):
    found = read_table(write_table(folder / "t.csv", ["1.png,a", "sub/2.png,b", "1.png,a", '"a,b;c.png",b', "1.png,b"]))
    assert found.labels == ["a", "b", "b"] and np.allclose(found.agreement, [2 / 3, 1, 1]) and found.notes == []
    found = read_table(write_table(folder / "t.csv", ["1.png,a", "sub/2.png,b", "1.png,a", '"a,b;c.png",b']))
    assert found.agreement is None


def test_the_folder_that_the_user_names_is_that_of_the_files(folder, tmp_path):
    """Of test images it may be that of the training images alone."""
    path, other = write_table(folder / "t.csv", ["1.png,a", "sub/2.png,b"]), tmp_path / "far" / "away"
    other.mkdir(parents=True)
    with pytest.raises(InputError, match="none of the 2 files that it names is there"):
        read_table(path, How(images=str(other)))
    assert read_table(path, How(images=str(other)), strict=False).paths == ["1.png", "sub/2.png"]
    for name in ("1.png", "sub/2.png"):
        write_image(other / name)
    for strict in (True, False):
        assert read_table(path, How(images=str(other)), strict).paths == ["far/away/1.png", "far/away/sub/2.png"]


def test_names_may_have_as_many_letters_as_files_can(folder):
    lines = [f"1.png,{'a' * 255}", f"sub/2.png,{'a' * 256}"]
    found = read_table(write_table(folder / "t.csv", lines))
    assert found.paths == ["1.png"] and found.findings[0].kind == "name"


def test_votes_are_counted_and_their_agreement_kept(folder):
    lines = [f"{file},{label}" for file, labels in (("1.png", "aab"), ("sub/2.png", "bbb"), ('"a,b;c.png"', "abb"))
             for label in labels]
    found = read_table(write_table(folder / "t.csv", lines))
    assert found.labels == ["a", "b", "b"] and found.index == [0, 3, 6] and found.rows == 9
    assert np.allclose(found.agreement, [2 / 3, 1, 2 / 3])
    assert found.notes == ["9 votes on 3 images, unanimous on 1: the majority decides"]
    assert found.findings == [("votes", "1.png", "a 2, b 1 (lines 2 and 3 and 4)"),
                              ("votes", "a,b;c.png", "b 2, a 1 (lines 8 and 9 and 10)")]


def test_labels_that_are_missing_are_left_out_and_equal_numbers_are_one_class(folder):
    for name in "abcdefgh":
        write_image(folder / f"{name}.png")
    lines = ["a.png,1", "b.png,1.0", "c.png,2.0", "d.png,nan", "e.png,NA", "f.png,?", "g.png,2", "h.png,none"]
    found = read_table(write_table(folder / "t.csv", lines))
    assert found.labels == ["1", "1", "2", "2", "none"] and found.index == [0, 1, 2, 6, 7]
    assert kinds(found.findings) == {"unknown": ["d.png", "e.png", "f.png"], "number": ["1.0", "2.0"],
                                     "doubtful": ["none"]}
    assert found.findings[0].detail == "nan in line 5"


def test_cells_with_several_labels_are_reported(folder):
    found = read_table(write_table(folder / "t.csv", ["1.png,Mass|Edema", "sub/2.png,Edema|Hernia"]))
    assert found.findings == [("several", "Edema|Hernia", "and 1 other classes with '|' in their names")]


def test_cells_that_were_kept_from_being_formulas_come_back(folder):
    write_image(folder / "=1+1.png")
    rows = csv_text([["path", "label"], ["=1+1.png", "-cat"], ["1.png", "'s"]])
    (folder / "t.csv").write_text(rows, encoding="utf-8")
    found = read_table(folder / "t.csv")
    assert "\"'=1+1.png\",\"'-cat\"" in rows and found.paths == ["=1+1.png", "1.png"] and found.labels == ["-cat", "'s"]


def test_classes_that_differ_in_case_are_reported(folder):
    assert kinds(read_table(write_table(folder / "t.csv",
                                        ["1.png,cat", "sub/2.png,Cat"])).findings) == {"alike": ["Cat"]}


@pytest.mark.parametrize("text, fault", [
    ("", " does not begin with a line that names the columns path and label: add it"),
    ("1.png,cat\n", " does not begin with"),
    ("path label\n1.png cat\n", " does not begin with"), ("1.png;cat\n2.png;dog", " does not begin with"),
    ("path,label,path\n1.png,cat,1.png\n", " has two columns called 'path': rename one of them"),
    ("path,label\n1.png,cat\nsub/2.png\n", ", line 3 has 1 columns and the header 2: correct it"),
    ("path,label\n1.png,cat,x\n", ", line 2 has 3 columns and the header 2"),
    ('path,label\n"1.png,cat\n', ", line 2: unexpected end of data"),
    ("path,label\n" + "x" * 200_000, ", line 2: field larger than field limit"),
    ("path,label\n\udcff.png,a", " is not text in UTF-8")])
def test_tables_that_cannot_be_used(folder, text, fault):
    (folder / "t.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as error:
        read_table(folder / "t.csv")
    assert str(error.value).startswith(f"{folder / 't.csv'}{fault}") and "\n" not in str(error.value)


def test_a_table_that_cannot_be_opened(folder, monkeypatch):
    path = write_table(folder / "t.csv", ["1.png,a"])

    def refuse(*arguments, **options):
        raise PermissionError(13, os.strerror(13))
    monkeypatch.setattr("core.data.label_files.open", refuse, raising=False)
    with pytest.raises(InputError, match="t.csv cannot be read, Permission denied: check its permissions"):
        read_table(path)


def test_labels_that_a_person_has_checked_are_marked(folder):
    """By a column that is called so; the votes of others do not count there, and other columns say nothing."""
    lines = ["1.png,cat,1", "1.png,dog,0", "1.png,dog,", "sub/2.png,cat,no"]
    found = read_table(write_table(folder / "t.csv", lines, "path,label,Checked"))
    assert dict(zip(found.paths, zip(found.labels, found.checked))) == {
        "1.png": ("cat", True), "sub/2.png": ("cat", False)}
    assert found.notes[-1] == "labels that a person has checked, by the column checked: 1; they stand"
    for header, last in (("path,label,double_checked", "1"), ("path,label,checked", "0")):
        found = read_table(write_table(folder / "t.csv", [f"1.png,cat,{last}", f"sub/2.png,dog,{last}"], header))
        assert found.checked is None and not any("a person has checked" in note for note in found.notes)
