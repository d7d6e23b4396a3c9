"""Runs without pictures: they are half of a small run, and tests/report has them."""


def undrawn(patch):
    """No run draws any until the MonkeyPatch is undone."""
    patch.setattr("core.report.pictures.draw_all", lambda *args: None)
