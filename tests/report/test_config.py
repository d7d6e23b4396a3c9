"""core/report/config.py: settings come back as they were, and places are found again from any folder."""
import json
import subprocess
from importlib.metadata import version

import numpy as np

from core.recipes import RECIPES
from core.report import config as of_config
from core.report.config import PLACES, places, read_config, read_places, restored, settings
from core.run import Config


def test_settings_come_back_as_they_were(tmp_path):
    config = Config(RECIPES["digits"]._replace(prior=(.25, .75), lr=.1), noise_file="n.npy", seed=3)
    text = {"settings": settings(config), "environment": {"numpy": "2"}}
    (tmp_path / "config.json").write_text(json.dumps(text))
    found, environment = read_config(tmp_path)
    recipe = found.pop("recipe")
    assert config.recipe == type(config.recipe)(**recipe) and environment == {"numpy": "2"}
    assert config == Config(config.recipe, **found)
    assert restored({"1": [1, [2, {"-1": [], "x": None}]]}) == {1: (1, (2, {"-1": (), "x": None}))}
    assert settings(config._replace(seed=np.int64(3)))["seed"] == 3


def test_places_are_absolute_and_all_that_a_run_reads(tmp_path, monkeypatch):
    given = {name: f"of {name}" for name in PLACES}
    assert PLACES == ("data", "test", "truth", "noise_file", "features", "backbone", "images", "labels")
    config = Config(RECIPES["digits"], **given)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    found = places(config)
    assert found == {name: str(tmp_path / path) for name, path in given.items()}
    built_in = {"data": "digits", "backbone": "efficientnet-lite0"}
    assert places(Config(RECIPES["digits"], **built_in)) == {}, "the built-in images and networks have no place"
    assert places(Config(RECIPES["digits"], test="digits", data="x")) == {
        "data": str(tmp_path / "x"), "test": str(tmp_path / "digits")}, "a folder of that name has one"
    monkeypatch.chdir("elsewhere")
    some = {name: path for name, path in given.items() if name != "images"}
    for content, expected in (({"settings": given, "paths": found}, found),
                              ({"settings": {**some, "images": None}}, some),
                              ({"settings": built_in}, {}), ({}, {}), ([], {}), ({"paths": 3}, {})):
        (tmp_path / "config.json").write_text(json.dumps(content))
        assert read_places(tmp_path) == expected
    (tmp_path / "config.json").unlink()
    assert read_places(tmp_path) == {}


def test_the_environment_has_the_versions_of_what_reads_computes_and_draws():
    found = of_config.environment()
    for package in ("numpy", "pillow", "matplotlib", "tqdm", "threadpoolctl", "joblib", "filelock"):
        assert found[package] == version(package)


def test_the_commit_is_that_of_the_program_and_of_no_checkout_around_it(tmp_path, monkeypatch):
    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=tmp_path, check=True,
                       capture_output=True)
    own = tmp_path / "core" / "report"
    own.mkdir(parents=True)
    (own / "config.py").touch()
    monkeypatch.setattr(of_config, "__file__", str(own / "config.py"))
    assert of_config.commit() is None
    git("init"), git("add", "."), git("commit", "-m", "all")
    clean = of_config.commit()
    assert len(clean) == 40 and set(clean) <= set("0123456789abcdef")
    (own / "config.py").write_text("changed")
    assert of_config.commit() == f"{clean}-dirty"
    inner = tmp_path / "unpacked" / "core" / "report" / "config.py"
    monkeypatch.setattr(of_config, "__file__", str(inner))
    inner.parent.mkdir(parents=True)
    assert of_config.commit() is None
