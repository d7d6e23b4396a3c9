"""The pictures of a run folder."""
import io

from core.files import atomic
from core.report.curve_pictures import curves, losses
from core.report.label_pictures import confusions, corrected_sheet


def draw_all(folder, result, begin, originals=None):
    """curves.png, losses.png, confusion.png, and corrected.png if any label was, in the run folder.

    originals: where the images come from, core/data/originals.py, or None.
    """
    save(folder / "curves.png", curves(result, begin))
    save(folder / "losses.png", losses(result, begin))
    save(folder / "confusion.png", confusions(result))
    if (result.corrected != result.given).any():
        save(folder / "corrected.png", corrected_sheet(result, originals))


def save(path, figure):
    """The figure as a PNG, written whole or not at all."""
    png = io.BytesIO()
    figure.savefig(png, dpi=120, format="png")
    with atomic(path) as file:
        file.write(png.getvalue())
