"""The files of a run's outcome: labels as soon as step 1 has found them, everything else at the end."""
import json
import math
from collections import Counter

from core.batches import mean_image
from core.files import save_array, save_arrays, save_text
from core.measure import of_training, training_name
from core.quality import noise_matrix
from core.report import issues, page, pictures
from core.report.about import About
from core.report.config import read_config
from core.report.manifest import save_manifest
from core.report.numbers import known
from nets import safetensors_file


def save_labels(folder, data, given, soft, P, verdict, source):
    """The labels, before and after, as soon as step 1 has found them: what comes later cannot take them away.

    P (N, C): the predictions that the last update was made from; source: the folder or table of the images.
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
    save_probabilities(folder, data, given, P, verdict)


def save_probabilities(folder, data, given, P, verdict):
    """The class probabilities P (N, C), and what follows from them."""
    save_array(folder / "pred_probs.npy", P)
    save_array(folder / "noise_matrix.npy", noise_matrix(verdict.joint))
    issues.save_issues(folder, data.classes, data.train, given, verdict.suggested, P)


def finish(folder, result, config, title, about=None, jobs=1):
    """Write weights, pictures, the page with that title, manifest and summary.

    about: what the page says About the run; jobs: threads that read the images again for the page.
    """
    recipe, verdict = config.recipe, result.verdict
    about = (about or About())._replace(environment=read_config(folder)[1])
    root = issues.folder_of_files(result.paths, config.data)
    save_arrays(folder / "weights.npz", result.weights)
    batches = -(-recipe.epochs2 * len(result.given) // min(recipe.batch, len(result.given)))
    safetensors_file.save(folder / "model.safetensors", result.weights, mean_image(result.images), result.classes,
                          batches)
    pictures.draw_all(folder, result, recipe.begin, root)
    page.write(folder / "report.html", page.Page(
        title, result.classes, result.images, result.index, result.given, result.suggested, result.pred_probs,
        result.truth, result.paths, result.records, recipe.begin, verdict.rate, facts(result, config), root,
        result.corrected, 0 if config.folds else config.sure, verdict.joint, about), jobs)
    if result.paths is not None:
        issues.save_tasks(folder, result, config.data)
    save_manifest(folder)
    findings = Counter(finding.kind for finding in about.findings)
    outcome = {**result.summary, **({"findings": findings} if findings else {})}
    save_text(folder / "summary.json", json.dumps(outcome, indent=2) + "\n")


def facts(result, config):
    """What the page says of the labels that were corrected, if not every suggestion was taken."""
    text = f"where the suggestion has a probability of {config.sure:g} or more"
    if not math.isnan(result.recovery):
        text += (f"; {100 * result.initial:.1f} % of the labels were right before, {100 * result.recovery:.1f} % are "
                 "after")
    return [("corrected labels", f"{(result.corrected != result.given).sum():,}", text)] * (config.sure > 0)


def summary(verdict, given, records):
    """The outcome in a few numbers, for a table; what is not known is None."""
    outcome = {"initial": known(verdict.initial), "recovery": known(verdict.recovery),
               "changed": int((verdict.corrected != given).sum()),
               "estimated_errors": verdict.errors, "estimated_rate": verdict.rate}
    if verdict.detection:
        outcome["detection"] = {name: known(value) for name, value in verdict.detection._asdict().items()}
    for training in dict.fromkeys((record.step, record.fold) for record in records):
        own = of_training(records, *training)
        outcome[training_name(*training)] = {
            "best_validation": known(max(record.validation for record in own)),
            "last_validation": known(own[-1].validation), "test": known(own[-1].test),
            "seconds": sum(record.seconds for record in own)}
    return outcome
