"""Operator suite: small quantized ONNX graphs with ONNX Runtime's answers, one operator or one block each."""
