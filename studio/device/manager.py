"""The device manager: the one door to every accelerator, for the page, the workers and the scripts.

Where is a lease taken? Here, `DeviceManager.lease`. It also lists devices, chooses precision and
memory format, and keeps warm models (`studio.device.warm`). `MicroBatches` goes on when memory is full
(`studio.device.memory`); hardware is reached through a `Probe` (`studio.device.probe`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from studio.core.errors import UsageError
from studio.core.home import Home
from studio.device.leases import Board, DeviceBusy, Request, Room, leased_gb
from studio.device.memory import MicroBatches, Rewind
from studio.device.precision import ModelKind, Precision, choose_memory_format, choose_precision
from studio.device.probe import DeviceInfo, Probe, TorchProbe
from studio.device.warm import WarmModels

__all__ = ["DeviceBusy", "DeviceInfo", "DeviceManager", "Lease", "MicroBatches", "Probe", "Rewind", "TorchProbe"]


@dataclass(frozen=True)
class Lease:
    """The right to use `memory_gb` of a device, until the `with` block ends."""

    device: str  # such as cpu or cuda:1
    memory_gb: float
    note: str | None = None  # what a person should know: not the kind of device one would expect


class DeviceManager:
    """Shares the devices of one machine among all processes that use one home."""

    def __init__(self, home: Home, probe: Probe | None = None, warm_gb: float = 2.0) -> None:
        """`warm_gb`: memory that models may occupy between uses (`self.warm`)."""
        self.probe: Probe = probe or TorchProbe(cache=home.root / "cpu-speed.json")
        self.warm = WarmModels(warm_gb, on_evict=self.probe.empty_cache)
        self._board = Board(home.locks)

    def list(self) -> list[DeviceInfo]:
        """All devices, with total, free and leased memory."""
        used = leased_gb(self._board.requests())
        return [replace(device, leased_gb=used[device.key]) for device in self.probe.devices()]

    @contextmanager
    def lease(
        self,
        device: str = "auto",
        memory_gb: float = 1.0,
        *,
        wait_s: float | None = None,
        interactive: bool = False,
        on_wait: Callable[[str], None] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Lease]:
        """A share of a device, for as long as the `with` block lasts or the process lives.

        `device`: auto, a kind (cuda) or an id (cuda:1); auto takes the accelerator with most free memory,
        the CPU where there is none or none is large enough. Leases share a device while their sum fits its
        total memory; others wait, first come first served. `interactive` is a person at the page, who goes
        before queued runs. `wait_s`: None waits for ever, 0 not at all. `on_wait` gets a sentence whenever
        what is waited for changes.
        Raises UsageError for an unknown device or too large a request, DeviceBusy after `wait_s`,
        StoppedByUser when `should_stop()`. A thread that leases twice at once may wait for itself.
        """
        fitting, note = _fitting(self.probe.devices(), device, memory_gb)
        rooms = [Room(one.key, one.id, one.total_gb, one.free_gb) for one in fitting]
        request = Request(rooms, memory_gb, interactive)
        with self._board.hold(request, wait_s, on_wait, should_stop) as key:
            chosen = next(one.id for one in fitting if one.key == key)
            yield Lease(chosen, memory_gb, note)

    def precision(self, device: str, asked: str = "auto", model_kind: ModelKind = "cnn") -> Precision:
        """fp32, fp16 or bf16 for a leased device; see `studio.device.precision`."""
        return choose_precision(self.probe, device, asked, model_kind)

    def memory_format(self, device: str, model_kind: ModelKind = "cnn") -> str:
        """The name of the torch.memory_format that suits; see `studio.device.precision`."""
        return choose_memory_format(device, model_kind)


def _fitting(devices: list[DeviceInfo], asked: str, memory_gb: float) -> tuple[list[DeviceInfo], str | None]:
    """The devices that a request may be given, and a note where they are not what one would expect."""
    accelerators = [one for one in devices if one.kind != "cpu"]
    wanted = (accelerators or devices) if asked == "auto" else [one for one in devices if asked in (one.id, one.kind)]
    if not wanted:
        raise UsageError(f"device: there is no {asked!r} on this machine; it has {', '.join(d.id for d in devices)}.")
    fitting = _at_least(wanted, memory_gb)
    if fitting:
        return fitting, None
    sizes = ", ".join(f"{one.id} has {one.total_gb:.1f} GB" for one in wanted)
    cpu = _at_least([one for one in devices if one.kind == "cpu"], memory_gb)
    if asked == "auto" and accelerators and cpu:
        return cpu, f"No accelerator has the {memory_gb:.1f} GB asked for ({sizes}): this runs on the CPU."
    raise UsageError(
        f"device: {memory_gb:.1f} GB are asked for, but {sizes}. "
        "Take a smaller model.backbone, model.image_size or train.batch_size."
    )


def _at_least(devices: list[DeviceInfo], memory_gb: float) -> list[DeviceInfo]:
    return [one for one in devices if one.total_gb >= memory_gb]
