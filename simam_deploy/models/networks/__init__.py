"""The published networks, one file a family."""
