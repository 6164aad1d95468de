"""Whole detectors, as mmdetection makes them around a SimAM backbone."""
