"""The layers once more, for the CPU and for speed; core/layers.py is their specification and the oracle of their
tests."""
