"""Who and what is asked about, and by what right: numbers, names, mandates, and the keys made of them. Pure."""
