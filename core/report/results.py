"""The files of a run's outcome: labels as soon as step 1 has found them, everything else at the end."""
import json
import math

from core import quality
from core.batches import mean_image
from core.files import save_array, save_arrays, save_text
from core.report import issues, page, pictures
from core.report.manifest import save_manifest
from core.report.numbers import known
from nets import safetensors_file


def save_labels(folder, data, given, soft, P, config):
    """The labels, before and after, as soon as step 1 has found them: what comes later cannot take them away.

    P (N, C): the predictions that the last update was made from.
    """
    truth, suggested = data.train.truth, soft.argmax(axis=1)
    corrected = quality.corrected(given, suggested, P, config.sure)
    save_text(folder / "classes.txt", "".join(f"{name}\n" for name in data.classes))
    arrays = {"given_labels": given, "suggested_labels": suggested, "corrected_labels": corrected, "soft_labels": soft,
              "index": data.train.index}
    if truth is not None:
        arrays |= {"true_labels": truth, "given_is_wrong": (given != truth) & (truth >= 0)}
    for name, array in arrays.items():
        save_array(folder / f"{name}.npy", array)
    issues.save_corrected(folder, data.classes, data.train, corrected, config.data)
    save_probabilities(folder, data, given, suggested, P)


def save_probabilities(folder, data, given, suggested, P):
    """The class probabilities P (N, C), and what follows from them."""
    save_array(folder / "pred_probs.npy", P)
    save_array(folder / "noise_matrix.npy", quality.noise_matrix(quality.confident_joint(P, given)))
    issues.save_issues(folder, data.classes, data.train, given, suggested, P)


def finish(folder, result, config, title):
    """Write weights, pictures, the page with that title, manifest and summary."""
    recipe = config.recipe
    save_arrays(folder / "weights.npz", result.weights)
    batches = -(-recipe.epochs2 * len(result.given) // min(recipe.batch, len(result.given)))
    safetensors_file.save(folder / "model.safetensors", result.weights, mean_image(result.images), result.classes, batches)
    pictures.draw_all(folder, result, recipe.begin)
    rate = quality.estimated_errors(quality.confident_joint(result.pred_probs, result.given))[1]
    page.write(folder / "report.html", page.Page(
        title, result.classes, result.images, result.index, result.given, result.suggested, result.pred_probs,
        result.truth, result.paths, result.records, recipe.begin, rate, facts(result, config)))
    if result.paths is not None:
        issues.save_tasks(folder, result, config.data)
    save_manifest(folder)
    save_text(folder / "summary.json", json.dumps(summary(result), indent=2) + "\n")


def facts(result, config):
    """What the page says of the labels that were corrected, if not every suggestion was taken."""
    text = f"where the suggestion has a probability of {config.sure:g} or more"
    if not math.isnan(result.recovery):
        text += f"; {100 * result.initial:.1f} % of the labels were right before, {100 * result.recovery:.1f} % are after"
    return [("corrected labels", f"{(result.corrected != result.given).sum():,}", text)] * (config.sure > 0)


def summary(result):
    """The outcome in a few numbers, for a table; what is not known is None."""
    outcome = {"initial": known(result.initial), "recovery": known(result.recovery),
               "changed": int((result.corrected != result.given).sum()), **judged(result)}
    for step in dict.fromkeys(record.step for record in result.records):
        records = [record for record in result.records if record.step == step]
        outcome[step] = {"best_validation": known(max(record.validation for record in records)),
                         "last_validation": known(records[-1].validation), "test": known(records[-1].test),
                         "seconds": sum(record.seconds for record in records)}
    return outcome


def judged(result):
    """How many labels are wrong by the estimate, and how well they were found, where any true labels are known."""
    P, given, truth = result.pred_probs, result.given, result.truth
    number, rate = quality.estimated_errors(quality.confident_joint(P, given))
    outcome = {"estimated_errors": number, "estimated_rate": rate}
    if truth is not None:
        rows = truth >= 0
        found = quality.detection((given != truth)[rows], quality.is_label_issue(given, result.suggested)[rows],
                                  quality.self_confidence(P, given)[rows])
        outcome["detection"] = {name: known(value) for name, value in found._asdict().items()}
    return outcome
