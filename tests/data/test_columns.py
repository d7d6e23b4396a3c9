"""core/data/columns.py: which columns of a table hold the files and the labels, however they are called."""
import json
import shlex

import pytest

from core.data.columns import columns, has_paths, may_be_label
from core.data.how import How
from core.data.table import read_table
from core.errors import InputError
from tests.lib.own_data import write_image


@pytest.fixture
def read(tmp_path):
    """columns() of a text."""
    def of(text, name="t.csv", encoding="utf-8", **how):
        (tmp_path / name).write_bytes(text.encode(encoding))
        return columns(tmp_path / name, How(**how))
    return of


def cells(found):
    return [line[1:] for line in found.lines]


TWO = [("1.jpg", "cat"), ("2.jpg", "dog")]


@pytest.mark.parametrize("header, order", [
    ("image_id,label", "01"), ("Image,Class", "01"), ("file_name,target", "01"), ("filename;category", "01"),
    ("File Name\tlabel_name", "01"), ("label,imagePath", "10"), ("species,img", "10"), ("isic_id,diagnosis", "01"),
    ("id_code,diagnosis", "01"), ("id,breed", "01"), ("file,annotation", "01"), ("picture,what", "01"), ("a,label",
                                                                                                         "01"),
    ("Image,Id", "01"), ("names,whatever", "01"), ("imageUrl,classId", "01")])
def test_two_columns_are_recognised_and_said(read, header, order):
    mark = next(mark for mark in ",;\t" if mark in header)
    found = read("\n".join([header, *(mark.join(row[int(k)] for k in order) for row in TWO)]))
    names = header.split(mark)
    assert cells(found) == TWO and found.notes[0].endswith(
        f": the files are in the column {names[order.index('0')]!r}, the labels in {names[order.index('1')]!r}; "
        "others are chosen by --path-column and --label-column")


@pytest.mark.parametrize("text", [
    "path,label,class\n1.jpg,cat,9\n2.jpg,dog,8\n", "id,path,label\n7,1.jpg,cat\n8,2.jpg,dog\n",
    "sep=;\r\npath;label\r\n1.jpg;cat\r\n2.jpg;dog\r\n", '"sep=|"\npath|label\n1.jpg|cat\n2.jpg|dog\n',
    "path, label\n1.jpg, \"cat\"\n2.jpg, dog\n",
    " \n\npath;label\n1.jpg;cat\n2.jpg;dog\n", "\ufeffpath\tlabel\n1.jpg\tcat\n2.jpg\tdog\n"])
def test_path_and_label_go_without_saying(read, text):
    found = read(text)
    assert cells(found) == TWO and found.notes == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_texts_of_spreadsheets_in_other_encodings(read, encoding):
    assert cells(read("path\tlabel\r\n1.jpg\tcat\r\n2.jpg\tdog\r\n", encoding=encoding)) == TWO
    assert cells(read("path\tlabel\r\n1.jpg\tÉmeu\r\n", "t.tsv", encoding)) == [("1.jpg", "Émeu")]


FILES = """path file_path filename file image_path image_file image_filename image_file_path image_name img_path
           img_file img_filename img_name image img photo picture image_id img_id photo_id id_code
           isic_id image_url url uri id name""".split()


def test_every_name_of_a_column_of_files_is_known_in_every_spelling_the_better_first(read):
    for better, name in zip([None, *FILES], FILES):
        for spelt in {name, name.upper(), name.title().replace("_", ""), name.replace("_", " "), f"{name}_"}:
            found = read(f"x,label,{spelt}\n7,cat,1\n8,dog,2\n")
            assert cells(found) == [("1", "cat"), ("2", "dog")]
            assert found.notes == [] if spelt.lower() == "path" else f"in the column {spelt!r}" in found.notes[0]
        if better:
            assert cells(read(f"label,{name},{better}\ncat,7,1\n")) == [("1", "cat")]
    assert cells(read("path,label,photo\n7,cat,1.jpg\n")) == [("7", "cat")]      # `path` is meant so
    assert cells(read("x,label,id\n1.jpg,cat,7\n2,dog,8\n3.jpg,cow,9\n"))[0] == ("1.jpg", "cat")
    assert cells(read("x,label,id\n1.jpg,cat,7\n2,dog,8\n"))[0] == ("7", "cat")       # more than half of them


