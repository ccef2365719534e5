"""The figures of zero-shot segmentation in NumPy, word for word as docs/segmentation.md has them.

Maps are [g, g], masks [S, S] with 1 for the object, 0 for the background and -1 for pixels that are
not counted.
"""

import numpy as np


def enlarged(grid, side):
    """Bilinear with half-pixel centres, clamped at the outermost ones."""
    def axis(cells):
        place = np.clip((np.arange(side) + 0.5) * cells / side - 0.5, 0, cells - 1)
        first = place.astype(int)
        return first, np.minimum(first + 1, cells - 1), place - first
    low, high, weight = axis(grid.shape[0])
    rows = grid[low] + weight[:, None] * (grid[high] - grid[low])
    low, high, weight = axis(grid.shape[1])
    return rows[:, low] + weight * (rows[:, high] - rows[:, low])


def scaled(values):
    """Clipped below at 0 and scaled to 0...1; all 0 where nothing is left."""
    clipped = np.maximum(values, 0)
    low, high = clipped.min(), clipped.max()
    return (clipped - low) / (high - low) if high > low else np.zeros_like(clipped)


def average_precision(values, mask):
    """Of the scores (1 - m, m) in fp32 against the mask, one-hot; equal scores go together."""
    counted = mask >= 0
    m, object_ = values[counted].astype(np.float32), mask[counted] == 1
    scores = np.concatenate([np.float32(1) - m, m])
    truth = np.concatenate([~object_, object_])
    order = np.argsort(-scores, kind="stable")
    scores, truth = scores[order], truth[order]
    last = np.append(scores[1:] != scores[:-1], True)  # of its group of equals
    positives = np.cumsum(truth)[last]
    seen = (np.arange(len(scores)) + 1)[last]
    return float(np.sum(np.diff(positives, prepend=0) * positives / seen) / truth.sum())


def figures(maps, masks):
    """Pixel accuracy and mean IoU over the set, the mean of average precision over pictures."""
    right = counted = 0
    both, either = np.zeros(2), np.zeros(2)
    precision = []
    for grid, mask in zip(maps, masks):
        values = scaled(enlarged(np.asarray(grid, np.float64), mask.shape[0]))
        answer = values > values.mean()
        known = mask >= 0
        right += np.sum((answer == (mask == 1)) & known)
        counted += np.sum(known)
        for c in (0, 1):
            given, true = (answer == c) & known, mask == c
            both[c] += np.sum(given & true)
            either[c] += np.sum(given | true)
        precision.append(average_precision(values, mask))
    return {"pixel_accuracy": right / counted, "mean_iou": float(np.mean(both / either)),
            "mean_ap": float(np.mean(precision))}
