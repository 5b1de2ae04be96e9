"""Smaller forms of an ONNX file: fp16, int8, and the same network for OpenVINO."""

import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from studio.core.errors import UsageError
from studio.runs.forms.runners import NO_ONNX, NO_OPENVINO


def write_fp16(source: Path, path: Path) -> None:
    """Weights and arithmetic in half precision; images and logits stay float32."""
    onnx = _onnx()
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _quiet():
        onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), path)


def write_int8(source: Path, path: Path, calibration: Iterable[np.ndarray]) -> None:
    """Weights int8 by output channel, activations uint8 between the extremes seen in `calibration` (static, QDQ).

    `calibration` are batches of normalised images [B, 3, H, W]. Krishnamoorthi 2018, Quantizing deep convolutional
    networks for efficient inference, sections 2 and 3.
    """
    _onnx()
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with _quiet(), tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready), str(path), _Reader(calibration), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
        )  # fmt: skip


class _Reader:
    """Calibration images as ONNX Runtime asks for them."""

    def __init__(self, batches: Iterable[np.ndarray]) -> None:
        self._batches: Iterator[np.ndarray] = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        images = next(self._batches, None)
        return None if images is None else {"images": images}


def write_openvino(source: Path, path: Path) -> None:
    """The same network, in float32, for OpenVINO: `path` and its weights beside it."""
    try:
        import openvino
    except ImportError as error:
        raise UsageError(NO_OPENVINO) from error
    openvino.save_model(openvino.convert_model(str(source)), str(path), compress_to_fp16=False)


def _onnx():  # type: ignore[no-untyped-def]
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UsageError(NO_ONNX) from error
    return onnx


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice that ONNX Runtime logs about files it is given."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
