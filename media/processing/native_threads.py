"""How many processor cores a native library uses for one job, be it a decoder or a neural network."""

NATIVE_THREADS = 2
"""Measured on two cores with Piper: 1.6 times as fast as one; more gain little, as sentences are short."""
