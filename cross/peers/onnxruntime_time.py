"""Times ONNX Runtime on one model and frame with one thread; prints one JSON object.

usage: onnxruntime_time.py MODEL.onnx FRAME.npz SECONDS
"""

import json
import os
import sys
import time

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy
import onnxruntime


def main(model: str, frame: str, seconds: float) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Otherwise as it comes: with `session.qdqisint8allowed`, which the oracle of the tests sets for
    # exact integers, it takes four to five times as long.
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    arrays = numpy.load(frame)
    feeds = {}
    for port in session.get_inputs():
        array = arrays["input" if len(session.get_inputs()) == 1 else port.name]
        feeds[port.name] = array.reshape([d if isinstance(d, int) else 1 for d in port.shape])
    # Bound once: what is timed is the run, not the conversion of Python objects.
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    for port in session.get_outputs():
        binding.bind_output(port.name)
    for _ in range(20):
        session.run_with_iobinding(binding)
    times = []
    start = time.perf_counter_ns()
    while not times or time.perf_counter_ns() - start < seconds * 1e9:
        one = time.perf_counter_ns()
        session.run_with_iobinding(binding)
        times.append(time.perf_counter_ns() - one)
    times.sort()
    print(json.dumps({"median_us": times[len(times) // 2] / 1e3, "runs": len(times), "version": onnxruntime.__version__}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
