"""JPEGs that need nothing but decoding: straight to pixels, in half of Pillow's time for small ones.

Nearly all of it leaves Python free for other threads. (What the decoder finds wrong with a damaged file it writes to
stderr.)
"""

import numpy as np
import torch
from torchvision.io import ImageReadMode


def decode_plain(raw: bytes) -> np.ndarray | None:
    """RGB uint8 [H, W, 3] of a JPEG whose header is `plain`, as Pillow gives it; None where it is damaged."""
    try:
        content = torch.frombuffer(bytearray(raw), dtype=torch.uint8)
        # what torchvision.io.decode_jpeg calls after looking at its arguments for as long as this takes
        pixels = torch.ops.image.decode_jpeg(content, ImageReadMode.RGB.value, False)
    except (RuntimeError, AttributeError):  # damaged; or a torchvision that no longer decodes
        return None
    return pixels.permute(1, 2, 0).numpy()
