"""Writes recorded, held-out frames of one model of the zoo, to replay or to judge it with.

The .npz gets `input` (float32, first axis the frames, each one the model's input without its batch)
and `label` (int64).
"""

import argparse
import importlib
import os
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("terrain", "digits", "map")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--shared", type=Path, default=os.environ.get("SANDERLING_SHARED", ROOT.parent / "shared"),
                        help="folder that holds robot-data/ (default: $SANDERLING_SHARED, else ../shared; digits needs none)")
    parser.add_argument("--out", type=Path, required=True, help=".npz to write")
    parser.add_argument("--frames", type=int, help="how many (default: all there are)")
    parser.add_argument("--seed", type=int, help="draw them at random with this seed (default: in recorded order)")
    parser.add_argument("--everything", action="store_true",
                        help="also runs and maps named like those of the training: for other recordings than those the models were trained on")
    args = parser.parse_args()
    if args.frames is not None and args.frames < 1:
        sys.exit(f"frames: --frames {args.frames} asks for nothing; give 1 or more")

    try:
        data = importlib.import_module(f"{args.model}.data")
        inputs, labels = data.held_out(args.shared, args.everything)
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"frames: {error}")
    pick = np.arange(len(inputs))
    if args.seed is not None:
        pick = np.random.default_rng(args.seed).permutation(pick)
    pick = pick[: args.frames]
    np.savez(args.out, input=inputs[pick].astype(np.float32), label=np.asarray(labels)[pick].astype(np.int64))
    print(f"{args.out}: {len(pick)} of {len(inputs)} {'' if args.everything else 'held-out '}frames of {args.model}, each float32{list(inputs.shape[1:])}")
    if args.frames is not None and args.frames > len(inputs):
        print(f"frames: only {len(inputs)} frames exist", file=sys.stderr)


if __name__ == "__main__":
    main()
