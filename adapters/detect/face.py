"""The face of a detector: a Learner of boxes."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from studio.core.errors import UsageError
from studio.core.faces import Learner
from studio.data.boxes import Detections


class Detector(Learner):
    """A Learner of boxes: all corners are xyxy in pixels of the input.

    `losses` gets images [B, 3, H, W], boxes [B, M, 4] and labels [B, M], -1 where padded.
    """

    face = "Detector"
    #: `module(pixel_values=...)` gives as many answers for every image, logits [B, Q, C] and pred_boxes [B, Q, 4]
    fixed_queries: ClassVar[bool] = False
    #: classes that a detector which was pretrained as a whole knows already, once `setup` has seen it
    pretrained_classes: list[str] | None = None

    @property
    def needs_start(self) -> bool:
        """It learns on top of what a trained detector knows, and can't begin without one."""
        return False

    def require_side(self, side: int, key: str) -> None:
        """Raises UsageError, naming the `key` that asks for it, where a square input of `side` pixels is too small."""

    def predict(self, images: Tensor) -> list[Detections]:  # type: ignore[override]
        """What is found in each of images [B, 3, H, W], by the model's own post-processing; in evaluation mode."""
        raise NotImplementedError

    def inherit(self, state: dict[str, Tensor], before: Sequence[str], classes: Sequence[str]) -> list[str]:
        """Takes over the tensors of the same detector made for the classes `before`; returns those it knew already."""
        raise NotImplementedError

    def query_heatmaps(self, images: Tensor, most: int) -> tuple[str, list[Detections], list[Tensor]] | None:
        """Where the surest `most` queries look: a name, what they found in each of images [B, 3, S, S], and heat
        [most, h, w] in 0..1 of each; None where there are no queries."""
        return None

    def save_hugging_face(self, preprocess: Any, folder: Any) -> None:
        """Writes a folder for AutoModelForObjectDetection; UsageError where the detector is none of transformers."""
        raise UsageError(f"format hf: {self.id} is no detector of transformers; it exports as safetensors only.")

    def predict_before_nms(self, images: Tensor) -> list[Detections]:
        """As `predict`, with the boxes that it would drop as duplicates of surer ones."""
        return self.predict(images)
