"""Where a graph selects: what it selects by, what it makes of that, and what is a set of rows."""
