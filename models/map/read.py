"""Reads Valetudo maps: what is floor and what is wall, as grids of 10 cm cells."""

import gzip
import json
from pathlib import Path

import numpy as np

CELL_CM = 10
UNSEEN, FLOOR, WALL = 0, 1, 2


def maps(shared):
    """{file name: int8 grid of UNSEEN, FLOOR, WALL} of all maps in `shared`/robot-data/maps."""
    folder = Path(shared) / "robot-data" / "maps"
    files = sorted(folder.glob("*.json.gz"))
    if not files:
        raise FileNotFoundError(f"no maps in {folder}; give the folder that holds robot-data/maps (Valetudo, see models/map/CARD.md)")
    return {path.name.removesuffix(".json.gz"): grid(json.loads(gzip.decompress(path.read_bytes()))) for path in files}


def grid(document):
    """Grid of one map, cut to what was seen; a cell of 10 cm is wall when any of its 5 cm pixels is."""
    step = CELL_CM // document["pixelSize"]
    floor, wall = set(), set()
    for layer in document["layers"]:
        cells = wall if layer["type"] == "wall" else floor
        for x, y, run in _runs(layer):
            cells.update(((x + k) // step, y // step) for k in range(run))
    seen = np.array(sorted(floor | wall))
    low = seen.min(0)
    width, height = seen.max(0) - low + 1
    result = np.full((height, width), UNSEEN, np.int8)
    for cells, kind in ((floor, FLOOR), (wall, WALL)):
        for x, y in cells:
            result[y - low[1], x - low[0]] = kind
    return result


def _runs(layer):
    """(x, y, run length) of a layer, in the newer (runs) or the older form (pixels)."""
    flat = layer.get("compressedPixels")
    if flat:
        return zip(flat[0::3], flat[1::3], flat[2::3])
    flat = layer.get("pixels", [])
    return ((x, y, 1) for x, y in zip(flat[0::2], flat[1::2]))
