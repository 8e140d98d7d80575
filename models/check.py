"""Checks that models, golden frames and cards belong together, and that the cards' accuracy is what the oracle gives.

Needs models/requirements.txt only. The accuracy of models whose recordings are not here is skipped, and said so.
"""

import argparse
import hashlib
import importlib
import os
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent
MODELS = ("digits", "terrain", "map")


class Wrong(Exception):
    """Something in the zoo does not belong together; the text says what and what to do."""


def require(holds, text):
    """Raises `Wrong` with `text` unless it holds."""
    if not holds:
        raise Wrong(text)


def file_is_the_cards(name, version, shared):
    """The file's digest and size stand in the card."""
    path = ROOT / name / version["file"]
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    require(found == version["sha256"], f"{path.name} has digest {found[:16]}..., the card says {version['sha256'][:16]}...; run train.py")
    require(path.stat().st_size == version["bytes"] < 200_000, f"{path.name} has {path.stat().st_size} bytes")


def oracle_gives_the_golden_outputs(name, version, shared):
    """ONNX Runtime gives the stored outputs bit for bit, in integers throughout."""
    from zoo import oracle

    path = ROOT / name / version["file"]
    golden = np.load(path.with_suffix(".golden.npz"))
    found = oracle.run(path, golden["input"])
    require(np.array_equal(found, golden["output"]), f"{path.name}: {np.sum(found != golden['output'])} of {found.size} golden outputs differ")
    kind = str(golden["kind"])
    require(kind in ("recorded", "synthetic") and (kind == "synthetic" or name == "digits"), f"{path.name}: golden inputs are {kind}")


def held_out_figures_are_the_cards(name, version, shared):
    """The figures of the card come out again on the held-out data."""
    from zoo.release import classification

    if name != "digits" and not (Path(shared) / "robot-data").is_dir():
        return f"no recordings at {shared}"
    inputs, labels = importlib.import_module(f"{name}.data").held_out(shared)
    if name == "map":
        judge = importlib.import_module("map.judge").model_judge(inputs, labels)
    else:
        judge = classification(inputs, labels, version["output"][-1])
    found = judge(ROOT / name / version["file"])
    require(found == version["int8"], f"{version['file']}: found {found}, the card says {version['int8']}")
    if name == "digits":
        require(found["accuracy"] >= 0.97, f"{version['file']}: top-1 {found['accuracy']}, at least 0.97 is promised")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=os.environ.get("SANDERLING_SHARED", ROOT.parents[1] / "shared"))
    shared = parser.parse_args().shared
    try:
        from zoo import card
    except ImportError as error:
        sys.exit(f"check: {error}; install models/requirements.txt")

    count = {"passed": 0, "failed": 0, "skipped": 0}
    for name in MODELS:
        for version in card.read(ROOT / name)["versions"].values():
            for check in (file_is_the_cards, oracle_gives_the_golden_outputs, held_out_figures_are_the_cards):
                try:
                    skipped = check(name, version, shared)
                    outcome, why = ("skipped", skipped) if skipped else ("passed", "")
                except (Wrong, OSError, KeyError, ImportError) as error:
                    outcome, why = "failed", str(error)
                count[outcome] += 1
                print(f"{outcome}: {version['file']}: {check.__name__}{': ' + why if why else ''}")
    print(", ".join(f"{n} {outcome}" for outcome, n in count.items()))
    sys.exit(count["failed"] > 0)


if __name__ == "__main__":
    main()
