"""What the page says about the run itself: how to repeat it, and what its data were."""
from typing import NamedTuple

SHOWN = ("python", "numpy", "pillow", "cupy-cuda12x", "cupy-cuda13x")       # versions; config.json has all


class About(NamedTuple):
    """Facts about a run that are not results."""
    command: str = None                # that repeats it, or None where no command does
    settings: tuple = ()               # of (name, text)
    notes: tuple = ()                  # sentences about the reading of the data
    findings: tuple = ()               # of core.data.listing.Finding
    environment: dict = {}             # of core/report/config.py


def versions(environment):
    """(name, text) of the date, the program and what it ran on, as far as they are known."""
    names = {"date": "begun", "commit": "commit", **{name: name for name in SHOWN}}
    return [(text, str(environment[name])) for name, text in names.items() if environment.get(name)]
