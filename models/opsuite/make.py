"""Writes the operator suite: one .onnx and one .npz for each case, and index.json.

The .npz holds `input` (first axis the frames, each fed with a batch of 1) and `output`, what ONNX
Runtime gives. index.json says for each case the operator, the tolerance in steps of the output's
scale, and whether ONNX Runtime itself ran it in integers ("fused") or left something in float.
The same seed gives the same files.
"""

import argparse
import json
import sys
import zlib
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write to; made when it is missing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="write only the cases whose name contains this")
    parser.add_argument("--operators", default="", help="also write the onnx package's node tests of these operators, separated by commas")
    args = parser.parse_args()
    try:
        from opsuite import activated, attention, biases, blocks, convolution, dense, elementwise, exporters, floats, gathering, movement, nets, pairs
        from opsuite import patterns, pooling, recurrent
        from opsuite import nodes, reductions, tails, transposed, wide
        from opsuite.graph import check
        from zoo import oracle
    except ImportError as error:
        sys.exit(f"opsuite: {error}; install models/requirements.txt")

    families = (
        convolution, transposed, dense, biases, elementwise, activated, floats, pooling, reductions, movement, gathering, attention, recurrent, tails, blocks, nets,
        patterns, pairs, exporters, wide,
    )
    cases = [case for family in families for case in family.cases() if args.only in case.name]
    if not cases:
        sys.exit(f"opsuite: no case has a name that contains {args.only!r}")
    args.out.mkdir(parents=True, exist_ok=True)
    index, seen = [], set()
    for case in cases:
        if case.name in seen:
            raise ValueError(f"two cases are named {case.name}")
        seen.add(case.name)
        graph = case.build(np.random.default_rng([args.seed, zlib.crc32(case.name.encode())]))
        model = graph.model(case.name)
        try:
            check(model)
            opened = oracle.opened(model)
            output = opened.run(graph.frames)
            operators = opened.operators()
        except Exception as error:
            raise ValueError(f"{case.name}: {error}") from error
        left = opened.float_operators()
        (args.out / f"{case.name}.onnx").write_bytes(model.SerializeToString())
        np.savez(args.out / f"{case.name}.npz", input=_narrow(graph.frames), output=_narrow(output))
        index.append({
            "name": case.name, "operator": case.operator, "executors": ["engine", "tract"] if graph.form == "qdq" else ["engine"], "source": "opsuite",
            "absolute": case.absolute, "steps": {"output": graph.output_scale}, "form": graph.form, "activations": graph.dtype, "opset": graph.opset,
            "tolerance": case.tolerance, "relative": case.relative, "output_scale": graph.output_scale, "frames": len(graph.frames),
            "input_shape": [1, *graph.frames.shape[1:]], "output_shape": [1, *output.shape[1:]], "output_type": str(output.dtype),
            "fused": not left, "float_operators": left, "onnxruntime_graph": dict(sorted(operators.items())), "setting": opened.setting,
        })
    operators, left_out = [o for o in args.operators.split(",") if o], []
    if operators:
        found, left_out = nodes.cases(operators)
        index += [nodes.write(case, args.out, _narrow) for case in found if args.only in case.name]
    (args.out / "index.json").write_text(json.dumps({"oracle": oracle.DESCRIPTION, "settings": oracle.settings(index), "seed": args.seed, "operators": operators, "left_out": left_out, "cases": index}, indent=1) + "\n")
    print(f"{args.out}: {len(index)} cases, {sum(c['fused'] for c in index)} in integers throughout ONNX Runtime; {len(left_out)} node tests left out")


def _narrow(array):
    """Indices in 32 bits, as plans have them."""
    return array.astype(np.int32) if array.dtype == np.int64 else array


if __name__ == "__main__":
    main()
