"""A step as a graph is a step of core/train.py: batch, objective, SGD, recording, epoch after epoch."""
import numpy as np
import pytest

from core import backend, train
from core.backend import to_host
from core.batches import augmented, batches
from core.errors import NotFinite
from core.kernels import step as step_module
from core.kernels.step import SECTIONS, StepGraph
from core.kernels.variant import variant
from core.labels import SoftLabels, one_hot
from core.measure import predictions
from core.model import fresh_model
from core.objective import Objective, objective_backward, objective_forward, softmax
from core.run import Config, run
from nets import families
from nets import preact_resnet as plain
from nets.preact_resnet import Architecture
from nets.preact_resnet_gpu import GpuNet
from tests.lib.arrays import using
from tests.lib.emulator import COMPILER, Emulator, devices, in_every_order
from tests.paper.test_train import RECIPE, begin, same, state

emulated = pytest.mark.skipif(COMPILER is None, reason="no g++ that could compile the kernels")
ARCH = Architecture(classes=3, widths=(16,), blocks=(1,))


def small(net, xp=np):
    """(model, task, labels) of the small problem of test_train, with a network that the kernels can do."""
    _, task, labels = begin(xp)
    return fresh_model(net, ARCH, np.random.default_rng(0), xp), task, labels


def epochs(net, model, task, labels, numbers, recipe=RECIPE, lr=0.05, alpha=1.2, beta=0.8, xp=np):
    """The means of these epochs."""
    p, found = xp.asarray([0.2, 0.3, 0.5], np.float32), []
    for epoch in numbers:
        found.append(getattr(net, "theta_epoch", train.theta_epoch)(
            model, task, labels, Objective(p, alpha, beta), lr, recipe, epoch))
        labels.end_epoch()
    return np.array(found)


@pytest.mark.parametrize("xp", devices(exact=True))
def test_an_epoch_of_graphs_is_an_epoch_of_the_readable_training(xp):
    net, results = GpuNet(xp, "float"), []
    for chosen, library in (plain, np), (net, xp):
        with using(library):
            model, task, labels = small(chosen, library)
            # 20 samples in batches of 8: 3 steps, then 2
            means = epochs(chosen, model, task, labels, [0, 1], lr=0.01, xp=library)
            results.append([means, *state(model), to_host(labels.ring)])
    exact = isinstance(xp, Emulator)                                             # a GPU rounds operands to TF32
    for expected, found in zip(*results, strict=True):
        assert np.abs(found - expected).max() < (2e-5 if exact else 0.02) * np.abs(expected).max()
    if exact:
        xp.check_guards()


@pytest.mark.parametrize("xp", devices())
def test_the_graph_gives_the_bits_of_its_launches_in_every_order_that_it_allows(xp, monkeypatch):
    net, results = GpuNet(xp, "half"), []
    for order, one_step in [*((order, StepGraph.run) for order in range(4)),
                            (0, lambda step: step.program.run(*SECTIONS))]:
        monkeypatch.setattr(StepGraph, "run", one_step)
        xp.order = order                                                          # a GPU has an order of its own
        with using(xp):
            model, task, labels = small(net, xp)
            epochs(net, model, task, labels, [0], xp=xp)
            results.append([*state(model), to_host(labels.ring)])
    xp.order = 0
    assert all(same(results[0], other) for other in results[1:])


@emulated
@pytest.mark.parametrize("letters", ["-", "p"])
def test_the_graph_heeds_priorities_if_asked_to(letters, monkeypatch):
    net, made = GpuNet(Emulator(), "half", variant(letters)), []
    monkeypatch.setattr(step_module, "with_priorities", lambda graph, stream: made.append(stream) or graph.launch)
    epochs(net, *small(net), [0])
    assert made == [net.step[1].stream] * (letters == "p")


@emulated
def test_two_trainings_have_the_same_bits_and_a_resumed_one_too():
    net, results = GpuNet(Emulator(), "half"), []
    for parts in ([0, 1, 2], [0, 1, 2]), ([0], [1, 2]):
        model, task, labels = small(net)
        epochs(net, model, task, labels, parts[0])
        if len(parts[0]) == 1:
            net = GpuNet(net.xp, "half")                                    # nothing of the first epoch's graph is left
            model = model._replace(net=net)
            epochs(net, model, task, labels, parts[1])
        results.append([*state(model), labels.ring])
    assert same(*results)


