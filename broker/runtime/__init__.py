"""Processes: what a worker is made of, how it starts and stops, and the supervisor of several."""
