"""Processes: how a worker is assembled, started and stopped, and the supervisor of several workers."""
