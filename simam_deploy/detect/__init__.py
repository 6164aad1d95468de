"""What a detector's outputs mean: boxes, scores, classes, and the masks in the boxes."""
