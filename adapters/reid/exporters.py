"""An embedding as ONNX: images in, unit vectors out. The gallery stays behind."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from studio.core.errors import StudioError

TOLERANCE = 1e-3  # largest difference of an embedding's numbers that still counts as the same network


class Embedding(nn.Module):
    """images [B, 3, H, W], normalised -> what is compared [B, D]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network.embed(images)


class SolvedEmbedding(nn.Module):
    """A frozen backbone and a solved metric as one network: (x / |x| - mean) W, of unit length where `unit`."""

    def __init__(self, backbone: nn.Module, mean: np.ndarray, weights: np.ndarray, unit: bool) -> None:
        super().__init__()
        self.backbone, self.unit = backbone, unit
        self.register_buffer("mean", torch.from_numpy(mean).float())
        self.register_buffer("weights", torch.from_numpy(weights).float())

    def forward(self, images: Tensor) -> Tensor:
        features = nn.functional.normalize(self.backbone.embed(images).float(), dim=1)
        embeddings = (features - self.mean) @ self.weights
        return nn.functional.normalize(embeddings, dim=1) if self.unit else embeddings


def write_onnx(model: Any, images: Tensor, folder: Path) -> tuple[str, str]:
    """`model.onnx` of a loaded checkpoint: what to know of it, and what it puts out.

    Raises StudioError where it can't be written, or computes something else.
    """
    import onnxruntime

    module, path = model.predictor.module().eval(), folder / "model.onnx"
    batch = torch.export.Dim("batch", min=1, max=4096)
    try:
        torch.onnx.export(
            module, (images[:2],), str(path), input_names=["images"], output_names=["embeddings"],
            dynamic_shapes=({0: batch},), dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
    except Exception as error:  # an exporter may raise anything
        path.unlink(missing_ok=True)
        words = " ".join(str(error).split())[:120]
        raise StudioError(f"This network can't be written as ONNX ({type(error).__name__}: {words}).") from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected, found = module(images).numpy(), session.run(None, {"images": images.numpy()})[0]
    difference = float(np.abs(expected - found).max()) / max(1.0, float(np.abs(expected).max()))
    if not difference <= TOLERANCE:
        path.unlink(missing_ok=True)
        raise StudioError(f"The exported network computes something else: embeddings differ by {difference:.2e}.")
    return (
        f"Largest difference from torch on {len(images)} images: {difference:.1e}. The gallery is not in the file: "
        "embeddings of people are personal data, and stay in the checkpoint."
    ), "embeddings [batch, D]; the smaller the Euclidean distance, the likelier the same individual"
