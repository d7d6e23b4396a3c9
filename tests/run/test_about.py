"""core/run/about.py: what the page says of settings and data."""
import numpy as np
import pytest

from core.data.listing import Finding
from core.data.own import Reading
from core.data.source import open_source
from core.report.about import versions
from core.run import options
from core.run.about import about
from core.run.commands import parse
from core.run.inputs import read_data
from core.run.options import configuration
from tests.lib.own_data import write_folder
from tests.lib.tiny_demo import IMAGES


@pytest.mark.parametrize("words, sure", [("--seed 7 --sure 0.75 --quick", "0.75: "), ("--seed 3 --quick", "0: every")])
def test_the_settings_are_those_of_the_run(words, sure, monkeypatch):
    monkeypatch.setattr(options, "QUICK", IMAGES)
    source = open_source("digits")
    config = configuration(parse(words.split()), source)
    data = read_data(config, source).data
    findings = [Finding("hidden", ".DS_Store")]
    what = about(config, source, Reading(data, findings, ["a note"]), np.zeros(len(data.train.labels), int))
    rows = dict(what.settings)
    assert rows["seed"] == str(config.seed) and rows["confidence threshold"].startswith(sure)
    assert rows["data"].startswith(f"{data.name}: 200 training") and "data at" not in rows
    assert rows["noise"].endswith(f"{100 * (data.train.truth != 0).mean():.1f} % of the labels really wrong")
    assert rows["step 1"].startswith(f"{config.recipe.epochs} epochs, lr {config.recipe.lr:g}")
    assert rows["probabilities"].startswith("NOT out-of-sample")
    assert (what.notes, what.findings) == (("a note",), tuple(findings))
    assert set(what.command.split()) == {"python", "demo.py", *words.split()}


def test_own_images_are_told_with_their_place_from_anywhere(tmp_path, monkeypatch):
    write_folder(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    source = open_source("photos")
    config = configuration(parse(["--data", "photos", "--size", "8", "--net", "small", "--seed", "3"]), source)
    data = read_data(config, source).data
    what = about(config, source, Reading(data, [], ["a", "b"]), data.train.labels)
    rows = dict(what.settings)
    assert [name for name, _ in what.settings] == ["data at", "seed", "data", "noise", "network", "step 1", "step 2",
                                                   "confidence threshold", "probabilities"]
    assert rows["data at"] == str(tmp_path / "photos") and rows["seed"] == "3"
    assert rows["confidence threshold"] == "0.9: suggestions of at least this probability are taken"
    assert (what.notes, what.findings) == (("a", "b"), ())
    assert what.command.startswith(f"python demo.py --data {tmp_path / 'photos'}")


def test_versions_are_told_as_far_as_they_are_known():
    assert versions({"date": "today", "python": "3", "numpy": "2", "commit": None, "machine": "mine"}) == [
        ("begun", "today"), ("python", "3"), ("numpy", "2")]
    assert versions({}) == []
