"""A checkpoint for other tools: safetensors with a model card, ONNX checked against torch, a Hugging Face folder.

The smaller and faster forms of a classifier (ONNX in fp16 and int8, OpenVINO) are judged beside float ONNX on the
images of the run itself, and refused where they are right less often.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from studio.core import registry
from studio.core.errors import StudioError, UsageError, nearest
from studio.core.home import Home
from studio.data import Dataset, open_data, read_image
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize, to_input
from studio.runs.forms.judge import compared, refuse_if_worse, said_of
from studio.runs.forms.own_images import batches, own_images
from studio.runs.forms.runners import NO_ONNX, Form, onnx_form, openvino_form
from studio.runs.forms.smaller import write_fp16, write_int8, write_openvino
from studio.runs.predict import load_checkpoint
from studio.store import Store
from studio.store.card import model_card
from studio.store.outputs import whole_folder

TOLERANCE = 1e-3  # largest difference of logits that still counts as the same model, relative to their spread


HF_USE = """\
    from transformers import pipeline

    pipeline("image-classification", "FOLDER OR REPOSITORY")("photo.jpg")"""


@dataclass(frozen=True)
class Wishes:
    """What may be asked of an export beside its format.

    `personal`: data of persons that a task keeps in its checkpoints, such as a gallery, come along. `data`: a spec of
    labelled images for the smaller forms, instead of the run's own. `max_drop`: how much less accurate than float
    they may be, 0..1.
    """

    personal: bool = False
    data: str | None = None
    max_drop: float = 0.01


@dataclass
class Written:
    """What is to be known of files that were written: a note, and a row for each form that was compared."""

    note: str
    rows: list[dict[str, Any]] = field(default_factory=list)


def export_checkpoint(
    name: str, kind: str, folder: Path, home: Home | None = None, wishes: Wishes | None = None
) -> dict[str, Any]:
    """Writes a checkpoint into `folder` and returns {folder, files, note, forms}; `forms` compares the smaller ones.

    Raises UsageError where the checkpoint has no such form or a file would be written over, StudioError where the
    exported model does not compute what the checkpoint computes; then nothing is left behind.
    """
    if kind not in WRITERS:
        raise UsageError(f"format: there is no format {kind!r}.{nearest(kind, WRITERS)}")
    with whole_folder(folder) as made:
        written = WRITERS[kind](name, made, home or Home.find(), wishes or Wishes())
        files = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    return {"folder": str(folder), "files": files, "note": written.note, "forms": written.rows}


def _safetensors(name: str, folder: Path, home: Home, wishes: Wishes) -> Written:
    store = Store(home)
    kept = registry.task_named(store.checkpoint(name).manifest.task).personal
    store.export(name, folder, without=() if wishes.personal else kept)
    back = "Bring it back with `launch.py import`."
    if not kept:
        return Written(back)
    if wishes.personal:
        held = "It holds data of those who are in its gallery: their embeddings, and what they are called."
        return Written(f"{back} {held}")
    return Written(f"{back} Its gallery and the names in it were left out (--personal takes them along).")


def _onnx(name: str, folder: Path, home: Home, wishes: Wishes) -> Written:
    return Written(write_onnx(load_checkpoint(name, home, device="cpu"), folder))


def write_onnx(model: Any, folder: Path) -> str:
    """`model.onnx` of a loaded checkpoint, compared with torch on a few images, and what is to be known of it."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise UsageError(NO_ONNX) from error
    path = folder / "model.onnx"
    if write := registry.task_named(model.checkpoint.manifest.task).exporter("onnx"):
        preprocess = Preprocess.from_dict(model.checkpoint.manifest.preprocess)
        note, output = write(model, sample_of(preprocess), folder)
        _describe(folder, model, preprocess, output)
        return note
    preprocess, module = network_of(model)
    images = sample_of(preprocess)
    _to_onnx(module, images[:2], path)
    with torch.inference_mode():
        expected = module(images).numpy()
    difference = _refuse_if_off(expected, onnx_form(path)(images.numpy()), "ONNX", path)
    _describe(folder, model, preprocess)
    return f"Largest difference from torch on {len(images)} images: {difference:.1e} of the spread of the logits."


