"""A plan and its manifest: read, check, audit, keep."""
