"""Four realistic institutions over HTTP, with a synthetic population and faults on demand."""
