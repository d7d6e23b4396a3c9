"""core/use/apply.py: a person's decisions become the labels that they mean, and nothing else is touched."""
import csv
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from core.data.csv_cells import csv_text, guarded, plain
from core.errors import InputError, Refused
from core.report import written
from core.report.issues import run_identity
from core.use import predict
from core.use.apply import clean, read_paths, read_run
from tests.lib.own_data import write_folder
from tests.lib.pages import page_of, save_run
from tests.lib.power import full_disk

HEAD = "index,path,decision,label\n"
CLASSES = ("cat", "dog", "=formula", "with, comma", "\"quoted\"", "'t")


@pytest.fixture
def made():
    return page_of(40, CLASSES, wrong=.5)


@pytest.fixture
def run(tmp_path, made):
    return save_run(tmp_path / "run", made)


def decisions(tmp_path, text):
    path = tmp_path / "decisions.csv"
    path.write_text(text, encoding="utf-8")
    return path


def table(path):
    """{name: label} of a cleaned file."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [[plain(cell) for cell in row] for row in csv.reader(file)]
    assert rows[0] in (["path", "label", "checked"], ["index", "label"])
    return {row[0]: row[1] for row in rows[1:]}


def checked(path):
    """The images of a cleaned file that are marked as checked."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [[plain(cell) for cell in row] for row in csv.reader(file)][1:]
    assert {row[2] for row in rows} <= {"0", "1"}
    return [row[0] for row in rows if row[2] == "1"]


def test_every_kind_of_decision_does_what_it_says(tmp_path, made, run):
    rows = np.flatnonzero(made.given != made.suggested)[:5]
    i = made.index[rows]
    spelt = quote(CLASSES[made.suggested[rows[4]]])
    lines = f"{i[0]},,accept,\n{i[1]},,reject,\n{i[2]},,change,=formula\n{i[3]},,remove,\n{i[4]},,Accept,{spelt}\n"
    out, said = clean(decisions(tmp_path, HEAD + lines), run)
    expected = {path: CLASSES[g] for path, g in zip(made.paths, made.given)}
    expected |= {made.paths[rows[0]]: CLASSES[made.suggested[rows[0]]], made.paths[rows[2]]: "=formula",
                 made.paths[rows[4]]: CLASSES[made.suggested[rows[4]]]}
    del expected[made.paths[rows[3]]]
    assert out == run / "cleaned_labels.csv" and table(out) == expected
    assert checked(out) == sorted((made.paths[row] for row in rows if row != rows[3]), key=made.paths.tolist().index)
    changed = 2 + (CLASSES[made.given[rows[2]]] != "=formula")
    assert said == (f"5 decisions: 39 labels written, {changed} of them not as given, 1 image left out, "
                    "35 undecided as given")


def test_without_decisions_labels_are_as_given_or_as_suggested(tmp_path, made, run):
    empty = decisions(tmp_path, HEAD)
    for undecided, labels in (("given", made.given), ("suggested", made.suggested)):
        out, _ = clean(empty, run, tmp_path / f"{undecided}.csv", undecided)
        assert list(table(out).items()) == [(path, CLASSES[c]) for path, c in zip(made.paths, labels)]
        assert checked(out) == [], "what nobody has looked at"


