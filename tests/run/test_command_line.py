"""core/run/command_line.py: the command on the page gives the settings of the run again."""
import shlex

import pytest

from core.data.source import Source, open_source
from core.recipes import RECIPES
from core.run import Config
from core.run.command_line import command, flat
from core.run.commands import parse
from core.run.options import configuration
from tests.lib.own_data import write_folder

DIGITS = ["", "--quick", "--quick --epochs 3 --compare --seed 3", "--noise pair --rate 0.3 --seed 1",
          "--noise none --augment none --net medium", "--recipe sn-30 --epochs 7 --lr 0.012345678",
          "--epochs 9 --begin 2 --K 2", "--noise asymmetric --map 9:1,2:0", "--alpha 0 --beta 0.3 --batch 50",
          "--prior 1,1,1,1,1,1,1,1,1,2.5 --update hard-7 --predictions evaluation", "--gpu 1 --precision float32",
          "--noise labels --noise-file 'my labels.csv'"]
OWN = ["", "--size 16 --held-out 0.2 --folds 3 --sure 0.99", "--noise symmetric --rate 0.2 --augment both",
       "--epochs 5 --net small --cache kept --truth 'true labels.csv' --prior uniform", "--backbone none --folds 3",
       "--net linear --folds 0", "--features f.npy --no-posterior", "--backbone none --follow-links",
       "--noise labels --noise-file 'my labels.csv'", "--backbone w.pth", "--backbone efficientnet-lite0"]
CIFAR = ["", "--recipe an-40 --subset 10000 --net small --epochs 40", "--recipe sn-90 --augment none"]


def again(config, source):
    words = shlex.split(command(config, source))
    assert words[:2] == ["python", "demo.py"]
    return configuration(parse(words[2:]), source)


@pytest.mark.parametrize("words", DIGITS)
def test_the_command_of_a_run_on_the_digits_gives_its_settings(words):
    source = open_source("digits")
    config = configuration(parse(shlex.split(words)), source)
    made = again(config, source)
    assert flat(made) == flat(config) and made.seed == config.seed


@pytest.mark.parametrize("words", OWN)
def test_the_command_of_a_run_on_own_images_works_from_another_folder(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "my photos")
    (tmp_path / "w.pth").touch()
    source = open_source("my photos")
    config = configuration(parse(["--data", "my photos", *shlex.split(words)]), source)
    expected = flat(config)
    made = command(config, source)
    monkeypatch.chdir("/")
    assert flat(configuration(parse(shlex.split(made)[2:]), source)) == expected
    assert f"--data '{tmp_path / 'my photos'}'" in made and "--out" not in made
    relative = [word for word in shlex.split(words) if word.endswith((".csv", ".npy", ".pth", "kept"))]
    assert all(str(tmp_path / path) in shlex.split(made) for path in relative)


@pytest.mark.parametrize("words", CIFAR)
def test_the_command_of_a_run_on_cifar_names_its_recipe(words, tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    source = open_source(tmp_path / "cifar-10-batches-py")
    config = configuration(parse(["--data", str(source.path), *shlex.split(words)]), source)
    assert flat(again(config, source)) == flat(config)


@pytest.mark.parametrize("changes", [{"digits": (40, 10, 10)}, {"recipe": RECIPES["digits"]._replace(momentum=0.5)},
                                     {"recipe": RECIPES["digits"]._replace(epochs2=99)}])
def test_a_run_that_no_command_can_ask_for_has_none(changes, capsys):
    config = Config(RECIPES["digits"])._replace(**changes)
    assert command(config, open_source("digits")) is None and capsys.readouterr() == ("", "")


def test_without_a_listing_the_recipe_of_own_images_is_not_known(tmp_path):
    assert command(Config(RECIPES["unknown"], data=str(tmp_path)), Source("own", str(tmp_path))) is None


def test_the_simplest_command_is_the_shortest():
    source = open_source("digits")
    assert command(configuration(parse([]), source), source) == "python demo.py"
    assert command(configuration(parse(["--quick"]), source), source) == "python demo.py --quick"
