"""Run a plan on a GPU."""