def test_no_cell_of_the_cleaned_file_is_a_formula(tmp_path, run):
    out, _ = clean(decisions(tmp_path, HEAD), run)
    with open(out, newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert "'=formula" in cells and not [cell for cell in cells if cell[:1] in "=+-@"]


def test_images_that_are_no_files_go_by_their_index(tmp_path, made):
    run = save_run(tmp_path / "run", made, with_paths=False)
    out, _ = clean(decisions(tmp_path, HEAD + f"{made.index[3]},,change,dog\n"), run)
    assert table(out)[str(made.index[3])] == "dog" and list(table(out)) == [str(i) for i in made.index]


def test_paths_are_written_as_they_are_found_from_anywhere(tmp_path, made, run):
    rows = [[f"/data/{path}", "x"] for path in made.paths]
    for table_there, root in ((rows, "/data/"), (rows[1:], ""), (rows[::-1], "")):
        (run / "corrected_labels.csv").write_text(csv_text([["path", "label"], *table_there]), encoding="utf-8",
                                                  newline="")
        out, _ = clean(decisions(tmp_path, HEAD + f"{made.index[0]},{quote(made.paths[0])},remove,\n"), run, force=True)
        assert list(table(out)) == [f"{root}{path}" for path in made.paths[1:]]


def quote(text):
    return '"' + guarded(str(text)).replace('"', '""') + '"'


def test_a_list_without_all_paths_counts_as_none(run, made):
    path = run / "label_issues.csv"
    whole = path.read_text(encoding="utf-8")
    for text in (whole[:whole.rindex("\n", 0, -1) + 1], whole.replace("path", "file"), "", "index,path\n"):
        path.write_text(text, encoding="utf-8")
        assert read_paths(run, made.index) is None
    path.write_text(whole, encoding="utf-8")
    assert read_paths(run, made.index) == made.paths.tolist()


MISTAKES = {                             # lines below the header (with one image's number, path, labels): what is named
    "unknown image": ("999999,,accept,", "line 2: there is no image '999999'"),
    "not a number": ("x,,accept,", "line 2: there is no image 'x'"),
    "unknown decision": ("{i},,perhaps,", "line 2: 'perhaps' is no decision: write one of accept, "
                                          "reject, change, remove"),
    "unknown class": ("{i},,change,ghost", "line 2: 'ghost' is no class of this run"),
    "change into nothing": ("{i},,change,", "line 2: '' is no class of this run"),
    "twice": ("{i},,accept,\n{i},,reject,", "line 3: image {i} is decided in line 2 already"),
    "accepting what is not suggested": ("{i},,accept,{given}", "line 2: accept means"),
    "rejecting into what is not given": ("{i},,reject,{suggested}", "line 2: reject means"),
    "another path": ("{i},other.png,accept,", "line 2: image {i} of this run is not 'other.png'"),
    "another run": ("{i},,accept,,0123456789ab", "line 2: this decision was made for another run"),
    "too short": ("{i}", "line 2: '' is no decision"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_decision_that_does_not_fit_is_named_with_its_line(tmp_path, name):
    made = page_of(40, ("cat", "dog", "owl"), wrong=.5)
    run, row = save_run(tmp_path / "run", made), np.flatnonzero(made.given != made.suggested)[0]
    words = {"i": made.index[row], "given": made.classes[made.given[row]],
             "suggested": made.classes[made.suggested[row]]}
    lines, sentence = (text.format(**words) for text in MISTAKES[name])
    path = decisions(tmp_path, HEAD + lines + "\n")
    with pytest.raises(InputError) as error:
        clean(path, run)
    assert f"{path}, {sentence}" in str(error.value) and not str(error.value).endswith(".")
    assert not (run / "cleaned_labels.csv").exists()


@pytest.mark.parametrize("text, named", [
    ("", "does not begin with the line index,path,decision,label"), ("index|path|decision|label\n", "does not begin"),
    ("\udcff", "UTF-8"), (HEAD + '"', "plain CSV"), (None, "does not exist")])
def test_a_file_that_holds_no_decisions_is_refused(tmp_path, run, text, named):
    path = tmp_path / "decisions.csv"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=named):
        clean(path, run)


def test_a_file_from_a_spreadsheet_is_read(tmp_path, made, run):
    path = tmp_path / "decisions.csv"
    path.write_bytes(f"\ufeffIndex,Path,Decision,Label\r\n{made.index[0]},,change,'=formula\r\n,,,\r\n".encode())
    assert table(clean(path, run)[0])[made.paths[0]] == "=formula"


@pytest.mark.parametrize("delimiter", ",;\t")
def test_a_file_from_a_spreadsheet_of_any_country_is_read(tmp_path, made, run, delimiter):
    """As it is exported, opened, and saved again: with other delimiters, and quotation marks only where needed."""
    row = np.flatnonzero(made.given != made.suggested)[0]
    rows = [["index", "path", "decision", "label", "run"],
            [str(made.index[row]), made.paths[row], "change", guarded("with, comma"), ""]]
    path = tmp_path / "decisions.csv"
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    assert table(clean(path, run)[0])[made.paths[row]] == "with, comma"


@pytest.mark.parametrize("name", ["index.npy", "given_labels.npy", "suggested_labels.npy", "classes.txt"])
@pytest.mark.parametrize("damage", ["missing", "empty", "other"])
def test_a_folder_that_is_no_run_is_refused(run, name, damage):
    (run / name).unlink()
    if damage != "missing":
        (run / name).write_bytes(b"" if damage == "empty" else b"one\n")
    with pytest.raises(InputError, match="give the folder of a finished run with --from"):
        read_run(run)
    with pytest.raises(InputError, match="mistyped is not a folder: give the folder of a run with --from"):
        read_run(run.with_name("mistyped"))


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "Too many open files")])
def test_what_is_not_the_fault_of_a_file_is_not_called_damage(run, monkeypatch, error):
    def fails(*args, **options):
        raise error

    monkeypatch.setattr(np, "load", fails)
    for read in (lambda: read_run(run), lambda: predict.array(run / "index.npy", None)):
        with pytest.raises(Refused):
            read()


def test_files_that_do_not_fit_together_are_no_run(run, made):
    read_run(run)
    for name, array in (("index", made.index), ("given_labels", made.given), ("suggested_labels", made.suggested)):
        turned, below = array.copy(), array.copy()
        turned[-1], below[-1] = array[0] if name == "index" else len(CLASSES), -1
        for wrong in (array[:-1], turned, below, array.astype(float), array[:, None], np.append(array, array[:1])):
            np.save(run / f"{name}.npy", wrong)
            with pytest.raises(InputError, match="give the folder of a finished run with --from"):
                read_run(run)
        np.save(run / f"{name}.npy", array)
    (run / "classes.txt").write_text("".join(f"{name}\n" for name in (*CLASSES, CLASSES[0])), encoding="utf-8")
    with pytest.raises(InputError, match="do not fit together"):
        read_run(run)


