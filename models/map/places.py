"""Which maps show the same place? Largest overlap over all shifts, turns and mirrorings: `python models/map/places.py`."""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
# Two maps whose seen areas overlap by more than this share (intersection over union) are taken for one place. Low on
# purpose: to hold out too much costs little, to test on a home that was trained on would make the figures worthless.
SAME_PLACE = 0.6


def similarity(a, b):
    """Largest intersection over union of the seen cells of two grids, over shifts, turns and mirrorings."""
    from scipy.signal import fftconvolve

    a, b = (a > 0).astype(float), (b > 0).astype(float)
    best = 0.0
    for turn in range(8):
        turned = np.rot90(b, turn % 4)
        turned = turned.T if turn >= 4 else turned
        common = fftconvolve(a, turned[::-1, ::-1]).max()
        best = max(best, common / (a.sum() + b.sum() - common))
    return best


def groups(grids):
    """Names in groups, one for each place: single linkage of `similarity` above SAME_PLACE."""
    names = list(grids)
    place = {name: name for name in names}

    def root(name):
        while place[name] != name:
            name = place[name]
        return name

    for i, a in enumerate(names):
        for b in names[:i]:
            sizes = sorted(int((grids[n] > 0).sum()) for n in (a, b))
            if sizes[0] > SAME_PLACE * sizes[1] and similarity(grids[a], grids[b]) > SAME_PLACE:
                place[root(a)] = root(b)
    result = {}
    for name in names:
        result.setdefault(root(name), []).append(name)
    return list(result.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=os.environ.get("SANDERLING_SHARED", HERE.parents[2] / "shared"))
    args = parser.parse_args()
    sys.path.insert(0, str(HERE.parent))
    from map.data import held_out_name
    from map.read import maps

    try:
        grids = maps(args.shared)
    except OSError as error:
        sys.exit(f"places: {error}")
    for group in groups(grids):
        sides = {held_out_name(name) for name in group}
        print("MIXED" if len(sides) > 1 else "test " if True in sides else "train", *group)
    if any(len({held_out_name(name) for name in group}) > 1 for group in groups(grids)):
        sys.exit("places: a place stands on both sides of the split")


if __name__ == "__main__":
    main()