def test_every_name_of_a_column_of_labels_is_known_in_every_spelling(read):
    for name in ("label labels class classes target targets category categories class_name label_name species breed "
                 "diagnosis dx choice annotation tag tags y").split():
        for spelt in {name, name.upper(), name.replace("_", " "), name.title()}:
            found = read(f"x,path,{spelt},z\n7,1.jpg,cat,9\n8,2.jpg,dog,9\n")
            assert cells(found) == TWO and len(found.notes) == (spelt not in ("label", "Label"))
    for word in "score confidence probability prob count number num is by time date source".split():
        assert not any(map(may_be_label, (f"label_{word}", f"{word} of class", f"{word.title()}Label")))


def test_lines_keep_their_numbers_and_their_order(read):
    """Beside empty ones, lines that break and a line before the header."""
    text = 'sep=,\n\npath,label\n\n1.jpg,"a\nb"\n\n2.jpg,c\n'
    assert read(text).lines == [(6, "1.jpg", "a\nb"), (8, "2.jpg", "c")]
    text = '\n{"path": "1.jpg", "label": "a"}\n\n{"path": "2.jpg", "label": "b"}\n'
    assert read(text, "t.jsonl").lines == [(2, "1.jpg", "a"), (4, "2.jpg", "b")]
    text = '{"path": "1.jpg", "label": "a\u2028\x85b"}\r\n{"path": "2.jpg", "label": "c"}\r'
    assert [line for line, *_ in read(text, "t.jsonl").lines] == [1, 2]


def test_the_better_name_and_the_cells_decide(read):
    head = "lead_time,annotator,annotation_id,image,choice,id,created_at"
    assert cells(read(f"{head}\n0.5,2,0,1.jpg,cat,1,2024\n")) == [("1.jpg", "cat")]
    assert cells(read("id,name,photo,class\n1,x,1.jpg,cat\n")) == [("1.jpg", "cat")]
    assert cells(read("id,where,class\n1,a/1.jpg,cat\n")) == [("a/1.jpg", "cat")]
    assert cells(read("image_id,class,class_confidence,is_class\nx,cat,0.5,1\n")) == [("x", "cat")]


def test_several_columns_of_labels_are_named_and_the_remedy_works(read):
    text = "path,noisy_labels_0,noisy labels 25,is_valid\n1.jpg,cat,dog,True\n"
    with pytest.raises(InputError) as error:
        read(text)
    said = str(error.value)
    assert said.endswith("t.csv has several columns that may hold the labels, 'noisy_labels_0', 'noisy labels 25': "
                         "choose one with --label-column, for example --label-column noisy_labels_0")
    option, name = shlex.split(said.rpartition("example ")[2])
    assert cells(read(text, label_column=name)) == [("1.jpg", "cat")]
    assert cells(read(text, label_column="Noisy Labels 25", path_column="PATH")) == [("1.jpg", "dog")]


def test_the_user_chooses_any_column(read):
    assert cells(read("a,b,c,d;mine ;yours \n1;2.jpg;dog\n", path_column="mine", label_column="yours")) == TWO[1:]
    found = read("path,label,other,file\n1.jpg,cat,dog,2.jpg\n", path_column="file", label_column="other")
    assert cells(found) == [("2.jpg", "dog")] and "'file', the labels in 'other'" in found.notes[0]
    with pytest.raises(InputError, match="has no column 'x', but 'path', 'label': choose one of these with "
                                         "--label-column"):
        read("path,label\n1.jpg,cat\n", label_column="x")
    with pytest.raises(InputError, match="has no column 'x', but 'path', 'label': choose one of these with "
                                         "--path-column"):
        read("path,label\n1.jpg,cat\n", path_column="x")


@pytest.mark.parametrize("ones", ["1,0,0|0,0,1", "1.0,0.0,0.0|0.0,0.0,1.0", "True,False,False|FALSE,,true"])
def test_a_column_for_each_class(read, ones):
    first, second = ones.split("|")
    found = read(f"filename, cat, cow, dog, width\n1.jpg, {first}, 7\n2.jpg, {second}, 7\n")
    assert cells(found) == TWO and "the labels in 3 columns of 0 and 1, 'cat', 'cow', 'dog'" in found.notes[0]


def test_a_column_for_each_class_with_two_or_none(read):
    text = "filename,cat,dog,cow\n1.jpg,0,0,0\n2.jpg,1,0,1\n"
    with pytest.raises(InputError) as error:
        read(text)
    assert str(error.value).endswith("line 3 has a 1 in each of the columns 'cat', 'cow': give every image one class, "
                                     "or choose one column of 0 and 1 with --label-column cat")
    assert cells(read(text, label_column="cat")) == [("1.jpg", "0"), ("2.jpg", "1")]
    assert cells(read("filename,cat,dog\n1.jpg,0,0\n2.jpg,0,1\n")) == [("1.jpg", ""), ("2.jpg", "dog")]


