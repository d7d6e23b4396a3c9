"""EfficientNet-Lite0 in inference: images to 1,280 features, and to the 1,000 classes of ImageNet.

    stem       3x3 convolution with stride 2, 32 channels
    16 blocks  expand (1x1, 6 times the channels; not in the first block), depthwise (R x R),
               project (1x1, without ReLU6), and the block's input added where it has that shape
    head       1x1 convolution to 1,280 channels, mean over the pixels; linear

Every convolution is followed by batch normalisation, which is folded into it, and but for `project`
by ReLU6. Tan and Le, "EfficientNet", ICML 2019, and TensorFlow's description of the Lite models: no
squeeze-and-excitation, ReLU6 for swish, stem and head of fixed width.

N images, S x S pixels, H x W of a map, h x w of the output, C channels in, K out, R x R filter.
Forward only; written to be read, on NumPy and CuPy. nets/efficientnet_lite_fast.py is for a CPU.
"""
import numpy as np

from core.backend import xp_of
from core.errors import InputError, need

NAME = "efficientnet-lite0"
FEATURES, CLASSES = 1280, 1000
BATCHNORM_EPS = 1e-3                   # TensorFlow's default
MEAN, SCALE = 127, 128               # of the pixels, in TensorFlow's description of the Lite models

# (blocks, R, stride of the first, expansion, K): EfficientNet-B0's table
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
          (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
STEM = 32                              # channels


def block_plan():
    """[(name, R, stride, expansion, C, K)] of the 16 blocks."""
    plan, C = [], STEM
    for blocks, R, stride, expansion, K in STAGES:
        for number in range(blocks):
            plan.append((f"block{len(plan)}", R, stride if number == 0 else 1, expansion, C, K))
            C = K
    return plan


# ---- parameters ----------------------------------------------------------------------------------

def convolutions():
    """[(name here, names there of weights and batch normalisation, shape there)]"""
    found = [("stem", "_conv_stem", "_bn0", (STEM, 3, 3, 3))]
    for number, (name, R, _, expansion, C, K) in enumerate(block_plan()):
        there, wide = f"_blocks.{number}", C * expansion
        if expansion > 1:
            found.append((f"{name}.expand", f"{there}._expand_conv", f"{there}._bn0",
                          (wide, C, 1, 1)))
        found.append((f"{name}.depthwise", f"{there}._depthwise_conv", f"{there}._bn1",
                      (wide, 1, R, R)))
        found.append((f"{name}.project", f"{there}._project_conv", f"{there}._bn2",
                      (K, wide, 1, 1)))
    return [*found, ("head", "_conv_head", "_bn1", (FEATURES, STAGES[-1][-1], 1, 1))]


def is_it(tensors):
    """Whether {name: array} has any of this network's names."""
    return any(name in tensors for name in expected())


def expected():
    """{name there: shape} of all tensors that the network takes from a file."""
    shapes = {"_fc.weight": (CLASSES, FEATURES), "_fc.bias": (CLASSES,)}
    for _, weights, norm, shape in convolutions():
        shapes[f"{weights}.weight"] = shape
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{leaf}"] = shape[:1]
    return shapes


def parameters(tensors, source="the file of weights", dtype=np.float32):
    """Theta from {name there: array}: w (R, R, C, K), depthwise (R, R, C), 1x1 (C, K); b (K,).

    w' = w gamma / sqrt(var + eps),  b' = beta - mean gamma / sqrt(var + eps).  Raises InputError,
    which calls the tensors `source`, where one is missing, of another shape or not finite.
    """
    check(tensors, source)
    theta = {}
    for name, weights, norm, _ in convolutions():
        gamma, beta, mean, var = (tensors[f"{norm}.{leaf}"].astype(np.float64)
                                  for leaf in ("weight", "bias", "running_mean", "running_var"))
        factor = gamma / np.sqrt(var + BATCHNORM_EPS)
        w = np.moveaxis(tensors[f"{weights}.weight"] * factor[:, None, None, None], 0, 3)
        w = w.transpose(1, 2, 0, 3)                                             # (R, R, C, K)
        w = w[:, :, 0] if name.endswith("depthwise") else w[0, 0] if len(w) == 1 else w
        theta[f"{name}.w"] = np.ascontiguousarray(w, dtype)
        theta[f"{name}.b"] = (beta - mean * factor).astype(dtype)
    theta["linear.w"] = np.ascontiguousarray(tensors["_fc.weight"].T, dtype)
    theta["linear.b"] = tensors["_fc.bias"].astype(dtype)
    return theta


def check(tensors, source):
    """InputError, which says what is wrong, unless the tensors are those of this network."""
    shapes = expected()
    missing = [name for name in shapes if name not in tensors]
    others = f" and {len(missing) - 3} others" * (len(missing) > 3)
    need(not missing, f"{source} is not EfficientNet-Lite0: it has no {', '.join(missing[:3])}"
         f"{others}: give its own file of weights")
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise InputError(f"{source} is not EfficientNet-Lite0: its {name} has the shape "
                             f"{tensors[name].shape}, not {shape}: give its own file of weights")
        good = np.isfinite(tensors[name]).all()
        good = good and not (name.endswith("running_var") and tensors[name].min() < 0)
        need(good, f"{source} has numbers in {name} that are no weights: download it again")


# ---- layers --------------------------------------------------------------------------------------

def same_padding(H, R, stride):
    """(h, pixels of padding before): h = ceil(H / stride), the odd pixel of padding comes after."""
    h = -(-H // stride)
    return h, max((h - 1) * stride + R - H, 0) // 2


def windows(x, R, stride):
    """For each place (r, q) of the filter the pixels x[n, i*stride + r - before, ...] under it.

    Yields (r, q, view (N, h, w, C)); x is 0 outside the image.
    """
    N, H, W, C = x.shape
    (h, top), (w, left) = same_padding(H, R, stride), same_padding(W, R, stride)
    padded = xp_of(x).zeros((N, H + R + stride, W + R + stride, C), x.dtype)
    padded[:, top:top + H, left:left + W] = x
    for r in range(R):
        for q in range(R):
            rows, columns = slice(r, r + h * stride, stride), slice(q, q + w * stride, stride)
            yield r, q, padded[:, rows, columns]


def conv_forward(x, w, b, stride):
    """out[n,i,j,k] = b[k] + sum_{r,q,c} x[n, i*stride + r - top, j*stride + q - left, c] w[r,q,c,k]

    x (N, H, W, C), w (R, R, C, K), b (K,) -> (N, h, w, K), padded as TensorFlow's "same".
    """
    return sum(window @ w[r, q] for r, q, window in windows(x, len(w), stride)) + b


def depthwise_forward(x, w, b, stride):
    """out[n,i,j,c] = b[c] + sum_{r,q} x[n, i*stride + r - top, j*stride + q - left, c] w[r,q,c]

    x (N, H, W, C), w (R, R, C), b (C,) -> (N, h, w, C), padded as TensorFlow's "same".
    """
    return sum(window * w[r, q] for r, q, window in windows(x, len(w), stride)) + b


def relu6_forward(x):
    """out = min(max(x, 0), 6)"""
    return xp_of(x).clip(x, 0, 6)


# ---- the network ---------------------------------------------------------------------------------

def normalised(pixels, dtype=np.float32):
    """(pixels - 127) / 128;  pixels (N, S, S, 3) uint8"""
    return (pixels.astype(dtype) - MEAN) / SCALE


def forward(theta, x):
    """x (N, S, S, 3), normalised -> features (N, 1280)."""
    x = relu6_forward(conv_forward(x, theta["stem.w"], theta["stem.b"], stride=2))
    for name, _, stride, _, C, K in block_plan():
        x = block_forward(theta, name, x, stride, stride == 1 and C == K)
    return relu6_forward(x @ theta["head.w"] + theta["head.b"]).mean(axis=(1, 2))


def block_forward(theta, name, x, stride, residual):
    """x (N, H, W, C) -> (N, h, w, K): expand, depthwise, project, and x added if `residual`."""
    y = x
    if f"{name}.expand.w" in theta:
        y = relu6_forward(y @ theta[f"{name}.expand.w"] + theta[f"{name}.expand.b"])
    y = relu6_forward(depthwise_forward(y, theta[f"{name}.depthwise.w"],
                                        theta[f"{name}.depthwise.b"], stride))
    y = y @ theta[f"{name}.project.w"] + theta[f"{name}.project.b"]
    return x + y if residual else y


def classify(theta, features):
    """features (N, 1280) -> logits (N, 1000) of the classes of ImageNet."""
    return features @ theta["linear.w"] + theta["linear.b"]
