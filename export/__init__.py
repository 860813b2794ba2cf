"""From the trained network to a bundle: ONNX, precision, verification (lab side: needs torch and onnx)."""