@pytest.mark.parametrize("text, fault", [
    ("x,y2,z\n1,2,3\n", " has the columns 'x', 'y2', 'z', and none is known to name files: choose it with "
                        "--path-column, or add a first line path,label if there is no header"),
    ("path,size,width\n1.jpg,5,6\n", " has the columns 'path', 'size', 'width', and none is known to hold labels: "
                                     "choose it"
                                     " with --label-column"),
    ("path,size,no dog\n1.jpg,5,1\n2.jpg,6,0\n", " has the columns 'path', 'size', 'no dog', and none is known to"),
    ("path,label,label\n1.jpg,a,b\n", " has two columns called 'label': rename one of them"),
    ("1.jpg,cat\n2.jpg,dog\n", " does not begin with a line that names the columns path and label: add it"),
    ("path\n1.jpg\n", " does not begin with"), ("sep=;\n", " does not begin with"), ("", " does not begin with")])
def test_tables_whose_columns_are_unclear(read, text, fault, tmp_path):
    with pytest.raises(InputError) as error:
        read(text)
    assert str(error.value).startswith(f"{tmp_path / 't.csv'}{fault}") and "\n" not in str(error.value)


def test_objects_of_json_in_lines(read):
    lines = [{"file_name": "1.jpg", "label": "cat", "box": [1, 2]}, {"label": "dog", "file_name": "2.jpg",
                                                                     "extra": None}]
    assert cells(read("\n \n".join(map(json.dumps, lines)), "metadata.jsonl")) == TWO
    values = [{"image": f"{i}.jpg", "label": value} for i, value in enumerate([1, 1.0, True, None, ["a"], ["a", "b"]])]
    assert [label for _, label in cells(read("\n\n".join(map(json.dumps, values)), "t.ndjson"))] == [
        "1", "1.0", "True", "", "a", "a|b"]
    for text in ("[1]", "{", "[" * 100_000, '{"a": 1}\nx'):
        with pytest.raises(InputError, match=r"line \d is no object of JSON: write one in each line, as {\"file_name"):
            read(text, "t.jsonl")
    nested = '{"image": {"bytes": null, "path": "1.jpg"}, "label": {"x": 1}}'
    assert cells(read(nested, "t.jsonl")) == [("1.jpg", "dict")]
    mixed = '{"image": "1.jpg", "label": ["a", ["b"]]}\n{"image": "2.jpg", "label": [{"c": 1}, "d"]}'
    assert cells(read(mixed, "t.jsonl")) == [("1.jpg", "list"), ("2.jpg", "list")]
    assert cells(read('{"image": "1.jpg", "label": "cat", "box": ' + "[" * 500 + "]" * 500 + "}", "t.jsonl")) == [
        ("1.jpg", "cat")]


def test_the_cells_of_objects_are_limited(read, monkeypatch):
    """A first line of a thousand fields would make as many cells of each line after it."""
    monkeypatch.setattr("core.data.columns.CELLS", 2000)
    with pytest.raises(InputError, match="t.jsonl has 1,000 different fields in 3 lines: leave out what is not needed"):
        read("\n".join([json.dumps(dict.fromkeys(map(str, range(1000)))), *['{"0": 1}'] * 10]), "t.jsonl")


def test_tables_are_told_from_lines_of_labels(tmp_path):
    for text, expected in (("path,label\n", True), ("image_id;class\n", True), ("label\ncat\n", False), ("0,1\n",
                                                                                                         False),
                           ("index,label\n0,1\n", False), ("cat\n", False), ("", False)):
        (tmp_path / "t.csv").write_text(text)
        assert has_paths(tmp_path / "t.csv") == expected


def test_names_of_labels():
    assert all(map(may_be_label, ["class", "Label", "labels", "target_id", "className", "noisy_labels_25", "CATEGORY",
                                  "y"]))
    assert not any(map(may_be_label, ["path", "label_score", "is_label_issue", "classify", "x_y", "label_source",
                                      "annotator",
                                      "annotation_id", "stage"]))


def test_a_whole_table_under_other_names(tmp_path):
    for name in "ab":
        write_image(tmp_path / f"{name}.png")
    (tmp_path / "t.csv").write_text("Image ID,Target\na.png,cat\nb.png,dog\n")
    found = read_table(tmp_path / "t.csv")
    assert found.paths == ["a.png", "b.png"] and found.labels == ["cat", "dog"] and len(found.notes) == 1
