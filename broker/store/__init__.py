"""The cache of answers: one interface, and several stores behind it."""
