"""A play in one act after the other: mocks, a broker, courts of four levels. What it claims, it checks."""
