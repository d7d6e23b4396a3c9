"""Networks, composed of the pairs in core/layers.py."""