@emulated
def test_the_second_training_uses_the_graph_of_the_first():
    net = GpuNet(Emulator(), "half")
    first, second = small(net), small(net)
    epochs(net, *first, [0])
    step = net.step[1]
    task = second[1]._replace(train=first[1].train)
    epochs(net, second[0], task, second[2], [0], alpha=0, beta=0, lr=0.1)
    assert net.step[1] is step
    epochs(net, second[0], task, second[2], [1], recipe=RECIPE._replace(decay=0))
    assert net.step[1] is not step


@pytest.fixture(scope="module", params=[pytest.param(None, marks=emulated)], ids=["emulator"])
def step():
    """The StepGraph of a small problem, its epoch begun."""
    net = GpuNet(Emulator(), "float")
    model, task, labels = small(net)
    epochs(net, model, task, labels, [0])
    return net.step[1], model, task, labels


def begun(step, epoch):
    """(step, the samples of its batches, how many are of the running pass) at the beginning of an epoch."""
    step, model, task, labels = step
    step.begin(model, task.seed, labels, np.full(3, 1 / 3, np.float32), (0.1, 1.2, 0.8), epoch)
    return step, list(batches(len(labels.Y), RECIPE.batch, task.seed, epoch))


def test_the_batch_is_gathered_cropped_and_mirrored_as_by_numpy(step):
    graph, model, task, labels = step
    for seed, epoch in ((task.seed, 0), (7, 3), (2**32 + 9, 0)):
        step_, found = begun((graph, model, task._replace(seed=seed), labels), epoch)
        for k, (i, _) in enumerate(found):
            step_.state[0] = k
            step_.network.x[...] = np.nan
            step_.program.run("gather")
            x = step_.network.x
            assert np.array_equal(x[..., :3], augmented(task.train, i, seed, epoch)) and not x[..., 3:].any()


@pytest.mark.parametrize("size", [1, 100, 1e4])
def test_objective_gradient_and_predictions(step, size):
    step_, found = begun(step, 0)
    assert found[-1][1] < RECIPE.batch, "the last batch reaches into the next pass"
    rng = np.random.default_rng(int(size))
    for k, (i, n) in enumerate(found):
        z = (size * rng.standard_normal(step_.network.logits.shape)).astype(np.float32)
        step_.network.logits[...], step_.sums[...] = z, 0
        step_.state[0] = k
        step_.ring[...] = 0
        dz, _ = in_every_order(step_.program.xp, lambda: step_.program.run("objective"),
                               [step_.network.dlogits, step_.log_s])
        labels = SoftLabels(step_.Y, 1)
        L, saved = objective_forward(z.astype(float), step_.Y[i].astype(float), step_.p.astype(float), 1.2, 0.8)
        accuracy = (z.argmax(axis=1) == step_.Y[i].argmax(axis=1)).mean()
        labels.remember(i, softmax(z), n)
        scale = step_.network.parameters.scale.item()
        np.testing.assert_allclose(dz, scale * objective_backward(1, saved), atol=1e-6 * scale, rtol=1e-4)
        np.testing.assert_allclose(step_.ring, labels.ring[0], atol=1e-6)
        np.testing.assert_allclose(step_.sums / 4, [*L, accuracy], rtol=2e-5, atol=2e-6)


def test_of_a_sample_that_is_twice_in_a_batch_the_later_prediction_counts(step):
    step_, _ = begun(step, 0)
    B = RECIPE.batch
    step_.state[...] = [0, 1, 5, 0]                                            # one step, 5 samples of the running pass
    step_.order[:B] = [3, 9, 1, 4, 6, 9, 2, 3]
    step_.network.logits[...] = np.random.default_rng(0).standard_normal((B, 3))
    for step_.program.xp.order in range(4):
        step_.ring[...] = 0
        step_.program.run("objective")
        s = softmax(step_.network.logits)
        np.testing.assert_allclose(step_.ring[[9, 3, 4]], s[[5, 7, 3]], atol=1e-6)
    step_.program.xp.order = 0


