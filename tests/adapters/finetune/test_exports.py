"""A fine-tuned checkpoint of each family leaves as a Hugging Face folder and as ONNX, with the same outputs."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from families import FAMILIES  # noqa: E402

from studio import run  # noqa: E402
from studio.core.errors import UsageError  # noqa: E402
from studio.runs.export import export_checkpoint  # noqa: E402
from studio.runs.predict import load_checkpoint  # noqa: E402

DATA = {"train": "builtin:digits?per_class=4"}
TRAIN = {"epochs": 1, "batch_size": 8, "max_steps": 2, "workers": 1, "precision": "fp32"}


def trained(home, family, method="finetune/full", **params):
    recipe = {"method": method, "params": params, "model": {"backbone": FAMILIES[family]}, "data": DATA, "train": TRAIN}
    return run({**recipe, "device": "cpu"}, home=home).checkpoint


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "hf-siglip-vision"])
def test_a_hugging_face_folder_gives_the_same_logits(home, tmp_path, family):
    found = export_checkpoint(trained(home, family), "hf", tmp_path / "out", home)
    assert "same logits" in found["note"] and {"config.json", "model.safetensors"} <= set(found["files"])


def test_what_transformers_has_no_classifier_for_is_refused(home, tmp_path):
    with pytest.raises(UsageError, match="onnx and safetensors"):
        export_checkpoint(trained(home, "hf-siglip-vision"), "hf", tmp_path / "out", home)
    with pytest.raises(UsageError, match="no Hugging Face form"):
        export_checkpoint(trained(home, "timm-vit", "finetune/vpt"), "hf", tmp_path / "vpt", home)


def test_lora_leaves_merged(home, tmp_path):
    checkpoint = trained(home, "timm-vit", "finetune/lora", rank=2)
    assert "same logits" in export_checkpoint(checkpoint, "hf", tmp_path / "out", home)["note"]


@pytest.mark.parametrize(
    ("family", "method"),
    [("timm-vit", "finetune/vpt"), ("timm-convnextv2", "finetune/full"), ("hf-dinov2", "finetune/lora")],
)
def test_onnx_computes_what_torch_does(home, tmp_path, family, method):
    found = export_checkpoint(trained(home, family, method), "onnx", tmp_path / "out", home)
    assert "model.onnx" in found["files"] and "Largest difference" in found["note"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_linear_probe_of_each_family_is_solved_stored_loaded_and_predicts_the_same(home, family):
    checkpoint = trained(home, family, "finetune/linear-probe", c=0.1)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    once, again = (load_checkpoint(checkpoint, home, device="cpu").predict([picture])[0] for _ in range(2))
    assert once == again and once["label"] in "0123456789" and 0 < once["score"] <= 1
    assert sum(item["score"] for item in once["topk"]) <= 1.0 + 1e-5
