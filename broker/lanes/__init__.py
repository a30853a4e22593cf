"""Lanes, one per institution: backlog, flights, calls, and the controls that limit the calls."""
