"""Compares the speed of two versions of the broker: `python -m benchmarks.compare`."""
