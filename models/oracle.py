"""Runs a model in ONNX Runtime with the oracle's settings and writes what it gives for each frame."""

import argparse
import sys
import zipfile
from pathlib import Path

import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="ONNX model with one input and a batch of 1")
    parser.add_argument("--input", type=Path, required=True, help=".npz with an array `input`, first axis the frames")
    parser.add_argument("--output", type=Path, required=True, help=".npz to write: array `output` with the same first axis")
    args = parser.parse_args()
    for path in (args.model, args.input):
        if not path.is_file():
            sys.exit(f"oracle: {path} does not exist; give the path of a file")
    try:
        frames = np.load(args.input)["input"]
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        sys.exit(f"oracle: {args.input} is not an .npz with an array `input`: {error}")

    from zoo import oracle

    try:
        opened = oracle.opened(args.model)
        # Answers in the model's own type and order; the frames keep theirs.
        output = opened.run(frames)
    except Exception as error:  # ONNX Runtime raises classes of its own, without a common base
        sys.exit(f"oracle: {args.model} does not run on {args.input} {frames.dtype}{list(frames.shape)}: {str(error).splitlines()[0]}")
    np.savez(args.output, output=output)
    print(f"{args.output}: output {output.dtype}{list(output.shape)}, {oracle.DESCRIPTION} Setting: {opened.setting}.")


if __name__ == "__main__":
    main()
