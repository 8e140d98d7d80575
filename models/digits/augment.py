"""Small random rotations, scalings, shears and shifts of digit images, so that few writers stand for many."""

import numpy as np


def warp(rng, images, turn=0.12, scale=0.08, shear=0.10, shift=0.4):
    """Each image of (n, 1, h, w) under its own random affine map, sampled bilinearly; outside is 0.

    Standard deviations: `turn` in radians, `scale` and `shear` as ratios, `shift` in pixels.
    """
    n, _, height, width = images.shape
    angle, slant = rng.normal(0, turn, n), rng.normal(0, shear, n)
    size = np.exp(rng.normal(0, scale, (n, 2)))
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.stack([cos, slant - sin, sin, cos], 1).reshape(n, 2, 2) / size[:, :, None]
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1) - middle
    at = np.einsum("nij,hwj->nhwi", matrix, grid) + middle + rng.normal(0, shift, (n, 1, 1, 2))

    low = np.floor(at).astype(int)
    part = at - low
    padded = np.pad(images[:, 0], ((0, 0), (1, 1), (1, 1)))
    pick = np.arange(n)[:, None, None]
    result = np.zeros((n, height, width))
    for dy in (0, 1):
        for dx in (0, 1):
            y = np.clip(low[..., 0] + dy + 1, 0, height + 1)
            x = np.clip(low[..., 1] + dx + 1, 0, width + 1)
            weight = (part[..., 0] if dy else 1 - part[..., 0]) * (part[..., 1] if dx else 1 - part[..., 1])
            result += weight * padded[pick, y, x]
    return result[:, None].astype(np.float32)
