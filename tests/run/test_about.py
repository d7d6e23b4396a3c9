"""core/run/about.py: what the page says of settings and data."""
import numpy as np
import pytest

from core.data.listing import Finding
from core.data.own import Reading
from core.data.source import open_source
from core.report.about import versions
from core.run.about import about
from core.run.commands import parse
from core.run.inputs import read_data
from core.run.options import configuration


@pytest.mark.parametrize("words, sure", [("--seed 7 --sure 0.75 --quick", "0.75: "), ("--seed 3 --quick", "0: every")])
def test_the_settings_are_those_of_the_run(words, sure):
    source = open_source("digits")
    config = configuration(parse(words.split()), source)
    data = read_data(config, source).data
    findings = [Finding("hidden", ".DS_Store")]
    what = about(config, source, Reading(data, findings, ["a note"]), np.zeros(len(data.train.labels), int))
    rows = dict(what.settings)
    assert rows["seed"] == str(config.seed) and rows["confidence threshold"].startswith(sure)
    assert rows["data"].startswith(f"{data.name}: 2000 training") and "data at" not in rows
    assert rows["noise"].endswith(f"{100 * (data.train.truth != 0).mean():.1f} % of the labels really wrong")
    assert rows["step 1"].startswith(f"{config.recipe.epochs} epochs, lr {config.recipe.lr:g}")
    assert rows["probabilities"].startswith("NOT out-of-sample")
    assert (what.notes, what.findings) == (("a note",), tuple(findings))
    assert set(what.command.split()) == {"python", "demo.py", *words.split()}


def test_versions_are_told_as_far_as_they_are_known():
    assert versions({"date": "today", "python": "3", "numpy": "2", "commit": None, "machine": "mine"}) == [
        ("begun", "today"), ("python", "3"), ("numpy", "2")]
    assert versions({}) == []