def _to_onnx(module: nn.Module, images: torch.Tensor, path: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=4096)
    try:
        torch.onnx.export(
            module, (images,), str(path), input_names=["images"], output_names=["logits"],
            dynamic_shapes=({0: batch},), dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
    except Exception as error:
        path.unlink(missing_ok=True)
        raise StudioError(
            f"This model can't be written as ONNX ({type(error).__name__}: {str(error)[:200]})."
        ) from error


def _fp16(name: str, folder: Path, home: Home, wishes: Wishes) -> Written:
    return _smaller(name, home, wishes, "onnx-fp16", folder / "model.onnx", onnx_form,
                    lambda source, path, _: write_fp16(source, path))  # fmt: skip


def _int8(name: str, folder: Path, home: Home, wishes: Wishes) -> Written:
    return _smaller(name, home, wishes, "onnx-int8", folder / "model.onnx", onnx_form, write_int8)


def _openvino(name: str, folder: Path, home: Home, wishes: Wishes) -> Written:
    return _smaller(name, home, wishes, "openvino", folder / "model.xml", openvino_form,
                    lambda source, path, _: write_openvino(source, path))  # fmt: skip


def _smaller(
    name: str, home: Home, wishes: Wishes, kind: str, path: Path, run: Callable[[Path], Form],
    write: Callable[[Path, Path, Iterator[np.ndarray]], None],
) -> Written:  # fmt: skip
    """Writes a smaller form of a classifier to `path` and judges it beside float ONNX."""
    model = load_checkpoint(name, home, device="cpu")
    if registry.task_named(model.checkpoint.manifest.task).exporter("onnx"):  # which are not logits of classes
        raise UsageError(f"format {kind}: classifiers have it; {model.checkpoint.manifest.method} exports as onnx.")
    preprocess, _ = network_of(model)
    own = own_images(model.checkpoint, home, wishes.data)
    with tempfile.TemporaryDirectory() as elsewhere:
        write_onnx(model, Path(elsewhere))
        source = Path(elsewhere) / "model.onnx"
        write(source, path, _images_of(own.calibration, preprocess))
        forms = {"onnx": onnx_form(source), kind: run(path)}
        rows = compared(forms, {"onnx": source, kind: path}, own.judged, preprocess)
    refuse_if_worse(*rows, own.where, wishes.max_drop)
    _describe(path.parent, model, preprocess, form=kind)
    calibrated = f" Calibrated on {len(own.calibration)} images, without their labels." if kind == "onnx-int8" else ""
    return Written(said_of(*rows, own.where) + calibrated, rows)


def _images_of(dataset: Dataset, preprocess: Preprocess) -> Iterator[np.ndarray]:
    return (images for images, _ in batches(dataset, preprocess))


def _hf(name: str, folder: Path, home: Home, wishes: Wishes) -> Written:
    """A folder for `AutoModelForImageClassification.from_pretrained`."""
    from transformers import AutoModelForImageClassification

    model = load_checkpoint(name, home, device="cpu")
    manifest = model.checkpoint.manifest
    if write := registry.task_named(manifest.task).exporter("hf"):
        note, use = write(model, sample_of(Preprocess.from_dict(manifest.preprocess)), folder)
        (folder / "README.md").write_text(model_card(manifest, "transformers", use), encoding="utf-8")
        return Written(note)
    preprocess, module = network_of(model)
    export_module = getattr(model.predictor, "export_module", lambda: module)()
    if export_module is None or not hasattr(export_module.backbone, "save_hugging_face"):
        raise UsageError(
            f"{model.checkpoint.manifest.method} checkpoints have no Hugging Face form: no network of the backbone's "
            "own layers computes the same. onnx and safetensors fit it."
        )
    export_module.backbone.save_hugging_face(export_module.head, model.classes, folder)
    (folder / "README.md").write_text(model_card(model.checkpoint.manifest, "transformers", HF_USE), encoding="utf-8")
    images = sample_of(preprocess)
    loaded = AutoModelForImageClassification.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    with torch.inference_mode():
        difference = _refuse_if_off(
            module(images).numpy(), loaded(images).logits.numpy(), "Hugging Face", folder / "model.safetensors"
        )
    return Written(
        f"AutoModelForImageClassification gives the same logits (largest difference {difference:.1e} of their spread)."
    )


def _film_filter(name: str, folder: Path, home: Home, wishes: Wishes) -> Written:
    """ONNX with a script that filters films through it, which needs nothing of the studio."""
    model = load_checkpoint(name, home, device="cpu")
    manifest = model.checkpoint.manifest
    write = registry.task_named(manifest.task).exporter("film-filter")
    if write is None:
        raise UsageError(f"format film-filter: translators have it, and {manifest.method} makes no images.")
    of_onnx = write_onnx(model, folder)
    note, use = write(model, sample_of(Preprocess.from_dict(manifest.preprocess)), folder)
    (folder / "README.md").write_text(model_card(manifest, "onnx", use), encoding="utf-8")
    return Written(f"{of_onnx} {note}")


def network_of(model: Any) -> tuple[Preprocess, nn.Module]:
    """How an image becomes the input, and the module from input [B, 3, H, W] to logits [B, C]."""
    module = model.predictor.module()
    if module is None:
        made = model.checkpoint.manifest
        raise UsageError(f"{made.method} checkpoints are not one network; they export as safetensors only.")
    return Preprocess.from_dict(model.checkpoint.manifest.preprocess), module.eval()


def sample_of(preprocess: Preprocess, count: int = 8) -> torch.Tensor:
    """Real images as input [N, 3, H, W]: scanned digits and characters."""
    items = (
        open_data("builtin:digits?per_class=1").items[: count // 2]
        + open_data("builtin:glyphs?classes=4&per_class=1").items[: count // 2]
    )
    images = [to_input(read_image(item.source, item.name), preprocess) for item in items]
    return normalize(torch.stack(images), preprocess)


def _refuse_if_off(expected: np.ndarray, exported: np.ndarray, what: str, path: Path) -> float:
    spread = max(float(expected.max() - expected.min()), 1e-6)
    difference = float(np.abs(expected - exported).max()) / spread
    if not difference <= TOLERANCE:
        path.unlink(missing_ok=True)
        raise StudioError(
            f"The {what} model computes something else: logits differ by {difference:.2e} of their spread "
            f"(allowed {TOLERANCE:g}). It was not kept."
        )
    return difference


def _describe(
    folder: Path, model: Any, preprocess: Preprocess, output: str = "logits [batch, classes]", form: str = "onnx"
) -> None:
    facts = {
        "checkpoint": model.checkpoint.id,
        "format": form,
        "classes": [] if registry.task_named(model.checkpoint.manifest.task).personal else model.classes,
        "preprocess": preprocess.to_dict(),
        "input": "images float32 [batch, 3, H, W], normalised",
        "output": output,
    }
    (folder / "model.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False), encoding="utf-8")


WRITERS: dict[str, Callable[[str, Path, Home, Wishes], Written]] = {
    "safetensors": _safetensors,
    "onnx": _onnx,
    "onnx-fp16": _fp16,
    "onnx-int8": _int8,
    "openvino": _openvino,
    "hf": _hf,
    "film-filter": _film_filter,
}
