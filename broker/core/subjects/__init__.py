"""Numbers and names of subjects, their cache keys, and mandates: validation and normalisation. Pure."""
