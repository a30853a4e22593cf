"""`broker demo`: mock institutions, a broker, and courts of four levels on one machine. It verifies what it shows."""
