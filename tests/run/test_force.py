"""A run that replaces another by --force: what of the old one goes, what stays and is told,
and what is never replaced."""
import pytest

from core.data.source import Source
from core.errors import InputError
from core.report.written import LEDGER, note
from core.run import run
from tests.lib.tiny_run import contents, tiny, tiny_runs  # noqa: F401   the fixture

pytestmark = pytest.mark.usefixtures("tiny_runs")
OF_A_PERSON = {"cleaned_labels.csv", "decisions.csv", "notes.txt"}


@pytest.fixture
def old(tmp_path):
    """The folder of a run with what came after it."""
    run(tiny(tmp_path / "run"))
    for name in ("predictions.csv", *OF_A_PERSON):
        (tmp_path / "run" / name).write_text("of the old run")
    note(tmp_path / "run", tmp_path / "run" / "predictions.csv")         # as `predict` does
    return tmp_path / "run"


def test_what_a_program_made_of_the_old_run_goes_and_what_a_person_decided_stays(old, tmp_path):
    heard = []
    run(tiny(old, force=True, seed=1), say=heard.append)
    run(tiny(tmp_path / "new", seed=1))
    found, expected = contents(old), contents(tmp_path / "new")
    del found[LEDGER]
    assert {name: found.pop(name) for name in OF_A_PERSON} == dict.fromkeys(OF_A_PERSON, b"of the old run")
    assert found.keys() == expected.keys() and found["soft_labels.npy"] == expected["soft_labels.npy"]
    assert "\n".join(heard).count(f"{old / 'cleaned_labels.csv'} stays: it follows from decisions on the run") == 1


@pytest.mark.parametrize("name", ["predictions.csv", "1.jpg", "run/config.json"])
def test_a_folder_of_a_person_without_a_run_is_not_used(tmp_path, name):
    """Pictures of a run among their photos would be photos of that class the next time."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match="holds files and no run that --force could replace"):
        run(tiny(tmp_path, force=True))
    assert (tmp_path / name).read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_labels_that_a_person_decided_on_are_data_of_the_run_that_replaces_theirs(old):
    config = tiny(old, force=True)._replace(data=str(old / "cleaned_labels.csv"))
    run(config, source=Source("own", config.data))           # what is read from it is that of all tiny runs
    assert (old / "cleaned_labels.csv").read_text() == "of the old run"