def test_nothing_is_replaced_without_force_and_originals_never(tmp_path, made, run, monkeypatch):
    path = decisions(tmp_path, HEAD + f"{made.index[0]},,remove,\n")
    source = tmp_path / "mine.csv"
    source.write_text("path,label\n")
    (run / "config.json").write_text(json.dumps({"settings": {"data": str(source)}}))
    before = {p: p.read_bytes() for p in [path, source, *run.iterdir()]}
    out, _ = clean(path, run)
    with pytest.raises(InputError, match="--force"):
        clean(path, run)
    clean(path, run, force=True)
    os.link(source, tmp_path / "also-mine.csv")
    (run / "predictions.csv").write_text("path,label\n")
    written.note(run, run / "predictions.csv")               # as `predict` does
    for original in (path, source, tmp_path / "also-mine.csv", run / "label_issues.csv", run / "predictions.csv"):
        with pytest.raises(InputError, match="never replaced"):
            clean(path, run, original, force=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="never replaced"):
        clean(path, Path("run"), run / "predictions.csv", force=True)
    for wrong in (tmp_path, tmp_path / "image.png"):
        with pytest.raises(InputError, match="not the name of a .csv file"):
            clean(path, run, wrong, force=True)
    assert {p: p.read_bytes() for p in before} == before and len(table(out)) == 39


def test_a_run_has_a_name_of_its_own(made):
    def name(**changed):
        page = made._replace(**changed)
        return run_identity(page.classes, page.index, page.given, page.suggested)

    assert name() == name(given=made.given.astype(np.int32)) == name(classes=list(made.classes)) and len(name()) == 12
    assert len({name(), name(classes=made.classes[::-1]), name(index=made.index + 1), name(given=made.suggested),
                name(suggested=made.given)}) == 5


# ---- what is never replaced ------------------------------------------------------------------------------------------

@pytest.fixture
def judged(tmp_path):
    """(decisions, run folder) of a run on the table mine.csv, which was named from tmp_path."""
    (tmp_path / "mine.csv").write_text("path,label\n")
    folder = save_run(tmp_path / "run", page_of(40, ("cat", "dog")))
    settings = {"settings": {"data": "mine.csv"}, "paths": {"data": str(tmp_path / "mine.csv")}}
    (folder / "config.json").write_text(json.dumps(settings))
    (tmp_path / "decisions.csv").write_text("index,path,decision,label\n")
    return tmp_path / "decisions.csv", folder


def test_the_table_of_a_run_is_never_replaced_from_any_folder(judged, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="mine.csv is what the labels come from and is never replaced"):
        clean(*judged, Path("..", "mine.csv"), force=True)
    assert (tmp_path / "mine.csv").read_text() == "path,label\n"


def test_apply_replaces_what_it_wrote_and_nothing_else(judged, tmp_path):
    for place in (tmp_path, judged[1]):
        out = place / "cleaned_labels.csv"
        clean(*judged, out)
        clean(*judged, out, force=True)
        out.write_text("edited")
        with pytest.raises(InputError, match="was not written by `apply` from this run, or was changed since"):
            clean(*judged, out, force=True)
        assert out.read_text() == "edited"
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="link.csv is already there"):
        clean(*judged, tmp_path / "link.csv")


def test_what_apply_wrote_is_known_again_in_a_folder_that_was_moved(judged, tmp_path):
    clean(*judged)
    judged[1].rename(tmp_path / "moved")
    clean(judged[0], tmp_path / "moved", force=True)
    assert written.is_noted(tmp_path / "moved", tmp_path / "moved" / "cleaned_labels.csv")


def test_an_error_while_writing_leaves_the_old_table(judged, monkeypatch):
    out, _ = clean(*judged)
    before = {path: path.read_bytes() for path in judged[1].iterdir()}
    with monkeypatch.context() as patch, pytest.raises(InputError, match="the disk is full"):
        patch.setattr(os, "replace", full_disk)
        clean(*judged, out, "suggested", force=True)
    assert {path: path.read_bytes() for path in judged[1].iterdir()} == before


@pytest.mark.parametrize("name", ["data", "test"])
def test_nothing_is_written_among_the_images(judged, tmp_path, monkeypatch, name):
    decisions, folder = judged
    write_folder(tmp_path / "photos")
    (folder / "config.json").write_text(json.dumps({"settings": {}, "paths": {name: str(tmp_path / "photos")}}))
    monkeypatch.chdir(tmp_path / "photos")
    (tmp_path / "link").symlink_to("photos/cat")
    for out in (Path("labels.csv"), Path("cat", "labels.csv"), tmp_path / "photos" / ".." / "photos" / "labels.csv",
                tmp_path / "link" / "labels.csv"):
        with pytest.raises(InputError, match="labels.csv is inside the images of the run, where nothing is written"):
            clean(decisions, folder, out)
    assert sorted(os.listdir()) == ["cat", "dog"] and sorted(os.listdir("cat")) == ["0.png", "1.png", "2.png"]
