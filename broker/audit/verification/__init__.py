"""Finds out whether a log is what it was: nothing changed, removed, reordered, cut off, or forked."""
