"""A made-up machine of two 4 GB GPUs; run as a script, a process that leases from it.

`two_small_gpus.py HOME DEVICE GB [--interactive]` prints what it waits for, then `got DEVICE`, holds
the lease until its input is closed, and prints `left`. With `--restless` it takes and gives back leases
until it is killed.
"""

import sys
from pathlib import Path

from studio.core.home import Home
from studio.device.manager import DeviceInfo, DeviceManager


class OutOfMemory(RuntimeError):
    """What this machine raises when its memory is full."""


class TwoSmallGpus:
    """A probe: cuda:0 and cuda:1 with 4 GB each, and a CPU with 16 GB."""

    def __init__(self, free=(4.0, 4.0), bf16=(), fp16=("cuda:0", "cuda:1"), order=(0, 1)):
        self.free, self.bf16, self.fp16, self.order = free, bf16, fp16, order
        self.emptied = []

    def devices(self):
        gpus = [
            DeviceInfo(f"cuda:{index}", "cuda", "Small GPU", 4.0, self.free[gpu], uuid=f"GPU-{gpu}")
            for index, gpu in enumerate(self.order)
        ]
        return [*gpus, DeviceInfo("cpu", "cpu", "Small CPU", 16.0, 12.0)]

    def bf16_ok(self, device_id, model_kind="cnn"):
        return device_id in self.bf16 or (device_id, model_kind) in self.bf16

    def fp16_ok(self, device_id):
        return device_id in self.fp16

    def is_out_of_memory(self, error):
        return isinstance(error, OutOfMemory)

    def empty_cache(self, device_id):
        self.emptied.append(device_id)


def main(home, device, memory_gb, *flags):
    def say(text):
        print(text, flush=True)

    manager = DeviceManager(Home.find(Path(home)), TwoSmallGpus())
    while "--restless" in flags:
        with manager.lease(device, float(memory_gb)):
            say("got")
    with manager.lease(device, float(memory_gb), interactive="--interactive" in flags, on_wait=say) as lease:
        say(f"got {lease.device}")
        sys.stdin.read()
    say("left")


if __name__ == "__main__":
    main(*sys.argv[1:])
