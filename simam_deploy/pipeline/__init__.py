"""The order of the steps, one file a command, each read top to bottom."""
