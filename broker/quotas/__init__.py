"""Quotas on disk: what was charged to them, for all workers of the host."""
