"""The two event loops of a worker: the bridge between them, and a fair share of them for everybody."""
