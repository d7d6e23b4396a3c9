"""docs/photographs.py: the photographs that the program can be tried on, and their true labels."""
import csv
import importlib.util

from PIL import Image

from core.data.source import open_source
from tests.project.test_docs import ROOT


def test_the_photographs_can_be_read_and_their_truth_belongs_to_them(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("photographs", ROOT / "docs" / "photographs.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    monkeypatch.setattr(program, "NUMBER", 30)
    program.draw_all(tmp_path / "photos")
    listing = open_source(str(tmp_path / "photos")).listing
    with open(tmp_path / "photos-truth.csv", newline="", encoding="utf-8") as file:
        truth = {row["path"]: row["label"] for row in csv.DictReader(file)}
    assert sorted(truth) == sorted(listing.paths) and len(truth) == 30 and listing.findings == []
    assert set(truth.values()) == set(program.CLASSES)
    wrong = sum(truth[path] != label for path, label in zip(listing.paths, listing.labels))
    assert 1 <= wrong <= 12, "a fifth"
    upright = 0
    for path in listing.paths:
        with Image.open(tmp_path / "photos" / path) as image:
            assert image.size == (800, 600)
            upright += image.getexif().get(0x0112) == 6
    assert upright == 4
