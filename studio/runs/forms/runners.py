"""Each form as a function: normalised images float32 [B, 3, H, W] to logits float32 [B, C]."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from studio.core.errors import UsageError

Form = Callable[[np.ndarray], np.ndarray]

NO_ONNX = "ONNX needs more packages: pip install onnx onnxscript onnxruntime."
NO_OPENVINO = "OpenVINO is not installed: pip install openvino."


def onnx_form(path: Path, threads: int | None = None) -> Form:
    """An ONNX file on this processor; `threads` None takes all cores. Raises UsageError without ONNX Runtime."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(NO_ONNX) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]


def openvino_form(path: Path, threads: int | None = None) -> Form:
    """An OpenVINO model on this processor. Raises UsageError without OpenVINO."""
    try:
        import openvino
    except ImportError as error:
        raise UsageError(NO_OPENVINO) from error
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        config["INFERENCE_NUM_THREADS"] = str(threads)
    compiled = openvino.Core().compile_model(str(path), "CPU", config)
    return lambda images: compiled([images])[0]


def torch_form(module, device: str = "cpu") -> Form:  # type: ignore[no-untyped-def]
    """A torch module on `device`; the copies to it and back are part of the work."""
    import torch

    module = module.eval().to(device)

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(images).to(device)).float().cpu().numpy()

    return run
