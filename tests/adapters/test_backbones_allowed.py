"""No code from outside: what a name, a manifest or a config.json may say of a network, and what is refused by name."""

import builtins
import io
import json
import socket
from pathlib import Path

import pytest
import torch

from adapters.backbones import allowed
from studio.core import registry
from studio.core.errors import UsageError

TINY = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
VIT = {
    "model_type": "vit", "image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 32,
}  # fmt: skip


class Trap:
    """A file with a pickle of protocol 0 that runs code, and the proof of whether it ran or was opened."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path, self.ran, self.opened = folder / name, folder / "ran", False
        self.path.write_bytes(b"cpathlib\nPath\n(V%s\ntR." % str(self.ran).encode() + b"cposix\nsystem\n(Vtouch "
                              + str(self.ran).encode() + b"\ntR.")  # fmt: skip

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real, real_io = builtins.open, io.open

        def spy(opener):
            def opening(file, *rest, **named):
                self.opened |= str(file) == str(self.path)
                return opener(file, *rest, **named)

            return opening

        monkeypatch.setattr(builtins, "open", spy(real))
        monkeypatch.setattr(io, "open", spy(real_io))

    @property
    def sprung(self) -> bool:
        return self.opened or self.ran.exists()


@pytest.fixture
def trap(tmp_path, monkeypatch) -> Trap:
    trap = Trap(tmp_path, "photo.jpg")
    trap.watch(monkeypatch)
    return trap


@pytest.fixture
def no_network(monkeypatch):
    """Every attempt to reach a host fails the test, even one that a library would swallow."""
    calls: list[object] = []

    def refuse(*given, **named):
        calls.append(given)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert calls == []


# --- the name of a backbone ---------------------------------------------------------------------


@pytest.mark.parametrize("model", ["test_resnet", "test_vit", "test_efficientnet"])
@pytest.mark.parametrize(
    "option",
    ["checkpoint_path={}", "pretrained_cfg={}", "cache_dir={}", "pretrained_cfg_overlay={{'file':'{}'}}",
     "pretrained_cfg={{'file':'{}','custom_load':True}}", "features_only=true&checkpoint_path={}", "pretrained=true",
     "pretrained_strict=false&checkpoint_path={}", "hybrid_backbone={}", "feature_cfg={{'file':'{}'}}",
     "pretrained_model_args={{'checkpoint_path':'{}'}}", "model_cfg={}", "pruned=true", "block_args={}"],
)  # fmt: skip
def test_no_option_of_a_timm_name_reaches_a_file(model, option, trap, no_network):
    with pytest.raises(UsageError, match="take no option"):
        registry.backbone(f"timm/{model}?random&" + option.format(trap.path))
    assert not trap.sprung


@pytest.mark.parametrize(
    "spec",
    ["timm/local-dir:{}?random", "timm/hf-hub:evil/model?random", "timm/hf_hub:evil/model?random",
     "studio/conv4?in_chans={}", "studio/conv4?checkpoint_path={}", "pip/tf_efficientnet_lite0?checkpoint_path={}",
     "hf/vit?random&_name_or_path={}", "hf/vit?random&auto_map={{'AutoModel':'{}'}}", "hf/timm_wrapper?random",
     "hf/timm_wrapper?random&architecture=local-dir:{}", "hf/vit?random&hidden_act={}", "hf/detr?random&backbone={}",
     "hf/detr?random&backbone=evil/model&use_timm_backbone=false", "hf/vit?random&_attn_implementation=evil/kernel",
     "hf/vit?random&attn_implementation=evil/kernel", "hf/vit?random&transformers_weights={}",
     "hf/vit?random&quantization_config={{'quant_method':'{}'}}", "hf/timm_backbone?random&backbone=local-dir:{}",
     "hf/rt_detr?random&backbone_config={{'model_type':'timm_backbone','backbone':'hf-hub:evil/model'}}"],
)  # fmt: skip
def test_no_other_name_reaches_a_file_a_hub_or_code(spec, trap, no_network):
    with pytest.raises(UsageError):
        registry.backbone(spec.format(trap.path))
    assert not trap.sprung


def test_an_unknown_option_is_refused_with_the_nearest_known_one():
    with pytest.raises(UsageError, match="'num_hed'.*num_heads"):
        registry.backbone("timm/test_vit?random&num_hed=2")
    with pytest.raises(UsageError, match="num_heads is a whole number"):
        registry.backbone("timm/test_vit?random&num_heads=two")
    with pytest.raises(UsageError, match="'widht'.*width"):
        registry.backbone("studio/conv4?widht=2")


def test_sizes_are_bounded():
    for value in ("99999999999", "1e300", "nan"):
        with pytest.raises(UsageError):
            registry.backbone(f"timm/test_vit?random&embed_dim={value}")


# --- what a manifest says -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "architecture",
    [
        {"library": "timm", "name": "test_resnet", "arguments": {"checkpoint_path": "FILE"}, "config": None},
        {"library": "timm", "name": "test_resnet", "arguments": {"pretrained_cfg_overlay": {"file": "FILE"}}},
        {"library": "timm", "name": "test_resnet", "arguments": {"kwargs": {"checkpoint_path": "FILE"}}},
        {"library": "timm", "name": "test_resnet", "arguments": {"global_pool": "FILE"}},
        {"library": "timm", "name": "local-dir:FILE", "arguments": {}, "config": None},
        {"library": "timm", "name": "hf-hub:evil/model", "arguments": {}, "config": None},
        {"library": "timm", "name": "test_resnet", "arguments": {}, "config": "FILE"},
        {"library": "transformers", "config": {"model_type": "timm_wrapper", "architecture": "local-dir:FILE"}},
        {"library": "transformers", "config": {**VIT, "hidden_act": "FILE"}},
        {"library": "transformers", "config": {"model_type": "detr", "backbone": "FILE", "use_timm_backbone": False}},
        {"library": "transformers", "config": {"model_type": "detr", "backbone": "hf-hub:evil/model"}},
        {"library": "transformers", "config": {"model_type": "rt_detr", "backbone_config": {
            "model_type": "timm_backbone", "backbone": "local-dir:FILE"}}},
        {"library": "transformers", "config": {"model_type": "clip", "vision_config": {"hidden_act": "FILE"}}},
        {"library": "transformers", "config": {"model_type": "evil"}},
        {"library": "studio", "name": "conv4", "arguments": {"width": "FILE"}},
        {"library": "pickle", "name": "FILE"},
        {"name": "FILE"},
    ],
)  # fmt: skip
def test_a_manifest_names_no_file_no_hub_and_no_code(architecture, trap, no_network):
    half = {"mean": [0.5] * 3, "std": [0.5] * 3}
    preprocess = {"image_size": 32, "crop_pct": 1.0, "interpolation": "bicubic", **half}
    named = json.loads(json.dumps(architecture).replace("FILE", str(trap.path)))
    with pytest.raises(UsageError):
        registry.backbone(
            "timm/test_resnet", weights=False, architecture={"preprocess": preprocess, "arguments": {}, **named}
        )
    assert not trap.sprung


def test_whereabouts_of_weights_in_timms_config_are_left_out(trap, no_network):
    config = {"input_size": [3, 32, 32], "file": str(trap.path), "url": "http://evil/x.pth", "hf_hub_id": "evil/model"}
    architecture = {"library": "timm", "name": "test_resnet", "arguments": {}, "config": config}
    backbone = registry.backbone("timm/test_resnet", weights=False, architecture=architecture)
    assert not trap.sprung and backbone.image_size == 32
    assert str(trap.path) not in str((backbone.architecture, backbone.module.pretrained_cfg))


# --- what a folder says -------------------------------------------------------------------------


def vit_folder(folder: Path, **config) -> Path:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    ViTForImageClassification(ViTConfig(**{**VIT, "num_labels": 3})).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return folder


def test_what_a_config_names_beside_its_numbers_is_never_followed(tmp_path, trap, no_network):
    whole = registry.backbone(f"file:{vit_folder(tmp_path / 'whole')}")
    (tmp_path / "pointing").mkdir()
    for name in ("model.safetensors", "preprocessor_config.json", "config.json"):
        (tmp_path / "pointing" / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    path = tmp_path / "pointing" / "config.json"
    pointing = {
        "auto_map": {"AutoModel": "modeling.Evil", "AutoConfig": "evil/model--x.Y"}, "_name_or_path": "evil/model",
        "transformers_weights": "../photo.jpg", "_attn_implementation": "evil/kernel", "trust_remote_code": True,
        "attn_implementation": "evil/kernel", "quantization_config": {"quant_method": "evil"},
    }  # fmt: skip
    path.write_text(json.dumps({**json.loads(path.read_text()), **pointing}))
    (tmp_path / "pointing" / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    (tmp_path / "pointing" / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": str(tmp_path / "elsewhere"), "peft_type": "LORA"})
    )
    backbone = registry.backbone(f"file:{tmp_path / 'pointing'}")
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(backbone.embed(image), whole.embed(image)) and backbone.hash == whole.hash
    assert not trap.sprung


def test_an_index_of_shards_leads_nowhere(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = vit_folder(tmp_path / "sharded")
    whole = registry.backbone(f"file:{folder}")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    for number, part in enumerate((names[::2], names[1::2]), 1):
        save_file({name: tensors[name] for name in part}, folder / f"model-0000{number}-of-00002.safetensors")
    index = {"weight_map": dict.fromkeys(names, "../../etc/passwd")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert registry.backbone(f"file:{folder}").hash == whole.hash
    (folder / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(UsageError, match="lacks part 1"):
        registry.backbone(f"file:{folder}")


@pytest.mark.parametrize("kind", ["vit", "timm"])
@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_a_pickle_under_the_name_of_safetensors_is_not_opened_as_one(tmp_path, kind, protocol):
    import pickle

    if kind == "vit":
        folder = vit_folder(tmp_path / "model")
    else:
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"architecture": "test_resnet"}))
    (folder / "model.safetensors").write_bytes(pickle.dumps({"weight": [0.0] * 50}, protocol))
    with pytest.raises(UsageError, match="no readable safetensors"):
        registry.backbone(f"file:{folder}")


def test_a_timm_folder_may_not_name_a_file_to_its_constructor(tmp_path, trap, no_network):
    folder = tmp_path / "model"
    folder.mkdir()
    for config in (
        {"architecture": "test_resnet", "model_args": {"checkpoint_path": str(trap.path)}},
        {"architecture": f"local-dir:{tmp_path}"},
        {"architecture": "hf-hub:evil/model"},
        {"architecture": "test_resnet", "model_args": {"pretrained_cfg_overlay": {"file": str(trap.path)}}},
    ):
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(UsageError):
            registry.backbone(f"file:{folder}", weights=False)
    assert not trap.sprung


def test_a_timm_backbone_that_an_old_config_names_is_built_without_asking_the_hub(no_network):
    from adapters.backbones import hf_model

    old = {"model_type": "detr", "backbone": "resnet18", "use_timm_backbone": True, "use_pretrained_backbone": True,
           "backbone_config": None, "backbone_kwargs": {"in_chans": 3, "out_indices": [1, 2, 3, 4]}}  # fmt: skip
    config = hf_model.read_config(old)
    assert config.backbone_config.backbone == "resnet18" and config.backbone_config.out_indices == [1, 2, 3, 4]


# --- and what must still get through ------------------------------------------------------------


def test_every_image_model_of_transformers_says_nothing_by_default_that_is_refused():
    from transformers import CONFIG_MAPPING
    from transformers.models.auto import modeling_auto as auto

    mappings = (
        auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES, auto.MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES,
        auto.MODEL_FOR_BACKBONE_MAPPING_NAMES, auto.MODEL_FOR_IMAGE_MAPPING_NAMES,
    )  # fmt: skip
    for kind in sorted({name for mapping in mappings for name in mapping} - {"timm_wrapper"}):
        values = json.loads(CONFIG_MAPPING[kind]().to_json_string(use_diff=False))
        values = {key: value for key, value in values.items() if key == "model_type" or key not in allowed.DROPPED}
        kept = allowed.transformers_config(values)
        assert kept.keys() == values.keys(), kind
        assert all(isinstance(value, dict) or kept[key] == value for key, value in values.items()), kind


def test_what_timm_writes_of_its_networks_gets_through(tmp_path):
    import timm

    for name, arguments in (("vit_tiny_patch16_224", TINY), ("test_convnext", {"conv_mlp": True}),
                            ("test_resnet", {"in_chans": 1, "act_layer": "silu"})):  # fmt: skip
        model = timm.create_model(name, num_classes=2, **arguments)
        timm.models.save_for_hf(model, tmp_path / name, safe_serialization=True)
        kept = registry.backbone(f"file:{tmp_path / name}").architecture["arguments"]
        assert all(kept[key] == value for key, value in arguments.items() if key != "img_size")


def test_stages_of_a_backbone_are_named_by_words_and_never_by_files(trap, no_network):
    from adapters.backbones.allowed import transformers_config

    config = {"model_type": "timm_backbone", "backbone": "resnet18", "out_features": ["layer1", "layer4"]}
    assert transformers_config(config)["out_features"] == ["layer1", "layer4"]
    with pytest.raises(UsageError, match="out_features of a timm_backbone"):
        transformers_config({**config, "out_features": ["layer1", str(trap.path)]})
