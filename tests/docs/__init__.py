"""The documents: what they show is run, what they say is there, and how they are rendered."""
