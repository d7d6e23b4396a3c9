"""JAX's contestant of the CPU benchmark: the training step of benchmarks/peers.py, compiled as a whole by XLA."""
import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from benchmarks.peers import ALPHA, BATCH, BETA, DECAY, LR, MOMENTUM, problem
from core.layers import BATCHNORM_EPS
from nets.preact_resnet import block_plan

jax.config.update("jax_enable_x64", True)          # or float64 would become float32; float32 stays what it is


def jax_steps(arch, size, N, dtype):
    """The function step()."""
    theta, x, y, p = problem(arch, size, N, dtype)

    @jax.jit
    def update(theta, velocity, x, y, p):
        L, g = jax.value_and_grad(lambda theta: objective(forward(theta, x, arch), y, p))(theta)
        velocity = {name: MOMENTUM * v + g[name] + DECAY * theta[name] for name, v in velocity.items()}
        return L, g, {name: w - LR * velocity[name] for name, w in theta.items()}, velocity

    state = theta, {name: jnp.zeros_like(w) for name, w in theta.items()}

    def step():
        nonlocal state
        L, g, *state = update(*state, x, y, p)
        return float(L), np.concatenate([g[name].reshape(-1) for name in theta]) if N < BATCH else None

    return step


def forward(theta, x, arch):
    """Logits (N, classes)."""
    def conv(x, name, stride=1):
        w = theta[name]
        return lax.conv_general_dilated(x, w, (stride, stride), 2 * [2 * (len(w) // 2,)],
                                        dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def bn_relu(x, name):
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        x_hat = (x - mean) * lax.rsqrt(var + BATCHNORM_EPS)
        return jnp.maximum(theta[f"{name}.gamma"] * x_hat + theta[f"{name}.beta"], 0)

    x = conv(x, "conv")
    for name, _, _, stride, projecting in block_plan(arch):
        a = bn_relu(x, f"{name}.bn1")
        h = conv(bn_relu(conv(a, f"{name}.conv1", stride), f"{name}.bn2"), f"{name}.conv2")
        x = h + (conv(a, f"{name}.projection", stride) if projecting else x)
    return bn_relu(x, "bn").mean((1, 2)) @ theta["linear.w"] + theta["linear.b"]


def objective(z, y, p):
    """The three terms of logits z (N, C), labels y (N, C), prior p (C,)."""
    log_s = jax.nn.log_softmax(z)
    s = jnp.exp(log_s)
    xlogx = jax.scipy.special.xlogy
    return ((xlogx(y, y) - y * log_s).sum() / len(z) + ALPHA * (xlogx(p, p) - p * jnp.log(s.mean(0))).sum()
            - BETA * (s * log_s).sum() / len(z))
