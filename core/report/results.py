"""The files of a run's outcome: labels as soon as step 1 has found them, everything else at the end."""
import json
import math
from collections import Counter
from contextlib import contextmanager

from core.batches import mean_image
from core.data.archive import archive_of
from core.data.originals import originals_of
from core.errors import InputError
from core.features import mean_and_std
from core.files import save_array, save_arrays, save_text
from core.measure import of_training, training_name
from core.report import issues, page, pictures
from core.report.about import About
from core.report.config import read_config
from core.report.console import BY_CHANCE
from core.report.manifest import save_manifest
from core.report.numbers import known
from nets import head_file, safetensors_file


def save_labels(folder, data, given, soft, P, verdict, source):
    """The labels, before and after, as soon as step 1 has found them: what comes later cannot take them away.

    soft (N, C): the labels for step 2; P (N, C): the predictions that the last update was made from, or out-of-sample
    ones; source: the folder or table of the images.
    """
    truth = data.train.truth
    save_text(folder / "classes.txt", "".join(f"{name}\n" for name in data.classes))
    arrays = {"given_labels": given, "suggested_labels": verdict.suggested, "corrected_labels": verdict.corrected,
              "soft_labels": soft, "index": data.train.index}
    if truth is not None:
        arrays |= {"true_labels": truth, "given_is_wrong": (given != truth) & (truth >= 0)}
    for name, array in arrays.items():
        save_array(folder / f"{name}.npy", array)
    issues.save_corrected(folder, data.classes, data.train, verdict.corrected, source)
    save_array(folder / "pred_probs.npy", P)
    save_array(folder / "noise_matrix.npy", verdict.matrix)
    issues.save_issues(folder, data.classes, data.train, given, verdict.suggested, verdict.probs)


def finish(folder, result, config, title, data, about=None, jobs=1, listing=None):
    """Write weights, pictures, the page with that title, manifest and summary of the Result on a DataSet.

    about: what the page says About the run; jobs: threads that read the images again for the page; listing: the Listing
    of the data, or None. Returns a line for what could not be drawn: no training ends because of that. Raises
    InputError for an error of the disk.
    """
    recipe, verdict = config.recipe, result.verdict
    about = (about or About())._replace(environment=read_config(folder)[1])
    root = issues.folder_of_files(result.paths, config.data)
    originals = originals_of(listing, result.index, result.paths, root, data.levels, jobs)
    save_arrays(folder / "weights.npz", result.weights)
    save_network(folder / "model.safetensors", result.weights, recipe.epochs2, result, recipe, data)
    save_network(folder / "model_step1.safetensors", result.first_weights, recipe.epochs, result, recipe, data)
    # the threshold was compared with the scores that are shown, but for out-of-sample ones without the posterior
    threshold = config.sure if config.posterior or not config.folds else 0
    notes = []
    with or_a_note("pictures", notes):
        pictures.draw_all(folder, result, recipe.begin, originals)
    with or_a_note("report.html", notes, InputError):
        page.write(folder / "report.html", page.Page(
            title, result.classes, result.images, result.index, result.given, result.suggested, verdict.probs,
            result.truth, result.paths, result.records, recipe.begin, known(verdict.rate), facts(result, config), root,
            result.corrected, threshold, None if verdict.by_chance else verdict.joint, about, seen(data, config),
            config.posterior, originals), jobs)
    if result.paths is not None and not archive_of(issues.absolute(result.paths[:1], config.data)[0]):
        issues.save_tasks(folder, result, config.data)
    save_manifest(folder)
    findings = Counter(finding.kind for finding in about.findings)
    outcome = {**result.summary, **({"findings": findings} if findings else {})}
    save_text(folder / "summary.json", json.dumps(outcome, indent=2) + "\n")
    return notes


@contextmanager
def or_a_note(what, notes, fatal=()):
    """An exception of the block that is not one of `fatal` becomes a line."""
    try:
        yield
    except fatal:
        raise
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        notes.append(f"note     {what} could not be made ({why}); everything else is there")


def save_network(path, weights, epochs, result, recipe, data):
    """A network after so many epochs as a safetensors file, with all that it takes to use it. Raises InputError."""
    if data.mean is not None:
        from core.data import resnet_weights  # imported where needed: demo.py starts sooner

        resnet_weights.save(path, weights, result.classes, data.train.images.shape[1], data.levels)
    elif data.train.features is not None:
        head_file.save(path, weights, *mean_and_std(data.train.features), result.classes, data.backbone, data.levels)
    else:
        batches = -(-epochs * len(result.given) // min(recipe.batch, len(result.given)))
        safetensors_file.save(path, weights, mean_image(result.images), result.classes, batches, data.levels)


def seen(data, config):
    """What a network saw of an image, if not the pixels that the page shows."""
    if data.train.features is None:
        return None
    if data.backbone is None:
        return f"the network saw the features in {config.features}"
    S = data.backbone["size"]
    return f"{S} × {S} pixels as {data.backbone['name']} saw them"


def facts(result, config):
    """What the page says of the labels that were corrected, if not every suggestion was taken."""
    if result.verdict.by_chance:
        return [("corrected labels", "0", BY_CHANCE)]
    text = f"where the suggestion has a probability of {config.sure:g} or more"
    if not math.isnan(result.recovery):
        text += (f"; {100 * result.initial:.1f} % of the labels were right before, {100 * result.recovery:.1f} % are "
                 "after")
    return [("corrected labels", f"{(result.corrected != result.given).sum():,}", text)] * (config.sure > 0)


def summary(verdict, given, records):
    """The outcome in a few numbers, for a table; what is not known is None."""
    outcome = {"initial": known(verdict.initial), "recovery": known(verdict.recovery),
               "changed": int((verdict.corrected != given).sum()),
               "estimated_errors": known(verdict.errors), "estimated_rate": known(verdict.rate)}
    if verdict.temperature is not None:
        outcome["temperature"] = verdict.temperature
    if verdict.detection:
        outcome["detection"] = {name: known(value) for name, value in verdict.detection._asdict().items()}
    for training in dict.fromkeys((record.step, record.fold) for record in records):
        own = of_training(records, *training)
        outcome[training_name(*training)] = {
            "best_validation": known(max(record.validation for record in own)),
            "last_validation": known(own[-1].validation), "test": known(own[-1].test),
            "seconds": sum(record.seconds for record in own)}
    return outcome
