"""The forms of a classifier's network: torch, ONNX, ONNX in fp16 and int8, OpenVINO; written, run and judged.

All go from normalised images [B, 3, H, W] to logits [B, C]. May use what studio.runs may.
"""
