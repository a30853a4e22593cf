"""Mock institutions over HTTP, with a synthetic population and configurable faults."""
