"""Which numbers a device computes in, and how images lie in its memory."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal

from studio.core.errors import UsageError
from studio.device.probe import Probe

if TYPE_CHECKING:
    from torch import Tensor

Precision = Literal["fp32", "fp16", "bf16"]
ModelKind = Literal["cnn", "transformer"]


def choose_precision(probe: Probe, device: str, asked: str = "auto", model_kind: ModelKind = "cnn") -> Precision:
    """bf16 where the hardware has it, else fp16 (with loss scaling), else fp32; or what was asked for.

    An explicit bf16 is granted where it pays for any kind of model. Raises UsageError where the device
    can't do what was asked.
    """
    if asked == "auto":
        if probe.bf16_ok(device, model_kind):
            return "bf16"
        return "fp16" if probe.fp16_ok(device) else "fp32"
    can = supported(probe, device)
    if asked not in can:
        slow = " (it would run, but far slower than fp32)" if device == "cpu" else ""
        raise UsageError(
            f"train.precision: {asked!r} is not for {device}{slow}. Use {' or '.join(can)}, or leave it at auto."
        )
    return asked  # type: ignore[return-value]


def supported(probe: Probe, device: str) -> list[Precision]:
    """What may be asked for on this device."""
    can: list[Precision] = ["fp32"]
    if probe.fp16_ok(device):
        can.append("fp16")
    if any(probe.bf16_ok(device, kind) for kind in ("cnn", "transformer")):
        can.append("bf16")
    return can


def choose_memory_format(device: str, model_kind: ModelKind = "cnn") -> str:
    """The name of the torch.memory_format that suits: `getattr(torch, choose_memory_format("cpu"))`.

    Convolutions run faster on channels-last images on CPUs (EfficientNet-Lite0 trains 1.4 times as fast)
    and on tensor cores; Apple's GPUs and transformers gain nothing.
    """
    if model_kind == "cnn" and not device.startswith("mps"):
        return "channels_last"
    return "contiguous_format"


def full_precision(tensor: "Tensor") -> AbstractContextManager:
    """Within it, products on the device of `tensor` are of float32, for what rounding to halves would drown."""
    import torch

    return torch.autocast(tensor.device.type, enabled=False)
