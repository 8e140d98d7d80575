"""Partly seen maps: crops of recorded homes, and what a robot in them would have seen so far.

The homes are recorded; which part of a crop has been seen is drawn: rays from two to six
standpoints, stopped by walls, as a lidar would see it.
"""

import zlib

import numpy as np

from map.read import FLOOR, UNSEEN, WALL, maps

SIDE = 64
LABELS = ["unseen or outside", "floor", "wall"]
RANGE_CELLS = 35
RAYS = 256
CROPS_PER_MAP = 60
# How far from what has been seen an answer is asked for and judged: 1 m. Further away nothing in a crop tells home from street.
HORIZON_CELLS = 10

# Starts of the names of the maps that are kept for the test: 9 maps of 5 places. None of these places shows up among the
# others (see places.py), and no robot with the same firmware stands on both sides.
HELD_OUT = ("3irobotix__converted_3790", "3irobotix__viomi", "roborock__S5_FW1886", "roborock__S5_FW2008")


def held_out_name(name):
    """Whether a map belongs to the test."""
    return name.startswith(HELD_OUT)


def crop(rng, grid):
    """A random SIDE x SIDE part of a home, with floor in its middle half, under a random turn and mirroring."""
    padded = np.pad(grid, SIDE // 2)
    ys, xs = np.nonzero(grid == FLOOR)
    pick = rng.integers(len(ys))
    shift = rng.integers(-SIDE // 4, SIDE // 4 + 1, 2)
    top = int(np.clip(ys[pick] + shift[0], 0, padded.shape[0] - SIDE))
    left = int(np.clip(xs[pick] + shift[1], 0, padded.shape[1] - SIDE))
    part = np.rot90(padded[top : top + SIDE, left : left + SIDE], rng.integers(4))
    return np.ascontiguousarray(part.T if rng.integers(2) else part)


def seen_from(part, standpoints):
    """Which cells of a crop are seen from (row, column) standpoints: up to the first wall, and that wall."""
    seen = np.zeros(part.shape, bool)
    angle = np.arange(RAYS) * (2 * np.pi / RAYS)
    reach = np.arange(0, RANGE_CELLS, 0.5)
    for row, column in standpoints:
        y = np.rint(row + np.sin(angle)[:, None] * reach).astype(int)
        x = np.rint(column + np.cos(angle)[:, None] * reach).astype(int)
        inside = (y >= 0) & (y < part.shape[0]) & (x >= 0) & (x < part.shape[1])
        kind = np.where(inside, part[np.clip(y, 0, part.shape[0] - 1), np.clip(x, 0, part.shape[1] - 1)], WALL)
        # Floor is passed; the first wall is seen and ends the ray; what the recording itself does not know ends it unseen.
        passed = np.cumprod(kind == FLOOR, axis=1).astype(bool)
        before = np.concatenate([np.ones((RAYS, 1), bool), passed[:, :-1]], axis=1)
        lit = before & inside & (kind != UNSEEN)
        seen[y[lit], x[lit]] = True
    return seen


def asked(inputs):
    """Which cells of inputs (n, 3, h, w) an answer is asked for: unseen, but no further than the horizon from a seen one."""
    from scipy.ndimage import distance_transform_edt

    return np.stack([(x[2] > 0) & (distance_transform_edt(x[2] > 0) <= HORIZON_CELLS) for x in inputs])


def example(rng, grid):
    """(input (3, SIDE, SIDE): seen floor, seen wall, unseen; truth (SIDE, SIDE)) of a random place in a home."""
    while True:
        part = crop(rng, grid)
        ys, xs = np.nonzero(part == FLOOR)
        if len(ys) < 150:
            continue
        picks = rng.integers(len(ys), size=rng.integers(2, 7))
        seen = seen_from(part, [(ys[p], xs[p]) for p in picks])
        share = seen[part != UNSEEN].mean()
        if 0.2 < share < 0.9:
            return np.stack([seen & (part == FLOOR), seen & (part == WALL), ~seen]).astype(np.float32), part


def examples(grids, count, seed):
    """`count` examples, the homes taking turns; (inputs, truths)."""
    rng = np.random.default_rng(seed)
    pairs = [example(rng, grids[k % len(grids)]) for k in range(count)]
    return np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs])


def split(shared):
    """({name: grid} for training, {name: grid} held out)."""
    grids = maps(shared)
    return ({n: g for n, g in grids.items() if not held_out_name(n)}, {n: g for n, g in grids.items() if held_out_name(n)})


def held_out(shared, everything=False):
    """(inputs (n, 3, 64, 64), truths (n, 64, 64)) of homes that training never saw, always the same ones.

    `everything`: of all maps that are found, for others than those of the training.
    """
    grids = maps(shared) if everything else split(shared)[1]
    if not grids:
        raise ValueError(f"no map in {shared}/robot-data/maps is one of those held out")
    inputs, truths = [], []
    for name, grid in grids.items():
        x, y = examples([grid], CROPS_PER_MAP, zlib.crc32(name.encode()))
        inputs.append(x)
        truths.append(y)
    # Homes take turns, so that the first frames already show all of them.
    order = np.arange(len(inputs) * CROPS_PER_MAP).reshape(len(inputs), CROPS_PER_MAP).T.ravel()
    return np.concatenate(inputs)[order], np.concatenate(truths)[order].astype(np.int64)
