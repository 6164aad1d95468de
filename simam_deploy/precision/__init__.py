"""Change a float32 graph's precision, and look inside one."""
