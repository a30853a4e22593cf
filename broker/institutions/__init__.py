"""Adapters to institutions: one module per dialect, HTTP transport, and the checks that every reply must pass."""
