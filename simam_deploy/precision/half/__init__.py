"""float16 and bfloat16 as a property of the graph."""
