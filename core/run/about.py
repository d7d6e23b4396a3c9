"""What the page says about the run itself, gathered from its settings and its data."""
from core.report.about import About
from core.report.config import settings as all_settings
from core.report.manifest import probabilities
from core.run.command_line import absolute, command
from core.run.description import settings


def about(config, source, reading, given):
    """The About of a run on the given labels (N,). source: the Source of its data, reading: the Reading."""
    sure = f"{config.sure:g}: suggestions of at least this probability are taken" if config.sure else "0: every " \
        "suggestion is taken, as in the paper"
    rows = [("seed", str(config.seed)), *settings(config, reading.data, given), ("confidence threshold", sure),
            ("probabilities", probabilities(all_settings(config)))]
    if source.kind != "digits":
        rows.insert(0, ("data at", absolute(config.data)))
    return About(command(config, source), tuple(rows), tuple(reading.notes), tuple(reading.findings))
