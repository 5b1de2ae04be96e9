"""Fourier domain adaptation: the amplitudes of the lowest frequencies are those of another image, phases stay.

Yang and Soatto 2020, FDA: Fourier Domain Adaptation for Semantic Segmentation, equations 2 and 3. Amplitudes are
divided by the number of pixels, so that those of an image of one size serve images of another.
"""

import torch
from torch import Tensor


def half_width(size: tuple[int, int], beta: float) -> int:
    """Half the width of the window of frequencies: `beta` of the short side (height, width), rounded down."""
    return int(min(size) * beta)


def low_amplitudes(image: Tensor, half: int) -> Tensor:
    """Amplitudes [C, 2 * half + 1, 2 * half + 1] of an image [C, H, W] around frequency zero."""
    return _window(torch.fft.fft2(image, norm="forward").abs(), half)


def with_low_amplitudes(image: Tensor, amplitudes: Tensor) -> Tensor:
    """The image [C, H, W] with these amplitudes, as `low_amplitudes` gives them; phases are its own; not clipped."""
    half = min(amplitudes.shape[-1] // 2, (min(image.shape[-2:]) - 1) // 2)
    given = _window(torch.fft.ifftshift(amplitudes, dim=(-2, -1)), half)
    spectrum = torch.fft.fft2(image, norm="forward")
    rows, columns = (_places(side, half, image.device) for side in image.shape[-2:])
    place = (slice(None), rows[:, None], columns[None, :])
    spectrum[place] = torch.polar(given.to(image), spectrum[place].angle())
    return torch.fft.ifft2(spectrum, norm="forward").real


def fda(image: Tensor, target: Tensor, beta: float) -> Tensor:
    """The image [C, H, W] with the low frequencies of another: `beta` is the paper's, such as 0.01."""
    half = min(half_width(image.shape[-2:], beta), (min(target.shape[-2:]) - 1) // 2)
    return with_low_amplitudes(image, low_amplitudes(target, half))


def _window(amplitudes: Tensor, half: int) -> Tensor:
    """The frequencies -half .. half of a spectrum that begins with frequency zero, in that order."""
    rows, columns = (_places(side, half, amplitudes.device) for side in amplitudes.shape[-2:])
    return amplitudes[:, rows[:, None], columns[None, :]]


def _places(side: int, half: int, device: torch.device) -> Tensor:
    return torch.arange(-half, half + 1, device=device) % side
