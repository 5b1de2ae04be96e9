"""Images in the look of others by their spectrum: low frequencies lend their amplitude, the phase stays."""

import torch
from torch import Tensor


def swap_amplitudes(source: Tensor, target: Tensor, beta: float) -> Tensor:
    """Source images with the amplitudes of `target`'s lowest frequencies, both float [B, C, H, W], of any range.

    Frequencies of up to floor(beta H) and floor(beta W) periods are taken; 0 takes the mean alone. A target of another
    size than the source lends its amplitudes a pixel. What leaves the range of the images is the caller's to clamp.
    Yang and Soatto 2020, FDA: Fourier Domain Adaptation, section 3.1.
    """
    height, width = source.shape[-2:]
    ours, theirs = torch.fft.rfft2(source), torch.fft.rfft2(target)
    down, right = int(beta * height), int(beta * width)
    down, right = (min(reach, (side - 1) // 2) for reach, side in ((down, height), (right, width)))
    right = min(right, (target.shape[-1] - 1) // 2)
    down = min(down, (target.shape[-2] - 1) // 2)
    rows = list(range(down + 1)) + list(range(-down, 0))
    scale = height * width / (target.shape[-2] * target.shape[-1])
    amplitude, phase = ours.abs(), ours.angle()
    amplitude[..., rows, : right + 1] = theirs.abs()[..., rows, : right + 1] * scale
    return torch.fft.irfft2(torch.polar(amplitude, phase), s=(height, width))


def match_moments(source: Tensor, target: Tensor) -> Tensor:
    """Source images whose channels have the mean and standard deviation of `target`'s, both float [B, C, H, W].

    Reinhard et al. 2001, Color Transfer between Images, equations 10-11, in the images' own colours.
    """
    places = (-2, -1)
    spread = source.std(places, keepdim=True).clamp_min(1e-6)
    scaled = (source - source.mean(places, keepdim=True)) * (target.std(places, keepdim=True) / spread)
    return scaled + target.mean(places, keepdim=True)