@pytest.mark.parametrize("xp", devices())
@pytest.mark.parametrize("number, message", [("half", "no longer finite in epoch 1|did not fit into 16 bits"),
                                             ("float", "no longer finite in epoch 1")])
def test_a_training_that_leaves_the_numbers_ends_in_one_sentence(xp, number, message):
    net = GpuNet(xp, number)
    with using(xp), np.errstate(all="ignore"), pytest.raises(NotFinite, match=message):
        epochs(net, *small(net, xp), [0], lr=1e30, xp=xp)


def too_large(step, numbers):
    """Multiplies the loss scale so that a gradient of these steps, from 0, leaves the numbers; forward all is well."""
    run, count = step.run, iter(range(10**6))

    def changed():
        k, scale = next(count), step.network.parameters.scale
        if k in numbers:
            scale *= 2**100
        run()
        if k in numbers:
            scale *= 2.**-100
    return changed


@pytest.mark.parametrize("xp", devices())
def test_a_step_whose_gradients_do_not_fit_is_left_out_and_halves_the_loss_scale(xp, monkeypatch):
    said, results = [], []
    for numbers in (), (0, 2), (1,):
        net = GpuNet(xp, "half", say=said.append)
        with using(xp), np.errstate(all="ignore"):
            model, task, labels = small(net, xp)
            step = net.step_for(ARCH, task.train, len(labels.Y), RECIPE)
            monkeypatch.setattr(step, "run", too_large(step, numbers))
            before = model.theta.buffer.copy()
            epochs(net, model, task, labels, [0], xp=xp)
            theta, velocity, running = model.theta.buffer, model.velocity, model.running.buffer
            left = theta - before, velocity, running, step.network.parameters.scale, step.state[:1]
            results.append([to_host(a).copy() for a in left])
            epochs(net, model, task, labels, [1], xp=xp)                       # of this one there is nothing to be said
    (all_steps, *_), (one_step, *_), (without_second, *_) = results
    assert len({float(abs(moved).sum()) for moved in (all_steps, one_step, without_second)}) == 3
    full = step.network.parameters.full_scale
    assert ([scale.item() for *_, scale, _ in results] == [full, full / 4, full / 2]
            and all(n.item() == 3 for *_, n in results))
    assert all(np.isfinite(a).all() for result in results for a in result)
    assert [line.partition(",")[0] for line in said] == [f"note     epoch 1: {n} of 3 steps left out" for n in (2, 1)]
    assert said[0].endswith(f"loss scale {full / 4:g} from now on")


@emulated
def test_what_is_left_out_leaves_parameters_and_velocity_as_they_are():
    net = GpuNet(Emulator(), "half")
    model, task, labels = small(net)
    epochs(net, model, task, labels, [0])
    step_, _ = begun((net.step[1], model, task, labels), 1)
    moving = step_.network.parameters.theta, step_.velocity, step_.network.parameters.all_weights
    before, running = [a.copy() for a in moving], step_.network.running.copy()
    with np.errstate(all="ignore"):
        too_large(step_, {0})()
    assert same(before, moving) and not np.array_equal(running, step_.network.running)
    assert step_.network.parameters.fate.tolist() == [0, 1, 0, 1, 1] and step_.state[0] == 1
    step_.run()
    assert not any(np.array_equal(a, b) for a, b in zip(before, moving, strict=True))
    assert step_.network.parameters.fate.tolist() == [0, 1, 1, 0, 1]


@emulated
def test_in_32_bits_a_gradient_that_is_not_finite_ends_the_training_at_once(monkeypatch):
    net = GpuNet(Emulator(), "float")
    model, task, labels = small(net)
    step = net.step_for(ARCH, task.train, len(labels.Y), RECIPE)
    run, fate = step.run, step.network.parameters.fate

    def counted():
        fate[0] += step.state[0] == 1                                   # as if a gradient of the second step were not
        run()
    monkeypatch.setattr(step, "run", counted)
    with pytest.raises(NotFinite, match=r"no longer finite in epoch 1 \(learning rate 0.05\): "
                                        r"start again with a smaller --lr$"):
        epochs(net, model, task, labels, [0])


