"""config.json as a Config again, only if every setting has a type and a range that a run may have.

The file may come from somebody else. Settings that have options are compared with their ranges by `check` of
core/run/config.py as well, when the run goes on.
"""
import math

from core.errors import need
from core.recipes import Recipe
from core.run.config import Config

NONE = ("rate",)                       # may be unknown, though it has a default
RANGES = {                             # what the command line cannot set, or only through a recipe
    "source": lambda x: x.isprintable() and len(x) < 1000,   # is printed
    "momentum": lambda x: 0 <= x < 1,
    "decay": lambda x: 0 <= x < 1,
    "drops2": lambda x: len(x) < 100 and all(epoch >= 0 for epoch in x),
    "predict": lambda x: x in ("training", "evaluation"),
    "digits": lambda x: len(x) == 3 and all(0 <= n <= 1_000_000 for n in x) and x[0] >= 10,
    "prior": lambda x: x in ("uniform", "given") if isinstance(x, str) else min(x, default=0) >= 0 and sum(x) > 0,
    "class_map": lambda x: x is None or all(0 <= c < 10_000 for pair in x.items() for c in pair),
}


def as_config(values, where):
    """The Config of the settings in the file `where`. Raises KeyError and TypeError for settings of another version of
    the program, and InputError for a value that no run has."""
    recipe = Recipe(**values["recipe"])
    config = Config(**{**values, "recipe": recipe})
    for settings in (recipe, config):
        for name, value in settings._asdict().items():
            need(fits(settings, name, value) and RANGES.get(name, in_no_range)(value),
                 f"{where}: {name} cannot be {value!r:.60}: put back the file that the run wrote, or start a new run")
    return config


def in_no_range(value):
    """For settings of any value."""
    return True


def fits(settings, name, value):
    """Whether the value has the type that its record declares."""
    kind = type(settings).__annotations__[name]
    if value is None:
        return name in NONE or type(settings)._field_defaults.get(name, "") is None
    if kind is object:                 # the prior
        return isinstance(value, str) or isinstance(value, tuple) and all(is_number(x, float) for x in value)
    if kind is tuple:
        return isinstance(value, tuple) and all(is_number(x, int) for x in value)
    if kind is dict:
        return isinstance(value, dict) and all(is_number(x, int) for pair in value.items() for x in pair)
    return is_number(value, kind) if kind in (int, float) else isinstance(value, kind)


def is_number(value, kind):
    """Whether the value is a whole number, or for float any finite number; True and False are neither."""
    kinds = (int,) if kind is int else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and abs(value) < 1e15 and math.isfinite(value)
