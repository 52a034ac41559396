"""Measurements: scripts that print figures, never timed tests. `python -m tests.bench` runs all of them."""
