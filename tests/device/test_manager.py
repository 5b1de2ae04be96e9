"""Precision, memory format, and the probe of the machine at hand."""

import json
import runpy
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from studio.core.errors import UsageError
from studio.device import cpu_speed
from studio.device.manager import DeviceInfo, DeviceManager, TorchProbe

TwoSmallGpus = runpy.run_path(str(Path(__file__).with_name("two_small_gpus.py")))["TwoSmallGpus"]


@pytest.mark.parametrize(
    ("device", "asked", "bf16", "fp16", "gives"),
    [
        ("cuda:0", "auto", ["cuda:0"], ["cuda:0"], "bf16"),
        ("cuda:0", "auto", [], ["cuda:0"], "fp16"),
        ("cuda:1", "auto", ["cuda:0"], ["cuda:0"], "fp32"),
        ("cpu", "auto", [], [], "fp32"),
        ("cpu", "auto", ["cpu"], [], "bf16"),
        ("cuda:0", "fp32", ["cuda:0"], ["cuda:0"], "fp32"),
        ("cuda:0", "fp16", ["cuda:0"], ["cuda:0"], "fp16"),
        ("cpu", "bf16", [("cpu", "transformer")], [], "bf16"),
        ("cpu", "auto", [("cpu", "transformer")], [], "fp32"),
        ("cpu", "bf16", [], [], UsageError),
        ("cpu", "fp16", ["cpu"], [], UsageError),
        ("cuda:1", "bf16", ["cuda:0"], ["cuda:1"], UsageError),
    ],
)
def test_precision_is_bf16_then_fp16_then_fp32_or_what_was_asked_for(home, device, asked, bf16, fp16, gives):
    manager = DeviceManager(home, TwoSmallGpus(bf16=bf16, fp16=fp16))
    if isinstance(gives, str):
        assert manager.precision(device, asked) == gives
    else:
        with pytest.raises(gives, match=f"{asked}.*{device}.*fp32"):
            manager.precision(device, asked)


def test_a_kind_of_model_that_gains_from_bf16_gets_it(home):
    manager = DeviceManager(home, TwoSmallGpus(bf16=[("cpu", "transformer")]))
    assert manager.precision("cpu", model_kind="transformer") == "bf16"


def test_memory_formats_are_names_that_torch_knows(home):
    manager = DeviceManager(home, TwoSmallGpus())
    names = {(d, k): manager.memory_format(d, k) for d in ("cpu", "cuda:0", "mps") for k in ("cnn", "transformer")}
    assert names.pop(("cpu", "cnn")) == names.pop(("cuda:0", "cnn")) == "channels_last"
    assert set(names.values()) == {"contiguous_format"}
    assert {type(torch.channels_last), type(torch.contiguous_format)} == {torch.memory_format}


def test_this_machine_has_a_cpu_with_memory_and_a_lease_of_it_works(home):
    manager = DeviceManager(home)
    cpu = manager.list()[-1]
    assert cpu.id == "cpu" and 0 < cpu.free_gb <= cpu.total_gb and cpu.leased_gb == 0
    with manager.lease("cpu", 0.1, wait_s=0) as lease:
        assert torch.ones(1, device=lease.device).item() == 1
        assert manager.precision(lease.device, "fp32") == "fp32"


def test_two_gpus_are_listed_with_their_memory_though_one_is_full(monkeypatch):
    def mem_get_info(index):
        if index == 1:
            raise torch.OutOfMemoryError("CUDA error: out of memory")
        return 3 * 2**30, 4 * 2**30

    properties = SimpleNamespace(name="Small GPU", total_memory=4 * 2**30, uuid="a-b-c")
    gpus = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_device_properties": lambda index: properties,
        "mem_get_info": mem_get_info,
        "device": nullcontext,
        "get_device_capability": lambda index: (7, 5) if index else (6, 1),
        "is_bf16_supported": lambda including_emulation: including_emulation,
    }
    for name, value in gpus.items():
        monkeypatch.setattr(torch.cuda, name, value)
    first, second, cpu = TorchProbe().devices()
    assert first == DeviceInfo("cuda:0", "cuda", "Small GPU", 4.0, 3.0, "a-b-c")
    assert (second.id, second.free_gb, cpu.id) == ("cuda:1", 0.0, "cpu")
    assert not TorchProbe().bf16_ok("cuda:1")  # emulated bf16 does not count
    assert TorchProbe().fp16_ok("cuda:1") and not TorchProbe().fp16_ok("cuda:0")


def test_bf16_is_measured_once_and_never_chosen_where_it_is_slower(home, monkeypatch):
    calls = []
    monkeypatch.setattr(cpu_speed, "bf16_ratios", lambda: calls.append(1) or {"cnn": 1.02, "transformer": 0.5})
    for _ in range(2):
        probe = DeviceManager(home).probe
        assert not probe.bf16_ok("cpu", "cnn")
        assert probe.bf16_ok("cpu", "transformer")
    assert len(calls) == 1
    (key,) = json.loads((home.root / "cpu-speed.json").read_text())
    assert cpu_speed.processor() in key and torch.__version__ in key


def test_an_unreadable_measurement_is_made_again(home, monkeypatch):
    (home.root / "cpu-speed.json").write_text('{"half')
    monkeypatch.setattr(cpu_speed, "bf16_ratios", lambda: {"cnn": 0.4, "transformer": 0.4})
    assert DeviceManager(home).precision("cpu") == "bf16"


def test_the_measurement_is_real_and_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with torch.inference_mode():
        ratios = cpu_speed.bf16_ratios()
    assert torch.equal(torch.rand(3), expected)
    assert set(ratios) == {"cnn", "transformer"} and all(0.01 < ratio < 1000 for ratio in ratios.values())


def test_running_out_of_memory_is_told_from_other_errors():
    probe = TorchProbe()
    with pytest.raises(RuntimeError) as full:
        torch.empty(2**60, dtype=torch.uint8)
    assert probe.is_out_of_memory(full.value)
    assert probe.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert probe.is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"))
    assert probe.is_out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))
    with pytest.raises(RuntimeError) as shapes:
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert not probe.is_out_of_memory(shapes.value)
    assert not probe.is_out_of_memory(ValueError("out of memory"))


def test_importing_and_leasing_need_no_torch(tmp_path):
    script = (
        "import sys; from studio.device.manager import DeviceManager; from studio.core.home import Home\n"
        f"DeviceManager(Home.find({str(tmp_path)!r}))\n"
        "sys.exit('torch' in sys.modules or 'gradio' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 0
