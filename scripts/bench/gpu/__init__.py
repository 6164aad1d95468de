"""Everything that a GPU must show, part by part: what `gpu_all` runs."""
