"""Everything that concerns the two event loops of a worker: the bridge between them, and fair scheduling."""
