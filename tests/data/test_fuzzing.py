"""Every reader against anything: damaged files, odd tables, odd trees.
`python -m tests.lib.fuzzing` does more of the first."""
import io
import json
import tarfile
import warnings
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as some

from core.data import DataSet
from core.data.own import load
from core.errors import InputError
from tests.lib.fuzzing import Readers, fuzz
from tests.lib.own_data import picture, write_image

CELLS = some.text(max_size=12) | some.sampled_from(["path", "label", "cat/0.png", "dog/0.png", "cat", "", "-1", "0",
                                                    "../x", "/", '"', "=1"])
NAMES = some.text(some.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name.strip(".") and len(name.encode()) < 200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzzing")


def outcome(path, **options):
    """A data set or None for one sentence; everything else passes through."""
    try:
        return load(path, size=8, **options).data
    except InputError as error:
        assert "\n" not in str(error)


def test_damaged_files_give_data_or_one_sentence(folder):
    """In a process of its own, for its memory is measured, and tests before this one may have held more."""
    with ProcessPoolExecutor(1, get_context("spawn"), warnings.simplefilter, ("error",)) as alone:
        outcomes, held = alone.submit(fuzz, 300, 1, folder).result()
    assert sum(outcomes.values()) == 300 and {kind for kind, _ in outcomes} == set(Readers(folder).kinds)
    assert held < 1 << 30
    assert len({outcome for _, outcome in outcomes}) == 2


def test_the_files_that_are_damaged_are_read_before(folder):
    """Every file of every kind, but those in `labels`, of which each reader refuses the others'."""
    readers = Readers(folder / "whole")
    for kind, (files, read) in readers.kinds.items():
        for name, raw in files.items():
            if kind != "labels":
                read(name, raw)                              # raises InputError where it is not


def test_the_fuzzer_finds_a_reader_that_raises(folder, monkeypatch):
    monkeypatch.setattr("tests.lib.fuzzing.decode_piece", lambda paths, size: 1 / 0)
    with pytest.raises(AssertionError, match="case 1 of seed 0, .*: ZeroDivisionError"):
        fuzz(6, 0, folder)


@given(some.lists(some.lists(CELLS, max_size=4), max_size=6), some.sampled_from(",;\t"), some.booleans())
def test_any_table(folder, rows, delimiter, headed):
    for number, name in enumerate(("cat", "dog")):
        if not (folder / name / "0.png").exists():
            write_image(folder / name / "0.png", picture(number))
    lines = [delimiter.join(row) for row in rows]
    (folder / "t.csv").write_text("\n".join([f"path{delimiter}label"] * headed + lines), encoding="utf-8",
                                  errors="replace")
    data = outcome(folder / "t.csv")
    assert data is None or isinstance(data, DataSet) and len(data.classes) >= 2


HEADERS = some.sampled_from(["path", "Image ID", "label", "class", "target_1", "cat", "dog", "x", "sep=;", "",
                             "file_name"])
VALUES = some.sampled_from(["cat/0.png", "cat/0", "C:\\x\\dog\\0.png", "https://a.b/cat/0.png?x", "nan", "1", "1.0",
                            "0", "a|b", "b|a", "", "None", "cat", "Cat", "../x.zip/cat/0.png"]) | some.text(max_size=8)


@given(some.lists(HEADERS, min_size=1, max_size=4), some.lists(some.lists(VALUES, max_size=4), max_size=6),
       some.sampled_from(",;\t|"), some.sampled_from(["utf-8", "utf-16", "utf-8-sig", "utf-16-le"]))
def test_any_columns(folder, header, rows, delimiter, encoding):
    for number, name in enumerate(("cat", "dog")):
        if not (folder / "columns" / name / "0.png").exists():
            write_image(folder / "columns" / name / "0.png", picture(number))
    lines = [delimiter.join(row) for row in (header, *((row + [""] * 4)[:len(header)] for row in rows))]
    (folder / "columns" / "t.csv").write_bytes("\n".join(lines).encode(encoding, "replace"))
    data = outcome(folder / "columns" / "t.csv")
    assert data is None or len(data.classes) >= 2 and all((folder / "columns" / path).is_file()
                                                          for path in data.train.paths)


JSON = some.recursive(some.none() | some.booleans() | some.floats() | some.integers() | VALUES,
                      lambda inner: some.lists(inner, max_size=3) | some.dictionaries(HEADERS, inner, max_size=3),
                      max_leaves=6)


@given(some.lists(some.dictionaries(HEADERS, JSON, max_size=4) | JSON, max_size=5))
def test_any_objects_in_lines(folder, items):
    write_image(folder / "objects" / "cat" / "0.png", picture(0))
    (folder / "objects" / "t.jsonl").write_text("\n".join(map(json.dumps, items)), encoding="utf-8", errors="replace")
    data = outcome(folder / "objects" / "t.jsonl")
    assert data is None or len(data.classes) >= 2


@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(some.lists(some.lists(NAMES | some.sampled_from(["..", ".", "cat", "__MACOSX", "a\\b", "C:"]), min_size=1,
                             max_size=4), max_size=6), some.booleans())
def test_any_names_in_an_archive(folder, names, packed):
    path = folder / ("x.zip" if packed else "x.tar")
    raw = write_image(folder / "one.png", picture(0)).read_bytes()
    files = [f"{'/'.join(parts)}.png" for parts in names]
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            for name in files:
                archive.writestr(name, raw)
    else:
        with tarfile.open(path, "w") as archive:
            for name in files:
                member = tarfile.TarInfo(name)
                member.size = len(raw)
                archive.addfile(member, io.BytesIO(raw))
    data = outcome(path)
    assert data is None or len(data.classes) >= 2 and list(data.classes) == sorted(data.classes)


@given(some.dictionaries(NAMES, some.lists(NAMES, max_size=3), max_size=4))
def test_any_names_of_folders_and_files(tmp_path_factory, tree):
    root = tmp_path_factory.mktemp("tree")
    for name, files in tree.items():
        for file in files:
            write_image(root / name / f"{file}.png", picture(len(file), 4, 4))
    data = outcome(root, held_out=0.3)
    if data is not None:
        assert set(data.train.labels) == set(range(len(data.classes))) and list(data.classes) == sorted(data.classes)
        assert all((root / path).is_file() for path in [*data.train.paths, *data.validation.paths])


@given(some.binary(max_size=60), some.sampled_from([".csv", ".npy", ".txt"]))
def test_any_file_of_true_labels(folder, raw, suffix):
    for number, name in enumerate(("cat/0.png", "dog/0.png")):
        write_image(folder / "pets" / name, picture(number))
    (folder / f"truth{suffix}").write_bytes(raw)
    data = outcome(folder / "pets", truth=folder / f"truth{suffix}")
    assert data is None or (data.train.truth >= 0).any()
