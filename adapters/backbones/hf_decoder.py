"""The decoder that a folder of a whole SegFormer has beside its encoder."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from adapters.backbones import hf_model
from adapters.backbones.safetensors_only import read_tensors
from studio.core.errors import UsageError, one_line


@dataclass(frozen=True)
class Decoder:
    """Its tensors by their names in transformers' `decode_head`, and the classes that it knows."""

    tensors: dict[str, Tensor]
    classes: list[str]

    @property
    def width(self) -> int:
        """Channels of its maps."""
        return len(self.tensors["linear_fuse.weight"])


def decoder_in(folder: Path, spec: str) -> Decoder | None:
    """That of a folder; None where it holds an encoder alone. Raises UsageError where it can't be loaded."""
    from transformers import SegformerForSemanticSegmentation

    tensors, config = read_tensors(folder), hf_model.config_in(folder)
    if not any(name.startswith("decode_head.") for name in tensors):
        return None
    try:
        with hf_model.quiet():
            whole = SegformerForSemanticSegmentation.from_pretrained(
                None, config=config, state_dict=tensors, dtype=torch.float32
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"model.backbone: the decoder of {spec} can't be loaded: {one_line(error)}") from error
    return Decoder(whole.decode_head.state_dict(), [config.id2label[place] for place in sorted(config.id2label)])
