"""One request: what the cache knows of it, what has to be asked, and the reports that come of both."""
