"""A run of a tenth of a second with all that a run has, and what its folder holds, for comparison."""
import json
from pathlib import Path

import pytest

from core.files import newest
from core.recipes import Recipe
from core.run import Config, experiment, run, state
from core.run import folder as run_folder
from nets import families
from tests.lib.undrawn import undrawn

RECIPE = Recipe(lr=0.05, alpha=1.2, beta=0.8, epochs=3, begin=2, K=2, lr2=0.05, epochs2=2, drops2=(1,), batch=16,
                prior="given", update="hard-9")
EPOCHS = 3 + 2 + 5                       # step 1, step 2, the comparison
VARYING = ("seconds", "out", "date", "log.jsonl", "config.json", "report.html")     # or the checksum of one that varies


@pytest.fixture(scope="module")
def tiny_runs():
    """A net of one block, the data drawn once, no pictures, and a checkpoint after every epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(families.NETS, "tiny", {"widths": (4,), "blocks": (1,)})
        reading = experiment.read_data(tiny("-"))
        patch.setattr(experiment, "read_data", lambda config, source=None: reading)
        undrawn(patch)
        patch.setattr(run_folder, "environment", dict)
        patch.setattr(state, "environment", dict)
        patch.setattr(state, "SHARE", float("inf"))
        yield


def tiny(out, ranks=1, **changes):
    """Its Config."""
    return Config(RECIPE, digits=(40, 10, 10), net="tiny", compare=True, ranks=ranks, out=str(out), **changes)


def stopped(config, epochs, resume=False):
    """Run it, but only until so many more epochs are over."""
    done = []

    def watch(records, _, step, fold):
        for record in until_then(records):
            done.append(record)
            yield record

    def until_then(records):
        while len(done) < epochs:
            if (record := next(records, None)) is None:
                return
            yield record
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, watch, resume=resume)


def contents(folder):
    """{name: bytes} of a run folder, without times and without the folder's own name."""
    begun = date_of(folder)
    found = {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.name != ".lock"}
    if "log.jsonl" in found:
        found["log.jsonl"] = [without_times(json.loads(line)) for line in found["log.jsonl"].splitlines()]
    if "report.html" in found:
        found["report.html"] = found["report.html"].replace(begun.encode(), b"")
    for name in {"summary.json", "config.json", "manifest.json"} & found.keys():
        found[name] = without_times(json.loads(found[name]))
    return found


def date_of(folder):
    """When a run began, as its page says it; a text that is nowhere where it does not."""
    config = Path(folder, "config.json")
    return json.loads(config.read_text())["environment"].get("date", "no date") if config.exists() else "no date"


def without_times(value):
    """JSON without what depends on clock and place."""
    if not isinstance(value, dict):
        return value
    return {key: without_times(item) for key, item in value.items() if key not in VARYING}


def saved_state(folder):
    """{name: bytes} of the arrays in the newest checkpoint of a folder, and the records without their times."""
    arrays = state.load_sealed(newest(Path(folder, state.FILE)))
    records = [record[:-1] for record in state.about(arrays)["records"]]
    return {name: array.tobytes() for name, array in arrays.items() if name != "about"}, records
