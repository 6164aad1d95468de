"""From a graph to a plan, in a process of its own."""
