"""How data are to be read where they do not say it themselves: --path-column, --label-column, --images, --labels,
--follow-links."""
from typing import NamedTuple


class How(NamedTuple):
    """What the user said; None where the data have to say it."""
    path_column: str = None            # of a table
    label_column: str = None           # of a table; of CIFAR-100 `fine_labels` or `coarse_labels`
    images: str = None                 # the folder that the paths of a table are relative to
    labels: str = None                 # the file with the labels of an array of images
    follow_links: bool = False         # links that lead out of a folder of images


UNSAID = How()


def how_of(settings):
    """How of a Config or of the arguments of a command."""
    return How(*(getattr(settings, name) for name in How._fields))
