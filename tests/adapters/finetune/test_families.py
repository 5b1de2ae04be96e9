"""Every family the whole way: trained, stored, loaded, predicting, exported; two of them by every method that fits."""

import functools
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from families import FAMILIES, NO_PROMPTS  # noqa: E402

from studio import run  # noqa: E402
from studio.core.errors import UsageError  # noqa: E402
from studio.data import open_data  # noqa: E402
from studio.runs.export import export_checkpoint  # noqa: E402
from studio.runs.predict import load_checkpoint  # noqa: E402

METHODS = {
    "finetune/linear-probe": {"c": 0.1},
    "finetune/full": {"layer_decay": 0.8},
    "finetune/lp-ft": {"c": 0.1},
    "finetune/lora": {"rank": 2},
    "finetune/bitfit": {},
    "finetune/vpt": {"prompts": 2},
    "finetune/wise-ft": {"steps": 1, "c": 0.1},
}
NO_HF = {"finetune/vpt": "no Hugging Face form", "hf-siglip-vision": "onnx and safetensors"}
DATA = {"train": "builtin:digits?per_class=4"}
TRAIN = {"epochs": 1, "batch_size": 8, "max_steps": 2, "workers": 1, "precision": "fp32"}
IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))


#: of the others, what reaches deepest into a network; that each method's state is whole, test_methods.py asks of all
DEEPEST = ("finetune/full", "finetune/lora", "finetune/vpt")
WHOLE = ("timm-vit", "hf-swin")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The images on which exports are compared are made once."""
    monkeypatch.setattr("studio.runs.export.open_data", opened)


opened = functools.cache(open_data)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_goes_the_whole_way(home, tmp_path, family):
    made = {}
    for method in METHODS if family in WHOLE else DEEPEST:
        params = METHODS[method]
        recipe = {"method": method, "params": params, "data": DATA, "train": TRAIN, "device": "cpu"}
        model = {"backbone": FAMILIES[family]}
        if method == "finetune/wise-ft":
            model["checkpoint"] = made["finetune/full"]
        if method == "finetune/vpt" and family in NO_PROMPTS:
            with pytest.raises(UsageError, match="finetune/lora fits it"):
                run({**recipe, "model": model}, home=home)
            continue
        result = run({**recipe, "model": model}, home=home)
        assert result.status == "finished" and 0 <= result.metrics["accuracy"] <= 1
        made[method] = result.checkpoint
        once, again = (load_checkpoint(result.checkpoint, home, device="cpu").predict([IMAGE])[0] for _ in range(2))
        assert once == again and once["label"] in "0123456789" and 0 < once["score"] <= 1, method
        leaves_as_a_hugging_face_folder(home, tmp_path / method.replace("/", "-"), family, method, result.checkpoint)
    said = export_checkpoint(made["finetune/lora"], "onnx", tmp_path / "onnx", home)
    assert "model.onnx" in said["files"] and "Largest difference" in said["note"]


def leaves_as_a_hugging_face_folder(home, folder, family, method, checkpoint):
    """With the same logits on real images, or refused with what fits instead."""
    refused = NO_HF.get(family) or NO_HF.get(method)
    if refused:
        with pytest.raises(UsageError, match=refused):
            export_checkpoint(checkpoint, "hf", folder, home)
        return
    found = export_checkpoint(checkpoint, "hf", folder, home)
    assert "same logits" in found["note"] and {"config.json", "model.safetensors"} <= set(found["files"])


@pytest.mark.parametrize("method", ["finetune/linear-probe", "finetune/full", "finetune/vpt"])
def test_onnx_computes_what_torch_does_whatever_the_method(home, tmp_path, method):
    recipe = {"method": method, "params": METHODS[method], "model": {"backbone": FAMILIES["timm-vit"]}}
    checkpoint = run({**recipe, "data": DATA, "train": TRAIN, "device": "cpu"}, home=home).checkpoint
    assert "Largest difference" in export_checkpoint(checkpoint, "onnx", tmp_path / "out", home)["note"]
