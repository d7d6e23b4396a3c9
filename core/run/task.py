"""What training sees of a data set: images, or the features that a pretrained network made of them."""
from core.batches import Images, mean_image
from core.features import Features, mean_and_std
from core.model import Task


def as_task(data, seed, xp):
    """The Task of a DataSet, on the device of xp."""
    shown, train, truth = shown_by(data), data.train, data.train.truth
    truth = None if truth is None or (truth < 0).all() else xp.asarray(truth)
    validation, test = ((shown(split).on(xp), xp.asarray(split.labels)) for split in (data.validation, data.test))
    return Task(shown(train).on(xp), validation, test, truth, seed)


def shown_by(data):
    """The function that shows a Split to the network: by mean image, or by mean and deviation of the features."""
    if data.train.features is None:
        mean = mean_image(data.train.images) if data.mean is None else data.mean
        return lambda split: Images(split.images, mean, data.pad, data.flip)
    statistics = mean_and_std(data.train.features)
    return lambda split: Features(split.features, *statistics)


def features_in(data):
    """The number of features that a head sees, or None where the network sees images."""
    return None if data.train.features is None else data.train.features.shape[2]
