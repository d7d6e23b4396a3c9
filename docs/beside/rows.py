"""What stands side by side: the equations of docs/paper.md, the functions that compute them, their numbers.

A symbol is (LaTeX, names in the code that stand for it, what it is). Pointing at the symbol marks the names, and the
other way round.
"""
from typing import NamedTuple

from core import labels, layers, objective, optim, train
from docs.beside import layer_numbers, objective_numbers
from docs.beside.formulas import displayed
from nets import preact_resnet
from tests.lib import gradcheck


class Row(NamedTuple):
    """One row of three columns."""
    title: str
    formulas: list                     # LaTeX
    functions: tuple
    symbols: tuple                     # (LaTeX, names, meaning)
    numbers: object                    # () -> [Quantity]
    evidence: tuple                    # the names of its rows in docs/evidence.md
    section: str                       # its anchor in docs/paper.md


def rows():
    """{id: Row} in the order of the page."""
    of = displayed()
    problem, update = of["1. The problem"], of["4. The labels"]
    return {
        "labels": Row(
            "Hard and soft labels, equations (1) and (2)", problem[:1], (labels.one_hot,),
            (("y", ("one_hot",), "labels, one row for each sample"), ("C", ("classes",), "number of classes")),
            objective_numbers.label_spaces, ("rows of Y",), "1-the-problem"),
        "given": Row(
            "Training on given labels, equation (3)", problem[1:2], (train.retrain,),
            ((r"\min", ("theta_epoch",), "one pass of SGD over the images"), ("L", ("objective",), "the loss"),
             (r"\theta", ("model",), "the network with its parameters"), ("X", ("task",), "the images"),
             ("Y", ("labels",), "the labels, which stay as they are")),
            objective_numbers.given_labels, ("step 2, SGD after a drop, PyTorch",), "1-the-problem"),
        "L": Row(
            "The loss of network and labels, equations (4) and (5)", problem[2:],
            (objective.objective_forward, objective.objective_backward),
            (("L_c", ("L_c", "kl_forward", "kl_backward"), "classification loss"),
             ("L_p", ("L_p", "prior_forward", "prior_backward"), "prior loss"),
             ("L_e", ("L_e", "entropy_forward", "entropy_backward"), "entropy loss"),
             (r"\alpha", ("alpha",), "weight of the prior loss"), (r"\beta", ("beta",), "weight of the entropy loss"),
             (r"\theta", ("z",), "the parameters act through the logits z"), ("Y", ("y",), "labels of the mini-batch")),
            objective_numbers.total, ("L", "L through the net"), "equation-5-the-sum"),
        "softmax": Row(
            "Softmax and its derivative", of["The one tool: softmax"], (objective.log_softmax, objective.softmax),
            (("s", ("softmax", "log_softmax"), "predictions"), ("z", ("z",), "logits"), (r"\exp", ("exp",), ""),
             (r"\log", ("log",), "natural logarithm"), (r"\sum", ("sum",), "over the classes of one sample")),
            objective_numbers.batch, ("s",), "the-one-tool-softmax"),
        "L_c": Row(
            "Classification loss, equations (6) and (7)", of["Equations (6) and (7): the classification loss"],
            (objective.kl_forward, objective.kl_backward),
            (("L_c", ("L_c",), "classification loss"), ("y", ("y",), "labels"),
             ("s", ("log_s",), "predictions; the code keeps their logarithm"), ("N", ("len",), "samples of the batch"),
             (r"\frac{\partial L_c}{\partial z_{ik}}", ("kl_backward",), "the gradient")),
            objective_numbers.classification, ("L_c",), "equations-6-and-7-the-classification-loss"),
        "L_p": Row(
            "Prior loss, equations (10) and (11)", of["Equations (10) and (11): the prior loss"],
            (objective.prior_forward, objective.prior_backward, objective.log_mean_exp),
            (("L_p", ("L_p",), "prior loss"), ("p", ("p",), "prior: the class frequencies we expect"),
             (r"\bar s", ("log_s_bar", "log_mean_exp"), "mean prediction; the code keeps its logarithm"),
             ("s", ("log_s",), "predictions"), ("r", ("r",), "predictions, weighted by p and the mean"),
             (r"\frac{\partial L_p}{\partial z_{ij}}", ("prior_backward",), "the gradient")),
            objective_numbers.prior, ("L_p",), "equations-10-and-11-the-prior-loss"),
        "L_e": Row(
            "Entropy loss, equation (12)", of["Equation (12): the entropy loss"],
            (objective.entropy_forward, objective.entropy_backward),
            (("L_e", ("entropy_forward",), "entropy loss"), ("s", ("s", "log_s", "s_log_s"), "predictions"),
             ("N", ("len",), "samples of the batch"),
             (r"\frac{\partial L_e}{\partial z_{ij}}", ("entropy_backward",), "the gradient")),
            objective_numbers.entropy, ("L_e",), "equation-12-the-entropy-loss"),
        "proof": Row(
            "The test of every gradient", of["2. How a gradient is proved"],
            (gradcheck.central, gradcheck.complex_step, gradcheck.worst_error),
            (("d_{out}", ("dout",), "derivative of the loss with respect to the output"),
             ("J", ("Jv", "derivative"), "all partial derivatives of the forward pass"),
             ("v", ("v",), "a direction in which the input moves"), (r"\langle", ("inner",), "inner product")),
            layer_numbers.transpose, ("the gradient checker",), "2-how-a-gradient-is-proved"),
        "updates": Row(
            "Soft and hard update, equations (9) and (8)", update[:3],
            (labels.soft_update, labels.hard_update, labels.hard_update_top),
            (("y", ("Y", "soft_update", "hard_update"), "labels"), ("s", ("s",), "predictions"),
             (r"\max", ("argmax",), "the most probable class")),
            objective_numbers.updates, ("L_c at y = s",), "4-the-labels"),
        "ring": Row(
            "The mean of the last K epochs", update[3:], (labels.SoftLabels,),
            (("s_i^{(e-k)}", ("ring", "slot"), "prediction of an earlier epoch"), ("s_i", ("s",), "prediction"),
             ("K", ("K",), "slots of the ring")),
            objective_numbers.ring, ("s",), "4-the-labels"),
        "algorithm": Row(
            "The loop over the epochs, Algorithm 1", of["5. Algorithm 1, and the second step"],
            (train.joint_optimization, train.theta_iterations),
            ((r"\theta", ("theta", "theta_epoch"), "parameters of the network"), (r"\eta", ("lr",), "learning rate"),
             (r"\frac{\partial L}{\partial \theta}", ("dtheta",), "the gradient, from the backward pass"),
             ("Y", ("Y", "labels"), "labels in use"), ("s", ("softmax",), "predictions")),
            objective_numbers.algorithm, ("step 1, SGD and labels, PyTorch",), "5-algorithm-1-and-the-second-step"),
        "linear": Row(
            "Linear layer", of["Linear"], (layers.linear_forward, layers.linear_backward),
            (("x", ("x",), "input"), ("w", ("w",), "weights"), ("b", ("b",), "bias"),
             ("d_{out}", ("dout",), "gradient with respect to the output"), ("out", ("linear_forward",), "output"),
             (r"\sum", ("sum",), "the sum for db; in dx and dw the matrix product adds up")),
            layer_numbers.linear, ("relu, mean, linear",), "linear"),
        "conv": Row(
            "Convolution", of["Convolution"],
            (layers.conv_forward, layers.conv_backward, layers.im2col, layers.spread),
            (("x", ("x",), "image"), ("w", ("w", "turned"), "filter; turned by 180 degrees for dx"),
             ("cols", ("cols", "im2col"), "all patches, a row each"), ("out", ("out",), "output"),
             ("d_{out}", ("dout",), "gradient with respect to the output"), ("dw", ("dw",), "gradient of the filter"),
             ("D", ("spread",), "the gradient on the grid of the input"), ("R", ("R",), "length of the filter"),
             ("P", ("pad",), "padding"), ("t", ("stride",), "stride")),
            layer_numbers.convolution, ("conv", "conv, stride 2"), "convolution"),
        "batchnorm": Row(
            "Batch normalisation", of["Batch normalisation"],
            (layers.batchnorm_forward, layers.batchnorm_backward, layers.centred_squares, layers.inverse_std,
             layers.normalised, layers.batchnorm_dx),
            ((r"\hat x", ("x_hat",), "normalised input"), ("x", ("x",), "input"), (r"\mu", ("mean",), "mean"),
             (r"\sigma", ("inv_std", "inverse_std"), "standard deviation; the code keeps its inverse"),
             ("v", ("var",), "variance"), (r"\gamma", ("gamma",), "scale, learnt"), ("b", ("beta",), "shift, learnt"),
             ("M", ("M",), "values of a channel"), ("out", ("out", "normalised"), "output"),
             ("d_{out}", ("dout",), "gradient with respect to the output"),
             ("dx", ("batchnorm_dx",), "gradient with respect to the input")),
            layer_numbers.batchnorm, ("batchnorm",), "batch-normalisation"),
        "relu": Row(
            "ReLU and the mean over the pixels", of["ReLU and the mean over the pixels"],
            (layers.relu_forward, layers.relu_backward, layers.where_positive, layers.meanpool_forward,
             layers.meanpool_backward),
            (("x", ("x",), "input"), ("out", ("out",), "output"), (r"\max", ("maximum",), ""),
             ("d_{out}", ("dout",), "gradient with respect to the output"), ("H", ("H",), "rows of the image"),
             ("W", ("W",), "columns of the image")),
            layer_numbers.relu_and_mean, ("relu, mean, linear",), "relu-and-the-mean-over-the-pixels"),
        "block": Row(
            "The residual block", of["7. The network"], (preact_resnet.block_forward, preact_resnet.block_backward),
            (("shortcut", ("shortcut",), "x itself, or a 1x1 convolution of a"),
             (r"\mathrm{conv}", ("conv_forward",), "convolution"), (r"\mathrm{ReLU}", ("relu_forward",), ""),
             (r"\mathrm{BN}", ("batchnorm_forward",), "batch normalisation"), ("a", ("a",), "ReLU(BN(x))")),
            layer_numbers.block, ("block", "net"), "7-the-network"),
        "sgd": Row(
            "SGD with momentum", of["8. SGD"], (optim.sgd_step,),
            ((r"\theta", ("theta",), "parameters"), ("v", ("velocity",), "velocity"), ("m", ("momentum",), "momentum"),
             (r"\eta", ("lr",), "learning rate"), ("g", ("gradient",), "gradient"),
             (r"\lambda", ("decay",), "weight decay")),
            layer_numbers.sgd, ("SGD, theta",), "8-sgd"),
    }
