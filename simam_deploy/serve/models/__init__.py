"""The models that are served: loaded, warmed up, batched, replaced."""
