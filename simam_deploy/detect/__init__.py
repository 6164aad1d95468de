"""What a detector's outputs mean: boxes, scores, classes, masks; and the classes of pixels."""
