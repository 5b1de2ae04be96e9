"""The shipped presets of fine-tuning: refused in one sentence without a hub, and run with a network that is here."""

import pytest
import timm

from studio import run
from studio.core.errors import UsageError

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
PRESETS = ["vit-finetune", "vit-lora", "vit-lpft", "dinov2-linear-probe"]
QUICK = {
    "model.image_size": 32, "data.train": "builtin:digits?per_class=3", "train.epochs": 1, "train.batch_size": 8,
    "train.workers": 1, "device": "cpu",
}  # fmt: skip


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_whose_weights_are_on_a_hub_says_so_offline_and_what_is_usable(preset, home, offline):
    with pytest.raises(
        UsageError, match=r"can't be reached.*Usable without it: pip/tf_efficientnet_lite0.*file:FOLDER"
    ):
        run(preset, home=home)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_runs_with_a_local_folder(preset, home, offline, tmp_path):
    network = timm.create_model("vit_tiny_patch16_224", num_classes=5, **SMALL)
    timm.models.save_for_hf(network, tmp_path / "network", safe_serialization=True)
    result = run(preset, {**QUICK, "model.backbone": f"file:{tmp_path / 'network'}"}, home=home)
    assert result.status == "finished" and result.checkpoint and 0 <= result.metrics["accuracy"] <= 1


@pytest.mark.draws
def test_a_preset_runs_untrained(home, offline):
    arguments = "&".join(f"{name}={value}" for name, value in SMALL.items())
    backbone = f"timm/vit_tiny_patch16_224?random&{arguments}"
    assert run("vit-finetune", {**QUICK, "model.backbone": backbone}, home=home).status == "finished"
