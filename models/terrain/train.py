"""Trains, quantizes and judges both versions of `terrain`: `python models/terrain/train.py --shared ../shared`."""

import argparse
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import numpy as np

from terrain import data
from terrain.augment import disturb
from zoo import card, fit, oracle
from zoo.judge import classification
from zoo.net import Net
from zoo.release import release

SEED = 5
FOLDS = 5
# What the stored cross_validation.json was made with; to be emptied when it is made again.
NOTE = "It was made before training silenced groups of sensors (`_silence` in `augment.py`), with everything else as it is."


def network(widths):
    """A strided convolution over time, then separable blocks that halve it, the mean over time, one dense layer."""
    net = Net(len(data.CHANNELS), 1, data.WINDOW)
    x = net.conv("input", widths[0], (1, 9), (1, 2))
    for width in widths[1:]:
        x = net.depthwise(x, (1, 5), (1, 2))
        x = net.pointwise(x, width)
    x = net.global_average_pool(x)
    net.softmax(net.dense(net.flatten(x), len(data.LABELS)))
    return net


VERSIONS = {
    "v1": dict(widths=(12, 16, 24), steps=250, disturbed=False),
    "v2": dict(widths=(24, 32, 48, 64), steps=1500, disturbed=True),
}


def batches(runs, disturbed, size=64):
    """Random windows: surfaces alike, longer runs of a surface more often, but not in proportion to their length."""
    by_label = [[run for run in runs if run.label == label] for label in range(len(data.LABELS))]
    chances = []
    for group in by_label:
        lengths = np.sqrt([run.values.shape[1] - data.WINDOW for run in group])
        chances.append(lengths / lengths.sum())

    def draw(rng):
        labels = rng.integers(0, len(by_label), size)
        windows = []
        for label in labels:
            run = by_label[label][rng.choice(len(by_label[label]), p=chances[label])]
            start = rng.integers(0, run.values.shape[1] - data.WINDOW + 1)
            windows.append(run.values[:, start : start + data.WINDOW])
        windows = np.stack(windows)
        if disturbed:
            windows = disturb(rng, windows)
        return clipped(data.normalise(windows.transpose(1, 0, 2)).transpose(1, 0, 2))[:, :, None], labels

    return draw


def clipped(inputs):
    """What int8 will keep of the input: rare shocks beyond it would cost everything else resolution."""
    return np.clip(inputs, -data.CLIP, data.CLIP).astype(np.float32)


def train(version, runs, seed):
    """(net, (params, statistics)) of one version, trained on `runs`."""
    net = network(version["widths"])
    trained = fit.fit(net, batches(runs, version["disturbed"]), version["steps"], fit.cross_entropy(0.1), rate=2e-3, decay=1e-2, seed=seed)
    return net, trained


