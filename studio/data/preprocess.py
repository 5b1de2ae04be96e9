"""How an image becomes a backbone's input: the one description that training, prediction and export share."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Preprocess:
    """Resize (short side to image_size / crop_pct), centre crop, scale to 0..1, normalise by mean and std.

    `squash` resizes both sides to image_size instead, keeping everything in view. `aspect` is the height of the input
    over its width: the height is image_size, the width less where people stand.
    """

    image_size: int = 224
    crop_pct: float = 0.875
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    squash: bool = False
    aspect: float = 1.0

    @property
    def width(self) -> int:
        """Of the input, in pixels."""
        return self.image_size if self.aspect == 1 else max(1, round(self.image_size / self.aspect))

    def with_size(self, image_size: int | None) -> "Preprocess":
        return self if image_size is None else replace(self, image_size=image_size)

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        if self.aspect == 1:  # of nearly all: what is remembered of them keeps its name
            values.pop("aspect")
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preprocess":
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})
