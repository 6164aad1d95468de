"""The two operators once more, as slowly as the contract reads: loops in float64."""

import math

import numpy as np

from simam_deploy.op.detection import NOTHING, STRIDES


def align(rois, maps, size, ratio, finest):
    """Give y, (N*R, C, S, S), float64."""
    rows = [
        one_roi(roi, [np.asarray(x[image], np.float64) for x in maps], size, ratio, finest)
        for image, of_image in enumerate(np.asarray(rois, np.float64))
        for roi in of_image
    ]
    return np.stack(rows)


def level_of(roi, finest):
    x1, y1, x2, y2 = roi
    return min(max(math.floor(math.log2(math.sqrt((x2 - x1) * (y2 - y1)) / finest + 1e-6)), 0), 3)


def one_roi(roi, maps, size, ratio, finest):
    result = np.zeros((len(maps[0]), size, size))
    if roi[2] <= roi[0] or roi[3] <= roi[1]:
        return result
    level = level_of(roi, finest)
    x1, y1, x2, y2 = roi / STRIDES[level] - 0.5
    high, wide = (y2 - y1) / size, (x2 - x1) / size
    ny, nx = (ratio, ratio) if ratio else (math.ceil(high), math.ceil(wide))
    for i in range(size):
        for j in range(size):
            rows = [y1 + (i + (a + 0.5) / ny) * high for a in range(ny)]
            columns = [x1 + (j + (b + 0.5) / nx) * wide for b in range(nx)]
            samples = [sample(maps[level], row, column) for row in rows for column in columns]
            result[:, i, j] = np.mean(samples, axis=0)
    return result


def sample(x, row, column):
    """Read one map, (C, H, W), between its cells."""
    _, height, width = x.shape
    if not (-1 <= row <= height and -1 <= column <= width):
        return np.zeros(len(x))
    row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    top, left = int(row), int(column)
    below, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, u = row - top, column - left
    upper = x[:, top, left] * (1 - u) + x[:, top, right] * u
    lower = x[:, below, left] * (1 - u) + x[:, below, right] * u
    return upper * (1 - v) + lower * v


def nms(boxes, scores, groups, threshold):
    """Give kept, (B, M), float32."""
    kept = np.full(scores.shape, NOTHING, np.float32)
    for b, (entry, of_entry, own) in enumerate(zip(boxes, scores, groups, strict=True)):
        taken = []
        for i in sorted(range(len(of_entry)), key=lambda i: (-of_entry[i], i)):
            if of_entry[i] == np.float32(NOTHING):
                continue
            if all(own[i] != own[j] or iou(entry[i], entry[j]) <= threshold for j in taken):
                taken.append(i)
                kept[b, i] = of_entry[i]
    return kept


def iou(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    areas = [max(x2 - x1, 0) * max(y2 - y1, 0) for x1, y1, x2, y2 in (a, b)]
    if min(areas) == 0:
        return 0.0
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = max(width, 0) * max(height, 0)
    return common / (sum(areas) - common)
