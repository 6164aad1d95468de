"""What mmdetection's configuration says of a two-stage detector.

part     a part of the configuration, by name: values of their kind, or one clear line
fixed    what the detectors here do in one way alone
heads    anchors, coders and RoIAlign, and what is said of sizes that the weights show
testing  what is kept when it detects, in both spellings
reading  all of it, laid together
check    what is said of sizes, held against the weights
"""
