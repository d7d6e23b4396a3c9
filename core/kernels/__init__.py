"""The layers once more, as CUDA kernels; core/layers.py is their specification and the oracle of their tests. See docs/gpu.md."""
