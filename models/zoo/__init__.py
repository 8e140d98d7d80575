"""Shared parts of the model zoo: describe a network, train it, write it as ONNX, quantize it, check it."""
