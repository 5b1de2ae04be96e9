"""Position embeddings for another number of patches."""

from math import isqrt

from torch import Tensor

from studio.core.errors import UsageError


def fit_positions(name: str, tensor: Tensor, wanted: Tensor) -> Tensor:
    """`tensor` in the shape of `wanted`: position embeddings [1, N, D] or [N, D] are resampled, others kept.

    Bicubic, without antialiasing, as the models of transformers do it themselves. Raises UsageError where a tensor
    of another shape holds no square grid of positions.
    """
    if tensor.shape == wanted.shape:
        return tensor
    from timm.layers import resample_abs_pos_embed

    prefix = _prefix(tensor, wanted) if "pos" in name and tensor.shape[-1:] == wanted.shape[-1:] else None
    if prefix is None:
        raise UsageError(
            f"model.image_size: {name} has shape {tuple(tensor.shape)}, {tuple(wanted.shape)} is needed for this size, "
            "and it can't be resampled. Use the image size that these weights were trained with."
        )
    old, new = (isqrt(table.shape[-2] - prefix) for table in (tensor, wanted))
    table = tensor.reshape(1, *tensor.shape[-2:])
    table = resample_abs_pos_embed(table, [new, new], [old, old], num_prefix_tokens=prefix, antialias=False)
    return table.reshape(wanted.shape)


def _prefix(tensor: Tensor, wanted: Tensor) -> int | None:
    """The count of leading non-image tokens for which both tables hold square grids."""
    counts = tensor.shape[-2], wanted.shape[-2]
    return next((prefix for prefix in range(min(counts)) if all(_square(count - prefix) for count in counts)), None)


def _square(count: int) -> bool:
    return isqrt(count) ** 2 == count
