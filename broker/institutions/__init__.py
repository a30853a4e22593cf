"""How institutions are asked: one file per dialect behind one interface."""
