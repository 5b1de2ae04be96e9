"""The probe: everything about the hardware is asked here, so that tests can make up a machine.

GB are 2**30 bytes. torch is imported inside functions only.
"""

import gc
import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from studio.core.files import read_json, write_json
from studio.device import cpu_speed

GB = 2**30


@dataclass(frozen=True)
class DeviceInfo:
    """One device. `id` is what torch calls it in this process: cpu, mps, cuda:0, xpu:0."""

    id: str
    kind: str  # cpu | cuda | mps | xpu
    name: str
    total_gb: float
    free_gb: float  # as the hardware reports it, whoever uses the rest
    uuid: str = ""
    leased_gb: float = 0.0  # promised to leases, used or not (filled in by DeviceManager.list)

    @property
    def key(self) -> str:
        """The same in every process: CUDA_VISIBLE_DEVICES renumbers ids, not hardware."""
        return self.uuid or self.id


class Probe(Protocol):
    """What the device manager asks of a machine."""

    def devices(self) -> list[DeviceInfo]:
        """Every device that can be used now; the CPU is always among them."""
        ...

    def bf16_ok(self, device_id: str, model_kind: str = "cnn") -> bool:
        """Whether bfloat16 is done in hardware and not slower than float32 for a `cnn` or `transformer`."""
        ...

    def fp16_ok(self, device_id: str) -> bool:
        """Whether training with float16 and loss scaling works and pays."""
        ...

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether this exception says that the device's memory is full."""
        ...

    def empty_cache(self, device_id: str) -> None:
        """Gives memory that nothing refers to any more back to the device."""
        ...


class TorchProbe:
    """The machine as torch and psutil see it.

    `cache`: a JSON file that keeps what the CPU's bf16 measurement found, by processor and torch version.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache

    def devices(self) -> list[DeviceInfo]:
        return [*_indexed("cuda"), *_indexed("xpu"), *_mps(), _cpu()]

    def bf16_ok(self, device_id: str, model_kind: str = "cnn") -> bool:
        import torch

        kind, index = _split(device_id)
        if kind in ("cuda", "xpu"):
            module = getattr(torch, kind)
            with module.device(index):
                return module.is_bf16_supported(including_emulation=False)
        if kind == "mps":
            return torch.backends.mps.is_macos_or_newer(14, 0)
        return self._cpu_ratios()[model_kind] <= cpu_speed.WORTHWHILE

    def fp16_ok(self, device_id: str) -> bool:
        import torch

        kind, index = _split(device_id)
        if kind == "cuda":  # older GPUs than Volta compute float16 slower than float32
            return torch.cuda.get_device_capability(index) >= (7, 0)
        return kind != "cpu"

    def is_out_of_memory(self, error: BaseException) -> bool:
        import torch

        if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
            return True
        text = str(error).lower()
        return isinstance(error, RuntimeError) and any(sign in text for sign in _OUT_OF_MEMORY)

    def empty_cache(self, device_id: str) -> None:
        import torch

        gc.collect()
        kind = _split(device_id)[0]
        if kind != "cpu":
            getattr(torch, kind).empty_cache()

    def _cpu_ratios(self) -> dict[str, float]:
        """bf16 time over fp32 time by model kind, measured once a processor and torch version."""
        known = read_json(self._cache, {}) if self._cache else {}
        key = cpu_speed.key()
        if key not in known:
            known[key] = cpu_speed.bf16_ratios()
            if self._cache:
                write_json(self._cache, known)
        return known[key]


#: what allocators and libraries say where torch raises a plain RuntimeError (CPU on Linux, on Windows, cuDNN, MPS)
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "status_alloc_failed")


def _split(device_id: str) -> tuple[str, int]:
    kind, _, index = device_id.partition(":")
    return kind, int(index or 0)


def _indexed(kind: str) -> list[DeviceInfo]:
    """The devices of `cuda` (ROCm too) or `xpu`."""
    import torch

    module = getattr(torch, kind, None)
    if module is None or not module.is_available():
        return []
    found = []
    for index in range(module.device_count()):
        properties = module.get_device_properties(index)
        try:
            free = module.mem_get_info(index)[0]
        except RuntimeError:  # so full that not even a context fits
            free = 0
        sizes = properties.total_memory / GB, free / GB
        found.append(DeviceInfo(f"{kind}:{index}", kind, properties.name, *sizes, str(getattr(properties, "uuid", ""))))
    return found


def _mps() -> list[DeviceInfo]:
    import torch

    if not torch.backends.mps.is_available():
        return []
    total = torch.mps.recommended_max_memory()
    free = total - torch.mps.driver_allocated_memory()
    return [DeviceInfo("mps", "mps", "Apple GPU", total / GB, free / GB)]


def _cpu() -> DeviceInfo:
    import psutil

    memory = psutil.virtual_memory()
    total = min(memory.total, _container_limit())
    return DeviceInfo("cpu", "cpu", cpu_speed.processor(), total / GB, min(memory.available, total) / GB)


def _container_limit() -> float:
    """Bytes that this container may use (Linux control groups, version 2 and 1); infinite outside of one."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # not there, or "max"
            return int(Path(path).read_text(encoding="ascii"))
    return math.inf
