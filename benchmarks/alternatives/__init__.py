"""What is written by hand, compared with libraries that do the same: `python -m benchmarks.alternatives`."""
