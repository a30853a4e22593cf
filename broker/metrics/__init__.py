"""Prometheus metrics. No label contains a subject's data."""