def cross_validate(version, runs):
    """Float accuracy when each run is judged by a network that never saw it: {accuracy, balanced_accuracy, mean_over_runs}."""
    fold = {id(run): k % FOLDS for label in range(len(data.LABELS)) for k, run in enumerate([r for r in runs if r.label == label])}
    confusion, per_run = np.zeros((len(data.LABELS),) * 2, int), {}
    for k in range(FOLDS):
        net, trained = train(version, [r for r in runs if fold[id(r)] != k], SEED + k)
        for run in (r for r in runs if fold[id(r)] == k):
            x, y, _ = data.windows([run])
            answers = fit.predict(net, *trained, clipped(x)).argmax(1)
            np.add.at(confusion, (y, answers), 1)
            per_run[run.name] = round(float((answers == y).mean()), 2)
    recall = np.diag(confusion) / confusion.sum(1)
    return {
        "accuracy": round(float(np.trace(confusion) / confusion.sum()), 4), "balanced_accuracy": round(float(recall.mean()), 4),
        "mean_over_runs": round(float(np.mean(list(per_run.values()))), 4), "per_run": per_run,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=os.environ.get("SANDERLING_SHARED", HERE.parents[2] / "shared"))
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: this one)")
    parser.add_argument("--cross-validate", action="store_true", help="only judge the architecture over all runs, into cross_validation.json (some minutes)")
    args = parser.parse_args()
    try:
        runs = data.runs(args.shared)
        test_x, test_y = data.held_out(args.shared)
    except (OSError, ValueError) as error:
        sys.exit(f"terrain: {error}")
    record = args.out / "cross_validation.json"
    if args.cross_validate:
        figures = {name: cross_validate(version, runs) for name, version in VERSIONS.items()}
        record.write_text(json.dumps(figures, indent=1) + "\n")
        print(json.dumps(figures, indent=1))
        return

    seen = [run for run in runs if run.trained_on]
    judge = classification(test_x, test_y, len(data.LABELS))
    calibration = clipped(data.windows(seen, stride=500)[0])
    print(f"terrain: {len(seen)} runs to train on, {len(runs) - len(seen)} held out, {len(test_x)} test windows")
    versions = {}
    for name, version in VERSIONS.items():
        net, trained = train(version, seen, SEED)
        print(f"terrain {name}: {net.parameters():,} parameters, {net.macs():,} MACs")
        golden = (synthetic(), None, "synthetic")
        versions[name] = release(args.out, f"terrain-{name}", net, trained, "probabilities", calibration, golden, judge)
        print(f"  float {versions[name]['float']['accuracy']}, {versions[name]['float']['balanced_accuracy']} balanced; "
              f"int8 {versions[name]['int8']['accuracy']}, {versions[name]['int8']['balanced_accuracy']} balanced")

    (args.out / "labels.txt").write_text("\n".join(data.LABELS) + "\n")
    (args.out / "input.json").write_text(json.dumps({
        "shape": [len(data.CHANNELS), 1, data.WINDOW], "rate_hz": data.RATE, "formula": "(value - offset) / scale",
        "channels": [dict(name=n, unit=u, offset=o, scale=s) for n, u, o, s in data.CHANNELS],
    }, indent=1) + "\n")
    card.write(args.out, facts(runs, test_x, versions, json.loads(record.read_text()) if record.exists() else None))


def facts(runs, test_x, versions, validation):
    """The card."""
    held = ", ".join(run.name for run in runs if not run.trained_on)
    result = {
        "name": "terrain",
        "purpose": "What surface am I driving on: asphalt, flooring, ice, sandy loam or snow? The robot is a Husky A200, a large outdoor robot with four driven wheels; it is not a vacuum robot, and the network knows nothing of one.",
        "data": "BorealTC (norlab-ulaval/BorealTC, commit fe64e386; LaRocque et al., arXiv 2403.16877), a part of it: recorded drives with IMU (100 Hz) and wheel currents and velocities (6.5 Hz). "
                "Windows of 2.56 s; wheel readings interpolated to 100 Hz. Training varies the recorded windows (mirrored, driven backwards, IMU a little askew, gains, slope, noise). No recording is in this repository.",
        "licence": "Data: CC0 1.0.",
        "split": f"By run, never by window. Held out: {held}; of each surface one or two runs of middling length, {len(test_x)} windows. All others train. "
                 "The held-out runs are few: the cross-validation over all runs says more about a new drive. The disturbances were chosen by cross-validations over all runs, the held-out ones among them.",
        "input": "`input`, float32 1x10x1x256, each channel normalised as in `input.json`: (value - offset) / scale. The channels' units differ by a factor of 100, so one int8 scale could not hold them unnormalised.",
        "output": "`probabilities`, float32 1x5, one for each line of `labels.txt`.",
        "limits": "One robot, few drives for each surface, some under conditions that occur once: a new drive can be far worse than the mean. "
                  "The golden files hold synthetic inputs (seeded noise), labelled as such: test vectors, not accuracy data.",
        "labels": data.LABELS,
        "oracle": oracle.DESCRIPTION,
        "versions": versions,
        "rebuild": ["pip install -r models/requirements-train.txt", "python models/terrain/train.py --shared ../shared --cross-validate", "python models/terrain/train.py --shared ../shared"],
    }
    if validation:
        result["cross_validation"] = validation
        result["cross_validation_note"] = NOTE
    return result


def synthetic():
    """Golden inputs that are no recordings: seeded noise that wanders, over the range that the model takes."""
    rng = np.random.default_rng(SEED)
    steps = rng.normal(0, 1, (4, len(data.CHANNELS), 1, data.WINDOW))
    wander = np.cumsum(steps, axis=3) / 16
    return clipped(np.where(rng.random((4, len(data.CHANNELS), 1, 1)) < 0.5, steps, wander))


if __name__ == "__main__":
    main()
