"""Is bfloat16 worth it on this processor? Measured, since flags alone mislead.

Without AVX512-BF16 or AMX it is emulated, 5 to 25 times slower than float32. With AVX512-BF16 matrix
products gain twofold and more, while depthwise convolutions can lose: so one small training step of
each kind of model is timed.
"""

import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

#: bf16 is taken where it needs at most this part of float32's time; less gain drowns in casts and noise
WORTHWHILE = 0.9


def processor() -> str:
    """The processor's name, as exact as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def key() -> str:
    """What a measurement holds for: processor, vector instructions that torch uses, torch version."""
    import torch

    return f"{processor()}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"


def bf16_ratios() -> dict[str, float]:
    """Time of a training step in bf16 over that in fp32, for a `cnn` and a `transformer`; about 0.3 s."""
    import torch

    # whatever mode the caller is in; and its random numbers stay as they are
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=[]):
        return {"cnn": _ratio(*_cnn()), "transformer": _ratio(*_transformer())}


def _cnn() -> "tuple[nn.Module, Tensor]":
    """An inverted residual of EfficientNet-Lite0 (5x5 depthwise at 14 pixels), the worst case met in training it."""
    import torch
    from torch import nn

    wide = {"kernel_size": 5, "padding": 2, "groups": 672, "bias": False}
    block = nn.Sequential(
        nn.Conv2d(112, 672, 1, bias=False), nn.BatchNorm2d(672), nn.ReLU6(),
        nn.Conv2d(672, 672, **wide), nn.BatchNorm2d(672), nn.ReLU6(),
        nn.Conv2d(672, 112, 1, bias=False), nn.BatchNorm2d(112),
    )  # fmt: skip
    images = torch.randn(4, 112, 14, 14).contiguous(memory_format=torch.channels_last)
    return block.to(memory_format=torch.channels_last), images


def _transformer() -> "tuple[nn.Module, Tensor]":
    """The MLP of a ViT-Tiny block."""
    import torch
    from torch import nn

    return nn.Sequential(nn.Linear(192, 768), nn.GELU(), nn.Linear(768, 192)), torch.randn(256, 192)


def _ratio(module: "nn.Module", inputs: "Tensor", rounds: int = 7, limit_s: float = 0.5) -> float:
    """Least bf16 time over least fp32 time, taken in turns so that a busy machine hits both alike."""
    _step_s(module, inputs, bf16=True)  # the first of each sets things up
    _step_s(module, inputs, bf16=False)
    half, full, begun = [], [], time.perf_counter()
    while len(full) < rounds and (not full or time.perf_counter() - begun < limit_s):
        half.append(_step_s(module, inputs, bf16=True))
        full.append(_step_s(module, inputs, bf16=False))
    return min(half) / min(full)


def _step_s(module: "nn.Module", inputs: "Tensor", bf16: bool) -> float:
    import torch

    begun = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = module(inputs)
    output.float().sum().backward()
    return time.perf_counter() - begun