@emulated
def test_the_loss_scale_grows_again_up_to_where_it_began(step):
    step_, _ = begun(step, 0)
    fate, scale, full = (step_.network.parameters.fate, step_.network.parameters.scale,
                         step_.network.parameters.full_scale)
    found = []
    for left_out, good in (full / 4, 1998), (full / 4, 1999), (full, 1999):
        scale[...], fate[2] = left_out, good
        step_.run()
        found.append((scale.item(), fate[2].item()))
    step_.trained = None                                                          # the next training begins anew
    assert found == [(full / 4, 1999), (full / 2, 0), (full, 0)]


@emulated
def test_twenty_steps_left_out_in_a_row_end_the_training_and_another_one_begins_anew(monkeypatch):
    net = GpuNet(Emulator(), "half")
    model, task, labels = small(net)
    step = net.step_for(ARCH, task.train, len(labels.Y), RECIPE)
    monkeypatch.setattr(step, "run", too_large(step, set(range(10**4))))
    message = "gradients of 2. steps in a row did not fit into 16 bits, until.*or resume the run with --kernels float"
    with np.errstate(all="ignore"), pytest.raises(NotFinite, match=message):
        epochs(net, model, task, labels, range(30))
    assert (20 <= step.network.parameters.fate[4] < 23
            and step.network.parameters.scale < step.network.parameters.full_scale / 2**19)
    monkeypatch.undo()
    epochs(net, *small(net)[:1], task, labels, [0])
    parameters = step.network.parameters
    assert net.step[1] is step and parameters.scale == parameters.full_scale and not parameters.fate[[1, 3, 4]].any()


@emulated
def test_parameters_that_only_the_last_step_made_infinite_are_noticed(step):
    step_, model, task, labels = step
    saved = [buffer.copy() for buffer in model.buffers()]
    model.velocity[0] = np.inf                     # as if the step had: the gradients and the loss are finite with lr 0
    step_.run = lambda: None
    try:
        with pytest.raises(NotFinite, match="no longer finite in epoch 3"):
            step_.theta_epoch(model, task, labels, Objective(np.full(3, 1 / 3, np.float32), 1.2, 0.8), 0.1, 2)
    finally:
        del step_.run
        for buffer, array in zip(model.buffers(), saved, strict=True):
            buffer[...] = array


def test_labels_that_are_one_hot_leave_the_entropy_of_y_out(step):
    step_, found = begun(step, 0)
    step_.Y[...] = one_hot(np.arange(len(step_.Y)) % 3, 3)
    step_.network.logits[...], step_.sums[...] = 0, 0
    step_.program.run("objective")
    np.testing.assert_allclose(step_.sums[1], np.log(3), rtol=1e-6)


# ---- compiled before the clock starts --------------------------------------------------------------------------------

@emulated
def test_what_is_prepared_is_all_that_a_training_and_its_predictions_launch():
    said = []
    net = GpuNet(Emulator(), "half", say=said.append)
    model, task, labels = small(net)
    for _ in range(2):
        net.prepare(ARCH, task.train, len(labels.Y), RECIPE)
    kernels, step = set(net.kernels), net.step[1]
    epochs(net, model, task, labels, [0])
    predictions(model, task.train, batch=7)
    assert set(net.kernels) == kernels and net.step[1] is step
    assert said == ["kernels  are compiled, if they are new to this machine: about half a minute"]


@emulated
def test_a_run_says_so_and_compiles_before_its_first_epoch_begins(monkeypatch):
    met, xp = [], Emulator()
    made, xp.RawModule = xp.RawModule, lambda **given: met.append("compiled") or made(**given)
    monkeypatch.setitem(families.NETS, "tiny", {"widths": (16,), "blocks": (1,)})
    monkeypatch.setattr(backend, "use_gpu", lambda *_: xp)
    recipe = RECIPE._replace(batch=4, epochs=1, begin=1, K=1, epochs2=1)
    run(Config(recipe, net="tiny", gpu=0, kernels="half", digits=(8, 4, 4)), say=lambda text: met.append(text[:7]),
                   watch=lambda records, epochs, step, fold: met.append(step) or records)
    assert (met[:2] == ["data   ", "kernels"] and met.index("joint") == len(met) - 2
            and met[2:-2] == ["compiled"] * len(met[2:-2]))
    assert met[-1] == "retrain" and len(met) > 8
